//! The same code says the same on both machines; and the concepts of the host machine, one by one.

use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::thread;

use shootdown_impl::cpu::Cpu;
use shootdown_impl::design::{Axes, NAMED, Plain, Tracked};
use shootdown_impl::environment::{Environment, FlushBackend};
use shootdown_impl::event::{Event, Observer};
use shootdown_impl::host::{Host, HostCpu, HostViolation, IrqMode};
use shootdown_impl::id::{CpuId, CpuMask, MmId};
use shootdown_impl::irq::Vector;
use shootdown_impl::kernel::{Kernel, Loc, compound_frame, small_frame};
use shootdown_impl::machine::Machine;
use shootdown_impl::operation::{Code, KernelCode, Operation};
use shootdown_impl::page_table::Entry;
use shootdown_impl::sim::{Op, Outcome, RoundRobin, Sim, SimConfig, SimState, Violation, layout};
use shootdown_impl::tlb::{Access, AccessKind, Scope, Slot};

const MM0: MmId = MmId(0);
const MM1: MmId = MmId(1);
const CPU0: CpuId = CpuId(0);
const CPU1: CpuId = CpuId(1);

#[derive(Default)]
struct Collect(Mutex<Vec<Event>>);

impl Observer for Collect {
    const ACTIVE: bool = true;
    fn event(&self, _: CpuId, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

fn on_host(axes: Axes, env: Environment, alive: u8, operations: &[Operation]) -> Vec<Event> {
    let host = Host::new(env, alive, IrqMode::Soft).unwrap();
    host.place(CPU0, MM0);
    let seen = Collect::default();
    let cpu = HostCpu::new(&host, CPU0, &axes, &seen);
    cpu.run(|cpu| {
        operations
            .iter()
            .for_each(|&operation| axes.operation(cpu, operation))
    })
    .unwrap();
    assert_eq!(host.violations().0, 0);
    seen.0.into_inner().unwrap()
}

fn on_sim(axes: Axes, env: Environment, alive: u8, operations: &[Operation]) -> Vec<Event> {
    let config = SimConfig {
        alive,
        ..SimConfig::new(env, &[operations])
    };
    let mut sim = Sim::new(axes, &config).unwrap();
    let mut seen = Vec::new();
    let outcome = sim.run(&mut RoundRobin::default(), |step, _| {
        seen.extend(&step.events)
    });
    assert_eq!((outcome, sim.state().violation), (Outcome::Finished, None));
    seen
}

#[test]
fn every_path_reports_the_same_on_both_machines_in_every_design() {
    let load = Operation::UserAccess(Slot::Pte, AccessKind::Load);
    let store = Operation::UserAccess(Slot::Huge, AccessKind::Store);
    let everything = [
        Operation::VmallocFault,
        Operation::PgdAlloc(MM1),
        Operation::VmallocSyncAll,
        Operation::VmallocFault,
        Operation::XenPgdPin(MM1),
        Operation::VmallocSyncAll,
        Operation::XenPgdUnpin(MM1),
        load,
        load,
        store,
        Operation::GupFast(Slot::Pte),
        Operation::GupFast(Slot::Huge),
        Operation::PageReferencedOne(MM0, Slot::Pte),
        Operation::PageReferencedOne(MM0, Slot::Huge),
        Operation::PageReferencedOne(MM0, Slot::Huge),
        Operation::SplitHugePage(MM0),
        Operation::SplitHugePage(MM0),
        Operation::GupFast(Slot::Huge),
        Operation::HandleMmFault(Slot::Huge),
        Operation::TryToUnmapOne(MM0),
        Operation::TryToUnmapOne(MM0),
        load,
        Operation::HandleMmFault(Slot::Pte),
        load,
        Operation::ZapPageRange,
        Operation::MadviseDontneed,
        Operation::EnterLazyTlb,
        Operation::LeaveMm,
        Operation::SwitchMm(MM0),
        Operation::SwitchMm(MM1),
        Operation::EnterLazyTlb,
        Operation::SwitchMm(MM0),
        Operation::PgdFree(MM1),
    ];
    for axes in Axes::all() {
        for (split_ptlocks, xen) in [(true, false), (false, true)] {
            let flush_backend = if xen {
                FlushBackend::Hypercall
            } else {
                FlushBackend::Ipi
            };
            // Pinning is harmless where it is not looked at, and may not be started there.
            let operations: Vec<Operation> = everything
                .into_iter()
                .filter(|o| {
                    xen || !matches!(o, Operation::XenPgdPin(_) | Operation::XenPgdUnpin(_))
                })
                .collect();
            let env = Environment {
                cpus: 1,
                mms: 2,
                split_ptlocks,
                xen_pin: xen,
                flush_backend,
                ..Environment::default()
            };
            assert_eq!(
                on_host(axes, env, 1, &operations),
                on_sim(axes, env, 1, &operations),
                "{axes:?}"
            );
        }
    }
    assert_eq!(Axes::all().count(), 48);
    assert!(
        NAMED
            .iter()
            .all(|(name, axes)| axes.name() == Some(name) && Axes::named(name) == Some(*axes))
    );
}

/// Kernel code whose interrupts only count.
#[derive(Default)]
struct Counting {
    served: AtomicU32,
}

impl Code for Counting {
    fn operation<M: Machine>(&self, machine: &M, operation: Operation) {
        KernelCode::<Tracked>::new().operation(machine, operation);
    }
    fn interrupt<M: Machine>(&self, machine: &M, vector: Vector) {
        self.served.fetch_add(1, SeqCst);
        KernelCode::<Tracked>::new().interrupt(machine, vector);
    }
}

fn two_cpus(mode: IrqMode) -> Host {
    let host = Host::new(Environment::default(), 1, mode).unwrap();
    host.place(CPU0, MM0);
    host.place(CPU1, MM0);
    host
}

fn wait_for(flag: &AtomicBool) {
    while !flag.load(SeqCst) {
        thread::yield_now();
    }
}

#[test]
fn an_ipi_waits_until_interrupts_are_on_again() {
    for mode in [IrqMode::Soft, IrqMode::SignalMask] {
        let (host, code) = (two_cpus(mode), Counting::default());
        let (off, sent) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                HostCpu::new(&host, CPU1, &code, &()).run(|cpu| {
                    let flags = cpu.local_irq_save();
                    let inner = cpu.local_irq_save();
                    assert_eq!((flags.enabled, inner.enabled), (true, false));
                    off.store(true, SeqCst);
                    wait_for(&sent);
                    cpu.local_irq_restore(inner);
                    // Still off: the inner restore restores "off".
                    assert_eq!(code.served.load(SeqCst), 0);
                    cpu.local_irq_restore(flags);
                    // Served before the restore returned, however late the signal itself comes.
                    while code.served.load(SeqCst) == 0 {
                        thread::yield_now();
                    }
                });
            });
            wait_for(&off);
            host.raise(CPU1, Vector::FlushTlb(CPU0));
            sent.store(true, SeqCst);
        });
        assert_eq!(code.served.load(SeqCst), 1);
    }
}

#[test]
fn a_cpu_that_spins_for_a_lock_with_interrupts_on_answers_ipis() {
    let (host, code) = (two_cpus(IrqMode::Soft), Counting::default());
    let held = AtomicBool::new(false);
    let waiting = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            HostCpu::new(&host, CPU1, &code, &()).run(|cpu| {
                wait_for(&held);
                waiting.store(true, SeqCst);
                // Plain: interrupts stay on while it spins.
                Cpu::boot(cpu, |cpu| {
                    cpu.with_page_table_lock::<Plain, _>(MM0, |_, _| {})
                });
            });
        });
        HostCpu::new(&host, CPU0, &code, &()).run(|cpu| {
            let while_held = || {
                held.store(true, SeqCst);
                wait_for(&waiting);
                // By hand what flush_tlb_others does: the types forbid it here, which is the point of them.
                host.raise(CPU1, Vector::FlushTlb(CPU0));
                while code.served.load(SeqCst) == 0 {
                    thread::yield_now();
                }
            };
            Cpu::boot(cpu, |cpu| {
                cpu.with_page_table_lock::<Plain, _>(MM0, |_, _| while_held());
            });
        });
    });
    assert_eq!(
        host.word(Loc::PageTableLock(MM0)) >> 32,
        2,
        "two tickets drawn"
    );
}

#[test]
fn the_software_tlb_serves_what_was_there_until_it_is_flushed() {
    let host = two_cpus(IrqMode::Soft);
    HostCpu::new(&host, CPU0, &KernelCode::<Tracked>::new(), &()).run(|cpu| {
        let touch = || cpu.user_access(Slot::Pte, AccessKind::Load);
        let Access::Filled(frame) = touch() else {
            panic!("nothing cached yet")
        };
        assert_eq!(touch(), Access::Hit(frame));
        cpu.store(cpu.kernel().word(Loc::UserEntry(MM0, Slot::Pte)), 0);
        assert_eq!(touch(), Access::Hit(frame), "stale, as hardware would be");
        cpu.flush_tlb_local(Scope::Page);
        assert_eq!(touch(), Access::Fault);
        assert_eq!(
            cpu.user_access(Slot::Huge, AccessKind::Store),
            Access::Filled(shootdown_impl::id::FrameId(1))
        );
        cpu.flush_tlb_local(Scope::Page);
        assert!(
            matches!(
                cpu.user_access(Slot::Huge, AccessKind::Load),
                Access::Hit(_)
            ),
            "a page flush spares it"
        );
        cpu.load_cr3(MM0);
        assert!(
            matches!(
                cpu.user_access(Slot::Huge, AccessKind::Load),
                Access::Filled(_)
            ),
            "a new CR3 does not"
        );
    });
}

#[test]
fn a_flush_returns_only_when_the_other_cpu_has_flushed() {
    let (host, code) = (two_cpus(IrqMode::Soft), KernelCode::<Tracked>::new());
    let (filled, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            HostCpu::new(&host, CPU1, &code, &()).run(|cpu| {
                assert!(matches!(
                    cpu.user_access(Slot::Pte, AccessKind::Load),
                    Access::Filled(_)
                ));
                filled.store(true, SeqCst);
                wait_for(&done);
                assert_eq!(cpu.user_access(Slot::Pte, AccessKind::Load), Access::Fault);
            });
        });
        HostCpu::new(&host, CPU0, &code, &()).run(|cpu| {
            wait_for(&filled);
            code.operation(cpu, Operation::TryToUnmapOne(MM0));
            done.store(true, SeqCst);
        });
    });
    assert_eq!(host.violations().0, 0);
}

#[test]
fn a_lazy_cpu_leaves_the_mm_when_the_ipi_comes() {
    let (host, code) = (two_cpus(IrqMode::SignalMask), KernelCode::<Tracked>::new());
    let (lazy, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            HostCpu::new(&host, CPU1, &code, &()).run(|cpu| {
                code.operation(cpu, Operation::EnterLazyTlb);
                lazy.store(true, SeqCst);
                wait_for(&done);
            });
        });
        HostCpu::new(&host, CPU0, &code, &()).run(|cpu| {
            wait_for(&lazy);
            code.operation(cpu, Operation::TryToUnmapOne(MM0));
            done.store(true, SeqCst);
        });
    });
    assert_eq!(
        CpuMask::from_word(host.word(Loc::Cpumask(MM0))),
        CpuMask::of(CPU0)
    );
    let state = host.tlb_state(CPU1);
    assert_eq!(
        (state.active_mm, state.lazy, state.loaded),
        (Some(MM0), true, false)
    );
}

#[test]
fn a_machine_that_is_taken_down_gives_up_its_waits() {
    let (host, code) = (two_cpus(IrqMode::Soft), KernelCode::<Tracked>::new());
    let (held, gave_up) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let result = HostCpu::new(&host, CPU1, &code, &()).run(|cpu| {
                wait_for(&held);
                code.operation(cpu, Operation::VmallocSyncAll);
            });
            gave_up.store(true, SeqCst);
            result
        });
        HostCpu::new(&host, CPU0, &code, &()).run(|cpu| {
            let while_held = || {
                held.store(true, SeqCst);
                while host.picture().cpus[1].waits[0].is_none() {
                    thread::yield_now();
                }
                host.abort();
                wait_for(&gave_up);
            };
            Cpu::boot(cpu, |cpu| {
                cpu.with_page_table_lock::<Plain, _>(MM0, |_, _| while_held());
            });
        });
        assert_eq!(waiter.join().unwrap(), None, "it unwound");
    });
    // Its sections were left on the way.
    assert_eq!(host.word(Loc::PgdLock) as u32, 1, "pgd_lock was released");
}

/// The hardware walker of either machine follows every level, and notices where it ends.
#[test]
fn a_walk_that_ends_in_another_mms_page_is_noticed_on_both_machines() {
    let env = Environment {
        cpus: 1,
        mms: 2,
        ..Environment::default()
    };
    let foreign_host = |v: &HostViolation| matches!(v, HostViolation::ForeignPage { .. });
    let ways = [Slot::Huge, Slot::Pte].map(|slot| [(slot, MM0, false), (slot, MM1, true)]);
    for (slot, of, noticed) in ways.into_iter().flatten() {
        let host = Host::new(env, 2, IrqMode::Soft).unwrap();
        host.place(CPU0, MM0);
        let pmd = match slot {
            Slot::Huge => Loc::UserEntry(MM0, Slot::Huge),
            Slot::Pte => Loc::PtePmd(MM0),
        };
        let of_that = |kernel: &Kernel| {
            let tables = &kernel.tables[of.index()];
            let table = match slot {
                Slot::Huge => &tables.deposited,
                Slot::Pte => &tables.pte,
            };
            Entry::table(kernel.address_of(table)).0
        };
        let seen = Collect::default();
        let axes = Axes::named("tracked").unwrap();
        HostCpu::new(&host, CPU0, &axes, &seen)
            .run(|cpu| {
                let kernel = cpu.kernel();
                cpu.store(kernel.word(pmd), of_that(kernel));
                axes.operation(cpu, Operation::UserAccess(slot, AccessKind::Load));
            })
            .unwrap();
        let found = host.violations().1;
        assert_eq!(found.iter().any(foreign_host), noticed, "{found:?}");

        let mut state = SimState::new(env, 2, &[Some(MM0)]).unwrap();
        state.set(pmd, of_that(layout()));
        let cacheable = state.fills(CPU0).any(|s| s == slot);
        assert_eq!(cacheable, slot == Slot::Pte, "a split page is not cached");
        state.apply(CPU0, Op::UserAccess(slot, AccessKind::Load));
        let is_foreign = matches!(state.violation, Some(Violation::ForeignPage { .. }));
        assert_eq!(is_foreign, noticed, "{:?}", state.violation);
    }
}

#[test]
fn the_simulated_walker_marks_what_it_used_and_nothing_else() {
    const MARKS: u64 = Entry::ACCESSED | Entry::DIRTY;
    let env = Environment {
        cpus: 1,
        mms: 1,
        ..Environment::default()
    };
    let pte = Loc::UserEntry(MM0, Slot::Pte);
    let mut state = SimState::new(env, 1, &[Some(MM0)]).unwrap();
    assert_eq!(state.word(pte) & MARKS, 0);
    state.apply(CPU0, Op::UserAccess(Slot::Pte, AccessKind::Load));
    assert_eq!(state.word(pte) & MARKS, Entry::ACCESSED);
    state.apply(CPU0, Op::UserAccess(Slot::Pte, AccessKind::Store));
    assert_eq!(state.word(pte) & MARKS, MARKS);
    // A store through a translation whose entry is another page's by now.
    let other = Entry::user(compound_frame(MM0)).0;
    state.set(pte, other);
    state.apply(CPU0, Op::UserAccess(Slot::Pte, AccessKind::Store));
    assert_eq!(state.word(pte), other);
    assert!(state.violation.is_none(), "{:?}", state.violation);
    // Its frame is gone: an access through what the TLB has is noticed.
    let mut freed = state;
    freed.set(Loc::FrameRefs(small_frame(MM0)), 0);
    freed.apply(CPU0, Op::UserAccess(Slot::Pte, AccessKind::Load));
    let found = matches!(freed.violation, Some(Violation::FreedFrame { .. }));
    assert!(found, "{:?}", freed.violation);
    // Who has left the mm has nothing of it: the access is the fault that it is where nothing is mapped.
    state.apply(CPU0, Op::LeaveMm(Loc::Cpumask(MM0)));
    let left = state.apply(CPU0, Op::UserAccess(Slot::Pte, AccessKind::Load));
    let mut empty = SimState::new(env, 1, &[Some(MM0)]).unwrap();
    empty.set(pte, 0);
    let fault = empty.apply(CPU0, Op::UserAccess(Slot::Pte, AccessKind::Load));
    assert_eq!(left, fault);
}

#[test]
fn a_lock_released_by_another_than_its_holder_is_noticed() {
    let mut state = SimState::new(Environment::default(), 1, &[None, None]).unwrap();
    let lock = Loc::PgdLock;
    state.apply(CPU0, Op::TicketDraw(lock));
    state.apply(CpuId(1), Op::TicketRelease(lock));
    let found = matches!(state.violation, Some(Violation::NotHolder { .. }));
    assert!(found, "{:?}", state.violation);
}
