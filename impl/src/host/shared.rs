//! What the threads share: the kernel's memory, and per CPU what hardware would have per CPU.

use std::boxed::Box;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
use std::vec::Vec;

use crate::environment::Environment;
use crate::event::Event;
use crate::host::IrqMode;
use crate::id::{CpuId, FrameId, MmId, NR_CPUS, NR_FRAMES, NR_MMS};
use crate::kernel::{Kernel, Loc, compound_frame, small_frame};
use crate::live::driver::MmRefs;
use crate::live::violation::{self, HostViolation};
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

const KEPT: usize = 32;

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
    pub(super) refs: MmRefs,
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
            refs: MmRefs::new(),
            violations: [const { AtomicU64::new(0) }; KEPT],
            violation_count: AtomicUsize::new(0),
        };
        for cpu in &host.cpus {
            cpu.tlb_state
                .store(pack_tlb_state(TlbState::default()), SeqCst);
        }
        host.refs.boot(alive);
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
        self.refs.get(mm);
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

    /// Who refers to the mms.
    pub fn refs(&self) -> &MmRefs {
        &self.refs
    }

    /// [`recycle`](crate::live::driver::recycle), with frames that are not those of before.
    pub fn recycle(&self, mm: MmId) {
        for frame in [small_frame(mm), compound_frame(mm)] {
            self.generations[frame.index()].fetch_add(1, SeqCst);
        }
        crate::live::driver::recycle(&self.kernel, &self.env, mm);
    }

    /// Whether the machine is being taken down.
    pub fn aborted(&self) -> bool {
        self.abort.load(Relaxed)
    }

    /// Takes the machine down: CPUs that wait for a lock or an acknowledgement give up.
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
        if let Event::FrameAlloc { frame } = event {
            self.generations[frame.index()].fetch_add(1, SeqCst);
        }
        if let Some(violation) = violation::of(&self.kernel, &self.env, cpu, event) {
            self.violated(violation);
        }
    }
}
