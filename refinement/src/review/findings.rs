//! What one run found: everything the review quotes, and nothing it could not have measured.

use super::candidates::Candidates;
use super::run::Run;
use super::word::is_partial;
use serde::Deserialize;
use shootdown_spec::design::DESIGNS;
use shootdown_spec::environment::{Environment, FlushBackend};
use shootdown_spec::order::Proof;
use shootdown_spec::verdict::{States, Verdict};
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything.
#[derive(Debug, Default)]
pub struct Findings {
    /// What there is to choose from.
    pub candidates: Candidates,
    /// The run that separates them, on both.
    pub beside: Option<Beside>,
    /// What the candidates cost on real threads. Differs from run to run.
    pub measured: Vec<Measured>,
    /// Designs × environments, by design and then environment as the expectations list them.
    pub grid: Vec<Cell>,
    /// The claims.
    pub claims: Vec<Claim>,
    /// The static order of every named design in every named environment, `everything` running.
    pub orders: Vec<OrderOf>,
    /// Code beside protocol.
    pub refined: Vec<Refined>,
    /// Seeded faults.
    pub faults: Vec<Fault>,
    /// Real threads. Differs from run to run.
    pub stressed: Vec<Stressed>,
    /// How the run was made. Differs from run to run.
    pub made: Made,
    /// SHA-256 of `refinement/expectations.toml`, hexadecimal.
    pub expectations: String,
}

/// One configuration that was checked.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The command that checks it alone.
    pub command: String,
    /// Named design.
    pub design: String,
    /// Named environment.
    pub env: String,
    /// What the environment came to, with the cell's own bounds.
    pub environment: Environment,
    /// What runs.
    pub workload: String,
    /// Deviations from the protocol.
    pub variants: Vec<String>,
    /// Why the cell is there.
    pub note: String,
    /// The property whose run tells its story.
    pub show: Option<String>,
    /// What came out; `None` if the cell was not run.
    pub outcome: Option<Outcome>,
}

/// What came of a cell.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Every reachable state was seen.
    pub complete: bool,
    /// How large it was.
    pub states: States,
    /// Every property.
    pub properties: Vec<Judged>,
    /// Programs inside which no interrupt was ever taken.
    pub never_interrupted: Vec<String>,
    /// What the static order proves.
    pub proof: Proof,
    /// Every difference from what was expected.
    pub differences: Vec<String>,
}

/// One property of a cell.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Its witnesses, and whether each was reached.
    pub witnesses: BTreeMap<String, bool>,
    /// The run that violates it, executed again by the review.
    pub run: Option<Run>,
}

/// A claim with the cells that decide it.
#[derive(Clone, Debug)]
pub struct Claim {
    /// C1 to C9, B1 to B12, B14.
    pub id: String,
    /// The claim.
    pub says: String,
    /// What came of it, as written down beforehand. Only true if the cells came out as expected.
    pub finding: String,
    /// What decides it.
    pub cells: Vec<Cell>,
}

/// The static order of one design in one environment.
#[derive(Clone, Debug)]
pub struct OrderOf {
    /// The design.
    pub design: &'static str,
    /// The environment.
    pub env: &'static str,
    /// What it proves.
    pub proof: Proof,
}

/// The code of one cell beside the protocol.
#[derive(Clone, Debug)]
pub struct Refined {
    /// The flags that choose the cell.
    pub flags: String,
    /// The design.
    pub design: String,
    /// Does the code refine the protocol?
    pub refines: Verdict,
    /// Properties whose verdict is not the protocol's.
    pub differs: Vec<String>,
    /// Properties violated, by code and protocol.
    pub violated: Vec<String>,
    /// Joint states.
    pub states: u64,
    /// How often real code was run. Differs from run to run: threads may both be first.
    pub runs: u64,
    /// Steps that the protocol allows there and the code never took: program, statement, interrupt state, reason.
    pub missing: Vec<(String, String, String, Option<String>)>,
}

/// One seeded fault.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Which part of the system it is in.
    pub part: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Who was asked, in the order of [`Fault::JUDGES`], and what became of it.
    pub judged: [Asked; 4],
    /// Steps of the refinement's counterexample.
    pub steps: Option<usize>,
    /// Why it changes nothing that could be seen, if it does not.
    pub equivalent: Option<&'static str>,
    /// Everybody who must notice did, and nobody else cried.
    pub as_expected: bool,
}

/// What one judge made of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Not asked.
    No,
    /// Noticed.
    Killed,
    /// Not noticed.
    Missed,
}

impl Fault {
    /// Who is asked.
    pub const JUDGES: [&'static str; 4] = ["types", "order", "model", "refinement"];
}

/// A run of one design on real threads.
#[derive(Clone, Debug)]
pub struct Stressed {
    /// The command that does the same.
    pub command: String,
    /// The design.
    pub design: String,
    /// `clean`, `hung` or `violated`.
    pub verdict: &'static str,
    /// It came out as it should.
    pub as_expected: bool,
    /// What the watchdog said about a hang.
    pub hang: Option<String>,
    /// Operations finished.
    pub operations: u64,
    /// Seconds it took.
    pub seconds: f64,
    /// Flush IPIs sent.
    pub ipis: u64,
}

/// A run that violates a property in one candidate, led along on the other.
#[derive(Clone, Debug)]
pub struct Beside {
    /// The candidate in which it violates something.
    pub bad: String,
    /// The other.
    pub good: String,
    /// Named environment.
    pub env: String,
    /// The run.
    pub left: Run,
    /// The same statements on the other design, then carried on to its end.
    pub right: Run,
    /// Statement beside statement.
    pub rows: Vec<BesideRow>,
    /// How the run of the other design ends, as a predicate.
    pub ends: String,
}

/// A row of a [`Beside`].
#[derive(Clone, Debug)]
pub struct BesideRow {
    /// The CPU.
    pub cpu: u8,
    /// The step and its statement in the run that violates, if that has one.
    pub left: Option<(usize, String)>,
    /// The same of the other.
    pub right: Option<(usize, String)>,
}

/// What a candidate costs on real threads: rounds of both in turn, so that what else the machine does hits both.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The design.
    pub design: String,
    /// The command that does one round.
    pub command: String,
    /// `clean`, `hung`, `violated` or `interrupted`: the worst of the rounds.
    pub verdict: &'static str,
    /// Operations a second, by round.
    pub rates: Vec<f64>,
    /// Flush IPIs sent for a thousand operations, over all rounds.
    pub ipis: f64,
    /// From the first IPI of a flush to its last acknowledgement, in ns: p50 and p99, of the round in the middle.
    pub latency: Option<(u64, u64)>,
}

impl Measured {
    /// The median of the rounds.
    pub fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or(0.0)
    }
}

/// How the run was made.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// The command line.
    pub command: String,
    /// Version of the package.
    pub version: &'static str,
    /// The commit that was built, or `unknown`.
    pub commit: &'static str,
    /// The compiler that built it.
    pub rustc: &'static str,
    /// How the binary was built: `release` or `debug`.
    pub profile: &'static str,
    /// Threads that the machine offers.
    pub threads: usize,
    /// Where the matrix came from: this run, or a file.
    pub matrix: String,
    /// The day it was made, in UTC: `2011-02-16`.
    pub date: String,
    /// How long everything took.
    pub elapsed: Duration,
    /// The most memory that was resident, where the system tells.
    pub peak_memory: Option<u64>,
}

/// What `matrix --format json` says of a cell, as far as the review reads it.
#[derive(Debug, Deserialize)]
pub struct CellJson {
    /// The schema of the part that is `check`'s.
    pub schema: String,
    /// The claim it belongs to.
    pub claim: Option<String>,
    /// The command that checks it alone.
    pub command: String,
    /// Every reachable state was seen.
    pub complete: bool,
    /// How large it was.
    pub states: States,
    /// Every property.
    pub properties: Vec<PropertyJson>,
    /// Programs inside which no interrupt was ever taken.
    pub never_interrupted: Vec<String>,
    /// What the static order proves.
    pub proof: Proof,
    /// What was expected, to be compared with what this binary expects.
    pub expected: serde_json::Value,
    /// Every difference from it.
    pub differences: Vec<String>,
}

/// A property of a [`CellJson`].
#[derive(Debug, Deserialize)]
pub struct PropertyJson {
    /// Its name.
    pub name: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Its witnesses.
    pub witnesses: BTreeMap<String, bool>,
    /// The run that violates it.
    pub counterexample: Option<CounterexampleJson>,
}

/// A counterexample of a [`PropertyJson`].
#[derive(Debug, Deserialize)]
pub struct CounterexampleJson {
    /// The run as one line.
    pub schedule: String,
}

impl Cell {
    /// Was it run to its end, and did it come out as expected?
    pub fn as_expected(&self) -> bool {
        let good = |o: &Outcome| o.complete && o.differences.is_empty();
        self.outcome.as_ref().is_some_and(good)
    }

    /// What came of a property.
    pub fn judged(&self, property: &str) -> Option<&Judged> {
        let properties = &self.outcome.as_ref()?.properties;
        properties.iter().find(|p| p.name == property)
    }

    /// The verdict on a property.
    pub fn verdict(&self, property: &str) -> Option<Verdict> {
        self.judged(property).map(|p| p.verdict)
    }

    /// Is it violated?
    pub fn violates(&self, property: &str) -> bool {
        self.verdict(property) == Some(Verdict::Violated)
    }

    /// Everything violated, `progress` beside a deadlock left out: that goes without saying.
    pub fn violated(&self) -> impl Iterator<Item = &Judged> {
        let properties = self.outcome.iter().flat_map(|o| &o.properties);
        properties.filter(|p| {
            p.verdict == Verdict::Violated
                && (p.name != "progress" || !self.violates("no_deadlock"))
        })
    }

    /// Distinct states; none if it was not run.
    pub fn states(&self) -> u64 {
        self.outcome.as_ref().map_or(0, |o| o.states.unique)
    }

    /// The static order and the model together.
    pub fn standing(&self) -> &'static str {
        let Some(outcome) = &self.outcome else {
            return "not run";
        };
        match (outcome.proof, self.verdict("no_deadlock")) {
            (Proof::Acyclic, _) => "acyclic",
            (Proof::OutOfScope, _) => "out of scope",
            (Proof::Cyclic, Some(Verdict::Violated)) => "cyclic, realised",
            (Proof::Cyclic, Some(Verdict::Holds | Verdict::Vacuous)) => "cyclic, not realised",
            (Proof::Cyclic, Some(Verdict::Incomplete) | None) => "cyclic, undecided",
        }
    }

    /// Do its flushes await other CPUs?
    pub fn by_ipi(&self) -> bool {
        self.environment.flush_backend == FlushBackend::Ipi
    }
}

impl Claim {
    /// Every cell came out as expected, so the finding stands.
    pub fn stands(&self) -> bool {
        !self.cells.is_empty() && self.cells.iter().all(Cell::as_expected)
    }
}

impl Findings {
    /// Cells of the grid and of the claims; one that is in both comes twice.
    pub fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.grid
            .iter()
            .chain(self.claims.iter().flat_map(|c| &c.cells))
    }

    /// The cells, each once.
    pub fn distinct(&self) -> Vec<&Cell> {
        let mut cells: Vec<&Cell> = Vec::new();
        for cell in self.cells() {
            if !cells.iter().any(|c| c.command == cell.command) {
                cells.push(cell);
            }
        }
        cells
    }

    /// The cell of the grid.
    pub fn cell(&self, design: &str, env: &str) -> Option<&Cell> {
        self.grid
            .iter()
            .find(|c| c.design == design && c.env == env)
    }

    /// A claim.
    pub fn claim(&self, id: &str) -> Option<&Claim> {
        self.claims.iter().find(|c| c.id == id)
    }

    /// Do all of these claims stand in this run?
    pub fn stand(&self, ids: &[&str]) -> bool {
        ids.iter()
            .all(|id| self.claim(id).is_some_and(Claim::stands))
    }

    /// Designs of the grid, in the order of [`DESIGNS`].
    pub fn designs(&self) -> Vec<&'static str> {
        let used = |name: &str| self.grid.iter().any(|c| c.design == name);
        DESIGNS.iter().map(|d| d.name).filter(|n| used(n)).collect()
    }

    /// Environments of the grid, in its order.
    pub fn environments(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for cell in &self.grid {
            if !names.contains(&cell.env.as_str()) {
                names.push(&cell.env);
            }
        }
        names
    }

    /// Environments of the grid with what ran there.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &str)> {
        let column = |env: &str| self.grid.iter().find(|c| c.env == *env);
        let cells = self.environments().into_iter().filter_map(column);
        cells.map(|c| (c.env.as_str(), c.workload.as_str()))
    }

    /// What the static order and the model say together of a design in an environment, every program running.
    pub fn standing(&self, design: &str, env: &str) -> &'static str {
        let Some(cell) = self.cell(design, env) else {
            return "not run";
        };
        let standing = cell.standing();
        if !is_partial(&cell.workload) || cell.outcome.is_none() {
            return standing;
        }
        let order = self
            .orders
            .iter()
            .find(|o| o.design == design && o.env == env);
        match order.map(|o| o.proof) {
            Some(Proof::Acyclic) => "acyclic",
            Some(Proof::OutOfScope) => "out of scope",
            _ if standing == "cyclic, realised" => standing,
            _ => "cyclic, undecided (partial)",
        }
    }

    /// Cells that were not run, or not to their end.
    pub fn incomplete(&self) -> usize {
        let cut = |c: &&Cell| c.outcome.as_ref().is_none_or(|o| !o.complete);
        let refined = self
            .refined
            .iter()
            .filter(|r| r.refines == Verdict::Incomplete);
        self.cells().filter(cut).count() + refined.count()
    }

    /// Everything that did not come out as it should, in words.
    pub fn unexpected(&self) -> Vec<String> {
        let mut all = Vec::new();
        for cell in self.distinct() {
            let differences = cell.outcome.iter().flat_map(|o| &o.differences);
            all.extend(differences.map(|d| format!("`{}`: {d}", cell.command)));
        }
        for r in &self.refined {
            all.extend(
                r.differs
                    .iter()
                    .map(|d| format!("`shootdown refine {}`: {d}", r.flags)),
            );
            if r.refines == Verdict::Violated {
                all.push(format!("`shootdown refine {}`: no refinement", r.flags));
            }
        }
        let missed = self.faults.iter().filter(|f| !f.as_expected);
        all.extend(
            missed.map(|f| format!("`shootdown mutants {}`: not noticed as it must be", f.name)),
        );
        let odd = self.stressed.iter().filter(|s| !s.as_expected);
        all.extend(odd.map(|s| format!("`{}`: {}", s.command, s.verdict)));
        all
    }
}

/// A count with thousands separators.
pub fn count(n: impl TryInto<u64>) -> String {
    indicatif::HumanCount(n.try_into().unwrap_or(u64::MAX)).to_string()
}

/// `1 step`, `2 steps`.
pub fn plural(n: usize, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}
