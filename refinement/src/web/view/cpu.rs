//! A CPU in one state.

use serde::Serialize;
use shootdown_spec::id::Level;

/// A CPU.
#[derive(Clone, Debug, Serialize)]
pub struct CpuView {
    /// `CPU0`.
    pub name: String,
    /// `IF`.
    pub irqs_on: bool,
    /// An interrupt handler runs.
    pub in_irq: bool,
    /// What it is doing, in a few words.
    pub doing: String,
    /// What runs, the executing context first.
    pub contexts: Vec<ContextView>,
    /// `active_mm`; `null` for init_mm.
    pub active_mm: Option<String>,
    /// A kernel thread borrows `active_mm`.
    pub lazy: bool,
    /// CR3 points to `active_mm`'s pgd.
    pub loaded: bool,
    /// Operations it may still start.
    pub budget: u8,
    /// User translations it may still use.
    pub tlb: Vec<TlbView>,
    /// Flush IPIs that were sent here and not taken yet.
    pub pending: Vec<PendingView>,
    /// CPUs whose acknowledgement it awaits.
    pub acks_from: Vec<u8>,
}

/// Something that runs on a CPU.
#[derive(Clone, Debug, Serialize)]
pub struct ContextView {
    /// Process or interrupt context.
    pub level: Level,
    /// The program.
    pub program: &'static str,
    /// The mm it names.
    pub mm: Option<String>,
    /// The pgd a walk stands on; in `switch_mm` the mm switched away from.
    pub cursor: Option<String>,
    /// The kernel function of its next statement.
    pub function: &'static str,
    /// Its next statement.
    pub source: &'static str,
    /// Position of that statement in its program.
    pub line: u8,
    /// The abstract step.
    pub op: String,
    /// Locks it holds.
    pub holds: Vec<String>,
    /// What it waits for.
    pub waits: Option<WaitView>,
    /// It can never move again.
    pub stuck: bool,
    /// For the code: the operation it has announced.
    pub operation: Option<String>,
}

/// What a context waits for.
#[derive(Clone, Debug, Serialize)]
pub struct WaitView {
    /// What kind of thing.
    pub kind: WaitKind,
    /// The lock, or the mm whose split is awaited.
    pub on: Option<String>,
    /// A clause without its subject.
    pub text: String,
}

/// What kind of thing is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// A lock.
    Lock,
    /// Acknowledgements.
    Acks,
    /// A split of a huge pmd.
    Split,
    /// The end of an interrupt.
    Interrupt,
}

/// A cached translation.
#[derive(Clone, Debug, Serialize)]
pub struct TlbView {
    /// `pte` or `pmd`.
    pub entry: String,
    /// Of which mm.
    pub mm: String,
    /// How it relates to the tables.
    pub state: TlbState,
}

/// How a cached translation relates to the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlbState {
    /// The tables have it too.
    Coherent,
    /// They do not have it any more.
    Stale,
    /// The frame is freed.
    StaleFreed,
}

/// A flush IPI that was not taken yet.
#[derive(Clone, Debug, Serialize)]
pub struct PendingView {
    /// Who sent it.
    pub from: u8,
    /// The mm to flush.
    pub mm: String,
    /// `page` or `mm`.
    pub scope: &'static str,
    /// Why it is not taken; `null` if it is about to be.
    pub why_not_taken: Option<&'static str>,
}
