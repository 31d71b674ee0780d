//! Does a state of the code agree with a state of the protocol?
//!
//! After every transition each concept compares what it holds on both sides. What is *not* compared is listed here,
//! once: the code's position against the program counter (the events do that), the code's local variables against the
//! registers (the values in the events do that), and on the protocol's side `Mm::named`, `Mm::pinning`, `Mm::zapping`,
//! `Mm::splitting` (the sleeping locks, which the simulated machine works out from who runs what) and
//! `PgdList::synced` (history).

use std::fmt;

use shootdown_spec::config::Config;
use shootdown_spec::state::State;

use crate::code::automaton::Automata;
use crate::code::state::CodeState;

/// The two sides.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// What runs.
    pub config: &'a Config,
    /// What is known about the code.
    pub automata: &'a Automata,
    /// The code's state.
    pub code: &'a CodeState,
    /// The protocol's state.
    pub spec: &'a State,
}

/// Where they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// In what: `CPU1.irqs_on`, `mm0.cpumask`.
    pub what: String,
    /// As the code has it.
    pub code: String,
    /// As the protocol has it.
    pub spec: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: the code has {}, the protocol has {}",
            self.what, self.code, self.spec
        )
    }
}

/// Equal, or a disagreement about `what` (worked out only then).
pub(super) fn same<T: PartialEq + fmt::Debug>(
    code: T,
    spec: T,
    what: impl FnOnce() -> String,
) -> Result<(), Disagreement> {
    if code == spec {
        return Ok(());
    }
    Err(Disagreement {
        what: what(),
        code: format!("{code:?}"),
        spec: format!("{spec:?}"),
    })
}

/// Equal in length and elements, or a disagreement about `what`. The sides are asked again only to print them.
pub(super) fn same_order<T, A, B>(
    code: impl Fn() -> A,
    spec: impl Fn() -> B,
    what: impl FnOnce() -> String,
) -> Result<(), Disagreement>
where
    T: PartialEq + fmt::Debug,
    A: Iterator<Item = T>,
    B: Iterator<Item = T>,
{
    if code().eq(spec()) {
        return Ok(());
    }
    Err(Disagreement {
        what: what(),
        code: format!("{:?}", code().collect::<Vec<_>>()),
        spec: format!("{:?}", spec().collect::<Vec<_>>()),
    })
}

/// Compares everything.
///
/// # Errors
/// The first disagreement.
pub fn agree(sides: Sides<'_>) -> Result<(), Disagreement> {
    super::cpu::agree(sides)?;
    super::ipi::agree(sides)?;
    super::tlb::agree(sides)?;
    super::spinlock::agree(sides)?;
    super::mm::agree(sides)?;
    super::pgd_list::agree(sides)
}
