//! Where a fair run can stop making progress.

use crate::search::{Edge, Graph};

/// A place a fair run without the goal can stay at.
pub(super) enum Stop {
    /// A state in which nobody who is owed a step can change anything.
    End(u32),
    /// A strongly connected set of states, ascending, in which a fair run can go round.
    Loop(Vec<u32>),
}

impl Stop {
    /// The end, or the first state of the loop the search found.
    pub(super) fn state(&self) -> u32 {
        match self {
            Stop::End(state) => *state,
            Stop::Loop(members) => members[0],
        }
    }
}

/// Who can change something in a state, or does so in a loop: movers, and classes of urgent actions, as bit sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turns {
    pub(super) movers: u8,
    pub(super) classes: u16,
}

impl Turns {
    pub(super) fn is_empty(self) -> bool {
        self.movers == 0 && self.classes == 0
    }

    pub(super) fn of(edge: &Edge) -> Turns {
        Turns {
            movers: edge.mover.map_or(0, |m| 1 << m),
            classes: edge.class.map_or(0, |c| 1 << c),
        }
    }

    fn add(&mut self, edge: &Edge) {
        let other = Turns::of(edge);
        self.movers |= other.movers;
        self.classes |= other.classes;
    }
}

/// The transitions of a state that change something.
pub(super) fn steps(graph: &Graph, state: u32) -> impl Iterator<Item = Edge> {
    graph.edges(state).filter(move |e| e.target != state)
}

/// Who can change something in a state.
pub(super) fn enabled(graph: &Graph, state: u32) -> Turns {
    let mut turns = Turns::default();
    steps(graph, state).for_each(|edge| turns.add(&edge));
    turns
}

/// The stop with the lowest state at which a fair run never has any fact of `goal` (again).
pub(super) fn first_stop(graph: &Graph, goal: u64) -> Option<Stop> {
    // Of a state that was not expanded nothing is known: it is never part of a failure.
    let lacks = |s: u32| graph.is_expanded(s) && graph.facts(s) & goal == 0;
    let end = (0..graph.states()).find(|&s| lacks(s) && enabled(graph, s).is_empty());

    let components = graph.components(lacks);
    let mut work: Vec<Vec<u32>> = (0..components.count())
        .map(|c| components.members(c))
        .filter(|members| members.len() > 1 && end.is_none_or(|end| members[0] < end))
        .map(<[u32]>::to_vec)
        .collect();
    let mut best: Option<Vec<u32>> = None;
    while let Some(members) = work.pop() {
        if best.as_ref().is_some_and(|b| b[0] <= members[0]) {
            continue;
        }
        match judge(graph, &members) {
            Judgement::Fair => best = Some(members),
            Judgement::Unfair => {}
            Judgement::Without(rest) => {
                work.extend(
                    graph
                        .components_within(&rest)
                        .into_iter()
                        .filter(|c| c.len() > 1),
                );
            }
        }
    }
    match (end, best) {
        (Some(end), Some(members)) if members[0] < end => Some(Stop::Loop(members)),
        (Some(end), _) => Some(Stop::End(end)),
        (None, members) => members.map(Stop::Loop),
    }
}

enum Judgement {
    /// A run that visits all these states and takes all steps between them is fair.
    Fair,
    /// No run that stays among these states is.
    Unfair,
    /// A fair run that stays among these states stays among fewer.
    Without(Vec<u32>),
}

fn judge(graph: &Graph, members: &[u32]) -> Judgement {
    let inside = |s: u32| members.binary_search(&s).is_ok();
    let mut taken = Turns::default();
    let mut sometimes = 0;
    let mut always = u8::MAX;
    for &state in members {
        let here = enabled(graph, state);
        sometimes |= here.classes;
        always &= here.movers;
        steps(graph, state)
            .filter(|e| inside(e.target))
            .for_each(|edge| taken.add(&edge));
    }
    // Strong fairness first: it may leave smaller sets, for which the rest has to be asked anew.
    let starved = sometimes & !taken.classes;
    if starved != 0 {
        let spared = |s: &u32| enabled(graph, *s).classes & starved == 0;
        return Judgement::Without(members.iter().copied().filter(spared).collect());
    }
    // Weak fairness: what is owed here is owed in every part of these states. And hardware does not go round
    // for ever for nothing.
    if always & !taken.movers != 0 || taken.is_empty() {
        return Judgement::Unfair;
    }
    Judgement::Fair
}
