//! The code beside the protocol: what the exploration says, and that it can say otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use shootdown_impl::forward_machine;
use shootdown_impl::id::MmId;
use shootdown_impl::irq::Vector;
use shootdown_impl::kernel::Loc;
use shootdown_impl::machine::{Machine, Word};
use shootdown_impl::operation::{Code, Operation};
use shootdown_impl::page_table::Entry;
use shootdown_impl::tlb::Slot;
use shootdown_refinement::code::automaton::Runnable;
use shootdown_refinement::map;
use shootdown_refinement::relation::bounded::{Bounded, Within};
use shootdown_refinement::relation::coverage::{self, Irqs};
use shootdown_refinement::relation::joint::{
    MISFIT_BIT, NOTICED_BIT, Refinement, STUCK_DIFFERS_BIT,
};
use shootdown_refinement::relation::outcome::{RefineResult, refine};
use shootdown_refinement::relation::random;
use shootdown_spec::check::check;
use shootdown_spec::config::Config;
use shootdown_spec::design::{DESIGNS, Design};
use shootdown_spec::environment::Environment;
use shootdown_spec::model::Protocol;
use shootdown_spec::program::ProgramId;
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::search::{Options, search};
use shootdown_spec::variant::VariantSet;
use shootdown_spec::verdict::Verdict;
use shootdown_spec::workload::Workload;
use stateright::{Checker, Model};

fn config(design: &str, env: &str, workload: &str) -> Config {
    let mut environment = Environment::named(env).expect("a named environment");
    let workload = Workload::parse(workload, &environment).expect("a workload");
    if let Some(cpus) = workload.cpus() {
        environment.cpus = cpus as u8;
    }
    let design = Design::named(design).expect("a named design");
    Config::new(design, environment, workload, VariantSet::NONE).expect("it makes sense")
}

fn refinement(config: Config) -> Refinement {
    let axes = map::config::axes(&config.design);
    Refinement::new(config, Arc::new(axes))
}

fn run(config: Config) -> RefineResult {
    refine(&mut refinement(config), &Options::default())
}

fn verdicts(result: &RefineResult) -> Vec<(&'static str, Verdict)> {
    let properties = result.check.properties.iter();
    properties.map(|p| (p.name, p.verdict)).collect()
}

#[test]
fn code_and_protocol_have_the_same_verdicts_and_the_code_refines_the_protocol() {
    for (env, workload) in [
        ("nosplit", "aging"),
        ("split", "unmapping"),
        ("split+thp", "vmalloc_sync_all,split_huge_page"),
    ] {
        for design in DESIGNS {
            let config = config(design.name, env, workload);
            let protocol = check(&Protocol::new(config.clone()), &Options::default());
            let code = run(config);
            let expected: Vec<_> = protocol
                .properties
                .iter()
                .map(|p| (p.name, p.verdict))
                .collect();
            assert_eq!(
                verdicts(&code),
                expected,
                "{} {env} {workload}",
                design.name
            );
            assert_eq!(
                code.refines(),
                Verdict::Holds,
                "{} {env} {workload}",
                design.name
            );
            assert_eq!(code.nondeterminism, None);
        }
    }
}

#[test]
fn the_deadlock_of_2011_is_in_the_real_code_with_the_cycle_of_the_protocol() {
    // CPU1: begin, lock, clear ACCESSED, read the mask and send (the local flush finds the mm not loaded and does
    // nothing): 4. CPU0: begin, set init_mm's entry, irqs off, pgd_lock, first pgd, queue for the lock: 6.
    let mut refinement = refinement(config("v2.6.37", "nosplit", "everything"));
    let result = refine(&mut refinement, &Options::default());
    let deadlock = result.check.property("no_deadlock").unwrap();
    let run = &deadlock.counterexample.as_ref().unwrap().trace;
    assert_eq!(run.actions.len(), 10);

    // Told in the protocol's steps it is a run of the protocol, one step longer (the local flush), and ends stuck.
    let translated = refinement.translate(run);
    assert_eq!((translated.fits, translated.trace.actions.len()), (10, 11));
    let states = translated.trace.states(&refinement.spec).unwrap();
    let last = states.last().unwrap();
    assert_eq!(
        last.stuck(refinement.config()).bits(),
        0b0101,
        "CPU0 and CPU1, in process context"
    );
    let protocol = check(&refinement.spec, &Options::default());
    let shortest = protocol
        .property("no_deadlock")
        .unwrap()
        .counterexample
        .as_ref()
        .unwrap();
    assert_eq!(
        shortest.trace.actions.len(),
        11,
        "the protocol has no shorter one"
    );
}

#[test]
fn operations_without_a_scheduling_point_of_their_own_change_no_verdict() {
    for (design, env, workload) in [
        (
            "v2.6.37",
            "nosplit",
            "vmalloc_sync_all,page_referenced_one_pte,pgd_alloc",
        ),
        ("tracked", "split", "try_to_unmap_one,zap_page_range"),
        ("deferred", "split", "try_to_unmap_one,zap_page_range"),
        ("rwlock", "split", "vmalloc_sync_all,pgd_alloc,switch_mm"),
        ("v2.6.38", "irq-free", "vmalloc_sync_all"),
    ] {
        let config = config(design, env, workload);
        let reduced = run(config.clone());
        let mut whole = refinement(config);
        whole.code.reduce = false;
        let whole = refine(&mut whole, &Options::default());
        assert_eq!(
            verdicts(&reduced),
            verdicts(&whole),
            "{design} {env} {workload}"
        );
        assert_eq!(
            (reduced.refines(), whole.refines()),
            (Verdict::Holds, Verdict::Holds),
            "{design}"
        );
        assert!(reduced.check.states.unique < whole.check.states.unique);
    }
}

#[test]
fn taking_points_for_one_changes_no_verdict_and_no_shortest_run() {
    for (design, env, workload) in [
        ("v2.6.37", "split+thp", "splitting"),
        ("tracked", "nosplit", "unmapping"),
    ] {
        let config = config(design, env, workload);
        let merged = run(config.clone());
        let mut apart = refinement(config);
        apart.code.code.keep_apart();
        let apart = refine(&mut apart, &Options::default());
        let shape = |r: &RefineResult| {
            let properties = r.check.properties.iter();
            let steps = |p: &shootdown_spec::verdict::PropertyResult| {
                p.counterexample.as_ref().map(|c| c.trace.actions.len())
            };
            properties
                .map(|p| (p.name, p.verdict, steps(p)))
                .collect::<Vec<_>>()
        };
        assert_eq!(shape(&merged), shape(&apart), "{design} {env}");
        assert!(merged.check.states.unique <= apart.check.states.unique);
        assert!(merged.points < apart.points);
    }
}

#[test]
fn staterights_own_checker_counts_the_same_states_of_the_code() {
    let config = config("v2.6.37", "nosplit", "aging");
    let ours = refinement(config.clone());
    let outcome = search(&ours.code, |_, _| 0, &Options::default());
    assert!(ours.code.code.diverged().is_empty());
    let theirs = refinement(config).code.checker().spawn_bfs().join();
    assert_eq!(outcome.unique, theirs.unique_state_count() as u64);
    // `machine_rules` is never violated, so it did not stop early; the deadlock it sees as well.
    assert!(
        theirs.discovery("machine_rules").is_none() && theirs.discovery("no_deadlock").is_some()
    );
}

#[test]
fn the_protocol_allows_nothing_that_the_code_never_does() {
    for (design, env) in [
        ("tracked", "split+thp"),
        ("v2.6.37", "nosplit"),
        ("tracked", "hypercall"),
    ] {
        let mut refinement = refinement(config(design, env, "everything"));
        refine(&mut refinement, &Options::default());
        let missing = coverage::missing(&refinement, &Arc::default()).expect("not cancelled");
        assert!(
            missing.iter().all(|m| m.reason.is_some()),
            "{design} {env}: {missing:#?}"
        );
    }
}

#[test]
fn steps_that_were_never_taken_are_holes_in_the_interrupt_state_they_were_missed_in() {
    // Cut off after the shortest runs: what comes late in a program was not taken, what comes first was.
    let mut refinement = refinement(config("tracked", "split", "everything"));
    let few = Options {
        max_states: Some(1000),
        ..Options::threads(1)
    };
    assert_eq!(refine(&mut refinement, &few).refines(), Verdict::Incomplete);
    let missing = coverage::missing(&refinement, &Arc::default()).expect("not cancelled");
    let hole = |program, irqs| {
        missing
            .iter()
            .any(|m| m.program == program && m.place.irqs == irqs && m.reason.is_none())
    };
    // No IPI was handled to its end; every operation was begun.
    assert!(hole(ProgramId::FlushTlbInterrupt, Irqs::In), "{missing:#?}");
    let begun = |m: &coverage::Missing| m.place.irqs != Irqs::On || m.place.pc > 0;
    assert!(missing.iter().all(begun), "{missing:#?}");
}

#[test]
fn few_preemptions_and_random_runs_find_what_all_runs_contain() {
    let mut refinement = refinement(config("v2.6.37", "nosplit", "aging"));
    let deadlock = 1
        << PROPERTIES
            .iter()
            .position(|p| p.name == "no_deadlock")
            .unwrap();
    // Without a preemption CPU0 runs its program to the end before CPU1 begins, unless it blocks: awaiting the
    // acknowledgement it does, and the deadlock needs no more.
    let bounded = Bounded {
        refinement: &refinement,
        most: 0,
    };
    let outcome = search(
        &bounded,
        |b: &Bounded<'_>, at: &Within| b.refinement.facts(&at.joint),
        &Options::default(),
    );
    assert!(outcome.complete && outcome.hit(0).is_some());

    let found = random::explore(&mut refinement, 1, 10_000, deadlock, &Options::default());
    let (run, _) = found.failing.expect("one run in a few hundred hangs");
    // Made small: a shortest one has 10 steps and 1 switch.
    assert!(run.actions.len() <= 12, "{run:?}");
    let again = random::explore(&mut refinement, 1, 10_000, deadlock, &Options::default());
    assert_eq!(
        (again.runs, again.steps),
        (found.runs, found.steps),
        "the seed decides"
    );
}

/// 3 CPUs, 2 mms, 2 operations each: far too many states to explore, and histories of the code part early.
fn large() -> Config {
    let environment = Environment {
        cpus: 3,
        mms: 2,
        ops_per_cpu: 2,
        ..Environment::named("split+thp").expect("a named environment")
    };
    let workload = Workload::parse("everything", &environment).expect("a workload");
    let design = Design::named("tracked").expect("a named design");
    Config::new(design, environment, workload, VariantSet::NONE).expect("a configuration")
}

const OF_THE_CODE: u64 = 1 << MISFIT_BIT | 1 << STUCK_DIFFERS_BIT | 1 << NOTICED_BIT;

#[test]
fn random_runs_never_blame_the_code_for_histories_that_were_taken_for_one() {
    let mut merged = refinement(large());
    let found = random::explore(&mut merged, 1, 200, OF_THE_CODE, &Options::default());
    assert_eq!(found.failing, None);
    assert!(found.repeated > 0, "nothing diverged: this shows nothing");
    // The very runs of code whose points are never taken for one.
    let mut apart = refinement(large());
    apart.code.code.keep_apart();
    let straight = random::explore(&mut apart, 1, 200, OF_THE_CODE, &Options::default());
    assert_eq!((found.runs, found.steps), (straight.runs, straight.steps));
}

/// Code that looks at something else than its answers.
struct Moody(AtomicU64);

impl Code for Moody {
    fn operation<M: Machine>(&self, machine: &M, operation: Operation) {
        let axes = shootdown_impl::design::Axes::named("tracked").expect("a design");
        if self.0.fetch_add(1, Relaxed).is_multiple_of(7) {
            let _ = machine.load(
                machine
                    .kernel()
                    .word(shootdown_impl::kernel::Loc::InitEntry),
            );
        }
        axes.operation(machine, operation);
    }
    fn interrupt<M: Machine>(&self, machine: &M, vector: Vector) {
        shootdown_impl::design::Axes::named("tracked")
            .expect("a design")
            .interrupt(machine, vector);
    }
}

#[test]
fn code_that_is_no_function_of_its_answers_makes_the_run_void() {
    let moody = Arc::new(Moody(AtomicU64::new(1)));
    let mut refinement = Refinement::new(config("tracked", "nosplit", "aging"), moody);
    let result = refine(
        &mut refinement,
        &Options {
            max_states: Some(20_000),
            ..Options::default()
        },
    );
    assert!(result.nondeterminism.is_some());
    assert_eq!(result.refines(), Verdict::Violated);
}

/// Code whose flushes do nothing.
struct NeverFlushes;

struct NoFlush<'m, M> {
    inner: &'m M,
}

impl<M: Machine> Machine for NoFlush<'_, M> {
    forward_machine!(inner: kernel env this_cpu load load_stable store fetch_or fetch_and fetch_add hypervisor_store
        ticket_draw ticket_wait ticket_release read_lock read_unlock write_lock write_unlock await_zero
        local_irq_save local_irq_restore send_ipi
        tlb_state load_cr3 set_lazy clear_lazy leave_mm hypercall_flush user_access begin end observe);

    fn flush_tlb_local(&self, _: shootdown_impl::tlb::Scope) {}
}

impl Code for NeverFlushes {
    fn operation<M: Machine>(&self, machine: &M, operation: Operation) {
        let axes = shootdown_impl::design::Axes::named("v2.6.38").expect("a design");
        axes.operation(&NoFlush { inner: machine }, operation);
    }
    fn interrupt<M: Machine>(&self, machine: &M, vector: Vector) {
        let axes = shootdown_impl::design::Axes::named("v2.6.38").expect("a design");
        axes.interrupt(&NoFlush { inner: machine }, vector);
    }
}

#[test]
fn a_flush_that_does_nothing_is_told_with_the_protocols_lines_beside_the_code() {
    let config = config("v2.6.38", "nosplit", "page_referenced_one_pte");
    let mut refinement = Refinement::new(config, Arc::new(NeverFlushes));
    let result = refine(&mut refinement, &Options::default());
    let inclusion = result.relation("trace_inclusion").unwrap();
    assert_eq!(inclusion.verdict, Verdict::Violated);
    let run = &inclusion.counterexample.as_ref().unwrap().trace;
    let failure = refinement.explain(run).unwrap();
    insta::assert_snapshot!(failure.text(&refinement));
    let outcome = search(
        &refinement,
        |r: &Refinement, s| r.facts(s),
        &Options::default(),
    );
    assert!(outcome.hit(MISFIT_BIT).is_some());
}

/// Code that populates every huge pmd with the table of mm0.
struct OneTableForAll;

struct TableOfMm0<'m, M> {
    inner: &'m M,
}

impl<M: Machine> Machine for TableOfMm0<'_, M> {
    forward_machine!(inner: kernel env this_cpu load load_stable fetch_or fetch_and fetch_add hypervisor_store
        ticket_draw ticket_wait ticket_release read_lock read_unlock write_lock write_unlock await_zero
        local_irq_save local_irq_restore send_ipi flush_tlb_local
        tlb_state load_cr3 set_lazy clear_lazy leave_mm hypercall_flush user_access begin end observe);

    fn store(&self, word: &Word, value: u64) {
        let kernel = self.kernel();
        let is_huge_pmd = (0..2).any(|mm| {
            let pmd = kernel.word(Loc::UserEntry(MmId(mm), Slot::Huge));
            std::ptr::eq(pmd, word)
        });
        let entry = Entry(value);
        let of_mm0 = kernel.address_of(&kernel.tables[0].deposited);
        let value = match is_huge_pmd && entry.present() && !entry.trans_huge() {
            true => Entry::table(of_mm0).0,
            false => value,
        };
        self.inner.store(word, value);
    }
}

impl Code for OneTableForAll {
    fn operation<M: Machine>(&self, machine: &M, operation: Operation) {
        let axes = shootdown_impl::design::Axes::named("tracked").expect("a design");
        axes.operation(&TableOfMm0 { inner: machine }, operation);
    }
    fn interrupt<M: Machine>(&self, machine: &M, vector: Vector) {
        let axes = shootdown_impl::design::Axes::named("tracked").expect("a design");
        axes.interrupt(&TableOfMm0 { inner: machine }, vector);
    }
}

fn splits(mm: u8, code: Arc<dyn Runnable>) -> RefineResult {
    let environment = Environment {
        mms: 2,
        ..Environment::named("split+thp").expect("a named environment")
    };
    let workload = format!("mm{mm}=split_huge_page@mm{mm}/mm{mm}=user_access_huge");
    let workload = Workload::parse(&workload, &environment).expect("a workload");
    let design = Design::named("tracked").expect("a named design");
    let config = Config::new(design, environment, workload, VariantSet::NONE);
    let mut refinement = Refinement::new(config.expect("it makes sense"), code);
    refine(&mut refinement, &Options::default())
}

#[test]
fn a_pmd_populated_with_another_mms_table_is_noticed() {
    let inclusion = |mm, code| {
        let result = splits(mm, code);
        result
            .relation("trace_inclusion")
            .expect("it is judged")
            .verdict
    };
    assert_eq!(inclusion(0, Arc::new(OneTableForAll)), Verdict::Holds);
    assert_eq!(inclusion(1, Arc::new(OneTableForAll)), Verdict::Violated);
    let straight = shootdown_impl::design::Axes::named("tracked").expect("a design");
    assert_eq!(inclusion(1, Arc::new(straight)), Verdict::Holds);
}
