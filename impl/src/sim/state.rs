//! What operations mean: the whole machine as one small value, and pure functions over it.

use crate::env::Environment;
use crate::event::Event;
use crate::id::{CpuId, CpuMask, FrameId, MmId};
use crate::irq::Vector;
use crate::kernel::{Loc, Node};
use crate::mm::Life;
use crate::operation::Operation;
use crate::page_table::Entry;
use crate::sim::door::layout;
use crate::sim::op::Answer;
use crate::sim::{Op, Violation};
use crate::tlb::{Access, AccessKind, Scope, Slot, TlbState};

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
    words: [u32; WORDS],
    /// Who waits for the rwlock: see [`rw_queue`].
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

fn index(loc: Loc) -> usize {
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

/// The mm whose memory a word is in, if its memory can be freed.
fn memory_of(loc: Loc) -> Option<MmId> {
    match loc {
        Loc::ListNext(Node::Page(mm))
        | Loc::ListPrev(Node::Page(mm))
        | Loc::PageIndex(mm)
        | Loc::Pinned(mm)
        | Loc::KernelEntry(mm)
        | Loc::PtePmd(mm)
        | Loc::UserEntry(mm, _)
        | Loc::DepositedPte(mm)
        | Loc::PageTableLock(mm)
        | Loc::PteLock(mm)
        | Loc::Cpumask(mm)
        | Loc::FlushPending(mm) => Some(mm),
        _ => None,
    }
}

/// A context of a CPU as lock queues know it: never 0.
fn context(cpu: CpuId, in_irq: bool) -> u32 {
    u32::from(cpu.0) * 2 + u32::from(in_irq) + 1
}

/// The contexts in a lock's queue, the holder first: `(cpu, in interrupt)`.
pub(super) fn queue(word: u32) -> impl Iterator<Item = (CpuId, bool)> {
    (0..8)
        .map(move |i| word >> (4 * i) & 0xf)
        .take_while(|&c| c != 0)
        .map(context_id)
}

/// The inverse of [`context`]: the CPU, and whether it is its interrupt.
pub(super) fn context_id(context: u32) -> (CpuId, bool) {
    (CpuId(((context - 1) / 2) as u8), (context - 1) % 2 == 1)
}

/// Who waits for `pgd_lock` as an rwlock, the next one first: context, and whether for writing.
///
/// Readers get in past waiting writers while the lock is held for reading, as in 2.6.38; whoever waits is served in
/// order of arrival, which the real lock does not promise.
pub(super) fn rw_queue(queue: u64) -> impl Iterator<Item = (u32, bool)> {
    (0..8)
        .map(move |i| (queue >> (8 * i)) as u32 & 0x1f)
        .take_while(|&e| e != 0)
        .map(|e| (e & 0xf, e & 0x10 != 0))
}

/// The readers of an rwlock, as context bits.
pub(super) const RW_READERS: u32 = 0xff;
/// Where its writer is.
pub(super) const RW_WRITER_SHIFT: u32 = 8;

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

    fn in_irq(&self, cpu: CpuId) -> bool {
        self.cpus[cpu.index()].in_irq.is_some()
    }

    /// The CPUs there are.
    pub fn cpu_ids(&self) -> impl Iterator<Item = CpuId> + use<> {
        (0..self.env.cpus).map(CpuId)
    }

    /// Whether the operation that a CPU has announced can happen now.
    pub fn enabled(&self, cpu: CpuId, op: Op) -> bool {
        let me = context(cpu, self.in_irq(cpu));
        match op {
            Op::Idle => false,
            Op::TicketWait(l) => self.words[index(l)] & 0xf == me,
            Op::RwWait(_) => rw_queue(self.rw_queue).all(|(who, _)| who != me),
            Op::AwaitZero(l) => self.words[index(l)] == 0,
            _ => true,
        }
    }

    /// The translations a CPU's hardware could cache now.
    pub fn fills(&self, cpu: CpuId) -> impl Iterator<Item = Slot> {
        let c = self.cpus[cpu.index()];
        Slot::ALL
            .into_iter()
            .filter(move |&slot| c.tlb[slot as usize].is_none() && self.walk(cpu, slot).is_some())
    }

    /// What a hardware walk would find.
    fn walk(&self, cpu: CpuId, slot: Slot) -> Option<(Loc, FrameId)> {
        let TlbState {
            active_mm: Some(mm),
            loaded: true,
            ..
        } = self.cpus[cpu.index()].tlb_state
        else {
            return None;
        };
        let entry = self.entry(mm, slot);
        if !entry.maps(slot) {
            return None;
        }
        Some((Loc::UserEntry(mm, slot), entry.frame()?))
    }

    /// Takes an interrupt: IF off, the IPI no longer pending.
    pub fn enter_interrupt(&mut self, cpu: CpuId, vector: Vector) {
        let c = &mut self.cpus[cpu.index()];
        c.in_irq = Some(vector);
        c.irqs_on = false;
        if let Vector::FlushTlb(from) = vector {
            c.ipis = c.ipis.without(from);
        }
    }

    /// The hardware walker caches a translation, and says so in the entry.
    pub fn fill(&mut self, cpu: CpuId, slot: Slot, kind: AccessKind) -> Option<FrameId> {
        let (loc, frame) = self.walk(cpu, slot)?;
        let dirty = if kind == AccessKind::Store {
            Entry::DIRTY
        } else {
            0
        };
        self.set(loc, self.word(loc) | Entry::ACCESSED | dirty);
        self.cpus[cpu.index()].tlb[slot as usize] = Some(Cached { frame });
        Some(frame)
    }

    fn rw_free(&self, lock: Loc, write: bool) -> bool {
        let word = self.words[index(lock)];
        word >> RW_WRITER_SHIFT == 0 && (!write || word == 0)
    }

    fn rw_grant(&mut self, lock: Loc, who: u32, write: bool) {
        self.words[index(lock)] |= if write {
            who << RW_WRITER_SHIFT
        } else {
            1 << (who - 1)
        };
    }

    /// Serves those who wait, first come first served, as far as they can share the lock.
    fn rw_serve(&mut self, lock: Loc) {
        while let Some((who, write)) = rw_queue(self.rw_queue).next()
            && self.rw_free(lock, write)
        {
            self.rw_queue >>= 8;
            self.rw_grant(lock, who, write);
        }
    }

    fn violated(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// The contexts in a spinlock's queue, the holder first: the CPU, and whether in its interrupt.
    pub fn spinlock_queue(&self, lock: Loc) -> impl Iterator<Item = (CpuId, bool)> {
        queue(self.words[index(lock)])
    }

    /// The writer of `pgd_lock` as an rwlock.
    pub fn rwlock_writer(&self) -> Option<(CpuId, bool)> {
        queue(self.words[index(Loc::PgdRwLock)] >> RW_WRITER_SHIFT).next()
    }

    /// Its readers, by CPU.
    pub fn rwlock_readers(&self) -> impl Iterator<Item = (CpuId, bool)> {
        let readers = self.words[index(Loc::PgdRwLock)] & RW_READERS;
        (1..=8)
            .filter(move |c| readers >> (c - 1) & 1 == 1)
            .map(context_id)
    }

    /// Who waits for it, the next one first, and whether for writing.
    pub fn rwlock_waiters(&self) -> impl Iterator<Item = ((CpuId, bool), bool)> {
        rw_queue(self.rw_queue).map(|(who, write)| (context_id(who), write))
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

    /// Whether a context of this CPU holds a lock.
    fn holds_any(&self, cpu: CpuId, in_irq: bool) -> bool {
        let me = context(cpu, in_irq);
        let mms = (0..self.env.mms).map(MmId);
        let locks = mms
            .flat_map(|mm| [Loc::PageTableLock(mm), Loc::PteLock(mm)])
            .chain([Loc::PgdLock]);
        let rw = self.words[index(Loc::PgdRwLock)];
        locks.into_iter().any(|l| self.words[index(l)] & 0xf == me)
            || rw & RW_READERS & 1 << (me - 1) != 0
            || rw >> RW_WRITER_SHIFT == me
    }

    /// Lets an announced, enabled operation happen; its answer.
    pub fn apply(&mut self, cpu: CpuId, op: Op) -> u64 {
        let in_irq = self.in_irq(cpu);
        let me = context(cpu, in_irq);
        self.check_memory(cpu, op);
        match op {
            Op::Idle => 0,
            Op::Load(l) => self.word(l),
            Op::Store(l, v) | Op::HypervisorStore(l, v) => self.replace(l, v),
            Op::FetchOr(l, v) => self.replace(l, self.word(l) | v),
            Op::FetchAnd(l, v) => self.replace(l, self.word(l) & v),
            Op::FetchAdd(l, v) => {
                let old = self.word(l);
                if old == 0 && v == u64::MAX {
                    self.violated(Violation::Underflow { cpu, loc: l });
                }
                self.replace(l, old.wrapping_add(v) & u64::from(u32::MAX))
            }
            Op::TicketDraw(l) => {
                let word = &mut self.words[index(l)];
                let ahead = queue(*word).count() as u32;
                *word |= me << (4 * ahead);
                u64::from(ahead != 0)
            }
            Op::TicketWait(_) | Op::AwaitZero(_) => {
                if matches!(op, Op::AwaitZero(_)) {
                    self.strict_rule_broken |=
                        !self.cpus[cpu.index()].irqs_on || self.holds_any(cpu, in_irq);
                }
                0
            }
            Op::TicketRelease(l) => {
                if self.words[index(l)] & 0xf != me {
                    self.violated(Violation::NotHolder { cpu, loc: l });
                }
                self.words[index(l)] >>= 4;
                0
            }
            Op::ReadLock(l) | Op::WriteLock(l) => {
                let write = matches!(op, Op::WriteLock(_));
                let free = self.rw_free(l, write);
                if free {
                    self.rw_grant(l, me, write);
                } else {
                    let place = rw_queue(self.rw_queue).count();
                    self.rw_queue |= u64::from(me | u32::from(write) << 4) << (8 * place);
                }
                u64::from(!free)
            }
            Op::RwWait(_) => 0,
            Op::ReadUnlock(l) | Op::WriteUnlock(l) => {
                let write = matches!(op, Op::WriteUnlock(_));
                let held = if write {
                    me << RW_WRITER_SHIFT
                } else {
                    1 << (me - 1)
                };
                if self.words[index(l)] & held != held {
                    self.violated(Violation::NotHolder { cpu, loc: l });
                }
                self.words[index(l)] &= !held;
                self.rw_serve(l);
                0
            }
            Op::IrqSave => {
                let was = self.cpus[cpu.index()].irqs_on;
                self.cpus[cpu.index()].irqs_on = false;
                was.into()
            }
            Op::IrqRestore(on) => {
                self.cpus[cpu.index()].irqs_on = on;
                0
            }
            Op::SendIpi(to) => {
                let target = &mut self.cpus[to.index() % SIM_CPUS];
                target.ipis = target.ipis.with(cpu);
                0
            }
            Op::End(_) => {
                if !self.cpus[cpu.index()].irqs_on || self.holds_any(cpu, false) {
                    self.violated(Violation::LeftLocked { cpu });
                }
                self.cpus[cpu.index()].running = None;
                0
            }
            Op::Iret => {
                let c = &mut self.cpus[cpu.index()];
                c.in_irq = None;
                c.irqs_on = true;
                0
            }
            _ => self.apply_tlb(cpu, op),
        }
    }

    fn apply_tlb(&mut self, cpu: CpuId, op: Op) -> u64 {
        let i = cpu.index();
        match op {
            Op::TlbState => return self.cpus[i].tlb_state.encode(),
            Op::FlushTlb(scope) => self.flush(cpu, scope),
            Op::LoadCr3(mm) => {
                self.cpus[i].tlb_state = TlbState {
                    active_mm: Some(mm),
                    lazy: false,
                    loaded: true,
                };
                self.flush(cpu, Scope::All);
            }
            Op::SetLazy => self.cpus[i].tlb_state.lazy = true,
            Op::ClearLazy => self.cpus[i].tlb_state.lazy = false,
            Op::LeaveMm(mask) => {
                self.set(mask, self.word(mask) & !CpuMask::of(cpu).word());
                self.cpus[i].tlb_state.loaded = false;
                self.flush(cpu, Scope::All);
            }
            Op::HypercallFlush(mask, mm, scope) => {
                for target in CpuMask::from_word(self.word(mask)).iter() {
                    let state = self.cpus[target.index() % SIM_CPUS].tlb_state;
                    if state.active_mm == Some(mm) && state.loaded {
                        self.flush(target, scope);
                    }
                }
            }
            Op::UserAccess(slot, kind) => return self.user_access(cpu, slot, kind).encode(),
            _ => {}
        }
        0
    }

    fn flush(&mut self, cpu: CpuId, scope: Scope) {
        for slot in Slot::ALL {
            if scope.covers(slot) {
                self.cpus[cpu.index()].tlb[slot as usize] = None;
            }
        }
    }

    fn user_access(&mut self, cpu: CpuId, slot: Slot, kind: AccessKind) -> Access {
        let access = match self.cpus[cpu.index()].tlb[slot as usize] {
            Some(Cached { frame }) => {
                if kind == AccessKind::Store {
                    // The assist that sets DIRTY walks the tables again: if the entry still is that translation, it
                    // is young again too.
                    if let Some((loc, _)) = self.walk(cpu, slot).filter(|&(_, f)| f == frame) {
                        self.set(loc, self.word(loc) | Entry::ACCESSED | Entry::DIRTY);
                    }
                }
                Access::Hit(frame)
            }
            None => self
                .fill(cpu, slot, kind)
                .map_or(Access::Fault, Access::Filled),
        };
        if let Access::Hit(frame) | Access::Filled(frame) = access
            && self.word(Loc::FrameRefs(frame)) == 0
        {
            self.violated(Violation::FreedFrame { cpu, frame });
        }
        access
    }

    fn replace(&mut self, loc: Loc, value: u64) -> u64 {
        let old = self.word(loc);
        self.set(loc, value);
        old
    }

    /// What no operation may do to memory: use a freed mm's, write a pinned pgd page, change a stable word.
    fn check_memory(&mut self, cpu: CpuId, op: Op) {
        let (loc, writes) = match op {
            Op::Load(l)
            | Op::TicketWait(l)
            | Op::RwWait(l)
            | Op::ReadLock(l)
            | Op::ReadUnlock(l)
            | Op::WriteLock(l)
            | Op::WriteUnlock(l) => (l, false),
            Op::Store(l, _) | Op::FetchOr(l, _) | Op::FetchAnd(l, _) | Op::FetchAdd(l, _) => {
                (l, true)
            }
            Op::HypervisorStore(l, _) | Op::TicketDraw(l) | Op::TicketRelease(l) => (l, false),
            _ => return,
        };
        if let Some(mm) = memory_of(loc)
            && self.life(mm) == Life::Freed
        {
            self.violated(Violation::FreedMm { cpu, mm, loc });
        }
        if writes {
            match loc {
                Loc::KernelEntry(mm) if self.word(Loc::Pinned(mm)) != 0 => {
                    self.violated(Violation::PinnedWrite { cpu, mm });
                }
                Loc::PageIndex(_) | Loc::PtePmd(_) => {
                    self.violated(Violation::StableWordWritten { cpu, loc })
                }
                _ => {}
            }
        }
    }

    /// Takes note of what the code reported, for the checks that need to know what an operation meant.
    pub fn note(&mut self, cpu: CpuId, event: Event) {
        match event {
            Event::Begin { operation } => self.cpus[cpu.index()].running = Some(operation),
            Event::FrameGet { frame, slot } => {
                // Counted already: one reference means that the page was free.
                let freed = self.word(Loc::FrameRefs(frame)) == 1;
                if freed || slot == Slot::Huge && self.word(Loc::Compound(frame)) == 0 {
                    self.violated(Violation::GupOnReusedPage { cpu, frame });
                }
            }
            Event::ReturnToUser {} => {
                if let Some(mm) = self.cpus[cpu.index()].tlb_state.current_mm() {
                    self.check_stale(mm);
                }
            }
            _ => {}
        }
    }

    fn check_stale(&mut self, mm: MmId) {
        let mapped = self.entry(mm, Slot::Pte).frame();
        let stale = self.cpu_ids().find(|c| {
            let c = self.cpus[c.index()];
            let on_mm = c.tlb_state.loaded && c.tlb_state.active_mm == Some(mm);
            on_mm && c.tlb[Slot::Pte as usize].is_some_and(|t| Some(t.frame) != mapped)
        });
        if let Some(cpu) = stale {
            self.violated(Violation::StaleTlb { cpu, mm });
        }
    }
}
