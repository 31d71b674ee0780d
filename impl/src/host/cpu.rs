//! A CPU of the host machine: the door as atomics, spins, signals and a software TLB.

use std::boxed::Box;
use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Instant;

use crate::environment::{Environment, FlushBackend};
use crate::event::{Event, Lock, Observer};
use crate::host::interrupt::{OnCpu, disable, enable, uninterrupted};
use crate::host::shared::{
    Host, PerCpu, Translation, WANT_ACKS, context, pack_tlb_state, unpack_tlb_state,
};
use crate::id::{CpuId, CpuMask, FrameId, MmId};
use crate::irq::Vector;
use crate::kernel::{Kernel, Loc, Table, Target, small_frame};
use crate::live::driver::{Driven, MmRefs};
use crate::live::latency::{LATENCY_BUCKETS, bucket_of};
use crate::live::violation::HostViolation;
use crate::locate::locate;
use crate::machine::{IrqFlags, Machine, Word};
use crate::operation::{Code, Operation};
use crate::page_table::Entry;
use crate::spinlock::{Draw, Ticket, rw, ticket};
use crate::tlb::{Access, AccessKind, Scope, Slot, TlbState};

/// Spins between two looks at the clock of the operating system: with more threads than cores, spinning longer only
/// keeps the one that is waited for from running.
const SPINS_BEFORE_YIELD: u32 = 100;

/// What a wait unwinds with when the machine is taken down.
pub(super) struct TakenDown;

/// A CPU of the host machine. Lives on the thread that it is.
pub struct HostCpu<'h, C, O> {
    pub(super) host: &'h Host,
    pub(super) id: CpuId,
    pub(super) code: &'h C,
    pub(super) observer: &'h O,
    flush_started: Cell<Option<Instant>>,
    /// Times from the first IPI of a flush to the last acknowledgement.
    pub(super) latencies: [Cell<u32>; LATENCY_BUCKETS],
    /// The generation of the mapping that the running zap has removed, or found removed.
    zapped: Cell<Option<(MmId, u32)>>,
}

impl<'h, C: Code, O: Observer> HostCpu<'h, C, O> {
    /// This CPU of the machine.
    pub fn new(host: &'h Host, id: CpuId, code: &'h C, observer: &'h O) -> Self {
        Self {
            host,
            id,
            code,
            observer,
            flush_started: Cell::new(None),
            latencies: [const { Cell::new(0) }; LATENCY_BUCKETS],
            zapped: Cell::new(None),
        }
    }

    /// Makes this thread the CPU, taking its interrupts, while `body` runs. `None` if the machine was taken down
    /// meanwhile and `body` unwound.
    pub fn run<R>(&self, body: impl FnOnce(&Self) -> R) -> Option<R> {
        let _blocked = crate::host::interrupt::SignalBlocked::new().ok()?;
        let _entered = crate::host::interrupt::Entered::new(self);
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(self))) {
            Ok(result) => Some(result),
            Err(payload) if payload.is::<TakenDown>() => None,
            Err(payload) => resume_unwind(payload),
        }
    }

    fn me(&self) -> &PerCpu {
        &self.host.cpus[self.id.index()]
    }

    fn in_irq(&self) -> bool {
        self.me().in_irq.load(Relaxed) != 0
    }

    /// Spins until `ready`, taking interrupts if they are on; gives up by unwinding when the machine is taken down.
    #[cold]
    fn spin(&self, want: u32, mut ready: impl FnMut() -> bool) {
        let slot = &self.me().want[usize::from(self.in_irq())];
        slot.store(want, Relaxed);
        let mut spins = 0u32;
        while !ready() {
            spins += 1;
            if !spins.is_multiple_of(SPINS_BEFORE_YIELD) {
                core::hint::spin_loop();
            } else if self.host.aborted() {
                if std::thread::panicking() {
                    // Already on the way out.
                    break;
                }
                resume_unwind(Box::new(TakenDown));
            } else {
                std::thread::yield_now();
            }
        }
        slot.store(0, Relaxed);
        self.me().ticks.fetch_add(1, Relaxed);
    }

    fn name(&self, lock: &Word) -> Loc {
        locate(&self.host.kernel, lock).unwrap_or(Loc::PgdLock)
    }

    /// Takes or releases a lock by `action`, and keeps the watchdog's books in step: whether this context holds it
    /// afterwards.
    #[inline]
    fn touch_lock<R>(&self, lock: &Word, action: impl FnOnce(&Self, Loc) -> (R, bool)) -> R {
        let name = self.name(lock);
        let irq = self.in_irq();
        let touching = &self.me().touching[usize::from(irq)];
        touching.store(1 + name.index() as u32, Relaxed);
        let holder = &self.host.holders[name.index()];
        let me = 1 + context(self.id, irq);
        if holder.load(Relaxed) == me {
            holder.store(0, Relaxed);
        }
        let (result, held) = action(self, name);
        if held {
            holder.store(me, Relaxed);
        }
        touching.store(0, Relaxed);
        result
    }

    fn before(&self) {
        if O::ACTIVE {
            self.observer.before(self.id);
        }
    }

    fn event(&self, event: Event) {
        if O::ACTIVE {
            self.observer.event(self.id, event);
        }
    }

    fn set_tlb_state(&self, state: TlbState) {
        self.me().tlb_state.store(pack_tlb_state(state), SeqCst);
    }

    fn flush_slots(&self, scope: Scope) {
        for slot in Slot::ALL.into_iter().filter(|&s| scope.covers(s)) {
            self.me().tlb[slot as usize].store(0, SeqCst);
        }
    }

    /// The page walker of the hardware: finds, marks and caches a translation. Not interruptible.
    fn walk(&self, slot: Slot, kind: AccessKind) -> Option<FrameId> {
        let mm = match unpack_tlb_state(self.me().tlb_state.load(SeqCst)) {
            TlbState {
                active_mm: Some(mm),
                loaded: true,
                ..
            } => mm,
            _ => return None,
        };
        let word = self.leaf(mm, slot)?.atomic();
        let mark = Entry::ACCESSED
            | if kind == AccessKind::Store {
                Entry::DIRTY
            } else {
                0
            };
        let old = word
            .fetch_update(SeqCst, SeqCst, |entry| {
                Entry(entry).maps(slot).then_some(entry | mark)
            })
            .ok()
            .map(Entry)?;
        let frame = old.frame()?;
        let generation = self.host.generations[frame.index()].load(SeqCst);
        self.me().tlb[slot as usize].store(
            Translation {
                mm,
                frame,
                generation,
            }
            .pack(),
            SeqCst,
        );
        if self.host.env.flush_backend == FlushBackend::Hypercall
            && Entry(word.load(SeqCst)).frame() != Some(frame)
        {
            // A hypercall flushes a TLB from outside, also in the middle of a walk.
            self.me().tlb[slot as usize].store(0, SeqCst);
        }
        Some(frame)
    }

    /// The entry in which a walk of a slot ends, every level followed. The ptes of a split huge page are walked, and not
    /// cached. A walk that ends in another mm's page, or that an entry leads astray, is noticed.
    fn leaf(&self, mm: MmId, slot: Slot) -> Option<&Word> {
        let kernel = &self.host.kernel;
        let read = |loc| Entry(self.host.word(loc));
        let foreign = || {
            self.host
                .violated(HostViolation::ForeignPage { cpu: self.id, mm });
        };
        let pmd = match slot {
            Slot::Pte => Loc::PtePmd(mm),
            Slot::Huge => Loc::UserEntry(mm, Slot::Huge),
        };
        let leaf = match kernel.target(read(pmd), Slot::Huge) {
            Target::Nothing | Target::Frame(_) => return Some(kernel.word(pmd)),
            Target::Table(of, Table::Pte) => Loc::UserEntry(of, Slot::Pte),
            Target::Table(of, Table::Deposited) => Loc::DepositedPte(of),
            Target::Table(_, Table::Pgd | Table::Pmd) | Target::Wild => {
                foreign();
                return None;
            }
        };
        if let Target::Frame(frame) = kernel.target(read(leaf), Slot::Pte)
            && frame.0 / 2 != mm.0
        {
            foreign();
        }
        (slot == Slot::Pte).then(|| kernel.word(leaf))
    }

    fn touch(&self, slot: Slot, kind: AccessKind) -> Access {
        let cached = Translation::unpack(self.me().tlb[slot as usize].load(SeqCst));
        let Some(Translation {
            frame, generation, ..
        }) = cached
        else {
            return self.walk(slot, kind).map_or(Access::Fault, Access::Filled);
        };
        // Here user code would read or write the frame.
        let freed = self.host.word(Loc::FrameRefs(frame)) == 0;
        if freed || self.host.generations[frame.index()].load(SeqCst) != generation {
            self.host.violated(HostViolation::FreedFrame {
                cpu: self.id,
                frame,
            });
        }
        Access::Hit(frame)
    }

    /// What this CPU keeps for itself about the operation that just happened.
    #[inline]
    fn note(&self, event: Event) {
        match event {
            Event::RequestPublished { .. } => self.flush_started.set(Some(Instant::now())),
            Event::AcksComplete {} => {
                if let Some(started) = self.flush_started.take() {
                    let bucket = bucket_of(started.elapsed().as_nanos() as u64);
                    self.latencies[bucket].update(|n| n + 1);
                }
            }
            Event::GetAndClear {
                mm,
                slot: Slot::Pte,
                ..
            } => {
                // Under the pte's lock: no mapping newer than this one can have been made.
                let generation = self.host.generations[small_frame(mm).index()].load(SeqCst);
                self.zapped.set(Some((mm, generation)));
            }
            Event::ReturnToUser {} => {
                if let Some((mm, generation)) = self.zapped.take()
                    && let Some(cpu) = self.host.stale_cpu(mm, generation)
                {
                    self.host.violated(HostViolation::StaleTlb { cpu, mm });
                }
            }
            _ => {}
        }
    }
}

impl<C: Code, O: Observer> OnCpu for HostCpu<'_, C, O> {
    fn host(&self) -> &Host {
        self.host
    }
    fn id(&self) -> CpuId {
        self.id
    }
    fn serve(&self, vector: Vector) {
        let since = if O::ACTIVE {
            self.observer.suspend(self.id)
        } else {
            0
        };
        // The interrupted operation may be between a door call and its note.
        let zapped = self.zapped.take();
        self.code.interrupt(self, vector);
        self.zapped.set(zapped);
        if let Vector::PgdFree(mm) = vector {
            self.host.refs.unclaim(mm, false);
        }
        if O::ACTIVE {
            self.observer.resume(self.id, since);
        }
    }
}

fn atomic(word: &Word) -> &AtomicU64 {
    word.atomic()
}

impl<C: Code, O: Observer> Driven for HostCpu<'_, C, O> {
    fn refs(&self) -> &MmRefs {
        &self.host.refs
    }
    fn recycle(&self, mm: MmId) {
        self.host.recycle(mm);
    }
    fn is_pinned(&self, mm: MmId) -> bool {
        self.host.word(Loc::Pinned(mm)) != 0
    }
    fn operation(&self, operation: Operation) {
        self.code.operation(self, operation);
    }
    fn raise_pgd_free(&self, to: CpuId, mm: MmId) {
        self.host.raise(to, Vector::PgdFree(mm));
    }
}

impl<C: Code, O: Observer> Machine for HostCpu<'_, C, O> {
    fn kernel(&self) -> &Kernel {
        &self.host.kernel
    }
    fn env(&self) -> &Environment {
        &self.host.env
    }
    fn this_cpu(&self) -> CpuId {
        self.id
    }

    fn load(&self, word: &Word) -> u64 {
        self.before();
        atomic(word).load(SeqCst)
    }
    fn load_stable(&self, word: &Word) -> u64 {
        atomic(word).load(Relaxed)
    }
    fn store(&self, word: &Word, value: u64) {
        self.before();
        atomic(word).store(value, SeqCst);
    }
    fn fetch_or(&self, word: &Word, bits: u64) -> u64 {
        self.before();
        atomic(word).fetch_or(bits, SeqCst)
    }
    fn fetch_and(&self, word: &Word, bits: u64) -> u64 {
        self.before();
        atomic(word).fetch_and(bits, SeqCst)
    }
    fn fetch_add(&self, word: &Word, delta: u64) -> u64 {
        self.before();
        atomic(word).fetch_add(delta, SeqCst)
    }
    fn hypervisor_store(&self, word: &Word, value: u64) {
        self.store(word, value);
    }

    fn ticket_draw(&self, lock: &Word) -> Draw {
        self.before();
        self.touch_lock(lock, |_, _| {
            let draw = ticket::draw(atomic(lock));
            (draw, draw == Draw::Served)
        })
    }
    fn ticket_wait(&self, lock: &Word, mine: Ticket) {
        self.before();
        self.touch_lock(lock, |me, name| {
            me.me().ticket[usize::from(me.in_irq())].store(mine.0, Relaxed);
            me.spin(1 + name.index() as u32, || {
                ticket::is_served(atomic(lock), mine)
            });
            ((), true)
        });
    }
    fn ticket_release(&self, lock: &Word) {
        self.before();
        self.touch_lock(lock, |_, _| (ticket::release(atomic(lock)), false));
    }
    fn read_lock(&self, lock: &Word) {
        self.before();
        if !rw::try_read(atomic(lock)) {
            self.observe(Event::LockWait {
                lock: Lock::PgdRead,
            });
            self.before();
            self.spin(1 + self.name(lock).index() as u32, || {
                rw::try_read(atomic(lock))
            });
        }
        self.host
            .readers
            .fetch_or(1 << context(self.id, self.in_irq()), Relaxed);
    }
    fn read_unlock(&self, lock: &Word) {
        self.before();
        self.host
            .readers
            .fetch_and(!(1 << context(self.id, self.in_irq())), Relaxed);
        rw::read_release(atomic(lock));
    }
    fn write_lock(&self, lock: &Word) {
        self.before();
        self.touch_lock(lock, |me, name| {
            if !rw::try_write(atomic(lock)) {
                me.observe(Event::LockWait {
                    lock: Lock::PgdWrite,
                });
                me.before();
                me.spin(1 + name.index() as u32, || rw::try_write(atomic(lock)));
            }
            ((), true)
        });
    }
    fn write_unlock(&self, lock: &Word) {
        self.before();
        self.touch_lock(lock, |_, _| (rw::write_release(atomic(lock)), false));
    }
    fn await_zero(&self, word: &Word) {
        self.before();
        if atomic(word).load(SeqCst) != 0 {
            self.spin(WANT_ACKS, || atomic(word).load(SeqCst) == 0);
        }
    }

    fn local_irq_save(&self) -> IrqFlags {
        self.before();
        let enabled = disable(self);
        self.event(Event::IrqSave { enabled });
        IrqFlags { enabled }
    }
    fn local_irq_restore(&self, flags: IrqFlags) {
        self.before();
        // Before the flag changes: what is served by `enable` comes after it.
        self.event(Event::IrqRestore {
            enabled: flags.enabled,
        });
        if flags.enabled {
            enable(self);
        }
    }
    fn send_ipi(&self, to: CpuId) {
        self.before();
        self.me().ipis.fetch_add(1, Relaxed);
        self.host.raise(to, Vector::FlushTlb(self.id));
    }

    fn tlb_state(&self) -> TlbState {
        unpack_tlb_state(self.me().tlb_state.load(SeqCst))
    }
    fn flush_tlb_local(&self, scope: Scope) {
        self.before();
        self.flush_slots(scope);
    }
    fn load_cr3(&self, mm: MmId) {
        self.before();
        self.flush_slots(Scope::All);
        self.set_tlb_state(TlbState {
            active_mm: Some(mm),
            lazy: false,
            loaded: true,
        });
    }
    fn set_lazy(&self) {
        self.before();
        uninterrupted(self, || {
            self.set_tlb_state(TlbState {
                lazy: true,
                ..self.tlb_state()
            })
        });
    }
    fn clear_lazy(&self) {
        self.before();
        uninterrupted(self, || {
            self.set_tlb_state(TlbState {
                lazy: false,
                ..self.tlb_state()
            })
        });
    }
    fn leave_mm(&self, mask: &Word) {
        self.before();
        uninterrupted(self, || {
            self.set_tlb_state(TlbState {
                loaded: false,
                ..self.tlb_state()
            });
            self.flush_slots(Scope::All);
            // Last, so that a flush either still finds us in the mask or nothing in our TLB.
            atomic(mask).fetch_and(!CpuMask::of(self.id).word(), SeqCst);
        });
    }
    fn hypercall_flush(&self, mask: &Word, mm: MmId, scope: Scope) {
        self.before();
        for target in CpuMask::from_word(atomic(mask).load(SeqCst)).iter() {
            let Some(target) = self.host.cpus.get(target.index()) else {
                continue;
            };
            // As the hypervisor, which stops the virtual CPU to flush it: whatever its hardware was
            // in the middle of, with a translation from before in hand, must be over.
            target.drop_translations(mm, scope);
            if !core::ptr::eq(target, self.me()) {
                self.spin(0, || !target.in_hardware.load(SeqCst));
                target.drop_translations(mm, scope);
            }
        }
    }
    fn user_access(&self, slot: Slot, kind: AccessKind) -> Access {
        self.before();
        uninterrupted(self, || self.touch(slot, kind))
    }

    fn begin(&self, operation: Operation) {
        self.me().running.store(1 + operation.code(), Relaxed);
        self.event(Event::Begin { operation });
    }
    fn end(&self, operation: Operation) {
        self.event(Event::End { operation });
        let me = self.me();
        me.running.store(0, Relaxed);
        me.ops.store(me.ops.load(Relaxed) + 1, Relaxed);
        me.ticks.fetch_add(1, Relaxed);
    }
    #[inline]
    fn observe(&self, event: Event) {
        self.host.check(self.id, event);
        self.note(event);
        self.event(event);
    }
}
