//! The order proof against the search, on small protocols made at random: whatever the search finds stuck must not be
//! proven.

use proptest::prelude::*;
use shootdown_ir::check::{Verdict, check};
use shootdown_ir::compile::compile;
use shootdown_ir::explore::Bounds;
use shootdown_ir::machine::Machine;
use shootdown_ir::order::{Order, Proof};
use shootdown_ir::*;

/// A statement of a task or a handler, with what belongs to it around the statements inside.
#[derive(Clone, Debug)]
enum Stmt {
    Locked(u32, Mode, Vec<Stmt>),
    IrqsOff(Vec<Stmt>),
    NoPreempt(Vec<Stmt>),
    NoBh(Vec<Stmt>),
    Call(bool),
    Flush(u32),
    SetFlag,
    AwaitFlag(bool),
    Polled(u32, Vec<Stmt>),
    Choose(Vec<Stmt>),
    RcuRead(Vec<Stmt>),
    Synchronize,
}

fn stmts(depth: u32) -> BoxedStrategy<Vec<Stmt>> {
    let leaf = prop_oneof![
        3 => any::<bool>().prop_map(Stmt::Call),
        1 => (0..2u32).prop_map(Stmt::Flush),
        1 => Just(Stmt::SetFlag),
        1 => any::<bool>().prop_map(Stmt::AwaitFlag),
        1 => Just(Stmt::Synchronize),
        2 => (0..4u32, mode()).prop_map(|(l, m)| Stmt::Locked(l, m, vec![])),
    ];
    if depth == 0 {
        return proptest::collection::vec(leaf, 0..2).boxed();
    }
    let inner = stmts(depth - 1);
    let nest = prop_oneof![
        2 => leaf,
        5 => (0..4u32, mode(), inner.clone()).prop_map(|(l, m, s)| Stmt::Locked(l, m, s)),
        2 => inner.clone().prop_map(Stmt::IrqsOff),
        1 => inner.clone().prop_map(Stmt::NoPreempt),
        1 => inner.clone().prop_map(Stmt::NoBh),
        1 => (0..1u32, inner.clone()).prop_map(|(l, s)| Stmt::Polled(l, s)),
        1 => inner.clone().prop_map(Stmt::Choose),
        1 => inner.prop_map(Stmt::RcuRead),
    ];
    proptest::collection::vec(nest, 1..3).boxed()
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Exclusive), Just(Mode::Shared)]
}

fn lock(l: u32) -> LockRef {
    LockRef {
        lock: LockId(l),
        index: None,
    }
}

const HANDLER: SourceId = SourceId(3);
const FLAG: VarId = VarId(0);

fn emit(out: &mut Vec<Op>, all: &[Stmt], flags: VarId) {
    let others = Expr::Unary(
        Unary::Complement,
        Box::new(Expr::Const(1).op(Binary::Shl, Expr::ThisCpu)),
    );
    for s in all {
        match s {
            Stmt::Locked(l, mode, inner) => {
                // The first and the last are a spinlock and a mutex; they know one mode.
                let mode = if *l == 0 || *l == 3 {
                    Mode::Exclusive
                } else {
                    *mode
                };
                out.push(Op::Lock(lock(*l), mode));
                emit(out, inner, flags);
                out.push(Op::Unlock(lock(*l), mode));
            }
            Stmt::IrqsOff(inner) => {
                out.push(Op::Irq(IrqOp::Save(Place::of(flags))));
                // One variable keeps the flag: nothing inside saves it again.
                let inner: Vec<Stmt> = inner.iter().filter(|s| !saves(s)).cloned().collect();
                emit(out, &inner, flags);
                out.push(Op::Irq(IrqOp::Restore(Place::of(flags))));
            }
            Stmt::NoPreempt(inner) => {
                out.push(Op::PreemptDisable(true));
                emit(out, inner, flags);
                out.push(Op::PreemptDisable(false));
            }
            Stmt::NoBh(inner) => {
                out.push(Op::BhDisable(true));
                emit(out, inner, flags);
                out.push(Op::BhDisable(false));
            }
            Stmt::Call(wait) => {
                let csd = Csd::PerTarget;
                out.push(Op::CrossCall {
                    to: others.clone(),
                    handler: HANDLER,
                    csd: csd.clone(),
                });
                if *wait {
                    out.push(Op::AwaitAcks {
                        from: others.clone(),
                        handler: HANDLER,
                        csd,
                    });
                }
            }
            Stmt::Flush(source) => out.push(Op::Sync {
                sources: vec![SourceId(4 + source % 2)],
                pending: false,
                cancel: false,
                sleeps: false,
            }),
            Stmt::SetFlag => out.push(Op::Update(vec![Set {
                when: None,
                place: Place::of(FLAG),
                value: Expr::Const(1),
            }])),
            Stmt::AwaitFlag(sleeps) => out.push(Op::Await {
                until: Expr::var(FLAG),
                sleeps: *sleeps,
                then: vec![],
            }),
            Stmt::Polled(l, inner) => {
                // do { } while (!spin_trylock(l))
                let at = out.len();
                out.push(Op::TryLock {
                    lock: lock(*l),
                    mode: Mode::Exclusive,
                    otherwise: at + 2,
                });
                out.push(Op::Goto(at + 3));
                out.push(Op::Goto(at));
                emit(out, inner, flags);
                out.push(Op::Unlock(lock(*l), Mode::Exclusive));
            }
            Stmt::Choose(inner) => {
                let at = out.len();
                out.push(Op::Choose(vec![]));
                emit(out, inner, flags);
                let end = out.len();
                out.push(Op::Update(vec![]));
                out[at] = Op::Choose(vec![at + 1, end]);
            }
            Stmt::RcuRead(inner) => {
                out.push(Op::RcuRead(true));
                emit(out, inner, flags);
                out.push(Op::RcuRead(false));
            }
            Stmt::Synchronize => out.push(Op::SynchronizeRcu),
        }
    }
}

fn saves(s: &Stmt) -> bool {
    match s {
        Stmt::IrqsOff(_) => true,
        Stmt::Locked(.., inner)
        | Stmt::Polled(_, inner)
        | Stmt::NoPreempt(inner)
        | Stmt::NoBh(inner)
        | Stmt::Choose(inner)
        | Stmt::RcuRead(inner) => inner.iter().any(saves),
        _ => false,
    }
}

fn protocol(
    parts: Vec<Vec<Stmt>>,
    kinds: (Kind, Kind),
    fairness: Fairness,
    preempt: Preempt,
) -> Protocol {
    let (first, second) = kinds;
    let sources = [
        ("first", Kind::Task, Some(0)),
        ("second", Kind::Task, Some(1)),
        ("third", Kind::Task, Some(1)),
        ("handler", Kind::Ipi, None),
        ("here", first, Some(0)),
        ("there", second, Some(1)),
    ];
    let mut vars = vec![Var {
        name: "flag".into(),
        storage: Storage::Global,
        len: None,
        lo: 0,
        hi: 1,
        declared_range: true,
        init: vec![0],
        is_mask: false,
        span: Span::default(),
    }];
    let sources =
        sources
            .into_iter()
            .zip(parts)
            .enumerate()
            .map(|(i, ((name, kind, on), part))| {
                vars.push(Var {
                    name: format!("flags_{name}"),
                    storage: Storage::Local(SourceId(i as u32)),
                    ..vars[0].clone()
                });
                let mut ops = Vec::new();
                emit(&mut ops, &part, VarId(i as u32 + 1));
                ops.push(Op::Return);
                Source {
                    name: name.into(),
                    kind,
                    on,
                    fires: if kind == Kind::Ipi {
                        Fires::Raised
                    } else {
                        Fires::Times(1)
                    },
                    program: ops
                        .into_iter()
                        .map(|op| Line {
                            access: shootdown_ir::Access::Plain,
                            text: Text {
                                statement: format!("{op:?}"),
                                ..Text::default()
                            },
                            op,
                            span: Span::default(),
                        })
                        .collect(),
                    span: Span::default(),
                }
            });
    let sources: Vec<Source> = sources.collect();
    let kinds = [
        LockKind::Spin,
        LockKind::Rw(fairness),
        LockKind::RwSem,
        LockKind::Mutex,
    ];
    Protocol {
        memory: shootdown_ir::Memory::Sc,
        name: "random".into(),
        file: String::new(),
        cpus: 2,
        preempt,
        vars,
        locks: kinds
            .into_iter()
            .enumerate()
            .map(|(i, kind)| Lock {
                name: format!("l{i}"),
                kind,
                len: None,
                per_cpu: false,
                span: Span::default(),
            })
            .collect(),
        sources,
        invariants: vec![],
        rules: vec![],
        expect: None,
    }
}

fn handlers() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Irq),
        Just(Kind::Softirq),
        Just(Kind::Nmi),
        Just(Kind::Stopper),
        Just(Kind::Work)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn what_the_search_finds_stuck_is_never_proven(
        tasks in proptest::collection::vec(stmts(2), 2),
        third in prop_oneof![2 => Just(vec![]), 1 => stmts(1)],
        rest in proptest::collection::vec(prop_oneof![1 => Just(vec![]), 2 => stmts(1)], 3),
        kinds in (handlers(), handlers()),
        fairness in prop_oneof![Just(Fairness::ReaderPref), Just(Fairness::Fair), Just(Fairness::Strict)],
        preempt in prop_oneof![Just(Preempt::Full), Just(Preempt::None)],
    ) {
        let p = protocol(tasks.into_iter().chain([third]).chain(rest).collect(), kinds, fairness, preempt);
        // Cheap first: what is not proven need not be searched.
        if Order::of(&p).proof() == Proof::Acyclic {
            let system = compile(&p).expect("it compiles");
            let machine = Machine::new(&system);
            let outcome = check(&p, &machine, Bounds { states: Some(30_000), ..Bounds::default() });
            let verdict = outcome.result("no_deadlock").map(|r| r.verdict);
            prop_assert_ne!(verdict, Some(Verdict::Violated), "{:#?}", p.sources.iter().map(|s| (&s.name, s.kind, s.program.iter().map(|l| &l.text.statement).collect::<Vec<_>>())).collect::<Vec<_>>());
        }
    }
}

/// More with `SHOOTDOWN_CASES`.
fn cases() -> u32 {
    std::env::var("SHOOTDOWN_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(400)
}
