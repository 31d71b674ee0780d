//! The whole machine as one small value, and what can happen next. What an operation does to it: `apply.rs`.

use crate::environment::Environment;
use crate::id::{CpuId, CpuMask, FrameId, MmId};
use crate::irq::Vector;
use crate::kernel::{Loc, Node};
use crate::mm::Life;
use crate::operation::Operation;
use crate::page_table::Entry;
use crate::sim::Violation;
use crate::sim::door::layout;
use crate::sim::op::Answer;
use crate::tlb::{Slot, TlbState};

/// Most CPUs of the simulated machine.
pub const SIM_CPUS: usize = 4;
/// Most address-space slots of the simulated machine.
pub const SIM_MMS: usize = 4;

const PER_MM: usize = 14 + 4;
const WORDS: usize = 5 + SIM_CPUS * 2 + SIM_MMS * PER_MM;

/// A translation in a TLB: the frame it leads to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cached {
    /// The frame.
    pub frame: FrameId,
}

/// One CPU.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CpuState {
    /// The interrupt flag.
    pub irqs_on: bool,
    /// The interrupt it is in, if any.
    pub in_irq: Option<Vector>,
    /// Whose flush IPIs are pending.
    pub ipis: CpuMask,
    /// What it has loaded.
    pub tlb_state: TlbState,
    /// Its TLB, by [`Slot`]: translations of the loaded mm.
    pub tlb: [Option<Cached>; 2],
    /// The operation it runs in its base context.
    pub running: Option<Operation>,
}

/// Everything outside the code: memory, CPUs, and what has gone wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SimState {
    pub(super) words: [u32; WORDS],
    /// Who waits for the rwlock: see [`super::lock::rw_queue`].
    pub(super) rw_queue: u64,
    /// The CPUs; those from `env.cpus` on do nothing.
    pub cpus: [CpuState; SIM_CPUS],
    /// What the kernel was built with.
    pub env: Environment,
    /// The first violation, if any: the state is kept as it was when it came up.
    pub violation: Option<Violation>,
    /// Whether acknowledgements were ever awaited with a lock held or interrupts off by the same context.
    pub strict_rule_broken: bool,
}

impl CpuState {
    /// The CPU in one word; different CPUs have different words.
    fn word(&self) -> u64 {
        let in_irq = match self.in_irq {
            None => 0,
            Some(Vector::FlushTlb(from)) => 1 + u64::from(from.0),
            Some(Vector::PgdFree(mm)) => 0x80 | u64::from(mm.0),
        };
        let cached = |slot: Slot| self.tlb[slot as usize].map_or(0, |c| 1 + u64::from(c.frame.0));
        u64::from(self.irqs_on)
            | in_irq << 8
            | u64::from(self.ipis.0) << 16
            | self.tlb_state.encode() << 24
            | cached(Slot::Pte) << 40
            | cached(Slot::Huge) << 48
            | u64::from(self.running.map_or(u8::MAX, Operation::code)) << 56
    }
}

/// What the machine was built with never changes in a run, so it is left out; everything else is in. Searches hash
/// millions of states.
impl core::hash::Hash for SimState {
    fn hash<H: core::hash::Hasher>(&self, hasher: &mut H) {
        self.words.hash(hasher);
        hasher.write_u64(self.rw_queue);
        for cpu in &self.cpus[..usize::from(self.env.cpus).min(SIM_CPUS)] {
            hasher.write_u64(cpu.word());
        }
        (self.violation, self.strict_rule_broken).hash(hasher);
    }
}

/// What can happen next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Choice {
    /// An idle CPU starts an operation.
    Start(CpuId, Operation),
    /// The operation a CPU has announced happens.
    Step(CpuId),
    /// A CPU takes an interrupt.
    Interrupt(CpuId, Vector),
    /// The hardware walker of a CPU caches a translation.
    Fill(CpuId, Slot),
}

impl Choice {
    /// Whose choice it is.
    pub const fn cpu(self) -> CpuId {
        match self {
            Self::Start(cpu, _)
            | Self::Step(cpu)
            | Self::Interrupt(cpu, _)
            | Self::Fill(cpu, _) => cpu,
        }
    }
}

/// A machine that cannot be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigError {
    /// More CPUs than there is room for, or none.
    Cpus(u8),
    /// More mm slots than there is room for, or fewer than are alive.
    Mms(u8),
    /// A CPU starts on an mm that is not alive.
    Placement(CpuId),
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Cpus(n) => write!(f, "the simulated machine has 1 to {SIM_CPUS} CPUs, not {n}"),
            Self::Mms(n) => write!(
                f,
                "the simulated machine has room for 1 to {SIM_MMS} live mms, not {n}"
            ),
            Self::Placement(cpu) => write!(f, "{cpu} cannot start on an mm that is not alive"),
        }
    }
}
impl std::error::Error for ConfigError {}

/// Where a word is in `words`.
pub(super) fn index(loc: Loc) -> usize {
    let mm = |mm: MmId, field: usize| 5 + SIM_CPUS * 2 + mm.index() * PER_MM + field;
    match loc {
        Loc::PgdLock
        | Loc::PgdRwLock
        | Loc::InitEntry
        | Loc::ListNext(Node::Head)
        | Loc::ListPrev(Node::Head) => loc.index(),
        Loc::Request(cpu) => 5 + cpu.index() * 2,
        Loc::Acks(cpu) => 6 + cpu.index() * 2,
        Loc::FrameRefs(f) => mm(MmId(f.0 / 2), 14 + usize::from(f.0 % 2) * 2),
        Loc::Compound(f) => mm(MmId(f.0 / 2), 15 + usize::from(f.0 % 2) * 2),
        // Per-mm fields keep the order they have in `Loc`.
        _ => 5 + SIM_CPUS * 2 + (loc.index() - 5) / 14 * PER_MM + (loc.index() - 5) % 14,
    }
}

impl SimState {
    /// The machine at start: the first `alive` mms listed, each CPU on the mm `placement` says (or on none).
    pub fn new(
        env: Environment,
        alive: u8,
        placement: &[Option<MmId>],
    ) -> Result<Self, ConfigError> {
        if env.cpus == 0 || usize::from(env.cpus) > SIM_CPUS {
            return Err(ConfigError::Cpus(env.cpus));
        }
        if env.mms == 0 || usize::from(env.mms) > SIM_MMS || alive > env.mms {
            return Err(ConfigError::Mms(env.mms));
        }
        let idle = CpuState {
            irqs_on: true,
            in_irq: None,
            ipis: CpuMask::EMPTY,
            tlb_state: TlbState::default(),
            tlb: [None; 2],
            running: None,
        };
        let mut state = Self {
            words: [0; WORDS],
            rw_queue: 0,
            cpus: [idle; SIM_CPUS],
            env,
            violation: None,
            strict_rule_broken: false,
        };
        layout().boot(&env, alive, |loc, value| state.set(loc, value));
        for (i, &mm) in placement.iter().enumerate().take(env.cpus.into()) {
            let Some(mm) = mm else { continue };
            let cpu = CpuId(i as u8);
            if mm.0 >= alive {
                return Err(ConfigError::Placement(cpu));
            }
            state.cpus[i].tlb_state = TlbState {
                active_mm: Some(mm),
                lazy: false,
                loaded: true,
            };
            state.set(
                Loc::Cpumask(mm),
                state.word(Loc::Cpumask(mm)) | CpuMask::of(cpu).word(),
            );
        }
        Ok(state)
    }

    /// The value of a word. Lock words hold their queue: see [`crate::sim::Snapshot`].
    pub fn word(&self, loc: Loc) -> u64 {
        self.words[index(loc)].into()
    }

    /// Sets a word: to build a starting state.
    pub fn set(&mut self, loc: Loc, value: u64) {
        self.words[index(loc)] = value as u32;
    }

    /// Zeroes the memory of a freed mm, its frames included: only somebody who may not could tell. Words that are read
    /// as if they never changed stay.
    pub fn forget_freed(&mut self, mm: MmId) {
        let frames = [0, 1].map(|i| FrameId(2 * mm.0 + i));
        for loc in [
            Loc::ListNext(Node::Page(mm)),
            Loc::ListPrev(Node::Page(mm)),
            Loc::KernelEntry(mm),
            Loc::UserEntry(mm, Slot::Pte),
            Loc::UserEntry(mm, Slot::Huge),
            Loc::Cpumask(mm),
            Loc::FlushPending(mm),
        ]
        .into_iter()
        .chain(frames.map(Loc::FrameRefs))
        .chain(frames.map(Loc::Compound))
        {
            self.set(loc, 0);
        }
    }

    /// Where an mm is in its life.
    pub fn life(&self, mm: MmId) -> Life {
        Life::from_word(self.word(Loc::Life(mm)))
    }

    /// A user entry.
    pub fn entry(&self, mm: MmId, slot: Slot) -> Entry {
        Entry(self.word(Loc::UserEntry(mm, slot)))
    }

    pub(super) fn in_irq(&self, cpu: CpuId) -> bool {
        self.cpus[cpu.index()].in_irq.is_some()
    }

    /// The CPUs there are.
    pub fn cpu_ids(&self) -> impl Iterator<Item = CpuId> + use<> {
        (0..self.env.cpus).map(CpuId)
    }

    /// The mms on `pgd_list` in list order, as far as the links lead: at most one more than there are slots.
    pub fn listed(&self) -> impl Iterator<Item = MmId> {
        let after = |node| match layout().node_at(self.word(Loc::ListNext(node))) {
            Some(Node::Page(mm)) if mm.0 < self.env.mms => Some(mm),
            _ => None,
        };
        core::iter::successors(after(Node::Head), move |&mm| after(Node::Page(mm)))
            .take(usize::from(self.env.mms) + 1)
    }
}
