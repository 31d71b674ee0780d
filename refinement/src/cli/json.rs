//! The versioned JSON that `check` and `matrix` print.

use serde::Serialize;
use shootdown_ir::reduce::Reductions;
use shootdown_spec::check::CheckResult;
use shootdown_spec::environment::Environment;
use shootdown_spec::model::Protocol;
use shootdown_spec::report::{StepRecord, steps};
use shootdown_spec::schedule::schedule;
use shootdown_spec::verdict::{States, Verdict};
use shootdown_spec::workload::{Choice, Placement, Role, Workload};
use std::collections::BTreeMap;

/// One cell: what `check --format json` prints, and `matrix` lists.
#[derive(Debug, Serialize)]
pub struct CheckJson {
    schema: &'static str,
    design: String,
    environment: Environment,
    workload: WorkloadJson,
    variants: Vec<&'static str>,
    /// Reductions that had an effect; counts are then those of the states that stand for others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reduced: Vec<&'static str>,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
    states: States,
    properties: Vec<PropertyJson>,
    never_interrupted: Vec<&'static str>,
    elapsed_ms: u64,
    peak_memory_bytes: u64,
    bytes_per_state: f64,
    collision_odds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sweep: Option<SweepJson>,
}

/// What a sweep took. It knows no levels: `depth` is 0 then.
#[derive(Debug, Serialize)]
struct SweepJson {
    ranks: u64,
    most_states: u64,
}

/// What runs: one role for every CPU, or one for each.
#[derive(Debug, Serialize)]
struct WorkloadJson {
    /// As it was written: a name, or the text form.
    text: String,
    /// Whether every CPU has the one role.
    shared: bool,
    roles: Vec<RoleJson>,
}

#[derive(Debug, Serialize)]
struct RoleJson {
    /// `any`, `none` or an mm.
    starts: String,
    programs: Vec<ChoiceJson>,
}

#[derive(Debug, Serialize)]
struct ChoiceJson {
    program: &'static str,
    /// The only mm it may name.
    #[serde(skip_serializing_if = "Option::is_none")]
    mm: Option<u8>,
}

impl WorkloadJson {
    fn new(workload: &Workload) -> WorkloadJson {
        let choice = |c: &Choice| ChoiceJson {
            program: c.program.name(),
            mm: c.mm.map(|mm| mm.0),
        };
        let role = |role: &Role| RoleJson {
            starts: match role.placement {
                Placement::Any => "any".to_string(),
                Placement::Nowhere => "none".to_string(),
                Placement::On(mm) => mm.to_string(),
            },
            programs: role.programs.iter().map(choice).collect(),
        };
        WorkloadJson {
            text: workload.text.clone(),
            shared: workload.cpus().is_none(),
            roles: workload.roles.iter().map(role).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct PropertyJson {
    name: &'static str,
    verdict: Verdict,
    witnesses: BTreeMap<&'static str, bool>,
    violating_states: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    counterexample: Option<CounterexampleJson>,
}

#[derive(Debug, Serialize)]
struct CounterexampleJson {
    steps: Vec<StepRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loops_to: Option<usize>,
    context_switches: u32,
    schedule: String,
}

impl CheckJson {
    /// The same, of a search with these reductions.
    pub fn reduced(self, used: Reductions) -> CheckJson {
        CheckJson {
            reduced: used.names(),
            ..self
        }
    }

    /// The JSON of a result.
    pub fn new(protocol: &Protocol, result: &CheckResult) -> CheckJson {
        let config = &protocol.config;
        let properties = result
            .properties
            .iter()
            .map(|p| PropertyJson {
                name: p.name,
                verdict: p.verdict,
                witnesses: p.witnesses.iter().copied().collect(),
                violating_states: p.violating_states,
                counterexample: p.counterexample.as_ref().map(|c| CounterexampleJson {
                    steps: steps(protocol, &c.trace, Some(p.name))
                        .expect("the search walked this run"),
                    loops_to: c.trace.loops_to,
                    context_switches: c.switches,
                    schedule: schedule(config, &c.trace),
                }),
            })
            .collect();
        CheckJson {
            schema: "shootdown/check/2",
            design: config.design.to_string(),
            environment: config.environment,
            workload: WorkloadJson::new(&config.workload),
            variants: config.variants.iter().map(|v| v.name).collect(),
            reduced: Vec::new(),
            complete: result.complete,
            stopped: result.stopped.map(|s| s.to_string()),
            states: result.states,
            properties,
            never_interrupted: result.never_interrupted.iter().map(|p| p.name()).collect(),
            elapsed_ms: result.elapsed.as_millis() as u64,
            peak_memory_bytes: result.peak_memory_bytes,
            bytes_per_state: result.bytes_per_state,
            collision_odds: result.collision_odds,
            sweep: result.swept.map(|swept| SweepJson {
                ranks: swept.ranks,
                most_states: swept.most_states,
            }),
        }
    }
}
