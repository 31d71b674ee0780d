//! Exploring the real code beside shuttle's depth-first search and loom, on the same small programs:
//! `cargo bench -p shootdown-refinement --bench exploration`.
//!
//! All of them run the compiled functions of `impl`; none runs a copy. What differs is the machine below: ours
//! announces operations to a search over states, shuttle and loom run whole executions on threads of their own and
//! start again for the next schedule. Neither of them knows interrupts. Here a CPU takes one that is pending where its
//! next operation would be, at once and never later (`polled`), so theirs is the smaller space: what is to be gained by
//! that is theirs. Ours has every moment at which an interrupt can hit, and every TLB fill of a hardware walker.
//!
//! Every run gets the same time, one thread, and says how it ended. `LIMIT=60` gives them more seconds. Times are one
//! machine's on one day; only counts and ratios mean something elsewhere.

mod in_loom;
mod in_shuttle;
mod polled;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use shootdown_impl::design::Axes;
use shootdown_impl::operation::Operation;
use shootdown_impl::sim::SimState;
use shootdown_refinement::code::model::CodeModel;
use shootdown_refinement::code::state::CodeState;
use shootdown_refinement::code::stuck::stuck;
use shootdown_refinement::map;
use shootdown_refinement::relation::joint::{Joint, Refinement};
use shootdown_spec::config::Config;
use shootdown_spec::design::Design;
use shootdown_spec::environment::Environment;
use shootdown_spec::search::{Options, search};
use shootdown_spec::variant::VariantSet;
use shootdown_spec::workload::Workload;
use stateright::{Checker, Model};

/// A script for every CPU, and the machine it starts on.
#[derive(Clone)]
pub struct Program {
    config: Config,
    /// The design's code.
    pub code: Axes,
    /// Memory and CPUs at the start.
    pub machine: SimState,
    /// By CPU: what it does, in order.
    pub scripts: Vec<Vec<Operation>>,
}

impl Program {
    /// A workload in which every CPU has one placement and at most one thing to do, `ops` times.
    fn new(design: &str, workload: &str, ops: u8) -> Self {
        let mut environment = Environment::named("nosplit").expect("a named environment");
        environment.ops_per_cpu = ops;
        let config = config(design, environment, workload);
        let [start] = config.starts() else {
            panic!("{workload} can start in several ways")
        };
        let code = map::config::axes(&config.design);
        let scripts = (0..config.cpus()).map(|cpu| {
            let choices = config.choices(cpu);
            assert!(choices.len() <= 1, "CPU{cpu} of {workload} has a choice");
            let operation = |&(program, mm)| map::program::operation(program, mm);
            let once: Vec<_> = choices.iter().filter_map(operation).collect();
            once.repeat(ops.into())
        });
        Self {
            code,
            machine: CodeModel::new(config.clone(), Arc::new(code))
                .initial(start)
                .machine,
            scripts: scripts.collect(),
            config,
        }
    }

    fn refinement(&self) -> Refinement {
        Refinement::new(self.config.clone(), Arc::new(self.code))
    }
}

fn config(design: &str, mut environment: Environment, workload: &str) -> Config {
    let workload = Workload::parse(workload, &environment).expect("a workload");
    if let Some(cpus) = workload.cpus() {
        environment.cpus = cpus as u8;
    }
    let design = Design::named(design).expect("a named design");
    Config::new(design, environment, workload, VariantSet::NONE).expect("a configuration")
}

/// How a run ended.
enum End {
    Exhausted,
    /// Somebody can never move again: after so many steps, or as the other tool says in its panic. Loom's bound on
    /// branches says less: who spins has not got on for so long.
    Hangs(String),
    GaveUp,
}

struct Ran {
    count: u64,
    unit: &'static str,
    seconds: f64,
    end: End,
}

/// Executions begun: of whichever tool runs.
pub static EXECUTIONS: AtomicU64 = AtomicU64::new(0);

/// Lets one of the other tools run, whose way to report a deadlock is a panic.
fn executions(limit: Duration, run: impl FnOnce()) -> Ran {
    EXECUTIONS.store(0, Relaxed);
    let began = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(run));
    let seconds = began.elapsed().as_secs_f64();
    let end = match ended {
        Err(why) => End::Hangs(panic_message(&*why)),
        Ok(()) if seconds >= limit.as_secs_f64() => End::GaveUp,
        Ok(()) => End::Exhausted,
    };
    Ran {
        count: EXECUTIONS.load(Relaxed),
        unit: "executions",
        seconds,
        end,
    }
}

fn panic_message(why: &(dyn Any + Send)) -> String {
    let text = why.downcast_ref::<&str>().map(|s| (*s).to_string());
    let text = text
        .or_else(|| why.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    // Up to where it lists threads or gives advice.
    text.split(['!', ';', '.', '\n'])
        .next()
        .unwrap_or_default()
        .to_string()
}

/// Explores until somebody hangs, or everything is seen, or the time is up.
fn states<M>(limit: Duration, model: &M, hangs: impl Fn(&M, &M::State) -> bool + Sync) -> Ran
where
    M: shootdown_spec::search::Scheduled + Sync,
    M::State: std::hash::Hash + Send + Sync,
{
    let options = Options {
        timeout: Some(limit),
        ..Options::threads(1)
    };
    let (cancel, began) = (options.cancel.clone(), Instant::now());
    let observe = |model: &M, state: &M::State| {
        let hangs = hangs(model, state);
        if hangs {
            cancel.store(true, Relaxed);
        }
        u64::from(hangs)
    };
    let outcome = search(model, observe, &options);
    let end = match (outcome.hit(0), outcome.complete) {
        (Some(hit), _) => End::Hangs(format!("in {} steps", hit.depth)),
        (None, true) => End::Exhausted,
        (None, false) => End::GaveUp,
    };
    Ran {
        count: outcome.unique,
        unit: "states",
        seconds: began.elapsed().as_secs_f64(),
        end,
    }
}

/// The code's own states; `reduce`: operations that need no scheduling point have none.
fn code_alone(limit: Duration, program: &Program, reduce: bool) -> Ran {
    let mut model = program.refinement().code;
    model.reduce = reduce;
    loop {
        let ran = states(limit, &model, |m, s: &CodeState| stuck(&m.code, s) != 0);
        assert!(model.code.nondeterminism().is_none());
        if model.code.diverged().is_empty() {
            return ran;
        }
        model.code = model.code.again();
    }
}

fn beside_the_protocol(limit: Duration, program: &Program) -> Ran {
    let mut model = program.refinement();
    loop {
        let ran = states(limit, &model, |r, s: &Joint| {
            stuck(&r.code.code, &s.code) != 0
        });
        assert!(model.code.code.nondeterminism().is_none());
        if model.code.code.diverged().is_empty() {
            return ran;
        }
        model.start_again();
    }
}

fn row(name: &str, ran: &Ran) {
    let end = match &ran.end {
        End::Exhausted => "exhausted".to_string(),
        End::Hangs(how) => format!("hangs: {how}"),
        End::GaveUp => "gave up".to_string(),
    };
    let count = format!("{} {}", ran.count, ran.unit);
    println!("  {name:<28}{count:>20}{:>9.3} s  {end}", ran.seconds);
}

const ONE: &str = "none=page_referenced_one_pte@mm0/mm0=idle";
const AGING: &str = "none=page_referenced_one_pte@mm0/mm0=vmalloc_sync_all";
const AGING_AND_RECLAIM: &str =
    "none=page_referenced_one_pte@mm0/mm0=vmalloc_sync_all/mm0=try_to_unmap_one@mm0";

fn main() {
    // Panics are how the other tools report a deadlock.
    std::panic::set_hook(Box::new(|_| {}));
    let seconds = std::env::var("LIMIT").ok().and_then(|s| s.parse().ok());
    let limit = Duration::from_secs(seconds.unwrap_or(20));
    println!("one thread, {} s each", limit.as_secs());
    const CORRECT: &str = "v2.6.38";
    const HANGS: &str = "v2.6.37";
    for (shape, workload, ops, designs) in [
        ("one operation, a CPU that answers", ONE, 1, &[CORRECT][..]),
        ("2 CPUs x 1 operation", AGING, 1, &[CORRECT, HANGS]),
        ("2 CPUs x 2 operations", AGING, 2, &[CORRECT, HANGS]),
        (
            "3 CPUs x 1 operation",
            AGING_AND_RECLAIM,
            1,
            &[CORRECT, HANGS],
        ),
    ] {
        for &design in designs {
            println!("\n{shape}, {design}: {workload}");
            let program = Program::new(design, workload, ops);
            row("code, every operation", &code_alone(limit, &program, false));
            row("code", &code_alone(limit, &program, true));
            row(
                "code beside the protocol",
                &beside_the_protocol(limit, &program),
            );
            row(
                "shuttle, depth first",
                &in_shuttle::depth_first(limit, &program),
            );
            if design == HANGS {
                row(
                    "shuttle, random, 20 seeds",
                    &in_shuttle::random(limit, &program),
                );
            }
            row("loom, atomics", &in_loom::atomics(limit, &program));
            row(
                "loom, mutex and condvar",
                &in_loom::condvar(limit, &program),
            );
        }
    }
    throughput();
}

/// How fast the exploration is where there is something to explore. Timed is the exploration that counts, from no point
/// of the code known to all; which histories have to be kept apart is known from one before it.
fn throughput() {
    let environment = Environment::named("split+thp").expect("a named environment");
    let config = config("tracked", environment, "everything");
    let code = map::config::axes(&config.design);
    let mut known = Refinement::new(config, Arc::new(code));
    loop {
        search(&known, |_, _: &Joint| 0, &Options::default());
        if known.code.code.diverged().is_empty() {
            break;
        }
        known.start_again();
    }
    println!("\ntracked, split+thp, everything: the exploration itself");
    println!(
        "  {:<32}{:>9}{:>13}{:>10}{:>15}{:>20}",
        "", "states", "transitions", "s", "transitions/s", "runs of real code"
    );
    let told = |name: String, states: u64, transitions: u64, seconds: f64, runs: u64| {
        println!(
            "  {name:<32}{states:>9}{transitions:>13}{seconds:>10.3}{:>15.0}{runs:>20}",
            transitions as f64 / seconds
        );
    };
    for threads in [1, 2] {
        let on = format!("{threads} thread{}", if threads == 1 { "" } else { "s" });
        let options = Options::threads(threads);
        known.start_again();
        let (began, before) = (Instant::now(), known.code.code.runs());
        let alone = search(&known.code, |_, _: &CodeState| 0, &options);
        let (seconds, runs) = (began.elapsed().as_secs_f64(), known.code.code.runs());
        told(
            format!("code, {on}"),
            alone.unique,
            alone.generated,
            seconds,
            runs - before,
        );
        known.start_again();
        let (began, before) = (Instant::now(), known.code.code.runs());
        let both = search(&known, |r: &Refinement, s: &Joint| r.facts(s), &options);
        let (seconds, runs) = (began.elapsed().as_secs_f64(), known.code.code.runs());
        told(
            format!("beside the protocol, {on}"),
            both.unique,
            both.generated,
            seconds,
            runs - before,
        );
    }
    known.start_again();
    let (began, before) = (Instant::now(), known.code.code.runs());
    let theirs = known.code.checker().spawn_bfs().join();
    told(
        "code, Stateright's BFS, 1 thread".to_string(),
        theirs.unique_state_count() as u64,
        theirs.state_count() as u64,
        began.elapsed().as_secs_f64(),
        theirs.model().code.runs() - before,
    );
}
