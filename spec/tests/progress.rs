//! Progress under fairness: on models small enough to see the answer, and against brute force over all sets of states.

use proptest::prelude::*;
use shootdown_spec::progress::{Failure, ProgressError, Verdict, check};
use shootdown_spec::search::{Graph, Options, Outcome, Scheduled, Trail, replay_trail, search};
use stateright::{Checker, Model, Property};

/// The fact all these tests use: the state is a goal.
const GOAL: u64 = 1;

/// A transition: whose, of which urgent class, to where.
type Drawn = (Option<usize>, Option<usize>, usize);

/// A graph written down, beginning in state 0.
#[derive(Clone, Debug)]
struct Sketch {
    edges: Vec<Vec<Drawn>>,
    goals: Vec<usize>,
}

impl Model for Sketch {
    type State = usize;
    /// State and position, so that Stateright tells parallel transitions apart.
    type Action = (usize, usize);

    fn init_states(&self) -> Vec<usize> {
        vec![0]
    }

    fn actions(&self, state: &usize, actions: &mut Vec<(usize, usize)>) {
        actions.extend((0..self.edges[*state].len()).map(|i| (*state, i)));
    }

    fn next_state(&self, _: &usize, (state, i): (usize, usize)) -> Option<usize> {
        Some(self.edges[state][i].2)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::eventually("goal", |model: &Sketch, s| {
            model.goals.contains(s)
        })]
    }
}

impl Scheduled for Sketch {
    fn movers(&self) -> usize {
        8
    }

    fn mover(&self, (state, i): &(usize, usize)) -> Option<usize> {
        self.edges[*state][*i].0
    }

    fn urgent(&self, (state, i): &(usize, usize)) -> Option<usize> {
        self.edges[*state][*i].1
    }
}

impl Sketch {
    fn explore(&self, threads: usize) -> Outcome {
        let observe = |m: &Sketch, s: &usize| if m.goals.contains(s) { GOAL } else { 0 };
        search(self, observe, &Options::threads(threads).keeping_graph())
    }

    fn verdict(&self) -> Verdict {
        check(self, &self.explore(1), GOAL).unwrap()
    }

    fn failure(&self) -> Failure {
        match self.verdict() {
            Verdict::Fails(failure) => failure,
            other => panic!("{other:?} for {self:?}"),
        }
    }

    /// What Stateright says about "eventually a goal".
    fn stateright_finds_a_counterexample(&self) -> bool {
        let bfs = self.clone().checker().spawn_bfs().join();
        let dfs = self.clone().checker().spawn_dfs().join();
        let found = bfs.discovery("goal").is_some();
        assert_eq!(found, dfs.discovery("goal").is_some());
        found
    }
}

/// CPU `m` goes to `target`.
fn cpu(m: usize, target: usize) -> Drawn {
    (Some(m), None, target)
}

/// Hardware may go to `target`.
fn hw(target: usize) -> Drawn {
    (None, None, target)
}

/// Hardware goes to `target` without fail if this stays possible.
fn irq(class: usize, target: usize) -> Drawn {
    (None, Some(class), target)
}

#[test]
fn an_end_without_the_goal_is_reported_with_the_shortest_way_there() {
    // 3 is a dead end two steps away, 4 one three steps away that is found first by going deep.
    let model = Sketch {
        edges: vec![
            vec![cpu(0, 1), cpu(1, 2)],
            vec![cpu(0, 4)],
            vec![cpu(0, 3), cpu(1, 5)],
            vec![],
            vec![cpu(0, 3)],
            vec![],
        ],
        goals: vec![5],
    };
    let failure = model.failure();
    assert!(failure.is_end());
    assert_eq!(
        failure.stem,
        Trail {
            init: 0,
            actions: vec![1, 0]
        }
    );
    assert_eq!(failure.goal, 0);
    assert!(model.stateright_finds_a_counterexample());
}

#[test]
fn a_run_that_reaches_the_goal_whatever_happens_holds() {
    let model = Sketch {
        edges: vec![
            vec![cpu(0, 1), cpu(1, 2)],
            vec![cpu(1, 3)],
            vec![cpu(0, 3)],
            vec![],
        ],
        goals: vec![3],
    };
    assert_eq!(model.verdict(), Verdict::Holds);
    assert!(!model.stateright_finds_a_counterexample());
}

#[test]
fn a_loop_without_the_goal_is_found_where_eventually_gives_it_a_pass() {
    // Two CPUs undo each other's work: 0 -> 1 -> 0. Stateright's `eventually` only looks at states without successors.
    let model = Sketch {
        edges: vec![vec![cpu(0, 1)], vec![cpu(1, 0)]],
        goals: vec![],
    };
    assert!(!model.stateright_finds_a_counterexample());
    let failure = model.failure();
    assert_eq!(
        failure,
        Failure {
            goal: 0,
            stem: Trail::default(),
            state: 0,
            cycle: vec![0, 0]
        }
    );
    assert_eq!(
        failure.unrolled(2),
        Trail {
            init: 0,
            actions: vec![0, 0, 0, 0]
        }
    );
}

#[test]
fn a_join_does_not_pass_the_goal_of_one_path_on_to_another() {
    // 0 -> 1 (goal) -> 3 and 0 -> 2 -> 3: paths meet in 3, which is no goal, and end in 4. Stateright remembers for
    // 3 what it knew when it first came there, which was by way of 1.
    let model = Sketch {
        edges: vec![
            vec![cpu(0, 1), cpu(0, 2)],
            vec![cpu(0, 3)],
            vec![cpu(0, 3)],
            vec![cpu(0, 4)],
            vec![],
        ],
        goals: vec![1],
    };
    assert!(
        model
            .clone()
            .checker()
            .spawn_bfs()
            .join()
            .discovery("goal")
            .is_none()
    );
    let failure = model.failure();
    assert!(failure.is_end());
    assert_eq!(failure.stem.actions.len(), 3);
}

#[test]
fn a_loop_in_which_a_cpu_that_could_always_move_never_does_is_unfair() {
    // CPU 0 goes round 0 <-> 1 while CPU 1 could take all to the goal at any time. Once it cannot do so in 1, the
    // loop is fair.
    let unfair = Sketch {
        edges: vec![
            vec![cpu(0, 1), cpu(1, 2)],
            vec![cpu(0, 0), cpu(1, 2)],
            vec![],
        ],
        goals: vec![2],
    };
    assert_eq!(unfair.verdict(), Verdict::Holds);
    let fair = Sketch {
        edges: vec![vec![cpu(0, 1), cpu(1, 2)], vec![cpu(0, 0)], vec![]],
        goals: vec![2],
    };
    assert_eq!(fair.failure().cycle, [0, 0]);
}

#[test]
fn a_lock_that_is_always_free_again_may_still_starve_a_cpu_unless_taking_it_is_urgent() {
    // 0: the lock is free; 1: CPU 0 has it; 2: CPU 1 has it (goal). The test-and-set lock starves CPU 1; a fair
    // lock is one whose grant to a waiter is strongly fair.
    let lock = |grant| Sketch {
        edges: vec![vec![cpu(0, 1), grant], vec![cpu(0, 0)], vec![]],
        goals: vec![2],
    };
    assert_eq!(lock(cpu(1, 2)).failure().cycle, [0, 0]);
    assert_eq!(lock((Some(1), Some(3), 2)).verdict(), Verdict::Holds);
}

#[test]
fn spinning_is_being_blocked() {
    // The 2011 deadlock in small: CPU 0 spins on the lock CPU 1 holds, CPU 1 spins on the ack of CPU 0.
    let model = Sketch {
        edges: vec![
            vec![cpu(0, 1), cpu(1, 2)],
            vec![cpu(0, 1), cpu(1, 1)],
            vec![],
        ],
        goals: vec![2],
    };
    assert!(!model.stateright_finds_a_counterexample());
    let failure = model.failure();
    assert!(failure.is_end());
    assert_eq!(failure.stem.actions, [0]);
    // Spinning is not a turn, either: who can do something else has to.
    let patient = Sketch {
        edges: vec![vec![cpu(0, 0), cpu(0, 1)], vec![]],
        goals: vec![1],
    };
    assert_eq!(patient.verdict(), Verdict::Holds);
}

#[test]
fn hardware_at_leisure_neither_hides_a_deadlock_nor_is_one() {
    // All CPUs are blocked in 1 and 2; hardware fills and evicts a TLB entry.
    let lively = Sketch {
        edges: vec![vec![cpu(0, 1)], vec![hw(2)], vec![hw(1)]],
        goals: vec![],
    };
    let failure = lively.failure();
    assert!(failure.is_end());
    assert_eq!(failure.state, 1);
    // The same hardware around CPUs that can get away at any time.
    let harmless = Sketch {
        edges: vec![vec![hw(1), cpu(0, 2)], vec![hw(0), cpu(0, 2)], vec![]],
        goals: vec![2],
    };
    assert_eq!(harmless.verdict(), Verdict::Holds);
    // Blocked until hardware does what it need not do: it may never do it.
    let hopeful = Sketch {
        edges: vec![vec![hw(1)], vec![]],
        goals: vec![1],
    };
    assert!(hopeful.failure().is_end());
    // What it has to do, it does.
    let owed = Sketch {
        edges: vec![vec![irq(0, 1)], vec![]],
        goals: vec![1],
    };
    assert_eq!(owed.verdict(), Verdict::Holds);
    // An interrupt storm is a loop of hardware alone that counts.
    let storm = Sketch {
        edges: vec![vec![irq(0, 1)], vec![irq(0, 0)]],
        goals: vec![],
    };
    assert_eq!(storm.failure().cycle, [0, 0]);
}

#[test]
fn an_interrupt_possible_again_and_again_is_delivered() {
    // CPU 0 opens (0) and closes (1) its interrupt window for ever; delivery in 0 leads to the goal.
    let sometimes = |delivery| Sketch {
        edges: vec![vec![cpu(0, 1), delivery], vec![cpu(0, 0)], vec![]],
        goals: vec![2],
    };
    assert_eq!(sometimes(irq(0, 2)).verdict(), Verdict::Holds);
    assert_eq!(sometimes(hw(2)).failure().cycle, [0, 0]);
}

#[test]
fn around_the_states_where_an_interrupt_would_be_delivered_a_smaller_loop_may_remain() {
    // 0 -> 1 <-> 2, with a detour 1 -> 3 -> 1; in 3 an interrupt could take the CPU to the goal. Avoiding 3 is fair.
    let model = Sketch {
        edges: vec![
            vec![cpu(0, 1)],
            vec![cpu(0, 2), cpu(0, 3)],
            vec![cpu(0, 1)],
            vec![cpu(0, 1), irq(0, 4)],
            vec![],
        ],
        goals: vec![4],
    };
    let failure = model.failure();
    assert_eq!(failure.stem.actions, [0]);
    assert_eq!(failure.cycle, [0, 0]);
}

#[test]
fn a_loop_that_is_shown_gives_everybody_his_turn() {
    // In 0 -> 1 -> 0 CPU 1 could always move (to 2 and 3, and from there back), so showing that would not do.
    let model = Sketch {
        edges: vec![
            vec![cpu(0, 1), cpu(1, 2)],
            vec![cpu(0, 0), cpu(1, 3)],
            vec![cpu(1, 0)],
            vec![cpu(1, 1)],
        ],
        goals: vec![],
    };
    // CPU 0 takes its turn to 1, where CPU 1 has its nearest turn, to 3 and back; CPU 0 returns to 0.
    assert_eq!(model.failure().cycle, [0, 1, 0, 0]);
}

#[test]
fn a_goal_that_comes_and_goes_must_come_again() {
    let again = Sketch {
        edges: vec![vec![cpu(0, 1)], vec![cpu(0, 0)]],
        goals: vec![1],
    };
    assert_eq!(again.verdict(), Verdict::Holds);
    let once = Sketch {
        edges: vec![
            vec![cpu(0, 1)],
            vec![cpu(0, 2)],
            vec![cpu(0, 3)],
            vec![cpu(0, 2)],
        ],
        goals: vec![1],
    };
    let failure = once.failure();
    assert_eq!((failure.stem.actions.len(), failure.cycle.len()), (2, 2));
}

#[test]
fn of_several_goals_the_one_missed_soonest_is_named() {
    // Bit 3 is true in state 1, bit 5 nowhere; 1 is a dead end.
    let model = Sketch {
        edges: vec![vec![cpu(0, 1)], vec![]],
        goals: vec![],
    };
    let outcome = search(
        &model,
        |_, s| if *s == 1 { 1 << 3 } else { 0 },
        &Options::threads(1).keeping_graph(),
    );
    assert_eq!(check(&model, &outcome, 1 << 3), Ok(Verdict::Holds));
    let Ok(Verdict::Fails(failure)) = check(&model, &outcome, 1 << 3 | 1 << 5) else {
        panic!()
    };
    assert_eq!(failure.goal, 5);
}

#[test]
fn a_cut_off_search_never_holds_but_what_it_shows_is_real() {
    let line = |last: Vec<Drawn>| {
        let mut edges: Vec<_> = (0..9).map(|s| vec![cpu(0, s + 1)]).collect();
        edges.push(last);
        Sketch {
            edges,
            goals: vec![9],
        }
    };
    let cut = |model: &Sketch, max| {
        let options = Options {
            max_states: Some(max),
            ..Options::threads(1).keeping_graph()
        };
        let outcome = search(model, |m, s| u64::from(m.goals.contains(s)), &options);
        check(model, &outcome, GOAL).unwrap()
    };
    assert_eq!(cut(&line(vec![]), 100), Verdict::Holds);
    assert_eq!(cut(&line(vec![]), 5), Verdict::Unknown);
    // A loop between 1 and 2 is there however early the search ends after it.
    let mut model = line(vec![]);
    model.edges[2] = vec![cpu(0, 1), cpu(1, 3)];
    model.edges[1].push(cpu(1, 2));
    assert!(matches!(cut(&model, 5), Verdict::Fails(_)));
    assert_eq!(cut(&model, 3), Verdict::Unknown);
}

#[test]
fn a_wrong_question_is_an_error() {
    let model = Sketch {
        edges: vec![vec![cpu(0, 1)], vec![cpu(0, 0)]],
        goals: vec![],
    };
    let without = search(&model, |_, _| 0, &Options::threads(1));
    assert_eq!(check(&model, &without, GOAL), Err(ProgressError::NoGraph));
    assert_eq!(
        check(&model, &model.explore(1), 0),
        Err(ProgressError::NoGoal)
    );
    let other = Sketch {
        edges: vec![vec![]],
        goals: vec![],
    };
    assert_eq!(
        check(&other, &model.explore(1), GOAL),
        Err(ProgressError::AnotherModel)
    );
}

/// The lowest state at which a fair run can stay without the goal: by trying every set of states as the set of those
/// visited again and again, straight from the definition.
fn by_brute_force(graph: &Graph, goal: u64) -> Option<u32> {
    let n = graph.states();
    let steps = |s: u32| graph.edges(s).filter(move |e| e.target != s);
    let ends = (0..n).filter(|&s| {
        graph.facts(s) & goal == 0 && steps(s).all(|e| e.mover.is_none() && e.class.is_none())
    });
    let loops = (1u32..1 << n)
        .filter(|set| set.count_ones() > 1)
        .filter_map(|set| {
            let members: Vec<u32> = (0..n).filter(|s| set >> s & 1 != 0).collect();
            let inside = |s: &u32| set >> s & 1 != 0;
            if members.iter().any(|&s| graph.facts(s) & goal != 0) {
                return None;
            }
            // Everybody reaches everybody without leaving.
            let connected = members.iter().all(|&from| {
                let mut reached = 1u32 << from;
                for _ in 0..n {
                    for s in (0..n).filter(|s| reached >> s & 1 != 0).collect::<Vec<_>>() {
                        reached |= steps(s)
                            .filter(|e| inside(&e.target))
                            .fold(0, |r, e| r | 1 << e.target);
                    }
                }
                reached == set
            });
            let all = || members.iter().flat_map(|&s| steps(s));
            let within = || all().filter(|e| inside(&e.target));
            let weak = (0..8).all(|m| {
                members
                    .iter()
                    .any(|&s| steps(s).all(|e| e.mover != Some(m)))
                    || within().any(|e| e.mover == Some(m))
            });
            let strong = (0..15)
                .all(|c| all().all(|e| e.class != Some(c)) || within().any(|e| e.class == Some(c)));
            let somebody = within().any(|e| e.mover.is_some() || e.class.is_some());
            (connected && weak && strong && somebody).then(|| members[0])
        });
    ends.chain(loops).min()
}

fn sketch() -> impl Strategy<Value = Sketch> {
    (1..8usize).prop_flat_map(|n| {
        let edge = (
            proptest::option::weighted(0.75, 0..3usize),
            proptest::option::weighted(0.2, 0..2usize),
            0..n,
        );
        (
            proptest::collection::vec(proptest::collection::vec(edge, 0..4), n),
            proptest::collection::vec(0..n, 0..3),
        )
            .prop_map(|(edges, goals)| Sketch { edges, goals })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn the_verdict_is_that_of_trying_every_set_of_states(model in sketch()) {
        let outcome = model.explore(1);
        let graph = outcome.graph.as_ref().unwrap();
        let expected = by_brute_force(graph, GOAL);
        match check(&model, &outcome, GOAL).unwrap() {
            Verdict::Holds => prop_assert_eq!(expected, None),
            Verdict::Unknown => prop_assert!(false, "the search was complete"),
            Verdict::Fails(failure) => {
                prop_assert_eq!(expected, Some(failure.state));
                prop_assert_eq!(Some(failure.stem.actions.len()), outcome.depth_of(failure.state));
                // The loop is one, avoids the goal, and is fair as it stands.
                let path = replay_trail(&model, &failure.unrolled(1)).unwrap();
                let circle: Vec<usize> = path[failure.stem.actions.len()..].iter().map(|(_, s)| *s).collect();
                prop_assert_eq!(circle.first(), circle.last());
                prop_assert!(circle.iter().all(|s| !model.goals.contains(s)));
                let steps = |s: usize| model.edges[s].iter().filter(move |e| e.2 != s);
                let taken: Vec<Drawn> = path[failure.stem.actions.len() + 1..]
                    .iter()
                    .filter_map(|(action, _)| action.map(|(s, i)| model.edges[s][i]))
                    .collect();
                for m in 0..8 {
                    prop_assert!(
                        circle.iter().any(|&s| steps(s).all(|e| e.0 != Some(m))) || taken.iter().any(|e| e.0 == Some(m))
                    );
                }
                for c in 0..15 {
                    prop_assert!(
                        circle.iter().all(|&s| steps(s).all(|e| e.1 != Some(c))) || taken.iter().any(|e| e.1 == Some(c))
                    );
                }
            }
        }
    }
}
