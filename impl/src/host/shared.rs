//! What the threads share: the kernel's memory, and per CPU what hardware would have per CPU.

use std::boxed::Box;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
use std::vec::Vec;

use crate::env::Environment;
use crate::event::Event;
use crate::host::IrqMode;
use crate::id::{CpuId, FrameId, MmId, NR_CPUS, NR_FRAMES, NR_MMS};
use crate::kernel::{Kernel, Loc, compound_frame, small_frame};
use crate::mm::Life;
use crate::page_table::Entry;
use crate::tlb::{Scope, Slot, TlbState};

/// One CPU as others may see it.
#[repr(align(128))]
#[derive(Default)]
pub(super) struct PerCpu {
    pub pthread: AtomicU64,
    /// The interrupt flag, inverted; kept in both modes.
    pub irqs_off: AtomicBool,
    /// The hardware is in the middle of something that interrupts cannot split.
    pub in_hardware: AtomicBool,
    /// A signal came while it could not be served.
    pub deferred: AtomicBool,
    /// Pending interrupts: bit s for the flush IPI of CPU s, bit 8+m for the `pgd_free` of mm m.
    pub inbox: AtomicU32,
    /// 0, or 1 + bit number of the interrupt being handled.
    pub in_irq: AtomicU8,
    /// What the base context and the interrupt context wait for: 0, 1 + index of a lock word, or [`WANT_ACKS`].
    pub want: [AtomicU32; 2],
    /// The ticket each context has drawn, while it waits for a ticket lock.
    pub ticket: [AtomicU32; 2],
    /// 0, or 1 + index of the lock word each context is just drawing from or releasing: an interrupt can hit between
    /// the lock's own word and [`Host::holders`].
    pub touching: [AtomicU32; 2],
    /// 0, or 1 + code of the operation that runs.
    pub running: AtomicU8,
    /// The TLB by slot: see [`Translation`].
    pub tlb: [AtomicU64; 2],
    /// [`TlbState`], packed.
    pub tlb_state: AtomicU64,
    /// Counts operations, interrupts and waits that are over: progress.
    pub ticks: AtomicU64,
    /// Operations ended.
    pub ops: AtomicU64,
    /// Flush IPIs sent.
    pub ipis: AtomicU64,
}

impl PerCpu {
    /// Drops the translations of one mm from this CPU's TLB, and only those: the CPU may be switching.
    pub fn drop_translations(&self, mm: MmId, scope: Scope) {
        for slot in Slot::ALL.into_iter().filter(|&s| scope.covers(s)) {
            let _ = self.tlb[slot as usize].fetch_update(SeqCst, SeqCst, |word| {
                Translation::unpack(word)
                    .is_some_and(|t| t.mm == mm)
                    .then_some(0)
            });
        }
    }
}

/// [`PerCpu::want`] while awaiting acknowledgements.
pub(super) const WANT_ACKS: u32 = u32::MAX;

/// A cached translation in one word: valid, whose, where to, and which mapping of that frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Translation {
    pub mm: MmId,
    pub frame: FrameId,
    pub generation: u32,
}

impl Translation {
    pub fn pack(self) -> u64 {
        u64::from(self.generation) << 32
            | u64::from(self.frame.0) << 16
            | u64::from(self.mm.0) << 8
            | 1
    }
    pub fn unpack(word: u64) -> Option<Self> {
        if word & 1 == 0 {
            return None;
        }
        Some(Self {
            mm: MmId((word >> 8) as u8),
            frame: FrameId((word >> 16) as u8),
            generation: (word >> 32) as u32,
        })
    }
}

pub(super) fn pack_tlb_state(state: TlbState) -> u64 {
    state.active_mm.map_or(0xff, |mm| mm.0.into())
        | u64::from(state.lazy) << 8
        | u64::from(state.loaded) << 9
}

pub(super) fn unpack_tlb_state(word: u64) -> TlbState {
    TlbState {
        active_mm: MmId::new(word as usize & 0xff),
        lazy: word >> 8 & 1 == 1,
        loaded: word >> 9 & 1 == 1,
    }
}

/// Something that must not happen, noticed while it did.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(tag = "violation", rename_all = "snake_case")]
pub enum HostViolation {
    /// `munmap` returned, yet this CPU still had a translation that was removed.
    StaleTlb {
        /// Who had it.
        cpu: CpuId,
        /// Of which mm.
        mm: MmId,
    },
    /// A frame was touched through the TLB after it was freed.
    FreedFrame {
        /// By whom.
        cpu: CpuId,
        /// Which.
        frame: FrameId,
    },
    /// A walker stood on a pgd that was freed.
    FreedPgd {
        /// Who walked.
        cpu: CpuId,
        /// Whose pgd.
        mm: MmId,
    },
    /// A reference was taken on a page that was freed or split since its entry was read.
    GupOnReusedPage {
        /// By whom.
        cpu: CpuId,
        /// Which.
        frame: FrameId,
    },
    /// A pgd page was written while pinned.
    PinnedWrite {
        /// By whom.
        cpu: CpuId,
        /// Whose.
        mm: MmId,
    },
}

impl core::fmt::Display for HostViolation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::StaleTlb { cpu, mm } => {
                write!(
                    f,
                    "stale TLB: munmap of {mm}'s page returned while {cpu} still had it cached"
                )
            }
            Self::FreedFrame { cpu, frame } => {
                write!(
                    f,
                    "freed frame used: {cpu} reached {frame} through its TLB after it was freed"
                )
            }
            Self::FreedPgd { cpu, mm } => write!(
                f,
                "freed pgd walked: {cpu} stood on the pgd of {mm}, which was freed"
            ),
            Self::GupOnReusedPage { cpu, frame } => {
                write!(
                    f,
                    "page reused under fast-GUP: {cpu} took a reference on {frame} too late"
                )
            }
            Self::PinnedWrite { cpu, mm } => {
                write!(f, "pinned pgd written: {cpu} stored into {mm}'s pgd page")
            }
        }
    }
}

impl HostViolation {
    fn pack(self) -> u64 {
        let (kind, cpu, what) = match self {
            Self::StaleTlb { cpu, mm } => (1, cpu, mm.0),
            Self::FreedFrame { cpu, frame } => (2, cpu, frame.0),
            Self::FreedPgd { cpu, mm } => (3, cpu, mm.0),
            Self::GupOnReusedPage { cpu, frame } => (4, cpu, frame.0),
            Self::PinnedWrite { cpu, mm } => (5, cpu, mm.0),
        };
        kind << 16 | u64::from(cpu.0) << 8 | u64::from(what)
    }
    fn unpack(word: u64) -> Option<Self> {
        let (cpu, what) = (CpuId((word >> 8) as u8), word as u8);
        match word >> 16 {
            1 => Some(Self::StaleTlb {
                cpu,
                mm: MmId(what),
            }),
            2 => Some(Self::FreedFrame {
                cpu,
                frame: FrameId(what),
            }),
            3 => Some(Self::FreedPgd {
                cpu,
                mm: MmId(what),
            }),
            4 => Some(Self::GupOnReusedPage {
                cpu,
                frame: FrameId(what),
            }),
            5 => Some(Self::PinnedWrite {
                cpu,
                mm: MmId(what),
            }),
            _ => None,
        }
    }
}

const KEPT: usize = 32;

/// What an attempt to claim an mm for itself asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MmClaim {
    /// A slot nobody uses, to allocate in.
    Unused,
    /// A live mm that nobody refers to, to free or pin it.
    Unreferenced,
}

const UNUSED: i64 = -1;
const CLAIMED: i64 = -2;

/// The machine: memory, CPUs, and what the checks need.
pub struct Host {
    pub(super) kernel: Box<Kernel>,
    pub(super) env: Environment,
    pub(super) mode: IrqMode,
    pub(super) cpus: Box<[PerCpu]>,
    /// Set when a hang was found or the run is given up: waits unwind.
    pub(super) abort: AtomicBool,
    /// Per lock word: 0, or 1 + context of the holder (writer).
    pub(super) holders: Box<[AtomicU8]>,
    /// Readers of `pgd_lock`, as bits of contexts.
    pub(super) readers: AtomicU32,
    /// Which mapping of a frame is the current one.
    pub(super) generations: [AtomicU32; NR_FRAMES],
    /// The order of all events.
    pub(super) clock: AtomicU64,
    mm_refs: [AtomicI64; NR_MMS],
    violations: [AtomicU64; KEPT],
    violation_count: AtomicUsize,
}

/// A context's number: two per CPU.
pub(super) fn context(cpu: CpuId, in_irq: bool) -> u8 {
    cpu.0 * 2 + u8::from(in_irq)
}

impl Host {
    /// A machine with `alive` mms. Fails if there is no room for that many CPUs or mms.
    pub fn new(env: Environment, alive: u8, mode: IrqMode) -> Result<Self, std::string::String> {
        if env.cpus == 0 || usize::from(env.cpus) > NR_CPUS {
            return Err(std::format!(
                "the machine has room for 1 to {NR_CPUS} CPUs, not {}",
                env.cpus
            ));
        }
        if env.mms == 0 || usize::from(env.mms) > NR_MMS || alive > env.mms {
            return Err(std::format!(
                "the machine has room for 1 to {NR_MMS} mms, not {}",
                env.mms
            ));
        }
        let kernel = Box::new(Kernel::new());
        kernel.boot(&env, alive, |loc, value| {
            kernel.word(loc).atomic().store(value, SeqCst)
        });
        let host = Self {
            kernel,
            env,
            mode,
            cpus: (0..env.cpus).map(|_| PerCpu::default()).collect(),
            abort: AtomicBool::new(false),
            holders: (0..Loc::COUNT).map(|_| AtomicU8::new(0)).collect(),
            readers: AtomicU32::new(0),
            generations: [const { AtomicU32::new(1) }; NR_FRAMES],
            clock: AtomicU64::new(0),
            mm_refs: [const { AtomicI64::new(UNUSED) }; NR_MMS],
            violations: [const { AtomicU64::new(0) }; KEPT],
            violation_count: AtomicUsize::new(0),
        };
        for cpu in &host.cpus {
            cpu.tlb_state
                .store(pack_tlb_state(TlbState::default()), SeqCst);
        }
        host.mm_refs
            .iter()
            .take(alive.into())
            .for_each(|refs| refs.store(0, SeqCst));
        Ok(host)
    }

    /// What the kernel was built with.
    pub fn env(&self) -> &Environment {
        &self.env
    }

    /// The value of a word, read from outside: for tests and reports.
    pub fn word(&self, loc: Loc) -> u64 {
        self.kernel.word(loc).atomic().load(SeqCst)
    }

    /// What a CPU has loaded.
    pub fn tlb_state(&self, cpu: CpuId) -> TlbState {
        unpack_tlb_state(self.cpus[cpu.index()].tlb_state.load(SeqCst))
    }

    /// Puts a CPU that does not run yet on an mm, as if it had switched to it. Takes the reference that a CPU has.
    pub fn place(&self, cpu: CpuId, mm: MmId) {
        self.mm_refs[mm.index()].fetch_add(1, SeqCst);
        let state = TlbState {
            active_mm: Some(mm),
            lazy: false,
            loaded: true,
        };
        self.cpus[cpu.index()]
            .tlb_state
            .store(pack_tlb_state(state), SeqCst);
        self.kernel
            .word(Loc::Cpumask(mm))
            .atomic()
            .fetch_or(1 << cpu.0, SeqCst);
    }

    /// `mmget_not_zero`, but a count of zero still lives: takes a reference on a live mm that nobody has claimed.
    pub fn mmget(&self, mm: MmId) -> bool {
        let refs = &self.mm_refs[mm.index()];
        refs.fetch_update(AcqRel, Acquire, |n| (n >= 0).then_some(n + 1))
            .is_ok()
    }

    /// Gives a reference back.
    pub fn mmput(&self, mm: MmId) {
        self.mm_refs[mm.index()].fetch_sub(1, AcqRel);
    }

    /// Claims an mm for one operation that nobody else may be in the way of.
    pub fn claim(&self, mm: MmId, claim: MmClaim) -> bool {
        let from = if claim == MmClaim::Unused { UNUSED } else { 0 };
        self.mm_refs[mm.index()]
            .compare_exchange(from, CLAIMED, AcqRel, Acquire)
            .is_ok()
    }

    /// Ends a claim: the mm is alive, or its slot unused, from here on.
    pub fn unclaim(&self, mm: MmId, alive: bool) {
        self.mm_refs[mm.index()].store(if alive { 0 } else { UNUSED }, Release);
    }

    /// Prepares a claimed, unused slot for `pgd_alloc`: fresh tables and frames, as `mm_init` leaves them. Slots and
    /// their frames are used again here, which the specification never does.
    pub fn recycle(&self, mm: MmId) {
        let set = |loc: Loc, value: u64| self.kernel.word(loc).atomic().store(value, SeqCst);
        for frame in [small_frame(mm), compound_frame(mm)] {
            self.generations[frame.index()].fetch_add(1, SeqCst);
        }
        set(Loc::KernelEntry(mm), 0);
        set(
            Loc::UserEntry(mm, Slot::Pte),
            Entry::user(small_frame(mm)).0,
        );
        set(Loc::FrameRefs(small_frame(mm)), 1);
        if self.env.thp {
            set(
                Loc::UserEntry(mm, Slot::Huge),
                Entry::huge(compound_frame(mm)).0,
            );
            set(Loc::FrameRefs(compound_frame(mm)), 1);
            set(Loc::Compound(compound_frame(mm)), 1);
        }
        set(Loc::Pinned(mm), 0);
        set(Loc::Life(mm), Life::Fresh as u64);
    }

    /// Whether the machine is being taken down.
    pub fn aborted(&self) -> bool {
        self.abort.load(Relaxed)
    }

    /// Takes the machine down: whoever waits for a lock or an acknowledgement gives up.
    pub fn abort(&self) {
        self.abort.store(true, SeqCst);
    }

    pub(super) fn violated(&self, violation: HostViolation) {
        // While the machine is taken down operations end half-way; what they leave behind is nobody's fault.
        if !self.aborted() {
            let n = self.violation_count.fetch_add(1, Relaxed);
            if let Some(slot) = self.violations.get(n) {
                slot.store(violation.pack(), Release);
            }
        }
    }

    /// How many violations there were, and the first of them.
    pub fn violations(&self) -> (usize, Vec<HostViolation>) {
        let first = self
            .violations
            .iter()
            .filter_map(|v| HostViolation::unpack(v.load(Acquire)));
        (self.violation_count.load(Acquire), first.collect())
    }

    /// Whether any CPU can still reach a translation of the mm's 4 KiB page up to this generation.
    pub(super) fn stale_cpu(&self, mm: MmId, generation: u32) -> Option<CpuId> {
        let stale = |cpu: &PerCpu| {
            Translation::unpack(cpu.tlb[Slot::Pte as usize].load(SeqCst))
                .is_some_and(|t| t.mm == mm && generation.wrapping_sub(t.generation) < u32::MAX / 2)
        };
        self.cpus.iter().position(stale).map(|i| CpuId(i as u8))
    }

    /// The checks that need to know what an operation meant. Free for events that have none.
    #[inline]
    pub(super) fn check(&self, cpu: CpuId, event: Event) {
        match event {
            Event::WalkAt { mm } if Life::from_word(self.word(Loc::Life(mm))) == Life::Freed => {
                self.violated(HostViolation::FreedPgd { cpu, mm });
            }
            Event::FrameAlloc { frame } => {
                self.generations[frame.index()].fetch_add(1, SeqCst);
            }
            Event::FrameGet { frame, slot } => {
                // Counted already: alone means that the mapping's reference was gone.
                let alone = self.word(Loc::FrameRefs(frame)) == 1;
                if alone || slot == Slot::Huge && self.word(Loc::Compound(frame)) == 0 {
                    self.violated(HostViolation::GupOnReusedPage { cpu, frame });
                }
            }
            Event::KernelEntrySet {
                mm,
                hypervisor: false,
            } if self.env.xen_pin && self.word(Loc::Pinned(mm)) != 0 => {
                self.violated(HostViolation::PinnedWrite { cpu, mm });
            }
            _ => {}
        }
    }
}
