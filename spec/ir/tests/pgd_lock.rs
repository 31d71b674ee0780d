//! The deadlock of 2011, built by hand: what the instructions mean where interrupts, locks and an IPI meet.

use shootdown_ir::check::{Outcome, Verdict, Violation, check};
use shootdown_ir::compile::compile;
use shootdown_ir::explore::Bounds;
use shootdown_ir::machine::Machine;
use shootdown_ir::report::{ReplayError, Story, TextOptions};
use shootdown_ir::run::shortest;
use shootdown_ir::*;

const FLUSH: VarId = VarId(0);
const FLAGS: VarId = VarId(1);
const PTL: LockId = LockId(1);
const PGD: LockId = LockId(0);

fn line(op: Op, statement: &str) -> Line {
    Line {
        access: shootdown_ir::Access::Plain,
        op,
        text: Text {
            statement: statement.into(),
            ..Text::default()
        },
        span: Span::default(),
    }
}

fn lock(lock: LockId) -> LockRef {
    LockRef { lock, index: None }
}

fn var(name: &str, storage: Storage, hi: i64) -> Var {
    Var {
        name: name.into(),
        storage,
        len: None,
        lo: 0,
        hi,
        declared_range: true,
        init: vec![0],
        is_mask: hi > 1,
        span: Span::default(),
    }
}

fn source(name: &str, kind: Kind, on: Option<usize>, program: Vec<(Op, &str)>) -> Source {
    Source {
        name: name.into(),
        kind,
        on,
        fires: if kind == Kind::Ipi {
            Fires::Raised
        } else {
            Fires::Times(1)
        },
        program: program
            .into_iter()
            .map(|(op, text)| line(op, text))
            .collect(),
        span: Span::default(),
    }
}

/// Page aging on CPU0 against the walk on CPU1, which takes `pgd_lock` with interrupts off or on.
fn protocol(irqsave: bool) -> Protocol {
    let handler = SourceId(2);
    let mut walk = vec![
        (Op::Irq(IrqOp::Save(Place::of(FLAGS))), "local_irq_save"),
        (Op::Lock(lock(PGD), Mode::Exclusive), "spin_lock(&pgd_lock)"),
        (Op::Lock(lock(PTL), Mode::Exclusive), "spin_lock(pgt_lock)"),
        (Op::Unlock(lock(PTL), Mode::Exclusive), "spin_unlock"),
        (Op::Unlock(lock(PGD), Mode::Exclusive), "spin_unlock"),
        (
            Op::Irq(IrqOp::Restore(Place::of(FLAGS))),
            "local_irq_restore",
        ),
        (Op::Return, "return"),
    ];
    if !irqsave {
        walk.remove(5);
        walk.remove(0);
    }
    let clear_own = Expr::var(FLUSH).op(
        Binary::BitAnd,
        Expr::Unary(
            Unary::Complement,
            Box::new(Expr::Const(1).op(Binary::Shl, Expr::ThisCpu)),
        ),
    );
    let set = |value| {
        vec![protocol::Set {
            when: None,
            place: Place::of(FLUSH),
            value,
        }]
    };
    Protocol {
        memory: shootdown_ir::Memory::Sc,
        name: "by hand".into(),
        file: String::new(),
        cpus: 2,
        preempt: Preempt::Full,
        vars: vec![
            var("flush_cpumask", Storage::Global, 3),
            var("flags", Storage::Local(SourceId(1)), 1),
        ],
        locks: ["pgd_lock", "page_table_lock"]
            .map(|name| Lock {
                name: name.into(),
                kind: LockKind::Spin,
                len: None,
                per_cpu: false,
                span: Span::default(),
            })
            .into(),
        sources: vec![
            source(
                "page_referenced_one",
                Kind::Task,
                Some(0),
                vec![
                    (Op::Lock(lock(PTL), Mode::Exclusive), "spin_lock"),
                    (Op::Update(set(Expr::Const(2))), "flush_cpumask = others"),
                    (
                        Op::SendIpi {
                            to: Expr::var(FLUSH),
                            handler,
                        },
                        "send_ipi",
                    ),
                    (
                        Op::Await {
                            until: Expr::var(FLUSH).equals(Expr::Const(0)),
                            sleeps: false,
                            then: vec![],
                        },
                        "while (!cpumask_empty(flush_cpumask)) cpu_relax()",
                    ),
                    (Op::Unlock(lock(PTL), Mode::Exclusive), "spin_unlock"),
                    (Op::Return, "return"),
                ],
            ),
            source("vmalloc_sync_all", Kind::Task, Some(1), walk),
            source(
                "smp_invalidate_interrupt",
                Kind::Ipi,
                None,
                vec![
                    (Op::Update(set(clear_own)), "cpumask_clear_cpu"),
                    (Op::Return, "return"),
                ],
            ),
        ],
        invariants: vec![],
        rules: vec![Rule::Strict, Rule::Upstream],
        expect: None,
    }
}

fn checked(p: &Protocol) -> (Outcome, usize) {
    let system = compile(p).expect("it compiles");
    let machine = Machine::new(&system);
    let outcome = check(p, &machine, Bounds::default());
    let steps = outcome
        .result("no_deadlock")
        .and_then(|r| r.violation.as_ref())
        .map_or(0, |v| {
            shortest(&machine, &outcome.graph, v.state()).steps.len()
        });
    (outcome, steps)
}

#[test]
fn interrupts_off_in_the_walk_deadlock_in_six_steps() {
    // CPU0: lock, update, send; then it waits. CPU1: save, lock pgd_lock, queue for page_table_lock.
    let (outcome, steps) = checked(&protocol(true));
    let result = outcome.result("no_deadlock").expect("always judged");
    assert_eq!(result.verdict, Verdict::Violated);
    assert!(matches!(result.violation, Some(Violation::Stuck(..))));
    assert_eq!(steps, 6);
    for rule in [
        "no_lock_held_across_ipi_wait",
        "no_irqs_off_wait_for_flush_lock",
    ] {
        assert_eq!(
            outcome.result(rule).map(|r| r.verdict),
            Some(Verdict::Violated)
        );
    }
}

#[test]
fn interrupts_on_in_the_walk_do_not_deadlock() {
    let (outcome, _) = checked(&protocol(false));
    for kept in [
        "no_irqs_off_wait_for_flush_lock",
        "no_lock_cycle",
        "progress",
    ] {
        assert_eq!(
            outcome.result(kept).map(|r| r.verdict),
            Some(Verdict::Holds),
            "{kept}"
        );
    }
    assert_eq!(
        outcome
            .result("no_lock_held_across_ipi_wait")
            .map(|r| r.verdict),
        Some(Verdict::Violated)
    );
    assert_eq!(
        outcome.result("no_deadlock").map(|r| r.verdict),
        Some(Verdict::Holds)
    );
}

#[test]
fn the_report_tells_the_cycle_and_its_string_replays_it() {
    let p = protocol(true);
    let system = compile(&p).expect("it compiles");
    let machine = Machine::new(&system);
    let outcome = check(&p, &machine, Bounds::default());
    let result = outcome.result("no_deadlock").expect("always judged");
    let story = Story::counterexample(&p, &machine, &outcome, result).expect("it is violated");
    insta::assert_snapshot!(story.text(&TextOptions::default()));

    let (again, refused) =
        Story::replay(&p, &machine, &story.schedule()).expect("it has the right form");
    assert_eq!(refused, None);
    assert_eq!(again.schedule(), story.schedule());
    assert_eq!(again.state(again.end()), story.state(story.end()));
}

#[test]
fn a_replay_stops_at_the_first_step_that_is_not_possible_and_says_why() {
    let p = protocol(true);
    let system = compile(&p).expect("it compiles");
    let machine = Machine::new(&system);
    let replay = |text: &str| Story::replay(&p, &machine, text);
    // Page aging holds the lock and awaits the IPI: its fourth step has to wait.
    let (story, refused) = replay("0:page_referenced_one*4").expect("it has the right form");
    assert_eq!(story.len(), 3);
    let why = refused.expect("it waits").to_string();
    assert!(
        why.starts_with("step 4, page_referenced_one on CPU0: not possible: it spins in"),
        "{why}"
    );
    for wrong in [
        "page_referenced_one",
        "0:page_referenced_one*x",
        "0:nobody",
        "9:vmalloc_sync_all",
    ] {
        assert!(replay(wrong).is_err(), "{wrong}");
    }
    // A circle that does not close is none.
    let (_, open) = replay("0:page_referenced_one | 0:page_referenced_one").expect("form");
    assert!(matches!(open, Some(ReplayError::Open(2))));
}

/// Two tasks of one CPU: one spins until the other has set a flag.
fn spinner(preempt: Preempt) -> Protocol {
    let mut p = protocol(false);
    p.preempt = preempt;
    p.cpus = 1;
    p.vars.truncate(1);
    p.rules.clear();
    p.sources = vec![
        source(
            "spinner",
            Kind::Task,
            Some(0),
            vec![
                (
                    Op::Await {
                        until: Expr::var(FLUSH).op(Binary::Ne, Expr::Const(0)),
                        sleeps: false,
                        then: vec![],
                    },
                    "while (!go) cpu_relax()",
                ),
                (Op::Return, "return"),
            ],
        ),
        source(
            "setter",
            Kind::Task,
            Some(0),
            vec![
                (
                    Op::Update(vec![protocol::Set {
                        when: None,
                        place: Place::of(FLUSH),
                        value: Expr::Const(1),
                    }]),
                    "go = 1",
                ),
                (Op::Return, "return"),
            ],
        ),
    ];
    p
}

#[test]
fn without_preemption_a_thread_that_spins_keeps_its_cpu() {
    for (preempt, verdict) in [
        (Preempt::None, Verdict::Violated),
        (Preempt::Full, Verdict::Holds),
    ] {
        let (outcome, _) = checked(&spinner(preempt));
        assert_eq!(
            outcome.result("no_deadlock").map(|r| r.verdict),
            Some(verdict),
            "{preempt:?}"
        );
    }
}
