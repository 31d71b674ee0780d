//! Every reachable state, level by level, and the graph of steps between them.

use crate::keep::Keep;
use crate::machine::{Fault, Machine, Moves};
use crate::reduce::Reducer;
use crate::system::{CellId, Check, ContextId};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

mod kept;
pub use kept::read;

/// When to stop early.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds<'a> {
    /// At most this many distinct states.
    pub states: Option<usize>,
    /// No state further than this many steps from a start; what lies there is not expanded.
    pub depth: Option<usize>,
    /// At most about this many bytes.
    pub memory: Option<usize>,
    /// Not beyond this moment.
    pub until: Option<Instant>,
    /// Somebody else's wish to stop.
    pub cancel: Option<&'a AtomicBool>,
    /// Keeps how far it has come, when it is time and when a bound or a signal ends it.
    pub keep: Option<&'a dyn Keep>,
}

/// Why an exploration is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// As many states as were allowed.
    States,
    /// As much memory as was allowed, or as there is.
    Memory,
    /// The time is up.
    Time,
    /// Cancelled.
    Cancelled,
    /// A variable without a declared range grows out of its cell.
    Grows(CellId),
}

/// A transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The number of the state it leads to.
    pub to: u32,
    /// The step.
    pub step: u32,
}

/// What an exploration found.
#[derive(Debug)]
pub struct Graph {
    words: usize,
    states: Vec<u64>,
    rows: Vec<u64>,
    edges: Vec<Edge>,
    /// States whose successors are known; those from here on were not expanded.
    expanded: usize,
    /// First state of each level.
    pub levels: Vec<u32>,
    /// First state in which each check fails, and at whose place.
    pub failed: BTreeMap<Check, (u32, ContextId)>,
    /// First state that breaks each invariant, by its number.
    pub broken: BTreeMap<usize, u32>,
    /// States where a step could not be carried out, and whose.
    pub faults: Vec<(u32, ContextId)>,
    /// States where a step failed a check: there its context goes no further for that reason.
    pub excused: Vec<(u32, ContextId)>,
    /// Contexts that were seen to run, places that were reached: for vacuity.
    pub reached: Vec<Vec<bool>>,
    /// Why it is not complete.
    pub cut: Option<Cut>,
    /// By transition, where states stand for others: contexts whose steps were taken at once after it.
    passed: Vec<u64>,
    /// Does a state stand for another one that it leads to?
    pub folded: bool,
    /// What grew out of its cell first.
    grows: Option<CellId>,
}

impl Graph {
    /// No state yet.
    fn nothing(machine: &Machine<'_>) -> Graph {
        let contexts = machine.system().contexts.iter();
        Graph {
            words: machine.words(),
            states: Vec::new(),
            rows: vec![0],
            edges: Vec::new(),
            expanded: 0,
            levels: vec![0],
            failed: BTreeMap::new(),
            broken: BTreeMap::new(),
            faults: Vec::new(),
            excused: Vec::new(),
            reached: contexts.map(|c| vec![false; c.steps.len()]).collect(),
            cut: None,
            grows: None,
            passed: Vec::new(),
            folded: false,
        }
    }

    /// Contexts whose steps were taken at once after a transition of the state, by its position among them.
    pub fn passed(&self, number: u32, transition: usize) -> u64 {
        let at = self.rows[number as usize] as usize + transition;
        self.passed.get(at).copied().unwrap_or(0)
    }

    /// The number of states.
    pub fn len(&self) -> usize {
        self.states.len() / self.words
    }

    /// Is there no state? (Never: there is an initial one.)
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// The number of transitions.
    pub fn transitions(&self) -> usize {
        self.edges.len()
    }

    /// The state.
    pub fn state(&self, number: u32) -> &[u64] {
        let start = number as usize * self.words;
        &self.states[start..start + self.words]
    }

    /// The transitions from a state; none are known from one that was not expanded.
    pub fn edges(&self, number: u32) -> &[Edge] {
        let n = number as usize;
        if n >= self.expanded {
            return &[];
        }
        &self.edges[self.rows[n] as usize..self.rows[n + 1] as usize]
    }

    /// Were the successors of the state computed?
    pub fn is_expanded(&self, number: u32) -> bool {
        (number as usize) < self.expanded
    }

    /// The level of a state: the length of a shortest run to it.
    pub fn level(&self, number: u32) -> usize {
        self.levels.partition_point(|&first| first <= number) - 1
    }

    /// One past the last initial state.
    pub fn first_level_end(&self) -> u32 {
        self.levels.get(1).copied().unwrap_or(self.len() as u32)
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.states.capacity() * 8
            + self.rows.capacity() * 8
            + self.edges.capacity() * size_of::<Edge>()
    }
}

/// The numbers of states by their words: open addressing over the states themselves, so that two states are never taken
/// for one.
struct Index {
    slots: Vec<u32>,
    len: usize,
}

const FREE: u32 = u32::MAX;

impl Index {
    /// Of these states, which differ.
    fn new(states: &[u64], words: usize) -> Index {
        let len = states.len() / words;
        let slots = (len * 2).next_power_of_two().max(1 << 10);
        let mut index = Index {
            slots: vec![FREE; slots],
            len,
        };
        index.fill(states, words);
        index
    }

    /// Multiplies word by word into 128 bits and folds (as wyhash does). States are compared word by word, so that a bad
    /// hash costs time only.
    fn hash(words: &[u64]) -> usize {
        const KEY: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut h = words.len() as u64;
        for &word in words {
            let wide = u128::from(word ^ KEY).wrapping_mul(u128::from(h ^ 0xe703_7ed1_a0b4_28db));
            h = (wide as u64 ^ (wide >> 64) as u64).wrapping_add(KEY);
        }
        (h ^ h >> 32) as usize
    }

    /// The number of the state, `states.len()` if it is new; then it is entered.
    fn find_or_insert(&mut self, states: &mut Vec<u64>, state: &[u64]) -> (u32, bool) {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow(states, state.len());
        }
        let mask = self.slots.len() - 1;
        let mut at = Index::hash(state) & mask;
        loop {
            let number = self.slots[at];
            if number == FREE {
                let number = (states.len() / state.len()) as u32;
                self.slots[at] = number;
                self.len += 1;
                states.extend_from_slice(state);
                return (number, true);
            }
            let start = number as usize * state.len();
            if states[start..start + state.len()] == *state {
                return (number, false);
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self, states: &[u64], words: usize) {
        self.slots = vec![FREE; self.slots.len() * 2];
        self.fill(states, words);
    }

    fn fill(&mut self, states: &[u64], words: usize) {
        let mask = self.slots.len() - 1;
        for (number, state) in states.chunks_exact(words).enumerate() {
            let mut at = Index::hash(state) & mask;
            while self.slots[at] != FREE {
                at = (at + 1) & mask;
            }
            self.slots[at] = number as u32;
        }
    }
}

/// Explores all states within the bounds.
pub fn explore(machine: &Machine<'_>, bounds: Bounds<'_>) -> Graph {
    explore_reduced(machine, bounds, None)
}

/// Explores, within the bounds, the states that stand for all. What states show that are passed is noted with the number of
/// the state before them.
pub fn explore_reduced(
    machine: &Machine<'_>,
    bounds: Bounds<'_>,
    reducer: Option<&Reducer>,
) -> Graph {
    let mut graph = Graph::nothing(machine);
    let mut index = Index::new(&graph.states, graph.words);
    for mut initial in machine.initial() {
        if let Some(reducer) = reducer {
            reducer.canon(
                &mut initial,
                |context, state| machine.only(context, state),
                |state, _| note_passed(machine, &mut graph, 0, state),
            );
        }
        index.find_or_insert(&mut graph.states, &initial);
    }
    search(machine, bounds, reducer, graph)
}

/// Goes on within the bounds from what was explored: [`read`] gives that.
pub fn go_on(machine: &Machine<'_>, bounds: Bounds<'_>, graph: Graph) -> Graph {
    search(machine, bounds, None, graph)
}

/// What states stand for others is not kept.
fn search(
    machine: &Machine<'_>,
    mut bounds: Bounds<'_>,
    reducer: Option<&Reducer>,
    mut graph: Graph,
) -> Graph {
    if reducer.is_some() {
        bounds.keep = None;
    }
    let mut index = Index::new(&graph.states, graph.words);
    // The first one shows that it can be kept at all.
    if graph.expanded == 0 {
        kept::keep(machine, &graph, bounds);
    }
    let mut moves = Moves::default();
    let mut state = Vec::new();
    while graph.expanded < graph.len() {
        let number = graph.expanded as u32;
        if *graph.levels.last().unwrap_or(&0) == number {
            if bounds.depth.is_some_and(|most| graph.levels.len() > most) {
                break;
            }
            let next = graph.len() as u32;
            if let Some(cut) = beyond(&graph, &index, bounds) {
                graph.cut = Some(cut);
                break;
            }
            graph.levels.push(next);
        } else if number.is_multiple_of(4096)
            && let Some(cut) = beyond(&graph, &index, bounds)
        {
            graph.cut = Some(cut);
            break;
        }
        if number.is_multiple_of(1024) && bounds.keep.is_some_and(|keeper| keeper.is_due()) {
            kept::keep(machine, &graph, bounds);
        }
        state.clear();
        state.extend_from_slice(graph.state(number));
        machine.moves(&state, &mut moves);
        note(machine, &mut graph, number, &state, &moves);
        for (i, &step) in moves.steps.iter().enumerate() {
            let mut to = &moves.states[i * graph.words..(i + 1) * graph.words];
            let (mut canonical, mut passed) = (Vec::new(), 0);
            if let Some(reducer) = reducer {
                canonical.extend_from_slice(to);
                reducer.canon(
                    &mut canonical,
                    |context, state| machine.only(context, state),
                    |state, context| {
                        passed |= 1 << context;
                        note_passed(machine, &mut graph, number, state);
                    },
                );
                graph.folded |= to != state && canonical == state;
                to = &canonical;
            }
            let full = bounds.states.is_some_and(|most| index.len >= most);
            let (to, _) = if full {
                match known(&index, &graph.states, to) {
                    Some(to) => (to, false),
                    None => {
                        graph.cut = Some(Cut::States);
                        break;
                    }
                }
            } else {
                index.find_or_insert(&mut graph.states, to)
            };
            graph.edges.push(Edge { to, step });
            if reducer.is_some() {
                graph.passed.push(passed);
            }
        }
        if graph.cut == Some(Cut::States) {
            graph.edges.truncate(graph.rows[number as usize] as usize);
            graph.passed.truncate(graph.edges.len());
            break;
        }
        graph.rows.push(graph.edges.len() as u64);
        graph.expanded += 1;
    }
    kept::keep(machine, &graph, bounds);
    graph.cut = graph.cut.or(graph.grows.map(Cut::Grows));
    // The last entry is the end of the last level.
    if graph.levels.last() == Some(&(graph.len() as u32)) && graph.levels.len() > 1 {
        graph.levels.pop();
    }
    graph
}

fn known(index: &Index, states: &[u64], state: &[u64]) -> Option<u32> {
    let mask = index.slots.len() - 1;
    let mut at = Index::hash(state) & mask;
    loop {
        let number = index.slots[at];
        if number == FREE {
            return None;
        }
        let start = number as usize * state.len();
        if states[start..start + state.len()] == *state {
            return Some(number);
        }
        at = (at + 1) & mask;
    }
}

fn beyond(graph: &Graph, index: &Index, bounds: Bounds<'_>) -> Option<Cut> {
    if bounds.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
        return Some(Cut::Cancelled);
    }
    if bounds.until.is_some_and(|until| Instant::now() >= until) {
        return Some(Cut::Time);
    }
    let bytes = graph.bytes() + index.slots.len() * 4;
    // A table that grows is there twice for a while.
    if bounds.memory.is_some_and(|most| bytes * 2 > most) || graph.len() > (1 << 31) {
        return Some(Cut::Memory);
    }
    None
}

/// Notes what a state shows that is passed on the way from another.
fn note_passed(machine: &Machine<'_>, graph: &mut Graph, number: u32, state: &[u64]) {
    let mut moves = Moves::default();
    machine.moves(state, &mut moves);
    note(machine, graph, number, state, &moves);
}

/// Notes what a state shows.
fn note(machine: &Machine<'_>, graph: &mut Graph, number: u32, state: &[u64], moves: &Moves) {
    let system = machine.system();
    let view = machine.view(state);
    for &(check, context) in &moves.failed {
        graph.failed.entry(check).or_insert((number, context));
        // Only there the step cannot be taken for that reason.
        if check == Check::UnlockHeld {
            graph.excused.push((number, context));
        }
    }
    for &(step, fault) in &moves.faults {
        let context = system.steps[step as usize].context;
        match (machine.fault_check(fault), fault) {
            (Some(check), _) => {
                graph.failed.entry(check).or_insert((number, context));
            }
            (None, Fault::Overflow(cell)) => {
                graph.grows.get_or_insert(cell);
            }
            (None, Fault::NoValue) => {}
        }
        graph.faults.push((number, context));
    }
    for (i, invariant) in system.invariants.iter().enumerate() {
        if view.value(&invariant.holds) == Some(0) {
            graph.broken.entry(i).or_insert(number);
        }
    }
    for (c, reached) in graph.reached.iter_mut().enumerate() {
        reached[view.place(ContextId(c as u32)) as usize] = true;
    }
}
