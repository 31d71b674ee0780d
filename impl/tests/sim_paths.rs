//! Each path alone on the simulated machine, and the historical hangs by hand and by chance.

use shootdown_impl::design::{Axes, NAMED, Tracked, V2_6_36, V2_6_37, V2_6_38};
use shootdown_impl::environment::{Environment, FlushBackend};
use shootdown_impl::event::{Event, Flushed, Lock};
use shootdown_impl::id::{CpuId, CpuMask, FrameId, MmId};
use shootdown_impl::irq::Vector;
use shootdown_impl::mm::Life;
use shootdown_impl::operation::{Code, KernelCode, Operation};
use shootdown_impl::page_table::Entry;
use shootdown_impl::sim::{
    Choice, Op, Outcome, RandomScheduler, RoundRobin, Scripted, Sim, SimConfig, SimState, Violation,
};
use shootdown_impl::tlb::{AccessKind, Scope, Slot};

const MM0: MmId = MmId(0);
const MM1: MmId = MmId(1);
const CPU0: CpuId = CpuId(0);
const CPU1: CpuId = CpuId(1);

fn run<C: Code>(code: C, config: &SimConfig) -> (Vec<(CpuId, Event)>, SimState, Outcome) {
    let mut sim = Sim::new(code, config).unwrap();
    let mut events = Vec::new();
    let outcome = sim.run(&mut RoundRobin::default(), |step, _| {
        events.extend(step.events.iter().map(|&e| (step.choice.cpu(), e)));
    });
    (events, sim.state(), outcome)
}

/// One CPU does this alone; what it reported, without begin and end.
fn alone(operations: &[Operation], env: Environment) -> (Vec<Event>, SimState) {
    let mut config = SimConfig::new(Environment { cpus: 1, ..env }, &[operations]);
    config.alive = 1;
    let (events, state, outcome) = run(KernelCode::<Tracked>::new(), &config);
    assert_eq!(outcome, Outcome::Finished);
    assert_eq!(state.violation, None);
    let events = events.into_iter().map(|(_, e)| e);
    (
        events
            .filter(|e| !matches!(e, Event::Begin { .. } | Event::End { .. }))
            .collect(),
        state,
    )
}

#[test]
fn vmalloc_sync_all_takes_each_lock_inside_pgd_lock_with_interrupts_off() {
    let (events, state) = alone(&[Operation::VmallocSyncAll], Environment::default());
    let ptl = Lock::PageTable(MM0);
    assert_eq!(
        events,
        [
            Event::InitEntrySet {},
            Event::IrqSave { enabled: true },
            Event::LockAcquired {
                lock: Lock::PgdLock
            },
            Event::WalkAt { mm: MM0 },
            // Page-table locks are irqsave too; interrupts are off already.
            Event::IrqSave { enabled: false },
            Event::LockAcquired { lock: ptl },
            Event::KernelEntryRead {
                mm: MM0,
                present: false
            },
            Event::KernelEntrySet {
                mm: MM0,
                hypervisor: false
            },
            Event::LockReleased { lock: ptl },
            Event::IrqRestore { enabled: false },
            Event::WalkDone {},
            Event::LockReleased {
                lock: Lock::PgdLock
            },
            Event::IrqRestore { enabled: true },
        ]
    );
    assert!(state.snapshot().init_entry && state.snapshot().mms[0].kernel_entry);
}

#[test]
fn vmalloc_fault_copies_only_what_init_mm_has() {
    let (events, state) = alone(&[Operation::VmallocFault], Environment::default());
    assert_eq!(events, [Event::InitEntryRead { present: false }]);
    assert!(!state.snapshot().mms[0].kernel_entry);
}

#[test]
fn pgd_alloc_lists_a_new_pgd_at_the_head_with_the_kernel_half_cloned() {
    let env = Environment {
        mms: 2,
        ..Environment::default()
    };
    let (_, state) = alone(&[Operation::VmallocSyncAll, Operation::PgdAlloc(MM1)], env);
    assert_eq!(state.pgd_list(), [MM1, MM0]);
    assert_eq!(state.life(MM1), Life::Alive);
    assert!(state.snapshot().mms[1].kernel_entry);
}

#[test]
fn pgd_free_unlists_then_frees() {
    let env = Environment {
        mms: 2,
        ..Environment::default()
    };
    let (events, state) = alone(&[Operation::PgdAlloc(MM1), Operation::PgdFree(MM1)], env);
    assert_eq!(state.pgd_list(), [MM0]);
    assert_eq!(state.life(MM1), Life::Freed);
    let at = |event| events.iter().position(|&e| e == event).unwrap();
    assert!(at(Event::ListDel { mm: MM1 }) < at(Event::MmFreed { mm: MM1 }));
}

#[test]
fn a_used_page_is_aged_once_and_flushed_after_the_unlock() {
    let young = Operation::PageReferencedOne(MM0, Slot::Pte);
    let access = Operation::UserAccess(Slot::Pte, AccessKind::Load);
    let (events, state) = alone(&[access, young, young], Environment::default());
    let lock = Lock::Pte(MM0);
    assert_eq!(
        events,
        [
            Event::UserAccess {
                slot: Slot::Pte,
                kind: AccessKind::Load,
                frame: Some(FrameId(0)),
                filled: true
            },
            Event::IrqSave { enabled: true },
            Event::LockAcquired { lock },
            Event::ClearYoung {
                mm: MM0,
                slot: Slot::Pte,
                young: true
            },
            Event::PendingRaised { mm: MM0 },
            Event::LockReleased { lock },
            Event::IrqRestore { enabled: true },
            Event::FlushLocal {
                mm: MM0,
                scope: Scope::Page
            },
            Event::MaskRead {
                mm: MM0,
                targets: CpuMask::EMPTY
            },
            Event::PendingDropped { mm: MM0 },
            // The second time nothing is young: no flush.
            Event::IrqSave { enabled: true },
            Event::LockAcquired { lock },
            Event::ClearYoung {
                mm: MM0,
                slot: Slot::Pte,
                young: false
            },
            Event::LockReleased { lock },
            Event::IrqRestore { enabled: true },
        ]
    );
    assert_eq!(state.cpus[0].tlb, [None; 2]);
}

#[test]
fn without_split_locks_page_table_lock_covers_the_pte() {
    let env = Environment {
        split_ptlocks: false,
        ..Environment::default()
    };
    let (events, _) = alone(&[Operation::PageReferencedOne(MM0, Slot::Pte)], env);
    assert!(events.contains(&Event::LockAcquired {
        lock: Lock::PageTable(MM0)
    }));
}

#[test]
fn a_huge_page_being_split_is_not_aged() {
    let env = Environment::default();
    let split = Operation::SplitHugePage(MM0);
    let (events, state) = alone(&[split, Operation::PageReferencedOne(MM0, Slot::Huge)], env);
    assert!(!events.iter().any(|e| matches!(e, Event::ClearYoung { .. })));
    assert!(!state.entry(MM0, Slot::Huge).trans_huge());
    assert!(!state.snapshot().mms[0].compound);
    // Two flushes, each owed and paid.
    assert_eq!(
        events
            .iter()
            .filter(|e| matches!(e, Event::PendingDropped { .. }))
            .count(),
        2
    );
    assert_eq!(state.snapshot().mms[0].pending, 0);
}

#[test]
fn unmapping_frees_the_frame_after_the_flush() {
    for operation in [
        Operation::TryToUnmapOne(MM0),
        Operation::ZapPageRange,
        Operation::MadviseDontneed,
    ] {
        let (events, state) = alone(&[operation], Environment::default());
        let at = |wanted: fn(&Event) -> bool| events.iter().position(wanted).unwrap();
        let flushed = at(|e| matches!(e, Event::MaskRead { .. }));
        let freed = at(|e| {
            *e == Event::FramePut {
                frame: FrameId(0),
                freed: true,
            }
        });
        assert!(flushed < freed, "{operation}");
        assert_eq!(state.entry(MM0, Slot::Pte), Entry::NONE);
    }
}

#[test]
fn gup_fast_takes_its_reference_with_interrupts_off() {
    let (events, state) = alone(&[Operation::GupFast(Slot::Huge)], Environment::default());
    assert_eq!(
        events,
        [
            Event::IrqSave { enabled: true },
            Event::EntryRead {
                mm: MM0,
                slot: Slot::Huge,
                present: true,
                splitting: false
            },
            Event::FrameGet {
                frame: FrameId(1),
                slot: Slot::Huge
            },
            Event::IrqRestore { enabled: true },
            Event::FramePut {
                frame: FrameId(1),
                freed: false
            },
        ]
    );
    assert_eq!(state.snapshot().mms[0].frame_refs, [1, 1]);
}

#[test]
fn switching_sets_the_new_bit_before_the_load_and_clears_the_old_one_after() {
    let env = Environment {
        mms: 2,
        ..Environment::default()
    };
    let (events, state) = alone(&[Operation::PgdAlloc(MM1), Operation::SwitchMm(MM1)], env);
    let tail = &events[events.len() - 5..];
    assert_eq!(
        tail,
        [
            Event::IrqSave { enabled: true },
            Event::MaskSet { mm: MM1 },
            Event::LoadCr3 { mm: MM1 },
            Event::MaskCleared { mm: MM0 },
            Event::IrqRestore { enabled: true },
        ]
    );
    assert_eq!(state.cpus[0].tlb_state.active_mm, Some(MM1));
    assert_eq!(state.snapshot().mms[0].cpumask, CpuMask::EMPTY);
}

#[test]
fn a_lazy_cpu_that_left_comes_back_by_switching_to_the_same_mm() {
    let back = [
        Operation::EnterLazyTlb,
        Operation::LeaveMm,
        Operation::SwitchMm(MM0),
    ];
    let (events, state) = alone(&back, Environment::default());
    assert!(events.contains(&Event::LeaveMm { mm: MM0 }));
    assert!(events.contains(&Event::LoadCr3 { mm: MM0 }));
    assert!(state.cpus[0].tlb_state.loaded && !state.cpus[0].tlb_state.lazy);
    assert_eq!(state.snapshot().mms[0].cpumask, CpuMask::of(CPU0));
}

#[test]
fn a_pinned_pgd_is_written_through_the_hypervisor() {
    let env = Environment {
        mms: 2,
        xen_pin: true,
        flush_backend: FlushBackend::Hypercall,
        ..Environment::default()
    };
    let mut config = SimConfig::new(
        Environment { cpus: 1, ..env },
        &[&[
            Operation::XenPgdPin(MM1),
            Operation::VmallocSyncAll,
            Operation::XenPgdUnpin(MM1),
        ]],
    );
    config.alive = 2;
    let (events, state, _) = run(KernelCode::<Tracked>::new(), &config);
    assert!(events.contains(&(
        CPU0,
        Event::KernelEntrySet {
            mm: MM1,
            hypervisor: true
        }
    )));
    assert!(events.contains(&(
        CPU0,
        Event::KernelEntrySet {
            mm: MM0,
            hypervisor: false
        }
    )));
    assert_eq!(state.violation, None);
}

#[test]
fn a_remote_cpu_flushes_before_it_acknowledges() {
    let access = Operation::UserAccess(Slot::Pte, AccessKind::Store);
    let config = SimConfig::new(
        Environment::default(),
        &[&[access, Operation::TryToUnmapOne(MM0)], &[access]],
    );
    let (events, state, outcome) = run(KernelCode::<Tracked>::new(), &config);
    assert_eq!(outcome, Outcome::Finished);
    let handler: Vec<Event> = events
        .iter()
        .filter(|(cpu, _)| *cpu == CPU1)
        .map(|&(_, e)| e)
        .skip_while(|e| !matches!(e, Event::IrqEnter { .. }))
        .take(5)
        .collect();
    let (from, vector) = (CPU0, Vector::FlushTlb(CPU0));
    assert_eq!(
        handler,
        [
            Event::IrqEnter { vector },
            Event::RequestRead { from, mm: MM0 },
            Event::FlushHandled {
                from,
                mm: MM0,
                scope: Scope::Page,
                result: Flushed::Flushed
            },
            Event::Acked { from },
            Event::IrqExit { vector },
        ]
    );
    assert_eq!(state.cpus[1].tlb, [None; 2]);
}

/// The mail's interleaving, step by step, on the real code of the design `C`.
fn seed<C: Code>(code: C) -> (Outcome, Sim<C>) {
    let young = Operation::PageReferencedOne(MM0, Slot::Huge);
    let config = SimConfig::new(
        Environment::default(),
        &[&[young], &[Operation::VmallocSyncAll]],
    );
    let mut sim = Sim::new(code, &config).unwrap();
    // The page is in use, so that aging it calls for a flush.
    sim.step(Choice::Fill(CPU0, Slot::Huge));
    let until = |sim: &mut Sim<C>, cpu: CpuId, stop: fn(Op) -> bool| {
        while sim.announced(cpu) == Op::Idle || !stop(sim.announced(cpu)) {
            let ready = sim.choices();
            match ready
                .iter()
                .find(|c| c.cpu() == cpu && !matches!(c, Choice::Fill(..) | Choice::Interrupt(..)))
            {
                Some(&choice) => drop(sim.step(choice)),
                None => break,
            }
        }
    };
    // CPU0 takes the lock, clears ACCESSED, and in the old kernels sends the IPI at once.
    until(&mut sim, CPU0, |op| {
        matches!(op, Op::SendIpi(_) | Op::TicketRelease(_))
    });
    // CPU1 turns interrupts off, takes pgd_lock and wants page_table_lock.
    until(&mut sim, CPU1, |op| matches!(op, Op::TicketWait(_)));
    let outcome = sim.run(&mut RoundRobin::default(), |_, _| {});
    (outcome, sim)
}

#[test]
fn the_mails_interleaving_hangs_v2_6_37() {
    let (outcome, sim) = seed(KernelCode::<V2_6_37>::new());
    assert_eq!(outcome, Outcome::Deadlock);
    let now = sim.state().snapshot();
    assert_eq!(now.mms[0].page_table_lock.holder, Some((CPU0, false)));
    assert_eq!(now.mms[0].page_table_lock.waiters, [(CPU1, false)]);
    assert_eq!(now.pgd_lock.holder, Some((CPU1, false)));
    assert_eq!(now.cpus[0].acks, CpuMask::of(CPU1));
    assert_eq!(now.cpus[1].ipis, CpuMask::of(CPU0));
    assert!(!now.cpus[1].irqs_on);
    assert!(
        matches!(sim.announced(CPU0), Op::AwaitZero(_)),
        "and waits for it"
    );
}

#[test]
fn the_same_interleaving_passes_in_the_fixed_designs() {
    assert_eq!(seed(KernelCode::<V2_6_36>::new()).0, Outcome::Finished);
    assert_eq!(seed(KernelCode::<V2_6_38>::new()).0, Outcome::Finished);
    let (outcome, sim) = seed(KernelCode::<Tracked>::new());
    assert_eq!(
        (outcome, sim.state().strict_rule_broken),
        (Outcome::Finished, false)
    );
}

/// Everything that makes sense in the environment, two operations a CPU, chosen by the seed.
fn random_config(env: Environment, seed: u64) -> SimConfig {
    let all: Vec<Operation> = Operation::all()
        .filter(|o| {
            o.names().is_none_or(|mm| mm.0 < env.mms) && !matches!(o, Operation::HandleMmFault(_))
        })
        .filter(|o| {
            env.xen_pin || !matches!(o, Operation::XenPgdPin(_) | Operation::XenPgdUnpin(_))
        })
        .collect();
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut pick = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        all[(x >> 8) as usize % all.len()]
    };
    let programs: Vec<Vec<Operation>> = (0..env.cpus)
        .map(|_| vec![pick(), pick(), pick()])
        .collect();
    let refs: Vec<&[Operation]> = programs.iter().map(Vec::as_slice).collect();
    let mut config = SimConfig::new(env, &refs);
    config.alive = 2;
    config
}

fn hunt(axes: Axes, env: Environment, seeds: std::ops::Range<u64>) -> (u32, u32, bool) {
    let (mut deadlocks, mut violations, mut strict_broken) = (0, 0, false);
    for seed in seeds {
        let mut sim = Sim::new(axes, &random_config(env, seed)).unwrap();
        let outcome = sim.run(&mut RandomScheduler::new(seed, 5000), |_, _| {});
        deadlocks += u32::from(outcome == Outcome::Deadlock);
        violations += u32::from(sim.state().violation.is_some());
        strict_broken |= sim.state().strict_rule_broken;
        if axes == Axes::default() {
            assert_eq!(sim.state().violation, None, "seed {seed}");
            assert_eq!(outcome, Outcome::Finished, "seed {seed}");
        }
    }
    (deadlocks, violations, strict_broken)
}

#[test]
fn the_default_design_never_hangs_nor_violates_nor_breaks_the_strict_rule() {
    for (split_ptlocks, pgd_free_in_irq) in
        [(true, true), (false, true), (true, false), (false, false)]
    {
        let env = Environment {
            cpus: 3,
            mms: 3,
            split_ptlocks,
            pgd_free_in_irq,
            ..Environment::default()
        };
        assert_eq!(hunt(Axes::default(), env, 0..500), (0, 0, false));
    }
}

#[test]
fn the_old_designs_do_break_the_strict_rule_and_some_hang() {
    let env = Environment {
        cpus: 3,
        mms: 3,
        split_ptlocks: false,
        ..Environment::default()
    };
    for &(name, axes) in NAMED {
        let (deadlocks, _, strict_broken) = hunt(axes, env, 0..1000);
        let under_lock = ["v2.6.36", "v2.6.37", "v2.6.38", "rwlock", "woodman"].contains(&name);
        assert_eq!(strict_broken, under_lock, "{name}");
        if matches!(name, "v2.6.37" | "woodman") {
            assert!(deadlocks > 0, "{name} never hung");
        }
        if matches!(name, "v2.6.36" | "v2.6.38" | "rwlock" | "tracked") {
            assert_eq!(deadlocks, 0, "{name}");
        }
    }
}

#[test]
fn pgd_free_from_an_interrupt_deadlocks_a_plain_pgd_lock_on_one_cpu() {
    let env = Environment {
        cpus: 1,
        mms: 2,
        pgd_free_in_irq: true,
        ..Environment::default()
    };
    let config = SimConfig::new(env, &[&[Operation::VmallocSyncAll]]);
    let mut sim = Sim::new(KernelCode::<V2_6_38>::new(), &config).unwrap();
    let script = [
        Choice::Start(CPU0, Operation::VmallocSyncAll),
        Choice::Step(CPU0), // init_mm's entry
        Choice::Step(CPU0), // pgd_lock
        Choice::Interrupt(CPU0, Vector::PgdFree(MM1)),
        Choice::Step(CPU0), // irq save of nothing: plain, so this draws the ticket
    ];
    let mut scripted = Scripted::new(script);
    assert_eq!(sim.run(&mut scripted, |_, _| {}), Outcome::Deadlock);
    assert_eq!(scripted.done(), script.len());
    let lock = sim.state().snapshot().pgd_lock;
    assert_eq!(
        (lock.holder, lock.waiters.as_slice()),
        (Some((CPU0, false)), &[(CPU0, true)][..])
    );
}

#[test]
fn naive_deferral_leaves_a_stale_translation_behind() {
    let env = Environment {
        cpus: 2,
        mms: 1,
        ..Environment::default()
    };
    let deferred = Axes::named("deferred").unwrap();
    let found = (0..4000).any(|seed| {
        let config = SimConfig::new(
            env,
            &[&[Operation::TryToUnmapOne(MM0)], &[Operation::ZapPageRange]],
        );
        let mut sim = Sim::new(deferred, &config).unwrap();
        sim.run(&mut RandomScheduler::new(seed, 5000), |_, _| {});
        matches!(sim.state().violation, Some(Violation::StaleTlb { .. }))
    });
    assert!(
        found,
        "H 5.2: the unmapper has not flushed yet when munmap returns"
    );
}

#[test]
fn flushing_by_hypercall_does_not_wait_out_fast_gup() {
    let env = Environment {
        flush_backend: FlushBackend::Hypercall,
        ..Environment::default()
    };
    let found = (0..4000).any(|seed| {
        let config = SimConfig::new(
            env,
            &[
                &[Operation::SplitHugePage(MM0)],
                &[Operation::GupFast(Slot::Huge)],
            ],
        );
        let mut sim = Sim::new(KernelCode::<Tracked>::new(), &config).unwrap();
        sim.run(&mut RandomScheduler::new(seed, 5000), |_, _| {});
        matches!(
            sim.state().violation,
            Some(Violation::GupOnReusedPage { .. })
        )
    });
    assert!(found, "H 5.9");
}
