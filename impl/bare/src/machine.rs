//! The machine: the door as locked instructions, `cli` and `sti`, CR3, `invlpg` and the local APIC.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};

use shootdown_impl::environment::Environment;
use shootdown_impl::event::{Event, Lock};
use shootdown_impl::id::{CpuId, CpuMask, FrameId, MmId, NR_CPUS, NR_FRAMES};
use shootdown_impl::irq::Vector;
use shootdown_impl::kernel::{Kernel, Loc, compound_frame, small_frame};
use shootdown_impl::live::driver::{self, Driven, MmRefs};
use shootdown_impl::live::latency::{LATENCY_BUCKETS, bucket_of};
use shootdown_impl::live::violation::{self, HostViolation};
use shootdown_impl::machine::{IrqFlags, Machine, Word};
use shootdown_impl::operation::{Code, Operation};
use shootdown_impl::spinlock::{Draw, Ticket, rw, ticket};
use shootdown_impl::tlb::{Access, AccessKind, Scope, Slot, TlbState};

use crate::cpu::{self, cli, sti, uninterrupted};
use crate::memory::{self, kernel};
use crate::options::{Fault, Options};
use crate::{clock, out};

/// [`PerCpu::want`] while awaiting acknowledgements.
pub const WANT_ACKS: u32 = u32::MAX;
/// How many violations are kept.
pub const KEPT: usize = 32;

/// One CPU, as the others and the watchdog may see it.
pub struct PerCpu {
    /// 1 + the operation that runs.
    pub running: AtomicU8,
    /// 0, or the vector of the interrupt being handled.
    pub in_irq: AtomicU8,
    /// What the base context and the interrupt wait for: 0, 1 + the index of a lock's `Loc`, or [`WANT_ACKS`].
    pub want: [AtomicU32; 2],
    /// How often it has looked at what it waits for.
    pub spins: AtomicU64,
    /// Operations, interrupts and waits that are over: progress.
    pub ticks: AtomicU64,
    /// Operations ended.
    pub ops: AtomicU64,
    /// Flush IPIs sent.
    pub ipis: AtomicU64,
    /// Times from the first IPI of a flush to the last acknowledgement.
    pub latencies: [AtomicU32; LATENCY_BUCKETS],
    flush_started: AtomicU64,
    active_mm: AtomicU8,
    lazy: AtomicBool,
    loaded: AtomicBool,
    /// By slot: 0, or 1 + the marker of the frame that an access has left a translation to. The hardware may have
    /// dropped it since.
    cached: [AtomicU64; 2],
}

impl PerCpu {
    const fn new() -> Self {
        Self {
            running: AtomicU8::new(0),
            in_irq: AtomicU8::new(0),
            want: [const { AtomicU32::new(0) }; 2],
            spins: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            ops: AtomicU64::new(0),
            ipis: AtomicU64::new(0),
            latencies: [const { AtomicU32::new(0) }; LATENCY_BUCKETS],
            flush_started: AtomicU64::new(0),
            active_mm: AtomicU8::new(u8::MAX),
            lazy: AtomicBool::new(false),
            loaded: AtomicBool::new(false),
            cached: [const { AtomicU64::new(0) }; 2],
        }
    }
}

/// What the CPUs share besides the kernel's memory.
pub struct Shared {
    /// The CPUs.
    pub cpus: [PerCpu; NR_CPUS],
    /// Per lock word: 0, or 1 + the context that holds it (for writing).
    pub holders: [AtomicU8; Loc::COUNT],
    /// Readers of `pgd_lock`, as bits of contexts.
    pub readers: AtomicU32,
    /// Who refers to the mms.
    pub refs: MmRefs,
    /// No new operations.
    pub finish: AtomicBool,
    /// How many run-time checks failed.
    pub violations: AtomicUsize,
    /// The first of them.
    pub first_violations: [AtomicU64; KEPT],
    generations: [AtomicU32; NR_FRAMES],
}

/// The one there is.
pub static SHARED: Shared = Shared {
    cpus: [const { PerCpu::new() }; NR_CPUS],
    holders: [const { AtomicU8::new(0) }; Loc::COUNT],
    readers: AtomicU32::new(0),
    refs: MmRefs::new(),
    finish: AtomicBool::new(false),
    violations: AtomicUsize::new(0),
    first_violations: [const { AtomicU64::new(0) }; KEPT],
    generations: [const { AtomicU32::new(0) }; NR_FRAMES],
};

/// A context's number: two per CPU.
pub fn context(cpu: CpuId, in_irq: bool) -> u8 {
    cpu.0 * 2 + u8::from(in_irq)
}

/// Makes the frame's current mapping another one than before: what a CPU reads there from now on is new.
fn renew(frame: FrameId) {
    let generation = SHARED.generations[frame.index()].fetch_add(1, SeqCst) + 1;
    for slot in Slot::ALL {
        let marker = generation << 8 | u32::from(frame.0);
        memory::frame_words(frame, slot)
            .marker
            .store(marker, SeqCst);
    }
}

/// The kernel's memory as it is when the CPUs start.
pub fn boot(options: &Options, alive: u8) {
    kernel().boot(&options.env, alive, |loc, value| {
        kernel().word(loc).atomic().store(value, SeqCst);
    });
    (0..NR_FRAMES as u8).map(FrameId).for_each(renew);
    SHARED.refs.boot(alive);
}

/// This CPU.
#[derive(Clone, Copy)]
pub struct BareCpu {
    id: CpuId,
    options: &'static Options,
}

impl BareCpu {
    /// The CPU that runs this.
    pub fn new(options: &'static Options) -> Self {
        Self {
            id: cpu::this_cpu(),
            options,
        }
    }

    /// Which.
    pub fn id(&self) -> CpuId {
        self.id
    }

    /// What others may see of it.
    pub fn me(&self) -> &'static PerCpu {
        &SHARED.cpus[self.id.index()]
    }

    /// Puts it on an mm, as if it had switched to it.
    pub fn place(&self, mm: MmId) {
        SHARED.refs.get(mm);
        let mask = kernel().word(Loc::Cpumask(mm)).atomic();
        mask.fetch_or(CpuMask::of(self.id).word(), SeqCst);
        self.load(mm);
    }

    /// An interrupt has come to it. Interrupts are off.
    pub fn serve(&self, vector: Vector, number: u8) {
        let since = out::suspend(self.id);
        self.me().in_irq.store(number, Relaxed);
        self.options.axes.interrupt(self, vector);
        self.me().in_irq.store(0, Relaxed);
        out::resume(self.id, since);
        if let Vector::PgdFree(mm) = vector {
            SHARED.refs.unclaim(mm, false);
        }
        self.me().ticks.fetch_add(1, Relaxed);
    }

    fn in_irq(&self) -> bool {
        self.me().in_irq.load(Relaxed) != 0
    }

    fn before(&self) {
        out::before(self.id);
    }

    fn event(&self, event: Event) {
        out::event(self.id, self.in_irq(), event);
    }

    fn violated(&self, violation: HostViolation) {
        let n = SHARED.violations.fetch_add(1, SeqCst);
        if let Some(place) = SHARED.first_violations.get(n) {
            place.store(violation.pack(), SeqCst);
        }
        SHARED.finish.store(true, SeqCst);
    }

    /// Spins until `ready`, taking interrupts if they are on.
    #[cold]
    fn spin(&self, want: u32, mut ready: impl FnMut() -> bool) {
        let me = self.me();
        let slot = &me.want[usize::from(self.in_irq())];
        slot.store(want, Relaxed);
        while !ready() {
            me.spins.fetch_add(1, Relaxed);
        }
        slot.store(0, Relaxed);
        me.ticks.fetch_add(1, Relaxed);
    }

    fn name(lock: &Word) -> Loc {
        let locks = (0..kernel().mms.len() as u8)
            .map(MmId)
            .flat_map(|mm| [Loc::PageTableLock(mm), Loc::PteLock(mm)]);
        let mut locks = [Loc::PgdLock, Loc::PgdRwLock].into_iter().chain(locks);
        locks
            .find(|l| core::ptr::eq(kernel().word(*l), lock))
            .unwrap_or(Loc::PgdLock)
    }

    /// Takes or releases a lock by `action`, and keeps the watchdog's books: whether this context holds it afterwards.
    fn touch_lock<R>(&self, lock: &Word, action: impl FnOnce(&Self, Loc) -> (R, bool)) -> R {
        let name = Self::name(lock);
        let holder = &SHARED.holders[name.index()];
        let me = 1 + context(self.id, self.in_irq());
        if holder.load(Relaxed) == me {
            holder.store(0, Relaxed);
        }
        let (result, held) = action(self, name);
        if held {
            holder.store(me, Relaxed);
        }
        result
    }

    fn forget(&self, scope: Scope) {
        for slot in Slot::ALL.into_iter().filter(|&s| scope.covers(s)) {
            self.me().cached[slot as usize].store(0, Relaxed);
        }
    }

    fn load(&self, mm: MmId) {
        let me = self.me();
        uninterrupted(|| {
            memory::load_mm(mm);
            self.forget(Scope::All);
            me.active_mm.store(mm.0, Relaxed);
            me.lazy.store(false, Relaxed);
            me.loaded.store(true, Relaxed);
        });
    }

    /// Touches a page through the hardware. Interrupts are off.
    fn touch(&self, slot: Slot, kind: AccessKind) -> Access {
        let TlbState {
            active_mm: Some(mm),
            loaded: true,
            ..
        } = Machine::tlb_state(self)
        else {
            return Access::Fault;
        };
        let cached = &self.me().cached[slot as usize];
        let known = cached.load(Relaxed).checked_sub(1);
        let touched = memory::touch(mm, slot, kind);
        if known.is_some() && (touched.walked || touched.marker.is_none()) {
            // Both took effect since the same `before`.
            self.event(Event::TlbEvicted { mm, slot });
        }
        let Some(marker) = touched.marker else {
            cached.store(0, Relaxed);
            return Access::Fault;
        };
        let frame = FrameId(marker as u8 % NR_FRAMES as u8);
        let freed = kernel().word(Loc::FrameRefs(frame)).atomic().load(SeqCst) == 0;
        let renewed = !touched.walked && known != Some(marker.into());
        if freed || renewed {
            self.violated(HostViolation::FreedFrame {
                cpu: self.id,
                frame,
            });
        }
        cached.store(u64::from(marker) + 1, Relaxed);
        if touched.walked {
            Access::Filled(frame)
        } else {
            Access::Hit(frame)
        }
    }
}

impl Machine for BareCpu {
    fn kernel(&self) -> &Kernel {
        kernel()
    }
    fn env(&self) -> &Environment {
        &self.options.env
    }
    fn this_cpu(&self) -> CpuId {
        self.id
    }

    fn load(&self, word: &Word) -> u64 {
        self.before();
        word.atomic().load(SeqCst)
    }
    fn load_stable(&self, word: &Word) -> u64 {
        word.atomic().load(Relaxed)
    }
    fn store(&self, word: &Word, value: u64) {
        self.before();
        word.atomic().store(value, SeqCst);
    }
    fn fetch_or(&self, word: &Word, bits: u64) -> u64 {
        self.before();
        word.atomic().fetch_or(bits, SeqCst)
    }
    fn fetch_and(&self, word: &Word, bits: u64) -> u64 {
        self.before();
        word.atomic().fetch_and(bits, SeqCst)
    }
    fn fetch_add(&self, word: &Word, delta: u64) -> u64 {
        self.before();
        word.atomic().fetch_add(delta, SeqCst)
    }
    fn hypervisor_store(&self, word: &Word, value: u64) {
        self.store(word, value);
    }

    fn ticket_draw(&self, lock: &Word) -> Draw {
        self.before();
        self.touch_lock(lock, |_, _| {
            let draw = ticket::draw(lock.atomic());
            (draw, draw == Draw::Served)
        })
    }
    fn ticket_wait(&self, lock: &Word, mine: Ticket) {
        self.before();
        self.touch_lock(lock, |me, name| {
            me.spin(1 + name.index() as u32, || {
                ticket::is_served(lock.atomic(), mine)
            });
            ((), true)
        });
    }
    fn ticket_release(&self, lock: &Word) {
        self.before();
        self.touch_lock(lock, |_, _| (ticket::release(lock.atomic()), false));
    }
    fn read_lock(&self, lock: &Word) {
        self.before();
        if !rw::try_read(lock.atomic()) {
            self.event(Event::LockWait {
                lock: Lock::PgdRead,
            });
            self.before();
            self.spin(1 + Self::name(lock).index() as u32, || {
                rw::try_read(lock.atomic())
            });
        }
        SHARED
            .readers
            .fetch_or(1 << context(self.id, self.in_irq()), Relaxed);
    }
    fn read_unlock(&self, lock: &Word) {
        self.before();
        SHARED
            .readers
            .fetch_and(!(1 << context(self.id, self.in_irq())), Relaxed);
        rw::read_release(lock.atomic());
    }
    fn write_lock(&self, lock: &Word) {
        self.before();
        self.touch_lock(lock, |me, name| {
            if !rw::try_write(lock.atomic()) {
                me.event(Event::LockWait {
                    lock: Lock::PgdWrite,
                });
                me.before();
                me.spin(1 + name.index() as u32, || rw::try_write(lock.atomic()));
            }
            ((), true)
        });
    }
    fn write_unlock(&self, lock: &Word) {
        self.before();
        self.touch_lock(lock, |_, _| (rw::write_release(lock.atomic()), false));
    }
    fn await_zero(&self, word: &Word) {
        self.before();
        if self.options.fault != Fault::FreeBeforeFlush && word.atomic().load(SeqCst) != 0 {
            self.spin(WANT_ACKS, || word.atomic().load(SeqCst) == 0);
        }
    }

    fn local_irq_save(&self) -> IrqFlags {
        self.before();
        let enabled = cli();
        self.event(Event::IrqSave { enabled });
        IrqFlags { enabled }
    }
    fn local_irq_restore(&self, flags: IrqFlags) {
        self.before();
        // Before the flag changes: what is served by `sti` comes after it.
        self.event(Event::IrqRestore {
            enabled: flags.enabled,
        });
        if flags.enabled {
            sti();
        }
    }
    fn send_ipi(&self, to: CpuId) {
        self.before();
        self.me().ipis.fetch_add(1, Relaxed);
        cpu::send(to, cpu::FLUSH_TLB + self.id.0);
    }

    fn tlb_state(&self) -> TlbState {
        let me = self.me();
        TlbState {
            active_mm: MmId::new(me.active_mm.load(Relaxed).into()),
            lazy: me.lazy.load(Relaxed),
            loaded: me.loaded.load(Relaxed),
        }
    }
    fn flush_tlb_local(&self, scope: Scope) {
        self.before();
        if self.options.fault == Fault::SkipFlush && self.id.0 + 1 == self.options.env.cpus {
            return;
        }
        uninterrupted(|| {
            match scope {
                Scope::Page => memory::flush_page(memory::user_address(self.id, Slot::Pte)),
                Scope::All => memory::flush_all(),
            }
            self.forget(scope);
        });
    }
    fn load_cr3(&self, mm: MmId) {
        self.before();
        self.load(mm);
    }
    fn set_lazy(&self) {
        self.before();
        self.me().lazy.store(true, Relaxed);
    }
    fn clear_lazy(&self) {
        self.before();
        self.me().lazy.store(false, Relaxed);
    }
    fn leave_mm(&self, mask: &Word) {
        self.before();
        uninterrupted(|| {
            memory::load_swapper();
            self.forget(Scope::All);
            self.me().loaded.store(false, Relaxed);
            // Last, so that a flush either still finds us in the mask or nothing in our TLB.
            mask.atomic()
                .fetch_and(!CpuMask::of(self.id).word(), SeqCst);
        });
    }
    fn hypercall_flush(&self, _: &Word, _: MmId, _: Scope) {
        unreachable!("there is no hypervisor to ask: the command line refuses it");
    }
    fn user_access(&self, slot: Slot, kind: AccessKind) -> Access {
        self.before();
        uninterrupted(|| self.touch(slot, kind))
    }

    fn begin(&self, operation: Operation) {
        self.me().running.store(1 + operation.code(), Relaxed);
        self.event(Event::Begin { operation });
    }
    fn end(&self, operation: Operation) {
        self.event(Event::End { operation });
        let me = self.me();
        me.running.store(0, Relaxed);
        me.ops.fetch_add(1, Relaxed);
        me.ticks.fetch_add(1, Relaxed);
    }
    fn observe(&self, event: Event) {
        let me = self.me();
        match event {
            Event::FrameAlloc { frame } => renew(frame),
            Event::RequestPublished { .. } => me.flush_started.store(clock::cycles(), Relaxed),
            Event::AcksComplete {} => {
                let took = clock::cycles().saturating_sub(me.flush_started.load(Relaxed));
                me.latencies[bucket_of(clock::nanoseconds(took))].fetch_add(1, Relaxed);
            }
            _ => {}
        }
        if let Some(violation) = violation::of(kernel(), &self.options.env, self.id, event) {
            self.violated(violation);
        }
        self.event(event);
    }
}

impl Driven for BareCpu {
    fn refs(&self) -> &MmRefs {
        &SHARED.refs
    }
    fn recycle(&self, mm: MmId) {
        [small_frame(mm), compound_frame(mm)]
            .into_iter()
            .for_each(renew);
        driver::recycle(kernel(), &self.options.env, mm);
    }
    fn is_pinned(&self, mm: MmId) -> bool {
        kernel().word(Loc::Pinned(mm)).atomic().load(SeqCst) != 0
    }
    fn operation(&self, operation: Operation) {
        self.options.axes.operation(self, operation);
    }
    fn raise_pgd_free(&self, to: CpuId, mm: MmId) {
        cpu::send(to, cpu::PGD_FREE + mm.0);
    }
}
