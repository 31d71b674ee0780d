//! What is asked of the graph a search keeps.

use shootdown_spec::search::{Fate, Options, Scheduled, search};
use stateright::Model;

use crate::drawn::Drawn;

#[test]
fn fates_tell_what_can_still_be_avoided() {
    // 0 may still go to 1 (good, terminal) or 2; from 2 all ways lead to 4; 3 may go round 5 for ever instead;
    // 6 only has a step to itself, 7 has that and a way to 4.
    let to = |targets: &[usize]| targets.iter().map(|t| (None, Some(*t))).collect::<Vec<_>>();
    let mut model = Drawn::new(vec![
        to(&[1, 2, 3, 6, 7]),
        to(&[]),
        to(&[4, 4]),
        to(&[4, 5]),
        to(&[]),
        to(&[3]),
        to(&[6]),
        to(&[7, 4]),
    ]);
    model.facts = (0..8).map(|s| 1 << s).collect();
    let outcome = search(
        &model,
        |m, s| m.facts[*s],
        &Options::threads(1).keeping_graph(),
    );
    let graph = outcome.graph.unwrap();
    let fates = graph.fates(|s| graph.facts(s) == 1 << 4);
    let fate = |state: usize| {
        let number = (0..graph.states())
            .find(|&s| graph.facts(s) == 1 << state)
            .unwrap();
        fates[number as usize]
    };
    use Fate::*;
    assert_eq!(
        (0..8).map(fate).collect::<Vec<_>>(),
        [Maybe, Never, Always, Maybe, Always, Maybe, Never, Always]
    );
    assert!(!graph.is_acyclic());
}

#[test]
fn in_a_cut_graph_no_fate_is_never_unless_it_is_known() {
    // A line 0 -> 1 -> 2 -> 3 cut after three states.
    let model = Drawn::new(
        (0..4)
            .map(|s| vec![(None, (s < 3).then_some(s + 1))])
            .collect(),
    );
    let options = Options {
        max_states: Some(3),
        ..Options::threads(1).keeping_graph()
    };
    let graph = search(&model, |m, s| m.facts[*s], &options).graph.unwrap();
    assert_eq!(graph.fates(|_| false), [Fate::Maybe; 3]);
    assert_eq!(
        graph.fates(|s| s == 1),
        [Fate::Always, Fate::Always, Fate::Maybe]
    );
}

#[test]
fn components_of_a_path_of_a_million_states_do_not_overflow_the_stack() {
    let n = 1_000_000;
    let line = Line { n };
    let graph = search(&line, |_, _| 0, &Options::threads(1).keeping_graph())
        .graph
        .unwrap();
    assert_eq!(graph.states(), n);
    // The last state goes back to the middle: half the states are one component, the rest are alone.
    let all = graph.components(|_| true);
    assert_eq!(all.count(), n / 2 + 1);
    assert_eq!(all.members(0).len(), n as usize / 2);
    assert_eq!(all.of(n - 1), Some(0));
    assert_eq!(all.of(0), Some(n / 2));
    // Without the last state there is no loop left.
    let some = graph.components(|s| s != n - 1);
    assert_eq!((some.count(), some.of(n - 1)), (n - 1, None));
}

/// A path whose last state goes back to the middle.
struct Line {
    n: u32,
}

impl Model for Line {
    type State = u32;
    type Action = ();

    fn init_states(&self) -> Vec<u32> {
        vec![0]
    }

    fn actions(&self, _: &u32, actions: &mut Vec<()>) {
        actions.push(());
    }

    fn next_state(&self, state: &u32, (): ()) -> Option<u32> {
        Some(if *state + 1 < self.n {
            *state + 1
        } else {
            self.n / 2
        })
    }
}

impl Scheduled for Line {
    fn movers(&self) -> usize {
        1
    }

    fn mover(&self, (): &()) -> Option<usize> {
        Some(0)
    }
}
