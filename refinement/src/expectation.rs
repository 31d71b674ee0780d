//! What is expected of every named cell: `expectations.toml`.
//!
//! A cell is a design in an environment with a workload. The file says which properties must
//! be violated, which must be vacuous, that all others must hold, how many distinct states
//! there are, and the result of the static order. An unexpected pass differs as much as an
//! unexpected violation.

mod lighter;

use crate::cli::error::CliError;
use crate::cli::subject::variants;
use serde::{Deserialize, Serialize};
use shootdown_spec::check::CheckResult;
use shootdown_spec::config::Config;
use shootdown_spec::design::{DESIGNS, Design};
use shootdown_spec::environment::{ENVIRONMENTS, Environment};
use shootdown_spec::order::{Order, Proof, for_any_number};
use shootdown_spec::verdict::Verdict;
use shootdown_spec::workload::Workload;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The file, compiled in: what is checked is what this binary was built with.
pub const FILE: &str = include_str!("../expectations.toml");

/// Everything that is expected.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// Designs × environments.
    pub grid: Vec<Cell>,
    /// Claims of the thread and beyond it, each with the cells that decide it.
    pub claim: Vec<Claim>,
}

/// A claim of protocol.md §7.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// C1–C9 of the thread, B1–B12 and B14 beyond it.
    pub id: String,
    /// The claim.
    pub says: String,
    /// What came out, in words.
    pub finding: String,
    /// What decides it.
    pub cell: Vec<Cell>,
}

/// One cell and what must come out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cell {
    /// Named design.
    pub design: String,
    /// Axis that differs from the named design's, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ptl: Option<String>,
    /// Named environment.
    pub env: String,
    /// Bounds that differ from the environment's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u8>,
    /// As `cpus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mms: Option<u8>,
    /// As `cpus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ops_per_cpu: Option<u8>,
    /// As `cpus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pgd_free_in_irq: Option<bool>,
    /// Workload in its text form.
    pub workload: String,
    /// Deviations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<String>,
    /// The result of the static order, for any number of CPUs.
    pub proof: Proof,
    /// Distinct states.
    pub states: u64,
    /// Properties that must be violated.
    pub violated: Vec<String>,
    /// Properties that must be vacuous.
    pub vacuous: Vec<String>,
    /// Witnesses that must never be reached: what makes properties vacuous, and those of violated ones. A witness that is
    /// always true is noticed here, where another one of its property is missing still.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreached: Vec<String>,
    /// The property whose counterexample tells the story; the first violated one otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show: Option<String>,
    /// Why the cell is there.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A difference between what was expected and what came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// A property, or `states`.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What came out.
    pub observed: String,
}

impl Expectations {
    /// Reads the compiled-in file.
    ///
    /// # Panics
    /// If the file is malformed; a test reads it too.
    pub fn load() -> Expectations {
        toml::from_str(FILE).unwrap_or_else(|e| panic!("refinement/expectations.toml: {e}"))
    }
}

impl Expectations {
    /// Every cell once, the grid's first: one that also decides a claim is not repeated.
    pub fn cells(&self) -> Vec<&Cell> {
        let claimed = self.claim.iter().flat_map(|c| &c.cell);
        let mut cells: Vec<&Cell> = Vec::new();
        for cell in self.grid.iter().chain(claimed) {
            if !cells.iter().any(|c| c.command() == cell.command()) {
                cells.push(cell);
            }
        }
        cells
    }
}

impl Cell {
    /// The configuration.
    ///
    /// # Errors
    /// If a name is unknown or the axes contradict each other.
    pub fn config(&self) -> Result<Config, CliError> {
        let mut design = Design::named(&self.design).ok_or_else(|| {
            CliError::unknown("design", &self.design, DESIGNS.iter().map(|d| d.name))
        })?;
        if let Some(name) = &self.ptl {
            let names = shootdown_spec::design::Ptl::NAMES;
            design.ptl = names
                .iter()
                .find(|(n, _)| n == name)
                .ok_or_else(|| CliError::unknown("ptl", name, names.iter().map(|n| n.0)))?
                .1;
        }
        let mut environment = Environment::named(&self.env).ok_or_else(|| {
            CliError::unknown(
                "environment",
                &self.env,
                ENVIRONMENTS.iter().map(|e| e.name),
            )
        })?;
        let workload = Workload::parse(&self.workload, &environment)?;
        if let Some(cpus) = workload.cpus() {
            environment.cpus = cpus as u8;
        }
        environment.cpus = self.cpus.unwrap_or(environment.cpus);
        environment.mms = self.mms.unwrap_or(environment.mms);
        environment.ops_per_cpu = self.ops_per_cpu.unwrap_or(environment.ops_per_cpu);
        environment.pgd_free_in_irq = self.pgd_free_in_irq.unwrap_or(environment.pgd_free_in_irq);
        // Once more: `everything` depends on the bounds.
        let workload = Workload::parse(&self.workload, &environment)?;
        let variants = variants(self.variants.iter().map(String::as_str))?;
        Ok(Config::new(design, environment, workload, variants)?)
    }

    /// The command that checks just this cell.
    pub fn command(&self) -> String {
        let mut text = format!("shootdown check --design {}", self.design);
        let mut flag = |name: &str, value: String| {
            let _ = write!(text, " --{name} {value}");
        };
        if let Some(ptl) = &self.ptl {
            flag("ptl", ptl.clone());
        }
        flag("env", self.env.clone());
        if let Some(n) = self.cpus {
            flag("cpus", n.to_string());
        }
        if let Some(n) = self.mms {
            flag("mms", n.to_string());
        }
        if let Some(n) = self.ops_per_cpu {
            flag("ops-per-cpu", n.to_string());
        }
        if let Some(on) = self.pgd_free_in_irq {
            flag("pgd-free-in-irq", if on { "on" } else { "off" }.into());
        }
        flag("workload", self.workload.clone());
        if !self.variants.is_empty() {
            flag("variant", self.variants.join(","));
        }
        text
    }

    /// The verdict expected of a property.
    pub fn expected(&self, property: &str) -> Verdict {
        let listed = |list: &[String]| list.iter().any(|p| p == property);
        if listed(&self.violated) {
            Verdict::Violated
        } else if listed(&self.vacuous) {
            Verdict::Vacuous
        } else {
            Verdict::Holds
        }
    }

    /// Everything in which a result differs from what was expected. A result that was cut off
    /// differs only where it contradicts.
    pub fn differences(&self, result: &CheckResult) -> Vec<Difference> {
        let mut differences: Vec<_> = result
            .properties
            .iter()
            .filter(|p| p.verdict != self.expected(p.name) && p.verdict != Verdict::Incomplete)
            .map(|p| Difference {
                what: p.name.to_string(),
                expected: self.expected(p.name).to_string(),
                observed: p.verdict.to_string(),
            })
            .collect();
        if result.complete && result.states.unique != self.states {
            differences.push(Difference {
                what: "states".into(),
                expected: self.states.to_string(),
                observed: result.states.unique.to_string(),
            });
        }
        let unreached = unreached(result);
        if result.complete && unreached != self.unreached {
            let names = |list: &[String]| match list.is_empty() {
                true => "none".to_string(),
                false => list.join(" "),
            };
            differences.push(Difference {
                what: "witnesses never reached".into(),
                expected: names(&self.unreached),
                observed: names(&unreached),
            });
        }
        differences
    }

    /// What the order analysis says of the cell.
    ///
    /// # Errors
    /// As [`Cell::config`].
    pub fn prove(&self) -> Result<Proof, CliError> {
        Ok(Order::of(&for_any_number(&self.config()?)?).proof())
    }

    /// Everything in which a proof differs from what was expected, and from what the model found:
    /// an order without a cycle and a deadlock cannot both be right.
    pub fn proof_differences(&self, proof: Proof, result: &CheckResult) -> Vec<Difference> {
        let mut differences = Vec::new();
        if proof != self.proof {
            differences.push(Difference {
                what: "proof".into(),
                expected: self.proof.to_string(),
                observed: proof.to_string(),
            });
        }
        let hangs = |name: &&str| matches!(*name, "no_deadlock" | "no_lock_cycle");
        if proof == Proof::Acyclic
            && let Some(name) = result.violated().find(hangs)
        {
            differences.push(Difference {
                what: "soundness of the proof".into(),
                expected: "an acyclic order never deadlocks".into(),
                observed: format!("{name} violated"),
            });
        }
        differences
    }

    /// The cell with what a result says in place of what was expected.
    pub fn observed(&self, result: &CheckResult, proof: Proof) -> Cell {
        let with = |verdict| {
            let found = result
                .properties
                .iter()
                .filter(move |p| p.verdict == verdict);
            found.map(|p| p.name.to_string()).collect()
        };
        Cell {
            proof,
            states: result.states.unique,
            violated: with(Verdict::Violated),
            vacuous: with(Verdict::Vacuous),
            unreached: unreached(result),
            ..self.clone()
        }
    }
}

/// The witnesses that no state of a result is one for, by name.
fn unreached(result: &CheckResult) -> Vec<String> {
    let all = result.properties.iter().flat_map(|p| &p.witnesses);
    let missing = all.filter(|(_, reached)| !reached);
    let names: BTreeSet<String> = missing.map(|(name, _)| (*name).to_string()).collect();
    names.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shootdown_spec::property::Property;

    /// A small cell, its result, and the cell that expects just that.
    fn observed() -> (Cell, CheckResult) {
        let cell = Cell {
            design: "v2.6.37".into(),
            env: "nosplit".into(),
            workload: "aging".into(),
            ..Cell::default()
        };
        let protocol = shootdown_spec::model::Protocol::new(cell.config().expect("it makes sense"));
        let options = shootdown_spec::search::Options::default();
        let result = shootdown_spec::check::check(&protocol, &options);
        (cell.observed(&result, Proof::Cyclic), result)
    }

    fn whats(cell: &Cell, result: &CheckResult) -> Vec<String> {
        let differences = cell.differences(result);
        differences.into_iter().map(|d| d.what).collect()
    }

    #[test]
    fn a_right_expectation_has_no_difference() {
        let (cell, result) = observed();
        assert!(cell.violated.iter().any(|p| p == "no_deadlock"));
        assert!(!cell.vacuous.is_empty());
        assert_eq!(cell.differences(&result), []);
    }

    #[test]
    fn every_wrong_expectation_is_a_difference() {
        let (right, result) = observed();
        // A violation nobody expected.
        let mut wrong = right.clone();
        wrong.violated.retain(|p| p != "no_deadlock");
        assert_eq!(whats(&wrong, &result), ["no_deadlock"]);
        // An unexpected pass.
        let mut wrong = right.clone();
        wrong.violated.push("mutual_exclusion".into());
        assert_eq!(whats(&wrong, &result), ["mutual_exclusion"]);
        assert_eq!(wrong.differences(&result)[0].observed, "holds");
        // Vacuous where it was expected to hold, and the reverse.
        let mut wrong = right.clone();
        let vacuous = wrong.vacuous.remove(0);
        assert_eq!(whats(&wrong, &result), [vacuous]);
        let mut wrong = right.clone();
        wrong.vacuous.push("lock_order".into());
        assert_eq!(whats(&wrong, &result), ["lock_order"]);
        // A witness more or less: what is vacuous may be so as before.
        let mut wrong = right.clone();
        wrong.unreached.pop();
        assert_eq!(whats(&wrong, &result), ["witnesses never reached"]);
        // Another number of states.
        let mut wrong = right;
        wrong.states += 1;
        assert_eq!(whats(&wrong, &result), ["states"]);
    }

    /// Its property is vacuous still, for want of another one.
    #[test]
    fn a_witness_that_is_always_true_is_a_difference() {
        let (cell, mut result) = observed();
        let several = result.properties.iter_mut().find(|p| {
            p.verdict == Verdict::Vacuous && p.witnesses.iter().filter(|w| !w.1).count() > 1
        });
        let several = several.expect("a property that lacks two witnesses");
        let name = several
            .witnesses
            .iter()
            .find(|w| !w.1)
            .expect("one of them")
            .0;
        for property in &mut result.properties {
            for witness in &mut property.witnesses {
                witness.1 |= witness.0 == name;
            }
        }
        assert_eq!(whats(&cell, &result), ["witnesses never reached"]);
    }

    #[test]
    fn a_wrong_expectation_of_the_proof_is_a_difference() {
        let (right, result) = observed();
        assert_eq!(right.prove().expect("it makes sense"), Proof::Cyclic);
        assert_eq!(right.proof_differences(Proof::Cyclic, &result), []);
        let wrong = Cell {
            proof: Proof::OutOfScope,
            ..right
        };
        let differences = wrong.proof_differences(Proof::Cyclic, &result);
        assert_eq!(differences.len(), 1);
        assert_eq!(differences[0].what, "proof");
    }

    /// Every analysis that leaves out a rule this cell needs, or the readers another one needs,
    /// calls a cell acyclic that deadlocks: that is noticed even where it is expected.
    #[test]
    fn an_unsound_analysis_is_a_difference_expected_or_not() {
        use shootdown_spec::order::{EdgeRule, Rules};
        let seed = ("v2.6.37", "nosplit", "aging");
        let reader = (
            "rwlock",
            "irq-free",
            "none=vmalloc_sync_all/none=vmalloc_sync_all",
        );
        for (rule, (design, env, workload)) in [
            (EdgeRule::AckNode, seed),
            (EdgeRule::InterruptsOff, seed),
            (EdgeRule::Readers, reader),
        ] {
            let cell = Cell {
                design: design.into(),
                env: env.into(),
                workload: workload.into(),
                // What somebody who believes the wrong analysis would write down.
                proof: Proof::Acyclic,
                ..Cell::default()
            };
            let config = cell.config().expect("it makes sense");
            let wrong = Order::by(&config, Rules::without(rule)).proof();
            assert_eq!(wrong, Proof::Acyclic, "{rule:?}");
            let protocol = shootdown_spec::model::Protocol::new(config);
            let options = shootdown_spec::search::Options::default();
            let result = shootdown_spec::check::check(&protocol, &options);
            let differences = cell.proof_differences(wrong, &result);
            assert_eq!(differences.len(), 1, "{rule:?}");
            assert_eq!(differences[0].what, "soundness of the proof");
        }
    }

    #[test]
    fn the_proof_of_every_cell_is_as_expected() {
        let expectations = Expectations::load();
        let claimed = expectations.claim.iter().flat_map(|c| &c.cell);
        for cell in expectations.grid.iter().chain(claimed) {
            let proof = cell.prove().expect("it makes sense");
            assert_eq!(proof, cell.proof, "{}", cell.command());
            let written = cell.violated.iter().any(|p| p == "no_deadlock");
            assert!(!(proof == Proof::Acyclic && written), "{}", cell.command());
        }
    }

    #[test]
    fn a_cut_off_result_differs_only_where_it_contradicts() {
        let (right, mut result) = observed();
        result.complete = false;
        for p in &mut result.properties {
            if p.verdict != Verdict::Violated {
                p.verdict = Verdict::Incomplete;
            }
        }
        let mut cell = right.clone();
        cell.states = 0;
        assert_eq!(cell.differences(&result), []);
        cell.violated.clear();
        assert_eq!(whats(&cell, &result), right.violated);
    }

    #[test]
    fn every_cell_of_the_file_makes_sense() {
        let expectations = Expectations::load();
        let claimed = expectations.claim.iter().flat_map(|c| &c.cell);
        for cell in expectations.grid.iter().chain(claimed) {
            for name in cell.violated.iter().chain(&cell.vacuous).chain(&cell.show) {
                assert!(
                    Property::named(name).is_some(),
                    "{}: {name}",
                    cell.command()
                );
            }
            cell.config()
                .unwrap_or_else(|e| panic!("{}: {e}", cell.command()));
        }
    }

    #[test]
    fn every_claim_of_the_protocol_has_a_cell() {
        // protocol.md §7: C1 to C9, B1 to B12 and B14.
        let ids: Vec<_> = (1..=9)
            .map(|n| format!("C{n}"))
            .chain((1..=12).chain([14]).map(|n| format!("B{n}")))
            .collect();
        let expectations = Expectations::load();
        for id in ids {
            let claim = expectations.claim.iter().find(|c| c.id == id);
            assert!(claim.is_some_and(|c| !c.cell.is_empty()), "{id}");
        }
    }

    #[test]
    fn every_named_design_is_in_the_grid() {
        let expectations = Expectations::load();
        for design in DESIGNS {
            assert!(
                expectations.grid.iter().any(|c| c.design == design.name),
                "{}",
                design.name
            );
        }
    }
}
