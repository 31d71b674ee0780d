//! Steps at once: where a context stands at a step that nothing can come before that depends on it, and that no question
//! sees, the step is taken and the state before it is passed by.
//!
//! This is partial-order reduction with ample sets of one step. Which step qualifies is decided from footprints, for a
//! place and, where that does not do, for the values there of a few cells of its own CPU (is the interrupt flag off?):
//!
//! * What is known at the start is the place, what the context needs to execute there, and those values. Whatever a step
//!   that is not ruled out may change is known no longer, until nothing is lost any more: what is left stays as it is
//!   until the context itself goes on.
//! * Each step of another context that is not ruled out by then is the same before and after the step at hand, as far as
//!   its condition and its effect go, and writes nothing that the step at hand reads or writes. So it can as well come
//!   after it, and leads to the same state.
//! * Questions are the business of [`Asked`]: which cells such a step may change, and between which places it may lead.
//! * A state whose step is not taken at once, because there were too many of them in a row, is expanded as any other: on
//!   every circle there is one.

use super::Asked;
use super::fold::{Folded, Known, leaves};
use crate::expr::Binary;
use crate::machine::{Machine, Slot};
use crate::system::{CellId, ContextId, Step, System, X};

/// Not more combinations of values than this are looked at for a place.
const MOST_COMBINATIONS: i64 = 256;
/// Steps in a row that are taken at once.
pub(super) const MOST_STEPS: usize = 64;

/// What is known of a place.
#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Never,
    Always,
    /// It depends on the values of these cells.
    Table(Vec<Slot>, Box<[bool]>),
}

/// Which steps are taken at once.
#[derive(Clone, Debug)]
pub(super) struct Por {
    /// By context: its place, and by place.
    contexts: Vec<(Slot, Vec<Rule>)>,
}

impl Por {
    pub(super) fn new(machine: &Machine<'_>, asked: &Asked) -> Por {
        let index = Index::new(machine.system());
        let contexts = machine.system().contexts.iter().enumerate();
        let contexts = contexts.map(|(c, context)| {
            let places = 0..context.steps.len() as u32;
            let rules = places.map(|place| index.rule(machine, asked, ContextId(c as u32), place));
            (machine.slot(context.place), rules.collect())
        });
        Por {
            contexts: contexts.collect(),
        }
    }

    /// The contexts whose step may be taken at once, if it is the only one they can take.
    #[inline]
    pub(super) fn candidates(&self, words: &[u64]) -> impl Iterator<Item = usize> {
        let contexts = self.contexts.iter().enumerate();
        contexts
            .filter(
                |(_, (place, rules))| match &rules[place.raw(words) as usize] {
                    Rule::Never => false,
                    Rule::Always => true,
                    Rule::Table(slots, allowed) => {
                        let number = slots.iter().fold(0, |number, slot| {
                            number * (slot.hi.abs_diff(slot.lo) + 1) + slot.raw(words)
                        });
                        allowed[number as usize]
                    }
                },
            )
            .map(|(context, _)| context)
    }

    /// Is there no such place?
    pub(super) fn is_empty(&self) -> bool {
        let mut rules = self.contexts.iter().flat_map(|(_, rules)| rules);
        rules.all(|rule| *rule == Rule::Never)
    }
}

/// Who reads and who writes what, as the steps stand.
struct Index<'a> {
    system: &'a System,
    /// By cell: steps.
    readers: Vec<Vec<u32>>,
    writers: Vec<Vec<u32>>,
    /// By cell: the only CPU whose contexts write it.
    cpu: Vec<Option<usize>>,
}

/// What stands in the way.
enum Obstacle {
    /// Nothing can be done about it.
    Always,
    /// Steps that would have to be ruled out.
    Steps(Vec<u32>),
}

impl<'a> Index<'a> {
    fn new(system: &'a System) -> Index<'a> {
        let known = Known::constants(system);
        let cells = system.cells.len();
        let (mut readers, mut writers) = (vec![Vec::new(); cells], vec![Vec::new(); cells]);
        let mut cpu: Vec<Option<Option<usize>>> = vec![None; cells];
        for (number, step) in system.steps.iter().enumerate() {
            let folded = known.folded(step);
            for cell in folded.reads() {
                readers[cell.0 as usize].push(number as u32);
            }
            let on = system.contexts[step.context.index()].cpu;
            for cell in folded.writes() {
                writers[cell.0 as usize].push(number as u32);
                let it = &mut cpu[cell.0 as usize];
                *it = match it {
                    None => Some(Some(on)),
                    Some(Some(one)) if *one == on => *it,
                    Some(_) => Some(None),
                };
            }
        }
        Index {
            system,
            readers,
            writers,
            cpu: cpu.into_iter().map(Option::flatten).collect(),
        }
    }

    fn step(&self, number: u32) -> &'a Step {
        &self.system.steps[number as usize]
    }

    fn rule(&self, machine: &Machine<'_>, asked: &Asked, context: ContextId, place: u32) -> Rule {
        let steps = &self.system.contexts[context.index()].steps[place as usize];
        let unseen = |step: &u32| self.is_unseen(asked, context, place, self.step(*step));
        if place == 0 || steps.is_empty() || !steps.iter().all(unseen) {
            return Rule::Never;
        }
        let obstacle = match self.obstacle(context, place, &[]) {
            None => return Rule::Always,
            Some(Obstacle::Always) => return Rule::Never,
            Some(Obstacle::Steps(steps)) => steps,
        };
        // What could rule these steps out: values of cells that only this CPU changes.
        let cpu = self.system.contexts[context.index()].cpu;
        let mut cells: Vec<CellId> = Vec::new();
        for number in obstacle {
            let step = self.step(number);
            if self.system.contexts[step.context.index()].cpu != cpu {
                return Rule::Never;
            }
            let mut tested = Vec::new();
            let its = &self.system.contexts[step.context.index()];
            let gate = if step.at == 0 {
                &its.arrives
            } else {
                &its.executes
            };
            self.tests(gate, &mut tested);
            self.tests(&step.ready, &mut tested);
            tested.retain(|cell| self.cpu[cell.0 as usize] == Some(cpu));
            cells.extend(tested);
        }
        cells.sort();
        cells.dedup();
        let spans = cells.iter().map(|cell| {
            let it = &self.system.cells[cell.0 as usize];
            it.hi.abs_diff(it.lo) as i64 + 1
        });
        let spans: Vec<i64> = spans.collect();
        let all = spans.iter().try_fold(1i64, |all, span| {
            all.checked_mul(*span)
                .filter(|all| *all <= MOST_COMBINATIONS)
        });
        let (false, Some(all)) = (cells.is_empty(), all) else {
            return Rule::Never;
        };
        let allowed = (0..all).map(|mut number| {
            let mut given = Vec::new();
            for (cell, span) in cells.iter().zip(&spans).rev() {
                given.push((*cell, self.system.cells[cell.0 as usize].lo + number % span));
                number /= span;
            }
            self.obstacle(context, place, &given).is_none()
        });
        let allowed: Box<[bool]> = allowed.collect();
        match allowed.contains(&true) {
            true => Rule::Table(cells.iter().map(|c| machine.slot(*c)).collect(), allowed),
            false => Rule::Never,
        }
    }

    /// Does no question see the step, whatever else is known?
    fn is_unseen(&self, asked: &Asked<'_>, context: ContextId, place: u32, step: &Step) -> bool {
        let it = &self.system.contexts[context.index()];
        let folded = Known::constants(self.system).folded(step);
        let mut written = folded.writes().into_iter();
        let silent = &asked.silent[context.index()];
        let Some(to) = places_after(&folded, it.place) else {
            return false;
        };
        written.all(|cell| cell == it.place || silent.contains(&cell))
            && to
                .iter()
                .all(|&to| (asked.unseen)(context, place, to as u32))
    }

    /// Cells that a condition compares with a constant, as one of several conditions that all have to hold.
    fn tests(&self, x: &X, cells: &mut Vec<CellId>) {
        match x {
            X::Binary(Binary::And, a, b) => {
                self.tests(a, cells);
                self.tests(b, cells);
            }
            X::Binary(Binary::Eq | Binary::Ne, a, b) => {
                if let (X::Cell(r), X::Const(_)) = (&**a, &**b)
                    && r.index.is_none()
                {
                    cells.push(r.base);
                }
            }
            _ => {}
        }
    }

    /// Why the step at this place cannot be taken at once where these cells have these values; `None` if it can.
    fn obstacle(
        &self,
        context: ContextId,
        place: u32,
        given: &[(CellId, i64)],
    ) -> Option<Obstacle> {
        let it = &self.system.contexts[context.index()];
        let mine = |number: u32| {
            let step = self.step(number);
            step.context == context && step.at == place
        };
        let mut known = Known::constants(self.system).with(it.place, i64::from(place));
        let mut sure = vec![it.place];
        for &(cell, value) in given {
            known.set(cell, Some(value));
            sure.push(cell);
        }
        // What it needs to execute here holds, or it would not be taken at all.
        for (cell, value) in needs(&known.fold(&it.executes)) {
            if known.get(cell).is_none() {
                known.set(cell, Some(value));
                sure.push(cell);
            }
        }
        // What a step that is not ruled out may change is not known.
        let mut i = 0;
        while i < sure.len() {
            let cell = sure[i];
            let changes = |number: &&u32| {
                !mine(**number) && !known.forbids(self.step(**number)) && {
                    let folded = known.folded(self.step(**number));
                    folded.writes().contains(&cell)
                }
            };
            match self.writers[cell.0 as usize].iter().find(changes) {
                None => i += 1,
                Some(&number) if cell == it.place => return Some(Obstacle::Steps(vec![number])),
                Some(_) => {
                    known.set(cell, None);
                    sure.remove(i);
                    i = 0;
                }
            }
        }
        // What the step reads and writes, and what is there after it.
        let (mut reads, mut writes, mut after) = (Vec::new(), Vec::new(), Vec::new());
        for &number in &it.steps[place as usize] {
            let folded = known.folded(self.step(number));
            let Some(to) = places_after(&folded, it.place) else {
                return Some(Obstacle::Always);
            };
            for &to in &to {
                let mut then = known.clone();
                for cell in folded.writes() {
                    then.set(cell, None);
                }
                for (when, cell, value) in &folded.assigns {
                    if let (None, None, X::Const(value)) = (when, &cell.index, value) {
                        then.set(cell.base, Some(*value));
                    }
                }
                then.set(it.place, Some(to));
                after.push(then);
            }
            reads.extend(folded.reads());
            writes.extend(folded.writes());
        }
        let touched = |cells: &[CellId]| {
            let mut cells = cells.iter();
            cells.any(|cell| reads.contains(cell) || writes.contains(cell))
        };
        let of_writes = writes.iter().flat_map(|cell| {
            let cell = cell.0 as usize;
            self.readers[cell].iter().chain(&self.writers[cell])
        });
        let of_reads = reads.iter().flat_map(|cell| &self.writers[cell.0 as usize]);
        let mut others: Vec<u32> = of_writes.chain(of_reads).copied().collect();
        others.sort_unstable();
        others.dedup();
        others.retain(|&number| {
            if mine(number) {
                return false;
            }
            let step = self.step(number);
            let place = self.system.contexts[step.context.index()].place;
            if known.get(place).is_some_and(|at| at != i64::from(step.at)) {
                return false;
            }
            let ruled_out = known.forbids(step);
            // A check is asked wherever the context executes, whether or not its step can be taken.
            if ruled_out && step.checks.is_empty() {
                return false;
            }
            let before = known.folded(step).asked_if(ruled_out);
            let same = |after: &Known<'_>| after.folded(step).asked_if(ruled_out) == before;
            let differs = !after.iter().all(same);
            let reads_it = before.reads().iter().any(|cell| writes.contains(cell));
            let writes_it = touched(&before.writes());
            differs || reads_it || writes_it
        });
        (!others.is_empty()).then_some(Obstacle::Steps(others))
    }
}

/// Values that cells have where the condition holds.
fn needs(x: &X) -> Vec<(CellId, i64)> {
    match x {
        X::Binary(Binary::And, a, b) => {
            let mut both = needs(a);
            both.extend(needs(b));
            both
        }
        X::Binary(Binary::Eq, a, b) => match (&**a, &**b) {
            (X::Cell(r), X::Const(value)) if r.index.is_none() => vec![(r.base, *value)],
            _ => vec![],
        },
        _ => vec![],
    }
}

/// Where the step may lead.
fn places_after(folded: &Folded, place: CellId) -> Option<Vec<i64>> {
    let mut to = folded
        .assigns
        .iter()
        .filter(|(_, to, _)| to.cells().any(|c| c == place));
    match (to.next(), to.next()) {
        (Some((None, to, value)), None) if to.len == 1 => leaves(value),
        _ => None,
    }
}
