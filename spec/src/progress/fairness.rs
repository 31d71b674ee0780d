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

/// What is asked of every goal alike, so that it is found once.
pub(super) struct Places {
    /// States in which nobody who is owed a step can change anything, ascending.
    ends: Vec<u32>,
    /// Strongly connected sets of more than one state.
    loops: Vec<Vec<u32>>,
}

impl Places {
    pub(super) fn of(graph: &Graph) -> Places {
        // Of a state that was not expanded nothing is known: it is never part of a failure.
        let expanded = || (0..graph.states()).take_while(|&s| graph.is_expanded(s));
        Places {
            ends: expanded()
                .filter(|&s| enabled(graph, s).is_empty())
                .collect(),
            loops: graph.loops(),
        }
    }
}

/// The stop with the lowest state at which a fair run never has any fact of `goal` (again).
pub(super) fn first_stop(graph: &Graph, places: &Places, goal: u64) -> Option<Stop> {
    let lacks = |s: &u32| graph.facts(*s) & goal == 0;
    let end = places.ends.iter().copied().find(lacks);
    // A loop without the goal lies within one of the whole graph.
    let mut work = Vec::new();
    for members in &places.loops {
        let without: Vec<u32> = members.iter().copied().filter(lacks).collect();
        if without.len() == members.len() {
            work.push(without);
        } else {
            let parts = graph.components_within(&without);
            work.extend(parts.into_iter().filter(|part| part.len() > 1));
        }
    }
    work.retain(|members| end.is_none_or(|end| members[0] < end));
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
    // Strong fairness first: it may leave smaller sets, for which the rest has to be asked again.
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
