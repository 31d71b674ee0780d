//! The search engine against a textbook search, brute force, and Stateright.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use shootdown_spec::search::{
    Options, Outcome, Scheduled, Stop, Trail, TrailError, Unscheduled, replay_trail, search,
};
use stateright::{Checker, Model, Property};

#[path = "search/drawn.rs"]
mod drawn;
#[path = "search/graph.rs"]
mod graph;

use drawn::{Drawn, drawn, layered};

/// Everything of an outcome that must not depend on the number of threads.
fn lasting(outcome: &Outcome) -> impl PartialEq + std::fmt::Debug {
    let edges: Vec<_> = outcome
        .graph
        .iter()
        .flat_map(|g| (0..g.states()).map(|s| (g.facts(s), g.edges(s).collect::<Vec<_>>())))
        .collect();
    (
        (
            outcome.complete,
            outcome.stopped,
            outcome.unique,
            outcome.generated,
            outcome.expanded,
        ),
        (outcome.depth, outcome.levels.clone(), outcome.terminal),
        (
            outcome.hits.clone(),
            outcome.counts.clone(),
            outcome.peak_memory_bytes,
        ),
        edges,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn counts_numbers_and_edges_are_those_of_a_search_with_one_queue(model in drawn(1..40, 4)) {
        let order = model.textbook();
        let number: HashMap<usize, u32> = (0..).zip(&order).map(|(i, (s, _))| (*s, i)).collect();
        let outcome = search(&model, |m, s| m.facts[*s], &Options::threads(1).keeping_graph());

        prop_assert!(outcome.complete);
        prop_assert_eq!(outcome.unique, order.len() as u64);
        prop_assert_eq!(outcome.expanded, outcome.unique);
        prop_assert_eq!(outcome.depth, order.last().map_or(0, |(_, d)| *d));
        let inits = model.inits.iter().filter(|s| !model.outside[**s]).count();
        let transitions: usize = order.iter().map(|(s, _)| model.successors(*s).len()).sum();
        prop_assert_eq!(outcome.generated, (inits + transitions) as u64);
        let terminal = order.iter().filter(|(s, _)| model.successors(*s).is_empty()).count();
        prop_assert_eq!(outcome.terminal, terminal as u64);
        for (depth, &level) in outcome.levels.iter().enumerate() {
            prop_assert_eq!(level, order.iter().filter(|(_, d)| *d == depth).count() as u64);
        }
        for bit in 0..64 {
            let having = order.iter().filter(|(s, _)| model.facts[*s] >> bit & 1 != 0).count();
            prop_assert_eq!(outcome.counts[bit], having as u64);
            prop_assert_eq!(outcome.hit(bit).is_some(), having > 0);
        }
        let graph = outcome.graph.as_ref().unwrap();
        prop_assert!(graph.is_complete());
        for (state, depth) in &order {
            let me = number[state];
            prop_assert_eq!(graph.facts(me), model.facts[*state]);
            prop_assert_eq!(outcome.depth_of(me), Some(*depth));
            let edges: Vec<_> = graph.edges(me).map(|e| (e.mover, e.target)).collect();
            let expected: Vec<_> = model.successors(*state).iter().map(|(_, m, t)| (*m, number[t])).collect();
            prop_assert_eq!(edges, expected);
            // The tree of paths leads to the state it says it leads to.
            let path = replay_trail(&model, &outcome.trail_to(me).unwrap()).unwrap();
            prop_assert_eq!(path.len(), depth + 1);
            prop_assert_eq!(path.last().unwrap().1, *state);
        }
        prop_assert_eq!(outcome.trail_to(outcome.unique as u32), None);
    }

    #[test]
    fn of_every_fact_the_hit_is_shortest_then_has_the_fewest_switches_then_the_lowest_number(
        model in prop_oneof![drawn(1..9, 3), layered()]
    ) {
        let order = model.textbook();
        let outcome = search(&model, |m, s| m.facts[*s], &Options::threads(1));
        for bit in 0..4 {
            let Some(hit) = outcome.hit(bit) else { continue };
            let has = |s: usize| model.facts[s] >> bit & 1 != 0;
            let depth = order.iter().find(|(s, _)| has(*s)).unwrap().1;
            prop_assert_eq!(hit.depth, depth);
            prop_assert_eq!(hit.trail.actions.len(), depth);
            let (fewest, states) = model.fewest_switches(bit, depth);
            prop_assert_eq!(hit.switches, fewest);
            prop_assert_eq!(model.switches(&hit.trail), fewest);
            let lowest = order.iter().position(|(s, _)| states.contains(s)).unwrap();
            prop_assert_eq!(hit.state, lowest as u32);
            let path = replay_trail(&model, &hit.trail).unwrap();
            prop_assert_eq!(path.last().unwrap().1, order[lowest].0);
        }
    }

    #[test]
    fn a_bound_on_states_cuts_a_run_into_a_prefix_of_the_whole(model in drawn(1..40, 4), bound in 1u64..40) {
        let whole = search(&model, |m, s| m.facts[*s], &Options::threads(1).keeping_graph());
        let options = Options { max_states: Some(bound), ..Options::threads(1).keeping_graph() };
        let cut = search(&model, |m, s| m.facts[*s], &options);
        prop_assert_eq!(cut.complete, cut.stopped.is_none());
        prop_assert_eq!(cut.complete, whole.unique <= bound);
        if cut.complete {
            prop_assert_eq!(lasting(&cut), lasting(&whole));
        } else {
            prop_assert_eq!(cut.stopped, Some(Stop::MaxStates));
            prop_assert_eq!(cut.unique, bound);
            prop_assert_eq!(cut.levels.iter().sum::<u64>(), bound);
            if let Some((last, before)) = cut.levels.split_last() {
                prop_assert_eq!(before, &whole.levels[..before.len()]);
                prop_assert!(*last <= whole.levels[before.len()]);
            }
            let graph = cut.graph.as_ref().unwrap();
            prop_assert!(!graph.is_complete());
            prop_assert_eq!((0..graph.states()).filter(|&s| graph.is_expanded(s)).count() as u64, cut.expanded);
            // The numbers are those of the whole, and so is what they have.
            let of_whole = whole.graph.as_ref().unwrap();
            for s in 0..graph.states() {
                prop_assert_eq!(graph.facts(s), of_whole.facts(s));
                if graph.is_expanded(s) {
                    prop_assert_eq!(graph.targets(s), of_whole.targets(s));
                }
            }
            for (bit, hit) in cut.hits.iter().enumerate() {
                let Some(hit) = hit else { continue };
                let best = whole.hits[bit].as_ref().unwrap();
                prop_assert_eq!(hit.depth, best.depth);
                if hit.depth + 1 < cut.levels.len() {
                    prop_assert_eq!(hit, best);
                }
            }
        }
    }
}

/// Counters that each count up to `top`, each moved by its own CPU.
struct Grid {
    counters: usize,
    top: u8,
    /// How often the one initial state is named.
    named: usize,
}

impl Model for Grid {
    type State = [u8; 8];
    type Action = usize;

    fn init_states(&self) -> Vec<[u8; 8]> {
        vec![[0; 8]; self.named]
    }

    fn actions(&self, _: &[u8; 8], actions: &mut Vec<usize>) {
        actions.extend(0..self.counters);
    }

    fn next_state(&self, state: &[u8; 8], action: usize) -> Option<[u8; 8]> {
        let mut next = *state;
        next[action] += 1;
        (next[action] <= self.top).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("true", |_, _| true)]
    }
}

impl Scheduled for Grid {
    fn movers(&self) -> usize {
        self.counters
    }

    fn mover(&self, action: &usize) -> Option<usize> {
        Some(*action)
    }
}

#[test]
fn a_grid_of_counters_has_the_counts_worked_out_by_hand_on_any_number_of_threads() {
    let model = Grid {
        counters: 6,
        top: 7,
        named: 2,
    };
    let observe = |_: &Grid, s: &[u8; 8]| {
        let full = s == &[7, 7, 7, 7, 7, 7, 0, 0];
        let corner = s == &[0, 7, 0, 0, 7, 0, 0, 0];
        let even = s[..6].iter().all(|c| *c >= 2);
        // A state of the widest level, where the ways from later batches matter.
        let middle = s == &[3, 4, 3, 4, 3, 4, 0, 0];
        u64::from(full) | u64::from(corner) << 1 | u64::from(even) << 2 | u64::from(middle) << 3
    };
    let one = search(&model, observe, &Options::threads(1));
    assert!(one.complete);
    // Six counters of eight values. Every one of them can be moved in 7/8 of the states; two equal initial states.
    assert_eq!(one.unique, 8u64.pow(6));
    assert_eq!(one.generated, 2 + 6 * 7 * 8u64.pow(5));
    assert_eq!(one.depth, 42);
    assert_eq!(one.terminal, 1);
    // The numbers of ways to write 0, 1, 2 as a sum of six; and the top level mirrors the bottom.
    assert_eq!(one.levels[..3], [1, 6, 21]);
    assert_eq!(one.levels[40..], [21, 6, 1]);
    assert!(
        one.levels.iter().max() > Some(&16384),
        "a level must take several batches"
    );
    // One counter after the other: as many switches as further counters to move.
    let hit = |bit| {
        let hit = one.hit(bit).unwrap();
        (hit.depth, hit.switches)
    };
    assert_eq!(hit(0), (42, 5));
    assert_eq!(hit(1), (14, 1));
    assert_eq!(hit(2), (12, 5));
    assert_eq!(hit(3), (21, 5));
    assert_eq!(one.counts[2], 6u64.pow(6));

    for threads in [2, 3, 8] {
        let many = search(&model, observe, &Options::threads(threads));
        assert_eq!(lasting(&many), lasting(&one), "{threads} threads");
    }
}

#[test]
fn a_wide_random_graph_gives_the_same_outcome_on_any_number_of_threads() {
    // Sixty thousand states with three to five pseudo-random successors each: levels of many chunks, joins, loops.
    let mut random = 1u64;
    let mut draw = |n: u64| {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (random >> 33) % n
    };
    let edges = (0..60_000)
        .map(|_| {
            (0..3 + draw(3))
                .map(|_| {
                    (
                        Some(draw(5) as usize).filter(|m| *m < 4),
                        Some(draw(60_000) as usize),
                    )
                })
                .collect()
        })
        .collect();
    let mut model = Drawn::new(edges);
    // Sixty-four states somewhere, each its own fact.
    model.facts = (0..60_000)
        .map(|s| if s < 64 { 1 << s } else { 0 })
        .collect();
    let run = |threads| {
        search(
            &model,
            |m, s| m.facts[*s],
            &Options::threads(threads).keeping_graph(),
        )
    };
    let one = run(1);
    // Without an initial state's component the graph is one giant component: nearly all is reached.
    assert!(
        one.unique > 55_000 && one.levels.iter().max() > Some(&16384),
        "{:?}",
        one.levels
    );
    for threads in [2, 3, 8] {
        assert_eq!(lasting(&run(threads)), lasting(&one), "{threads} threads");
    }
    let fewest = model.fewest_switches_level_by_level();
    for state in 0..64 {
        let Some(hit) = one.hit(state) else { continue };
        let path = replay_trail(&model, &hit.trail).unwrap();
        assert_eq!(path.last().unwrap().1, state);
        assert_eq!((hit.depth, hit.switches), fewest[&state], "state {state}");
        assert_eq!(
            (path.len() - 1, model.switches(&hit.trail)),
            fewest[&state],
            "state {state}"
        );
    }
    // A bound in the middle of a wide level cuts at the same place.
    let cut = |threads| {
        let options = Options {
            max_states: Some(30_000),
            ..Options::threads(threads).keeping_graph()
        };
        search(&model, |m, s| m.facts[*s], &options)
    };
    let one = cut(1);
    assert_eq!(one.stopped, Some(Stop::MaxStates));
    assert_eq!(one.unique, 30_000);
    // States are left unexpanded for the bound, but not more than a last batch of them.
    assert!(one.generated > one.unique, "{one:?}");
    for threads in [2, 8] {
        assert_eq!(
            lasting(&cut(threads)),
            lasting(&one),
            "{threads} threads, cut"
        );
    }
}

/// Stateright's BFS and DFS against ours: (unique, generated), and depth + 1 for its BFS.
fn agrees_with_stateright<M>(model: M)
where
    M: Scheduled + Clone + Send + Sync + 'static,
    M::State: Clone + PartialEq + std::hash::Hash + Send + Sync,
    M::Action: Clone + PartialEq + Send,
{
    let ours = search(&model, |_, _| 0, &Options::threads(2));
    let bfs = model.clone().checker().spawn_bfs().join();
    let dfs = model.checker().spawn_dfs().join();
    assert_eq!(ours.unique, bfs.unique_state_count() as u64);
    assert_eq!(ours.unique, dfs.unique_state_count() as u64);
    assert_eq!(ours.generated, bfs.state_count() as u64);
    assert_eq!(ours.generated, dfs.state_count() as u64);
    assert_eq!(ours.depth + 1, bfs.max_depth());
}

impl Clone for Grid {
    fn clone(&self) -> Self {
        Grid { ..*self }
    }
}

#[test]
fn staterights_checkers_count_the_same() {
    agrees_with_stateright(Grid {
        counters: 3,
        top: 9,
        named: 1,
    });
    agrees_with_stateright(Grid {
        counters: 5,
        top: 3,
        named: 1,
    });
    // A ring with chords that go back, a refused action, a state out of bounds (3) that hides another (10).
    let edges = (0..11usize)
        .map(|s| {
            vec![
                (Some(0), (s != 9).then_some((s + 1) % 10)),
                (Some(1), Some(s / 2)),
                (None, Some((s * 7) % 10)),
            ]
        })
        .collect();
    let mut model = Drawn::new(edges);
    model.edges[3].push((None, Some(10)));
    model.outside[3] = true;
    agrees_with_stateright(model);
}

#[test]
fn any_stateright_model_can_be_searched_and_never_switches() {
    let model = Grid {
        counters: 3,
        top: 2,
        named: 1,
    };
    let outcome = search(
        &Unscheduled(&model),
        |_, s| u64::from(s == &[2, 2, 2, 0, 0, 0, 0, 0]),
        &Options::threads(2),
    );
    assert_eq!(outcome.unique, 27);
    let hit = outcome.hit(0).unwrap();
    assert_eq!((hit.depth, hit.switches), (6, 0));
}

#[test]
fn a_path_through_hardware_steps_counts_switches_of_the_movers_around_them() {
    // 0 -a-> 1 -env-> 2 -a-> 5 has no switch; 0 -a-> 3 -b-> 4 -a-> 5 has two; both have three steps. The second
    // comes first in every order.
    let (a, b) = (Some(0), Some(1));
    let model = Drawn::new(vec![
        vec![(a, Some(3)), (a, Some(1))],
        vec![(None, Some(2))],
        vec![(a, Some(5))],
        vec![(b, Some(4))],
        vec![(a, Some(5))],
        vec![],
    ]);
    let outcome = search(&model, |_, s| u64::from(*s == 5), &Options::threads(1));
    let hit = outcome.hit(0).unwrap();
    assert_eq!((hit.depth, hit.switches), (3, 0));
    assert_eq!(
        hit.trail,
        Trail {
            init: 0,
            actions: vec![1, 0, 0]
        }
    );
}

#[test]
fn observe_is_called_exactly_once_for_every_distinct_state() {
    let calls = AtomicU64::new(0);
    let model = Grid {
        counters: 4,
        top: 7,
        named: 1,
    };
    let observe = |_: &Grid, _: &[u8; 8]| {
        calls.fetch_add(1, Ordering::Relaxed);
        0
    };
    let outcome = search(&model, observe, &Options::threads(3));
    assert_eq!(outcome.unique, 4096);
    assert_eq!(calls.into_inner(), 4096);
}

#[test]
fn a_model_without_initial_states_is_explored_completely() {
    let mut model = Drawn::new(vec![vec![]]);
    model.outside[0] = true;
    let outcome = search(&model, |_, _| 1, &Options::threads(2).keeping_graph());
    assert!(outcome.complete);
    assert_eq!(
        (outcome.unique, outcome.generated, outcome.depth),
        (0, 0, 0)
    );
    assert_eq!(outcome.hits, vec![None; 64]);
    assert_eq!(outcome.levels, Vec::<u64>::new());
}

#[test]
fn a_cancelled_run_says_so_and_keeps_what_it_found() {
    let model = Grid {
        counters: 8,
        top: 30,
        named: 1,
    };
    let cancel = Arc::new(AtomicBool::new(false));
    let options = Options {
        cancel: Arc::clone(&cancel),
        ..Options::threads(2)
    };
    let observe = |_: &Grid, s: &[u8; 8]| {
        if s.iter().map(|c| u64::from(*c)).sum::<u64>() == 6 {
            cancel.store(true, Ordering::Relaxed);
        }
        u64::from(s[0] == 3)
    };
    let outcome = search(&model, observe, &options);
    assert!(!outcome.complete);
    assert_eq!(outcome.stopped, Some(Stop::Cancelled));
    assert_eq!(outcome.hit(0).unwrap().depth, 3);
    assert!(outcome.expanded < outcome.unique);
    // The cancellation came while level 6 was being found: level 7 was never begun.
    assert!(outcome.depth <= 6);
}

#[test]
fn a_run_out_of_time_is_incomplete() {
    let model = Grid {
        counters: 8,
        top: 255,
        named: 1,
    };
    let outcome = search(
        &model,
        |_, _| 0,
        &Options {
            timeout: Some(Duration::ZERO),
            ..Options::threads(2)
        },
    );
    assert_eq!(
        (outcome.complete, outcome.stopped),
        (false, Some(Stop::Timeout))
    );
    assert_eq!((outcome.unique, outcome.expanded), (1, 0));
}

#[test]
fn a_run_stays_below_its_bound_on_memory() {
    let model = Grid {
        counters: 8,
        top: 30,
        named: 1,
    };
    for limit in [5 << 20, 32 << 20] {
        let run = |threads| {
            let options = Options {
                max_memory: Some(limit),
                ..Options::threads(threads)
            };
            search(&model, |_, _| 0, &options)
        };
        let outcome = run(1);
        assert_eq!(
            (outcome.complete, outcome.stopped),
            (false, Some(Stop::MaxMemory))
        );
        assert!(outcome.peak_memory_bytes <= limit);
        assert!(
            outcome.unique * 12 > limit / 32,
            "it gave up far too early: {outcome:?}"
        );
        assert_eq!(lasting(&run(3)), lasting(&outcome));
    }
}

#[test]
fn progress_is_reported_every_level_with_growing_counts() {
    let reports = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = Arc::clone(&reports);
    let options = Options {
        progress: Some(Arc::new(move |p| sink.lock().unwrap().push(p.clone()))),
        ..Options::threads(2)
    };
    let outcome = search(
        &Grid {
            counters: 4,
            top: 9,
            named: 1,
        },
        |_, _| 0,
        &options,
    );
    let reports = reports.lock().unwrap();
    assert!(reports.len() > outcome.depth);
    assert!(
        reports
            .windows(2)
            .all(|w| w[0].unique <= w[1].unique && w[0].depth <= w[1].depth)
    );
    let last = reports.last().unwrap();
    assert_eq!(
        (last.unique, last.expanded),
        (outcome.unique, outcome.unique)
    );
    assert_eq!(last.generated, outcome.generated);
}

#[test]
fn a_trail_that_does_not_fit_is_an_error_that_says_where() {
    let model = Grid {
        counters: 2,
        top: 1,
        named: 1,
    };
    let replay = |init, actions: &[u32]| {
        replay_trail(
            &model,
            &Trail {
                init,
                actions: actions.to_vec(),
            },
        )
        .map(|path| path.len())
    };
    assert_eq!(replay(0, &[0, 1]), Ok(3));
    assert_eq!(
        replay(2, &[]),
        Err(TrailError::NoInitialState {
            init: 2,
            available: 1
        })
    );
    assert_eq!(
        replay(0, &[0, 2]),
        Err(TrailError::NoAction {
            step: 1,
            action: 2,
            available: 2
        })
    );
    assert_eq!(
        replay(0, &[1, 0, 0]),
        Err(TrailError::Refused { step: 2, action: 0 })
    );
    let mut drawn = Drawn::new(vec![vec![(None, Some(1))], vec![]]);
    drawn.outside[1] = true;
    let out = replay_trail(
        &drawn,
        &Trail {
            init: 0,
            actions: vec![0],
        },
    )
    .unwrap_err();
    assert_eq!(
        out.to_string(),
        "step 0 takes action 0, which the model refuses in the state it is in"
    );
}
