//! Generated faults for programs.

use super::campaign::{Fate, Tried};
use super::{Run, Tally};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Results {
    schema: &'static str,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    edits: usize,
    not_tried: usize,
    caught: usize,
    equivalent_here: usize,
    redundant: usize,
    untested: usize,
    not_reached: usize,
    survived: usize,
    argued: usize,
    unexplained: usize,
    arguments_without_a_survivor: Vec<String>,
    cells: usize,
    states: u64,
    elapsed_ms: u64,
    faults: Vec<Fault>,
}

#[derive(Serialize)]
struct Fault {
    program: &'static str,
    function: &'static str,
    statement: &'static str,
    nth: usize,
    op: String,
    when: String,
    kind: &'static str,
    change: String,
    fate: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    equivalent_because: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cell: Option<String>,
    differences: Vec<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    argued: Option<&'static str>,
    came_nearest: Vec<Near>,
}

#[derive(Serialize)]
struct Difference {
    check: &'static str,
    what: String,
    old: String,
    new: String,
}

#[derive(Serialize)]
struct Near {
    cell: String,
    taken: u64,
    differs: bool,
}

/// What was found.
pub(super) fn results(run: &Run) -> Results {
    let tally = Tally::of(run);
    Results {
        schema: "shootdown/mutants-generated/1",
        complete: run.cut_off == 0,
        seed: run.seed,
        edits: run.tried.len(),
        not_tried: run.cut_off,
        caught: tally.caught(),
        equivalent_here: tally.equivalent,
        redundant: tally.redundant,
        untested: tally.untested,
        not_reached: tally.not_reached,
        survived: tally.survived,
        argued: tally.argued,
        unexplained: tally.unexplained,
        arguments_without_a_survivor: run.idle.iter().map(|a| a.about()).collect(),
        cells: run.cells,
        states: run.states,
        elapsed_ms: run.elapsed.as_millis() as u64,
        faults: run.tried.iter().map(Fault::of).collect(),
    }
}

impl Fault {
    fn of(tried: &Tried) -> Fault {
        let spot = tried.fault.spot.clone();
        let (fate, because, caught) = match &tried.fate {
            Fate::Caught {
                command,
                differences,
            } => ("caught", None, Some((command.clone(), differences))),
            Fate::Equivalent(why) => ("equivalent_here", Some(*why), None),
            Fate::Redundant => ("redundant", None, None),
            Fate::Untested(why) => ("untested", Some(*why), None),
            Fate::NotReached => ("not_reached", None, None),
            Fate::Survived => ("survived", None, None),
        };
        let (cell, differences) = caught.unzip();
        let differences = differences.into_iter().flatten().map(|d| Difference {
            check: d.check,
            what: d.what.clone(),
            old: d.old.clone(),
            new: d.new.clone(),
        });
        Fault {
            program: spot.program,
            function: spot.function,
            statement: spot.statement,
            nth: spot.nth,
            op: spot.op,
            when: spot.when,
            kind: tried.fault.change.kind(),
            change: tried.fault.change.to_string(),
            fate,
            equivalent_because: because,
            cell,
            differences: differences.collect(),
            argued: tried.argued.map(|a| a.why.as_str()),
            came_nearest: tried
                .near
                .iter()
                .map(|n| Near {
                    cell: n.command.clone(),
                    taken: n.taken,
                    differs: n.differs,
                })
                .collect(),
        }
    }
}
