//! The verdict on every property of a protocol.

use crate::explore::{Bounds, Cut, Graph, explore, explore_reduced, go_on};
use crate::machine::Machine;
use crate::progress::{any_circle, circle};
use crate::protocol::{Op, Protocol, Rule};
use crate::reduce::{Asked, Reducer, Reductions};
use crate::stuck::Future;
use crate::system::{Check, ContextId, Part, What};
use crate::waits::{Wait, Waits};

/// Whether a property is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every reachable state was seen, none violates it, and what it is about does happen.
    Holds,
    /// A reachable state, or a fair circle, violates it.
    Violated,
    /// Nothing violates it, but what it is about never happens.
    Vacuous,
    /// The exploration was cut off, and nothing seen until then violates it.
    Incomplete,
}

impl Verdict {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Violated => "violated",
            Verdict::Vacuous => "vacuous",
            Verdict::Incomplete => "incomplete",
        }
    }
}

/// Where a property is violated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// In this state, at the place of this context if it is about one.
    State(u32, Option<ContextId>),
    /// In this state these contexts (a set) can never move again.
    Stuck(u32, u64),
    /// On this circle, which the run reaches at its first state.
    Circle(Vec<u32>),
}

impl Violation {
    /// The state that a run to the violation leads to.
    pub fn state(&self) -> u32 {
        match self {
            Violation::State(number, _) | Violation::Stuck(number, _) => *number,
            Violation::Circle(states) => states[0],
        }
    }
}

/// A property and what came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Result {
    /// The property's name.
    pub name: String,
    /// Whether it is kept.
    pub verdict: Verdict,
    /// Where it is violated, shortest run first.
    pub violation: Option<Violation>,
}

/// The result of checking one protocol.
#[derive(Debug)]
pub struct Outcome {
    /// Every property that applies, in the order of reports.
    pub results: Vec<Result>,
    /// Everything that was seen.
    pub graph: Graph,
    /// What was declared and never happened, in words: a source that never ran, an assertion that was never reached.
    pub unreached: Vec<String>,
}

impl Outcome {
    /// Why the exploration is not complete.
    pub fn cut(&self) -> Option<&Cut> {
        self.graph.cut.as_ref()
    }

    /// The result of a property.
    pub fn result(&self, name: &str) -> Option<&Result> {
        self.results.iter().find(|r| r.name == name)
    }

    /// The violated properties.
    pub fn violated(&self) -> impl Iterator<Item = &Result> {
        self.results
            .iter()
            .filter(|r| r.verdict == Verdict::Violated)
    }
}

/// Checks every property that applies to the protocol.
pub fn check(protocol: &Protocol, machine: &Machine<'_>, bounds: Bounds<'_>) -> Outcome {
    judge(protocol, machine, explore(machine, bounds))
}

/// The same, going on from what was explored: [`read`](crate::explore::read) gives that.
pub fn check_from(
    protocol: &Protocol,
    machine: &Machine<'_>,
    bounds: Bounds<'_>,
    from: Graph,
) -> Outcome {
    judge(protocol, machine, go_on(machine, bounds, from))
}

/// Checks them on states that stand for others, and says which reductions had an effect.
///
/// A reduced search is trusted with what it is made for: that nothing is violated, and that no run goes round in circles.
/// Anything else is left to the full search, so that runs are those of [`check`]; where that is cut off, too, it is what
/// is returned.
pub fn check_reduced(
    protocol: &Protocol,
    machine: &Machine<'_>,
    bounds: Bounds<'_>,
    which: Reductions,
) -> (Outcome, Reductions) {
    let reducer = Reducer::new(machine, &asked(machine), which, &[]);
    let used = reducer.used();
    if used.any() {
        let graph = explore_reduced(machine, bounds, Some(&reducer));
        // Dead values leave circles as they are; steps taken at once do not say whose turn it was.
        let circles = graph.folded || used.por && any_circle(machine, &graph);
        let outcome = judge(protocol, machine, graph);
        if !circles && outcome.cut().is_none() && outcome.violated().next().is_none() {
            return (outcome, used);
        }
    }
    (check(protocol, machine, bounds), Reductions::NONE)
}

/// What is asked of states. Declared variables are looked at where steps and promises name them; of everything else, who
/// waits for whom may depend.
///
/// A context that can take a step waits for nobody, and nobody else's wait or promise depends on its own variables, its
/// place, or what its CPU counts while it executes: contexts that are interrupted or preempted wait all the same. Its own
/// promises are read with its step. The end of a program is looked at, as whoever can end is not on a circle.
pub fn asked<'a>(machine: &Machine<'a>) -> Asked<'a> {
    let system = machine.system();
    let busy = |cell| system.objects.calls.iter().any(|call| call.busy == cell);
    let cells = system.cells.iter().zip(0..);
    let cells = cells.map(|(cell, i)| (cell, crate::system::CellId(i)));
    let declared = |part| matches!(part, Part::Var(..) | Part::Local(..));
    let always = cells
        .clone()
        .filter(|(it, id)| !declared(it.part) || busy(*id));
    let mut promised = Vec::new();
    for invariant in &system.invariants {
        invariant
            .holds
            .each_read(&mut |r| promised.extend(r.cells()));
    }
    let silent = system.contexts.iter().enumerate().map(|(c, context)| {
        let its = |part| match part {
            Part::Local(of, ..) => of.index() == c,
            Part::Cpu(cpu) => cpu as usize == context.cpu,
            _ => false,
        };
        let cells = cells
            .clone()
            .filter(|(it, id)| its(it.part) && !promised.contains(id));
        cells.map(|(_, id)| id).collect()
    });
    Asked {
        always: always.map(|(_, id)| id).collect(),
        everywhere: Vec::new(),
        at: Vec::new(),
        silent: silent.collect(),
        unseen: Box::new(move |context, from, _| {
            let place = system.contexts[context.index()].place;
            let mut steps = system.contexts[context.index()].steps[from as usize].iter();
            let ends = steps.any(|&step| system.steps[step as usize].what == What::End);
            !ends && !promised.contains(&place)
        }),
    }
}

/// The verdicts that the states come to.
fn judge(protocol: &Protocol, machine: &Machine<'_>, graph: Graph) -> Outcome {
    let waits = Waits::new(protocol, machine);
    let happens = Happens::of(protocol, machine, &graph, &waits);
    let complete = graph.cut.is_none();
    let mut results = Vec::new();
    let mut add = |name: &str, violation: Option<Violation>, happens: bool| {
        let verdict = match &violation {
            Some(_) => Verdict::Violated,
            None if !complete => Verdict::Incomplete,
            None if happens => Verdict::Holds,
            None => Verdict::Vacuous,
        };
        results.push(Result {
            name: name.to_string(),
            verdict,
            violation,
        });
    };

    let future = Future::of(machine, &graph);
    let stuck = future
        .first_stuck(machine, &graph, &waits)
        .map(|(n, contexts)| Violation::Stuck(n, contexts));
    add("no_deadlock", stuck, happens.waits);
    // States from which a cut-off exploration knows no way on prove nothing.
    let fair = circle(machine, &graph).filter(|_| complete);
    add(
        "progress",
        fair.map(|c| Violation::Circle(c.states)),
        happens.loops,
    );

    if !protocol.locks.is_empty() {
        let upstream = protocol.rules.contains(&Rule::Upstream);
        let (lock_cycle, upstream_broken) = lock_waits(machine, &graph, &waits, upstream);
        add("no_lock_cycle", lock_cycle, happens.lock_waits);
        if protocol.rules.contains(&Rule::Strict) {
            let broken = (0..graph.len() as u32).find_map(|n| {
                let context = waits.lock_held_across_ipi_wait(graph.state(n))?;
                Some(Violation::State(n, Some(context)))
            });
            add("no_lock_held_across_ipi_wait", broken, happens.acks);
        }
        if upstream {
            add(
                "no_irqs_off_wait_for_flush_lock",
                upstream_broken,
                happens.lock_waits && happens.acks,
            );
        }
    }
    for check in Check::ALL {
        let (applies, happens) = happens.check(protocol, check);
        let failed = graph.failed.get(&check);
        if applies || failed.is_some() {
            let violation = failed.map(|&(n, context)| Violation::State(n, Some(context)));
            add(check.name(), violation, happens);
        }
    }
    for (i, invariant) in protocol.invariants.iter().enumerate() {
        let violation = graph.broken.get(&i).map(|&n| Violation::State(n, None));
        add(&invariant.name, violation, true);
    }
    Outcome {
        unreached: happens.unreached,
        results,
        graph,
    }
}

/// What a property is about: does it happen at all?
struct Happens {
    waits: bool,
    lock_waits: bool,
    loops: bool,
    acks: bool,
    sleeps: bool,
    asserts: bool,
    unlocks: bool,
    ends: bool,
    unreached: Vec<String>,
}

impl Happens {
    fn of(protocol: &Protocol, machine: &Machine<'_>, graph: &Graph, waits: &Waits<'_>) -> Happens {
        let system = machine.system();
        let mut h = Happens {
            waits: false,
            lock_waits: false,
            loops: true,
            acks: false,
            sleeps: false,
            asserts: false,
            unlocks: false,
            ends: false,
            unreached: Vec::new(),
        };
        let mut ran = vec![false; protocol.sources.len()];
        let mut lines: Vec<std::collections::BTreeMap<usize, bool>> =
            vec![Default::default(); protocol.sources.len()];
        for (c, context) in system.contexts.iter().enumerate() {
            let s = context.source.0 as usize;
            for (i, at) in context.places.iter().enumerate() {
                let reached = graph.reached[c][i + 1];
                ran[s] |= reached;
                if !at.queued {
                    *lines[s].entry(at.line).or_insert(false) |= reached;
                }
                if !reached {
                    continue;
                }
                h.acks |= waits.is_ipi_wait(ContextId(c as u32), at.line);
                match &protocol.sources[s].program[at.line].op {
                    Op::Lock(lock, _) => {
                        h.sleeps |= protocol.lock(lock.lock).kind.sleeps();
                        h.lock_waits |= at.queued;
                        h.waits |= at.queued;
                        h.lock_waits |= !protocol_queues(protocol, lock.lock);
                    }
                    Op::Await { sleeps, .. } | Op::Sync { sleeps, .. } => {
                        h.sleeps |= sleeps;
                        h.waits = true;
                    }
                    Op::AwaitAcks { .. } | Op::CrossCall { .. } => h.waits = true,
                    Op::SynchronizeRcu => {
                        h.sleeps = true;
                        h.waits = true;
                    }
                    Op::MightSleep | Op::Yield => h.sleeps = true,
                    Op::Assert { .. } => h.asserts = true,
                    Op::Unlock(..) | Op::Downgrade(_) => h.unlocks = true,
                    Op::Return => h.ends = true,
                    Op::Update(_)
                    | Op::Branch { .. }
                    | Op::Goto(_)
                    | Op::TryLock { .. }
                    | Op::Irq(_)
                    | Op::BhDisable(_)
                    | Op::PreemptDisable(_)
                    | Op::RcuRead(_)
                    | Op::SendIpi { .. }
                    | Op::Raise { .. }
                    | Op::Cancel(_)
                    | Op::Mask(..)
                    | Op::Choose(_) => {}
                }
            }
        }
        h.waits |= h.lock_waits;
        for (s, source) in protocol.sources.iter().enumerate() {
            let exists = system.contexts.iter().any(|c| c.source.0 as usize == s);
            if source.kind == crate::protocol::Kind::StoreBuffer {
                continue;
            }
            if exists && !ran[s] {
                h.unreached
                    .push(format!("{} `{}` never runs", source.kind, source.name));
                continue;
            }
            for (&line, &reached) in &lines[s] {
                let it = &source.program[line];
                if !reached && matches!(it.op, Op::Assert { .. }) {
                    h.unreached.push(format!(
                        "line {}: `{}` is never reached",
                        it.span.line, it.text.statement
                    ));
                }
            }
        }
        h
    }

    /// Does the check apply to the protocol, and does what it is about happen?
    fn check(&self, protocol: &Protocol, check: Check) -> (bool, bool) {
        let has = |what: &dyn Fn(&Op) -> bool| {
            protocol
                .sources
                .iter()
                .any(|s| s.program.iter().any(|line| what(&line.op)))
        };
        match check {
            Check::Assertion => (has(&|op| matches!(op, Op::Assert { .. })), self.asserts),
            Check::NoSleepInAtomic => {
                let sleeps = has(&|op| match op {
                    Op::Lock(lock, _) => protocol.lock(lock.lock).kind.sleeps(),
                    Op::Await { sleeps, .. } | Op::Sync { sleeps, .. } => *sleeps,
                    Op::SynchronizeRcu | Op::MightSleep | Op::Yield => true,
                    _ => false,
                });
                (sleeps, self.sleeps)
            }
            Check::IrqsOnWhileWaitingForIpi => {
                (has(&|op| matches!(op, Op::AwaitAcks { .. })), self.acks)
            }
            Check::UnlockHeld => (
                has(&|op| matches!(op, Op::Unlock(..) | Op::Downgrade(_))),
                self.unlocks,
            ),
            Check::Balance => (true, self.ends),
            Check::Range => (protocol.vars.iter().any(|v| v.declared_range), true),
        }
    }
}

fn protocol_queues(protocol: &Protocol, lock: crate::protocol::LockId) -> bool {
    protocol.lock(lock).kind != crate::protocol::LockKind::Mutex
}

/// The first state with a cycle of lock waits, and the first that breaks the upstream rule.
fn lock_waits(
    machine: &Machine<'_>,
    graph: &Graph,
    waits: &Waits<'_>,
    upstream: bool,
) -> (Option<Violation>, Option<Violation>) {
    let (mut cycle, mut broken) = (None, None);
    let contexts = machine.system().contexts.len();
    for number in 0..graph.len() as u32 {
        if cycle.is_some() && (broken.is_some() || !upstream) {
            break;
        }
        let state = graph.state(number);
        let lock_wait: Vec<Option<Wait>> = (0..contexts as u32)
            .map(|c| {
                waits
                    .wait(state, ContextId(c))
                    .filter(|w| matches!(w, Wait::Lock { .. } | Wait::Interrupted { .. }))
            })
            .collect();
        if !lock_wait
            .iter()
            .any(|w| matches!(w, Some(Wait::Lock { .. })))
        {
            continue;
        }
        if cycle.is_none()
            && let Some(set) = waiting_cycle(&lock_wait)
        {
            cycle = Some(Violation::Stuck(number, set));
        }
        if upstream && broken.is_none() {
            broken = waits
                .irqs_off_wait_for_flush_lock(state)
                .map(|context| Violation::State(number, Some(context)));
        }
    }
    (cycle, broken)
}

/// Contexts on a cycle of waits, of which each waits for one of the next ones.
fn waiting_cycle(waits: &[Option<Wait>]) -> Option<u64> {
    let onward: Vec<u64> = waits
        .iter()
        .map(|w| {
            w.as_ref()
                .map_or(0, |w| w.on().iter().fold(0, |set, c| set | 1 << c.0))
        })
        .collect();
    // What a context reaches; on a cycle if it reaches itself.
    for start in 0..waits.len() {
        if !matches!(waits[start], Some(Wait::Lock { .. })) {
            continue;
        }
        let (mut reached, mut todo) = (0u64, onward[start]);
        while todo != 0 {
            let next = todo.trailing_zeros() as usize;
            todo &= todo - 1;
            if reached >> next & 1 == 0 {
                reached |= 1 << next;
                todo |= onward[next] & !reached;
            }
        }
        if reached >> start & 1 == 1 {
            // Only those that lead back.
            let back = (0..waits.len()).filter(|&c| {
                reached >> c & 1 == 1 && {
                    let (mut seen, mut todo) = (0u64, onward[c]);
                    while todo != 0 {
                        let next = todo.trailing_zeros() as usize;
                        todo &= todo - 1;
                        if seen >> next & 1 == 0 {
                            seen |= 1 << next;
                            todo |= onward[next] & !seen;
                        }
                    }
                    seen >> start & 1 == 1
                }
            });
            return Some(back.fold(0, |set, c| set | 1 << c));
        }
    }
    None
}
