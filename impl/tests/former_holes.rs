//! The ways in which safe code once got around the rule, written as far as the types let them be written, and run.
//!
//! `tests/compile_fail/hole_*.rs` are the parts that do not compile. What is left of each must neither hang nor leave
//! anything owed, in any of 300 random runs; and what types cannot keep is noticed by the simulated machine.

use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::AfterUnlockTracked;
use shootdown_impl::design::{Combined, Design, IrqSave, PgdSpin, Tracked, V2_6_37, V2_6_38};
use shootdown_impl::environment::Environment;
use shootdown_impl::id::MmId;
use shootdown_impl::irq::Vector;
use shootdown_impl::kernel::Loc;
use shootdown_impl::machine::Machine;
use shootdown_impl::operation::{Code, KernelCode, Operation};
use shootdown_impl::path::flush_tlb::{flush_tlb_mm, flush_tlb_page};
use shootdown_impl::path::page_referenced_one::page_referenced_one;
use shootdown_impl::path::try_to_unmap_one::try_to_unmap_one;
use shootdown_impl::sim::{Outcome, RandomScheduler, Sim, SimConfig, SimState, Violation};
use shootdown_impl::tlb::{AccessKind, Slot};

const MM0: MmId = MmId(0);
const RUNS: u64 = 300;

/// What stands in for `page_referenced_one` of the pte; the rest is the design's.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Path {
    /// Holes 1 and 5: what the section lent is forgotten.
    ForgetsInsideIrqsOff,
    /// Hole 2: what the section lent is leaked.
    LeaksTheEntry,
    /// Hole 3: zapped twice, flushed once.
    ZapsTwice,
    /// Holes 4, 8 and 9: one token after the other.
    OneTokenAfterTheOther,
    /// Hole 6: a policy put together from what there is.
    CombinesAPolicy,
    /// Hole 10: what is counted is counted down, by each of two changes.
    ChangesTwice,
    /// Not a hole, but near: the section unwinds.
    UnwindsOutOfASection,
    /// A flush that is owed when the system call unwinds, and everything of it forgotten.
    UnwindsWithAFlushOwed,
    /// What types cannot keep: a path of a design that breaks the rule, called by its name.
    NamesAnotherDesign,
    /// What code that has the machine can do.
    UsesTheBareDoor,
    /// And code that never ends.
    LoopsInASection,
}

struct With<D>(Path, KernelCode<D>);

fn with<D: Design>(path: Path) -> With<D> {
    With(path, KernelCode::new())
}

impl Path {
    fn walk<D: Design, M: Machine>(self, cpu: &mut Cpu<'_, M, Task>) {
        match self {
            Self::ForgetsInsideIrqsOff => {
                #[expect(forgetting_references, reason = "that it does nothing is the point")]
                cpu.with_irqs_off(|irqs_off| core::mem::forget(irqs_off));
                flush_tlb_page(cpu, MM0);
            }
            Self::LeaksTheEntry => {
                cpu.with_page_table_lock::<D::PtLock, _>(MM0, |pmd, _| {
                    pmd.test_and_clear_young();
                    core::mem::forget(Box::new(pmd));
                });
                flush_tlb_mm(cpu, MM0);
            }
            Self::ZapsTwice => cpu.syscall(|call| {
                let gathered = call.tlb_gather_mmu::<D>(MM0).zap_pte_range();
                gathered.zap_pte_range().tlb_flush_mmu().return_to_user()
            }),
            Self::CombinesAPolicy => {
                type Mine = Combined<PgdSpin<IrqSave>, true, IrqSave, AfterUnlockTracked>;
                page_referenced_one::<Mine, M>(cpu, MM0);
            }
            Self::ChangesTwice => {
                page_referenced_one::<D, M>(cpu, MM0);
                try_to_unmap_one::<D, M>(cpu, MM0);
            }
            Self::UnwindsOutOfASection => {
                let section = std::panic::AssertUnwindSafe(|| {
                    cpu.with_pte_lock::<D::PtLock, _>(MM0, |_, _| {
                        std::panic::resume_unwind(Box::new(()))
                    })
                });
                assert!(std::panic::catch_unwind(section).is_err());
                flush_tlb_page(cpu, MM0);
            }
            Self::UnwindsWithAFlushOwed => {
                let call = std::panic::AssertUnwindSafe(|| {
                    cpu.syscall(|call| {
                        let gathered = call.tlb_gather_mmu::<D>(MM0).zap_pte_range();
                        core::mem::forget(gathered);
                        std::panic::resume_unwind(Box::new(()))
                    });
                });
                assert!(std::panic::catch_unwind(call).is_err());
                cpu.syscall(|call| call.return_to_user());
            }
            Self::NamesAnotherDesign => page_referenced_one::<V2_6_37, M>(cpu, MM0),
            Self::LoopsInASection => {
                cpu.with_pte_lock::<D::PtLock, _>(MM0, |pte, _| {
                    loop {
                        pte.read();
                    }
                });
            }
            Self::OneTokenAfterTheOther | Self::UsesTheBareDoor => unreachable!("needs a machine"),
        }
    }
}

impl<D: Design> Code for With<D> {
    fn operation<M: Machine>(&self, machine: &M, operation: Operation) {
        let Self(path, kernel) = self;
        let path = *path;
        if operation != Operation::PageReferencedOne(MM0, Slot::Pte) {
            return kernel.operation(machine, operation);
        }
        machine.begin(operation);
        match path {
            Path::OneTokenAfterTheOther => {
                Cpu::boot(machine, |a| {
                    a.with_pte_lock::<D::PtLock, _>(MM0, |pte, _| pte.read());
                });
                Cpu::boot(machine, |b| flush_tlb_mm(b, MM0));
            }
            Path::UsesTheBareDoor => {
                let flags = machine.local_irq_save();
                Cpu::boot(machine, |cpu| flush_tlb_mm(cpu, MM0));
                machine.local_irq_restore(flags);
            }
            _ => Cpu::boot(machine, |cpu| path.walk::<D, M>(cpu)),
        }
        machine.end(operation);
    }
    fn interrupt<M: Machine>(&self, machine: &M, vector: Vector) {
        self.1.interrupt(machine, vector);
    }
}

/// Two CPUs walk the path, a third walks the list and maps and touches pages.
fn run<D: Design>(path: Path, seed: u64) -> (Outcome, SimState) {
    run_on::<D>(2, path, seed)
}

/// The same with this many of the first two CPUs on the path; the other touches pages.
fn run_on<D: Design>(walkers: usize, path: Path, seed: u64) -> (Outcome, SimState) {
    let env = Environment {
        cpus: 3,
        split_ptlocks: false,
        ..Environment::default()
    };
    let touch = Operation::UserAccess(Slot::Pte, AccessKind::Store);
    let walked = [touch, Operation::PageReferencedOne(MM0, Slot::Pte)];
    let others = [
        Operation::VmallocSyncAll,
        Operation::HandleMmFault(Slot::Pte),
        touch,
    ];
    let second: &[Operation] = if walkers == 2 { &walked } else { &[touch] };
    let config = SimConfig::new(env, &[&walked, second, &others]);
    let mut sim = Sim::new(with::<D>(path), &config).unwrap();
    let outcome = sim.run(&mut RandomScheduler::new(seed, 5000), |_, _| {});
    (outcome, sim.state())
}

fn nothing_is_left<D: Design>(walkers: usize, path: Path) {
    for seed in 0..RUNS {
        let (outcome, state) = run_on::<D>(walkers, path, seed);
        assert_eq!(outcome, Outcome::Finished, "{path:?}, seed {seed}");
        assert_eq!(state.violation, None, "{path:?}, seed {seed}");
        assert_eq!(state.word(Loc::FlushPending(MM0)), 0, "{path:?}, {seed}");
    }
}

#[test]
fn what_is_left_of_each_hole_neither_hangs_nor_leaves_anything_owed() {
    let paths = [
        Path::ForgetsInsideIrqsOff,
        Path::LeaksTheEntry,
        Path::ZapsTwice,
        Path::OneTokenAfterTheOther,
        Path::CombinesAPolicy,
        Path::ChangesTwice,
        Path::UnwindsOutOfASection,
    ];
    for path in paths {
        nothing_is_left::<Tracked>(2, path);
        assert!((0..RUNS).all(|seed| !run::<Tracked>(path, seed).1.strict_rule_broken));
    }
    // Where the walk takes the lock with interrupts on and zapping is not counted. One CPU zaps: two that zap at once leave
    // a stale translation in this design whatever the types keep (H 5.4, B11).
    nothing_is_left::<V2_6_38>(1, Path::ZapsTwice);
    nothing_is_left::<V2_6_38>(2, Path::LeaksTheEntry);
}

#[test]
fn a_system_call_that_unwinds_leaves_no_stale_translation() {
    for seed in 0..RUNS {
        let (outcome, state) = run_on::<Tracked>(1, Path::UnwindsWithAFlushOwed, seed);
        assert_eq!(outcome, Outcome::Finished, "seed {seed}");
        assert_eq!(state.violation, None, "seed {seed}");
        assert!(!state.strict_rule_broken, "seed {seed}");
    }
}

#[test]
fn what_the_types_cannot_keep_is_noticed_by_the_machine() {
    // Code that has the machine can turn its interrupts off behind the token: seen at the wait, and it hangs.
    let runs: Vec<_> = (0..RUNS)
        .map(|seed| run::<Tracked>(Path::UsesTheBareDoor, seed))
        .collect();
    assert!(runs.iter().any(|(_, state)| state.strict_rule_broken));
    assert!(runs.iter().any(|(o, _)| *o == Outcome::Deadlock));
    // A path takes its design as a parameter, and nothing ties a CPU to one.
    let runs: Vec<_> = (0..RUNS)
        .map(|seed| run::<Tracked>(Path::NamesAnotherDesign, seed))
        .collect();
    assert!(runs.iter().any(|(_, state)| state.strict_rule_broken));
    assert!(runs.iter().any(|(o, _)| *o == Outcome::Deadlock));
    // Code that never ends does not finish, and is not taken for a deadlock or for clean.
    for seed in 0..10 {
        let (outcome, _) = run::<Tracked>(Path::LoopsInASection, seed);
        assert_eq!(outcome, Outcome::Stopped);
    }
}

#[test]
fn an_operation_that_returns_with_interrupts_off_is_noticed() {
    struct LeavesThemOff;
    impl Code for LeavesThemOff {
        fn operation<M: Machine>(&self, machine: &M, operation: Operation) {
            machine.begin(operation);
            machine.local_irq_save();
            machine.end(operation);
        }
        fn interrupt<M: Machine>(&self, _: &M, _: Vector) {}
    }
    let env = Environment {
        cpus: 1,
        ..Environment::default()
    };
    let config = SimConfig::new(env, &[&[Operation::VmallocSyncAll]]);
    let mut sim = Sim::new(LeavesThemOff, &config).unwrap();
    sim.run(&mut RandomScheduler::new(0, 100), |_, _| {});
    assert!(matches!(
        sim.state().violation,
        Some(Violation::LeftLocked { .. })
    ));
}
