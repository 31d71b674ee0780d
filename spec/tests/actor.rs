//! The actor model beside the message-free host: the same states, transitions and verdicts.
//!
//! Three hosts run the same objects. [`Protocol`] answers messages on the spot, in one flat state;
//! [`ActorProtocol`] lets Stateright's actors exchange them, one atomic step at a time;
//! [`MessageByMessage`] delivers each on its own. And two kinds of engines explore them: ours, and
//! Stateright's BFS and DFS. Wherever two of them can be compared they are.

use shootdown_spec::actor::{
    ActorProtocol, LOCAL, MessageByMessage, Object, ObjectStates, stateright_properties,
};
use shootdown_spec::config::Config;
use shootdown_spec::design::DESIGNS;
use shootdown_spec::environment::Environment;
use shootdown_spec::model::{Action, Protocol};
use shootdown_spec::program::Op;
use shootdown_spec::progress::{self, Verdict};
use shootdown_spec::property::{FIRST_IDLE_BIT, PROPERTIES, Property, observe};
use shootdown_spec::search::{Options, Outcome, Scheduled, fingerprint, search};
use shootdown_spec::state::State;
use shootdown_spec::variant::{Variant, VariantSet};
use shootdown_spec::workload::Workload;
use stateright::{Checker, Model};
use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A configuration in words; `None` where the environment rules the workload out.
fn cell(design: &str, env: &str, workload: &str, variants: VariantSet) -> Option<Config> {
    let design = DESIGNS.iter().find(|d| d.name == design).unwrap().design;
    let mut environment = Environment::named(env).unwrap();
    let workload = Workload::parse(workload, &environment).unwrap();
    environment.cpus = workload.cpus().map_or(environment.cpus, |n| n as u8);
    Config::new(design, environment, workload, variants).ok()
}

/// The result of one exploration.
#[derive(Debug, PartialEq)]
struct Found {
    unique: u64,
    generated: u64,
    depth: usize,
    terminal: u64,
    /// Sum over the fingerprints of the flat states: equal for equal sets of states.
    digest: u64,
    /// How many states show each fact: properties, witnesses, idle CPUs, interrupted programs.
    counts: Vec<u64>,
    violated: BTreeSet<&'static str>,
}

fn violated<M>(config: &Config, model: &M, outcome: &Outcome) -> BTreeSet<&'static str>
where
    M: Scheduled,
    M::Action: Clone,
{
    let goals = (0..config.cpus()).map(|c| 1 << (FIRST_IDLE_BIT + c)).sum();
    let stops = match progress::check(model, outcome, goals).unwrap() {
        Verdict::Fails(_) => Some("progress"),
        Verdict::Holds => None,
        Verdict::Unknown => panic!("the search was not cut off"),
    };
    let on_states = PROPERTIES.iter().enumerate();
    let on_states = on_states.filter(|(i, _)| outcome.hit(*i).is_some());
    on_states.map(|(_, p)| p.name).chain(stops).collect()
}

fn explore<M>(config: &Config, model: &M, flat: impl Fn(&M::State) -> State + Sync) -> Found
where
    M: Scheduled + Sync,
    M::State: Hash + Send + Sync,
    M::Action: Clone,
{
    let digest = AtomicU64::new(0);
    let facts = |_: &M, state: &M::State| {
        let state = flat(state);
        digest.fetch_add(fingerprint(&state).get(), Ordering::Relaxed);
        observe(config, &state)
    };
    let outcome = search(model, facts, &Options::threads(2).keeping_graph());
    assert!(outcome.complete);
    Found {
        unique: outcome.unique,
        generated: outcome.generated,
        depth: outcome.depth,
        terminal: outcome.terminal,
        digest: digest.load(Ordering::Relaxed),
        counts: outcome.counts.clone(),
        violated: violated(config, model, &outcome),
    }
}

fn explore_flat(config: &Config) -> Found {
    explore(config, &Protocol::new(config.clone()), State::clone)
}

fn explore_actors(config: &Config) -> Found {
    let actors = ActorProtocol::new(config.clone());
    explore(config, &actors, |s| actors.view(s))
}

/// Environments and the workloads that are small in them.
const CELLS: &[(&str, &[&str])] = &[
    (
        "nosplit",
        &[
            "aging",
            "unmapping",
            "reclaim-vs-munmap",
            "two-madvise",
            "switching",
            "three-cpus",
        ],
    ),
    (
        "split",
        &[
            "aging",
            "unmapping",
            "reclaim-vs-munmap",
            "two-madvise",
            "switching",
        ],
    ),
    (
        "split+thp",
        &[
            "unmapping",
            "splitting",
            "reclaim-vs-munmap",
            "two-madvise",
            "switching",
        ],
    ),
    (
        "hypercall",
        &[
            "unmapping",
            "splitting",
            "reclaim-vs-munmap",
            "two-madvise",
            "none=split_huge_page/mm0=gup_fast_huge",
        ],
    ),
    (
        "xen",
        &[
            "none=vmalloc_sync_all/none=xen_pin",
            "unmapping",
            "two-madvise",
        ],
    ),
    (
        "irq-free",
        &[
            "mm0=page_referenced_one_pte@mm0/none=vmalloc_sync_all",
            "mm0=try_to_unmap_one@mm0/none=idle",
        ],
    ),
];

fn cells() -> impl Iterator<Item = (String, Config)> {
    CELLS.iter().flat_map(|&(env, workloads)| {
        workloads.iter().flat_map(move |&workload| {
            DESIGNS.iter().map(move |design| {
                let name = format!("{} {env} {workload}", design.name);
                let config = cell(design.name, env, workload, VariantSet::NONE);
                (name, config.expect("the table lists cells that make sense"))
            })
        })
    })
}

/// Unique states, transitions, depth, ends, the set of flat states, the number of states with each
/// fact, the verdicts: all of it, in every design. That is what "one meaning, two hosts" means.
#[test]
fn actors_and_flat_states_are_the_same_machine() {
    let (mut states, mut with_violations, mut without) = (0, 0, 0);
    for (name, config) in cells() {
        let flat = explore_flat(&config);
        assert_eq!(explore_actors(&config), flat, "{name}");
        states += flat.unique;
        // The comparison is worth more if there are verdicts of both kinds to agree on.
        with_violations += u32::from(!flat.violated.is_empty());
        without += u32::from(flat.violated.is_empty());
    }
    println!("{states} states; {with_violations} cells with violations, {without} without");
    assert!(with_violations > 20 && without > 20);
}
/// What a Stateright checker said, its properties being ours.
fn ask_stateright<M>(model: M) -> [(u64, u64, BTreeSet<&'static str>); 2]
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Clone + std::fmt::Debug + PartialEq + Hash + Send + Sync,
    M::Action: Clone + std::fmt::Debug + PartialEq + Send + Sync,
{
    let names = |checker: &dyn Fn(&'static str) -> bool| {
        PROPERTIES
            .iter()
            .map(|p| p.name)
            .filter(|name| checker(name))
            .collect()
    };
    let bfs = model.clone().checker().spawn_bfs().join();
    let dfs = model.checker().spawn_dfs().join();
    assert!(bfs.is_done() && dfs.is_done());
    let (by_bfs, by_dfs) = (bfs.discoveries(), dfs.discoveries());
    [
        (
            bfs.unique_state_count() as u64,
            bfs.state_count() as u64,
            names(&|name| by_bfs.contains_key(name)),
        ),
        (
            dfs.unique_state_count() as u64,
            dfs.state_count() as u64,
            names(&|name| by_dfs.contains_key(name)),
        ),
    ]
}

/// Stateright's BFS and DFS find what our engine finds, on both hosts. `progress` is not asked of
/// them, and they cannot be asked for depth: theirs is not the shortest.
#[test]
fn stateright_finds_the_same_states_and_violations() {
    for (design, env, workload) in [
        ("v2.6.37", "nosplit", "aging"),
        ("v2.6.38", "nosplit", "unmapping"),
        ("deferred", "split", "reclaim-vs-munmap"),
        ("v2.6.37", "split", "two-madvise"),
        ("tracked", "split", "reclaim-vs-munmap"),
        ("tracked", "split", "switching"),
        ("v2.6.36", "xen", "none=vmalloc_sync_all/none=xen_pin"),
        ("v2.6.37", "hypercall", "none=split_huge_page/mm0=gup_fast"),
        ("rwlock", "irq-free", "mm0=try_to_unmap_one@mm0/none=idle"),
    ] {
        let config = cell(design, env, workload, VariantSet::NONE).unwrap();
        let mut ours = explore_flat(&config);
        ours.violated.remove("progress");
        let expected = (ours.unique, ours.generated, ours.violated);
        let flat = ask_stateright(Protocol::new(config.clone()));
        let actors = ask_stateright(ActorProtocol::new(config));
        for (found, who) in flat
            .iter()
            .chain(&actors)
            .zip(["bfs", "dfs", "actor bfs", "actor dfs"])
        {
            assert_eq!(*found, expected, "{who} of {design} {env} {workload}");
        }
    }
}

/// Atomic steps lose no verdict: with every message delivered on its own there are twenty to a
/// hundred times as many states, and not one verdict more or less.
#[test]
fn message_by_message_agrees_on_every_verdict() {
    for (design, env, workload, expected) in [
        (
            "v2.6.37",
            "nosplit",
            "mm0=page_referenced_one/none=vmalloc_sync_all",
            0,
        ),
        (
            "v2.6.38",
            "nosplit",
            "mm0=page_referenced_one/none=vmalloc_sync_all",
            0,
        ),
        ("v2.6.38", "split", "two-madvise", 1),
        ("v2.6.37", "split", "switching", 1),
        (
            "woodman",
            "nosplit",
            "mm0=try_to_unmap_one/mm0=vmalloc_sync_all",
            4,
        ),
        ("deferred", "split", "reclaim-vs-munmap", 1),
        ("tracked", "split", "two-madvise", 0),
        (
            "tracked",
            "split",
            "mm0=try_to_unmap_one/mm0=vmalloc_sync_all",
            0,
        ),
        ("v2.6.36", "xen", "none=vmalloc_sync_all/none=xen_pin", 1),
        ("v2.6.37", "hypercall", "two-madvise", 1),
        (
            "v2.6.37",
            "hypercall",
            "none=split_huge_page/mm0=gup_fast_huge",
            1,
        ),
    ] {
        let config = cell(design, env, workload, VariantSet::NONE).unwrap();
        let atomic = explore_flat(&config);
        let model = MessageByMessage::new(config.clone());
        let facts = |m: &MessageByMessage, s: &ObjectStates| m.observe(s);
        let outcome = search(&model, facts, &Options::threads(2).keeping_graph());
        assert!(outcome.complete && outcome.unique > 5 * atomic.unique);
        let apart = violated(&config, &model, &outcome);
        assert_eq!(apart, atomic.violated, "{design} {env} {workload}");
        assert_eq!(
            apart.len(),
            expected,
            "{design} {env} {workload}: {apart:?}"
        );
    }
}

/// ... not even when told wrongly: a deviation that breaks a property breaks it message by message.
#[test]
fn message_by_message_agrees_on_deviations() {
    for (variant, workload, broken) in [
        (
            Variant::LostAck,
            "mm0=page_referenced_one/mm0=idle",
            "no_deadlock",
        ),
        (
            Variant::AckBeforeFlush,
            "mm0=page_referenced_one/mm0=idle",
            "ack_after_flush",
        ),
        (
            Variant::ZapSkipsFlush,
            "mm0=zap_page_range/mm0=idle",
            "no_stale_tlb_after_return",
        ),
        (
            Variant::LeaveMmClearFirst,
            "none=try_to_unmap_one/mm0=enter_lazy_tlb,leave_mm",
            "no_stale_tlb_after_return",
        ),
    ] {
        let design = DESIGNS.iter().find(|d| d.name == "v2.6.38").unwrap().design;
        let mut environment = Environment::named("split").unwrap();
        environment.ops_per_cpu = if variant == Variant::LeaveMmClearFirst {
            2
        } else {
            1
        };
        let workload = Workload::parse(workload, &environment).unwrap();
        let config = Config::new(design, environment, workload, VariantSet::only(variant)).unwrap();
        let atomic = explore_flat(&config).violated;
        let model = MessageByMessage::new(config.clone());
        let facts = |m: &MessageByMessage, s: &ObjectStates| m.observe(s);
        let outcome = search(&model, facts, &Options::threads(2).keeping_graph());
        assert_eq!(violated(&config, &model, &outcome), atomic, "{variant:?}");
        assert!(atomic.contains(broken), "{variant:?}: {atomic:?}");
    }
}

/// A property that looks at one CPU is judged on every message, the others only when all have
/// arrived; and Stateright asks all but `progress`.
#[test]
fn every_property_is_judged_somewhere() {
    for name in LOCAL {
        assert!(Property::named(name).is_some(), "{name}");
    }
    let asked: Vec<_> = stateright_properties::<Protocol>()
        .iter()
        .map(|p| p.name)
        .collect();
    let all = PROPERTIES.iter().map(|p| p.name);
    assert_eq!(
        asked,
        all.filter(|name| *name != "progress").collect::<Vec<_>>()
    );
}

/// A mistake in the plumbing, to see that the comparison notices.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// The acknowledgement never arrives at the sender.
    AckDropped,
    /// An IPI is taken although interrupts are off.
    IpiIgnoresIf,
}

/// [`ActorProtocol`] with a mistake.
struct Faulty {
    host: ActorProtocol,
    fault: Fault,
}

impl Faulty {
    fn set(
        state: &mut ObjectStates,
        cpu: usize,
        change: impl FnOnce(&mut shootdown_spec::cpu::Cpu),
    ) {
        let Object::Cpu(mut changed) = *state.actor_states[cpu] else {
            panic!("CPUs are the first actors")
        };
        change(&mut changed);
        state.actor_states[cpu] = Arc::new(Object::Cpu(changed));
    }
}

impl Model for Faulty {
    type State = ObjectStates;
    type Action = Action;

    fn init_states(&self) -> Vec<ObjectStates> {
        self.host.init_states()
    }

    fn actions(&self, state: &ObjectStates, actions: &mut Vec<Action>) {
        self.host.actions(state, actions);
    }

    fn next_state(&self, state: &ObjectStates, action: Action) -> Option<ObjectStates> {
        let view = self.host.view(state);
        let cpu = view.cpu(action.cpu());
        match (self.fault, action) {
            (Fault::IpiIgnoresIf, Action::Ipi { cpu: target, .. }) if !cpu.in_irq() => {
                let mut deaf = state.clone();
                Faulty::set(&mut deaf, target.index(), |c| c.irqs_on = true);
                self.host.next_state(&deaf, action)
            }
            (Fault::AckDropped, Action::Step { cpu: target })
                if cpu.next_op(&self.host.config, cpu.top()) == Some(Op::Ack) =>
            {
                let mut next = self.host.next_state(state, action)?;
                let sender = cpu.context(cpu.top()).sender.index();
                Faulty::set(&mut next, sender, |c| c.acks.insert(target));
                Some(next)
            }
            _ => self.host.next_state(state, action),
        }
    }
}

impl Scheduled for Faulty {
    fn movers(&self) -> usize {
        self.host.movers()
    }

    fn mover(&self, action: &Action) -> Option<usize> {
        self.host.mover(action)
    }

    fn urgent(&self, action: &Action) -> Option<usize> {
        self.host.urgent(action)
    }
}

/// The check of the check. In `v2.6.38` page aging finishes: with acknowledgements dropped it
/// hangs. In `v2.6.37` it deadlocks (C1): with IPIs taken although interrupts are off it does not.
/// Either way states, counts and verdicts disagree with the message-free host.
#[test]
fn faults_in_the_plumbing_are_noticed() {
    for (fault, design, hangs) in [
        (Fault::None, "v2.6.38", false),
        (Fault::AckDropped, "v2.6.38", true),
        (Fault::None, "v2.6.37", true),
        (Fault::IpiIgnoresIf, "v2.6.37", false),
    ] {
        let workload = "mm0=page_referenced_one/mm0=vmalloc_sync_all";
        let config = cell(design, "nosplit", workload, VariantSet::NONE).unwrap();
        let model = Faulty {
            host: ActorProtocol::new(config.clone()),
            fault,
        };
        let faulty = explore(&config, &model, |s| model.host.view(s));
        let sound = explore_flat(&config);
        let same = matches!(fault, Fault::None);
        assert_eq!(faulty == sound, same, "{fault:?}");
        assert_eq!(faulty.digest == sound.digest, same, "{fault:?}");
        assert_eq!(faulty.violated == sound.violated, same, "{fault:?}");
        assert_eq!(
            faulty.violated.contains("progress"),
            hangs,
            "{fault:?} {design}"
        );
    }
}
