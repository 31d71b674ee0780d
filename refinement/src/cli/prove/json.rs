//! `shootdown/prove/1`.

use super::{Proven, text};
use serde::Serialize;
use shootdown_spec::environment::Environment;
use shootdown_spec::order::{Breach, Kind, Node, Proof, Step, Witness};
use shootdown_spec::schedule::schedule;
use shootdown_spec::trace::Trace;

/// What `prove --format json` prints.
#[derive(Debug, Serialize)]
pub(super) struct ProveJson {
    schema: &'static str,
    design: String,
    /// The bounds in it are those of the search for runs; the proof has none.
    environment: Environment,
    workload: Vec<String>,
    variants: Vec<&'static str>,
    proof: Proof,
    breaches: Vec<BreachJson>,
    edges: Vec<EdgeJson>,
    cycles: Vec<CycleJson>,
    /// Why the search for runs is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
}

#[derive(Debug, Serialize)]
struct BreachJson {
    rule: shootdown_spec::order::Rule,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<LineJson>,
}

#[derive(Debug, Serialize)]
struct EdgeJson {
    from: Node,
    to: Node,
    witnesses: Vec<WitnessJson>,
}

#[derive(Debug, Serialize)]
struct WitnessJson {
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    withholds: Option<LineJson>,
    waits: LineJson,
}

#[derive(Debug, Serialize)]
struct LineJson {
    #[serde(flatten)]
    step: Step,
    file: String,
}

#[derive(Debug, Serialize)]
struct CycleJson {
    nodes: Vec<String>,
    outcome: &'static str,
    within: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
}

fn line(step: Step) -> LineJson {
    LineJson {
        file: step.file(),
        step,
    }
}

impl ProveJson {
    pub(super) fn new(proven: &Proven) -> ProveJson {
        let (config, order) = (&proven.protocol.config, &proven.order);
        let witness = |w: &Witness| WitnessJson {
            kind: w.kind,
            withholds: w.withholds.map(line),
            waits: line(w.waits),
        };
        let edges = order.graph.edges().map(|(from, to)| EdgeJson {
            from: *from,
            to: *to,
            witnesses: order.graph.witnesses(from, to).map(witness).collect(),
        });
        let breach = |b: &Breach| BreachJson {
            rule: b.rule,
            says: b.rule.to_string(),
            line: b.step.map(line),
        };
        let cycles = order.cycles.iter().enumerate();
        let workload = config.workload.text.split(',').map(str::to_string);
        let found = proven.realisation.as_ref();
        ProveJson {
            schema: "shootdown/prove/1",
            design: config.design.to_string(),
            environment: config.environment,
            workload: workload.collect(),
            variants: config.variants.iter().map(|v| v.name).collect(),
            proof: order.proof(),
            breaches: order.breaches.iter().map(breach).collect(),
            edges: edges.collect(),
            cycles: cycles.map(|(i, c)| cycle(proven, i, c)).collect(),
            stopped: found.and_then(|f| f.stopped).map(|s| s.to_string()),
        }
    }
}

fn cycle(proven: &Proven, number: usize, nodes: &[Node]) -> CycleJson {
    let config = &proven.protocol.config;
    let found = proven.realisation.as_ref();
    let run: Option<&Trace> = found.and_then(|f| f.runs.get(number)?.as_ref());
    let outcome = match (found, run) {
        (_, Some(_)) => "realised",
        (None, None) => "not_searched",
        (Some(f), None) if f.stopped.is_some() => "incomplete",
        (Some(_), None) => "not_realised",
    };
    CycleJson {
        nodes: text::names(nodes),
        outcome,
        within: text::bounds(config),
        steps: run.map(|t| t.actions.len()),
        schedule: run.map(|t| schedule(config, t)),
    }
}
