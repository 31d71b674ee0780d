//! What a search came to, held against what the file expects.

use super::Scenario;
use shootdown_ir::Expect;
use shootdown_ir::check::{
    Outcome, Result as Judged, Verdict as Word, check_from as judge_from, check_reduced,
};
use shootdown_ir::explore::{Bounds, Cut, Graph};
use shootdown_ir::keep::Keep;
use shootdown_ir::machine::Machine;
use shootdown_ir::reduce::Reductions;
use shootdown_ir::report::Story;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// How far a search may go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits<'a> {
    /// Most states.
    pub states: Option<u64>,
    /// Most bytes.
    pub memory: Option<u64>,
    /// Longest time, for each file.
    pub time: Option<Duration>,
    /// Raised when it should stop.
    pub cancel: Option<&'a AtomicBool>,
    /// Reductions to begin with.
    pub reduce: Reductions,
    /// Reductions to try where the full search ran out of memory.
    pub out_of_memory: Option<Reductions>,
    /// Keeps how far it has come.
    pub keep: Option<&'a dyn Keep>,
}

/// Whether everything is as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As the file expects; without an expectation, nothing is violated.
    AsExpected,
    /// Something is violated, and the file expects nothing.
    Violated,
    /// Not as the file expects, and why.
    Unexpected(String),
    /// It was cut off before that could be told.
    Incomplete,
}

/// A scenario that was checked.
#[derive(Debug)]
pub struct Checked<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// Its machine.
    pub machine: &'a Machine<'a>,
    /// Everything that was found.
    pub outcome: Outcome,
    /// The reductions that had an effect: its states stand for others.
    pub reduced: Reductions,
    /// How long it took.
    pub elapsed: Duration,
}

/// Checks a scenario.
pub fn check<'a>(
    scenario: &'a Scenario,
    machine: &'a Machine<'a>,
    limits: Limits<'_>,
) -> Checked<'a> {
    check_from(scenario, machine, limits, None)
}

/// The same, going on from what [`shootdown_ir::explore::read`] gave.
pub fn check_from<'a>(
    scenario: &'a Scenario,
    machine: &'a Machine<'a>,
    limits: Limits<'_>,
    from: Option<Graph>,
) -> Checked<'a> {
    let start = Instant::now();
    let bounds = Bounds {
        states: limits
            .states
            .map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        memory: limits
            .memory
            .map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        until: limits.time.and_then(|time| start.checked_add(time)),
        cancel: limits.cancel,
        keep: limits.keep,
        ..Bounds::default()
    };
    let protocol = &scenario.protocol;
    let is_kept = limits.keep.is_some() || from.is_some();
    let (mut outcome, mut reduced) = match from {
        Some(from) => (
            judge_from(protocol, machine, bounds, from),
            Reductions::NONE,
        ),
        None => check_reduced(protocol, machine, bounds, limits.reduce),
    };
    // What is kept is to be gone on with.
    if let (Some(Cut::Memory), Some(which), false) = (outcome.cut(), limits.out_of_memory, is_kept)
    {
        drop(outcome);
        (outcome, reduced) = check_reduced(protocol, machine, bounds, which);
    }
    Checked {
        scenario,
        machine,
        outcome,
        reduced,
        elapsed: start.elapsed(),
    }
}

impl<'a> Checked<'a> {
    /// The shortest counterexample of a violated property.
    pub fn story(&self, result: &Judged) -> Option<Story<'a>> {
        Story::counterexample(&self.scenario.protocol, self.machine, &self.outcome, result)
    }

    /// The property whose counterexample is told first: the expected one, else the first that is violated.
    pub fn first(&self) -> Option<&Judged> {
        let expected = match &self.scenario.protocol.expect {
            Some(Expect::Violated(name)) => self.outcome.result(name),
            _ => None,
        };
        expected
            .filter(|r| r.verdict == Word::Violated)
            .or_else(|| self.outcome.violated().next())
    }

    /// Why the search is not complete.
    pub fn cut(&self) -> Option<String> {
        Some(match self.outcome.cut()? {
            Cut::States => "the bound on states was reached".to_string(),
            Cut::Memory => "the bound on memory was reached".to_string(),
            Cut::Time => "the time is up".to_string(),
            Cut::Cancelled => "it was told to stop".to_string(),
            Cut::Grows(cell) => {
                let it = &self.machine.system().cells[cell.0 as usize];
                format!(
                    "`{}` grows beyond {}..{}; bound what it counts, for instance `times 2` at the source, or declare a range \
                     (`int x in 0..3`), which is then checked",
                    it.name, it.lo, it.hi
                )
            }
        })
    }

    /// Is everything as it should be?
    pub fn verdict(&self) -> Verdict {
        let mut violated = self.outcome.violated().map(|r| r.name.as_str()).peekable();
        let cut = self.outcome.cut().is_some();
        match &self.scenario.protocol.expect {
            None if violated.peek().is_some() => Verdict::Violated,
            Some(Expect::Ok) if violated.peek().is_some() => {
                let names: Vec<&str> = violated.collect();
                Verdict::Unexpected(format!("`expect ok`, and violated: {}", names.join(", ")))
            }
            None | Some(Expect::Ok) if cut => Verdict::Incomplete,
            None | Some(Expect::Ok) => Verdict::AsExpected,
            Some(Expect::Violated(name)) => {
                let result = self.outcome.result(name);
                match result.map(|r| r.verdict) {
                    Some(Word::Violated) => Verdict::AsExpected,
                    _ if cut => Verdict::Incomplete,
                    Some(word) => Verdict::Unexpected(format!(
                        "`expect violated {name}`, and it is not: {}{}",
                        word.name(),
                        match violated.peek() {
                            None => String::new(),
                            Some(_) => format!(
                                "; violated instead: {}",
                                violated.collect::<Vec<_>>().join(", ")
                            ),
                        }
                    )),
                    None => Verdict::Unexpected(format!(
                        "`expect violated {name}`, and nothing of that name is checked here"
                    )),
                }
            }
        }
    }
}
