//! The versioned JSON of `mutants`.

use super::{Tried, tally};
use serde::Serialize;
use shootdown_refinement::mutants::evidence::Evidence;
use shootdown_refinement::mutants::{self, Mutant, Part};
use std::time::Duration;

#[derive(Serialize)]
pub(super) struct Catalogue {
    schema: &'static str,
    mutants: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    part: Part,
    breaks: &'static str,
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<&'static str>,
    order: bool,
    stress: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    equivalent: Option<&'static str>,
}

impl Row {
    fn of(m: &Mutant) -> Row {
        let named = |v| {
            shootdown_spec::variant::VARIANTS
                .iter()
                .find(|n| n.variant == v)
        };
        Row {
            name: m.name,
            part: m.part,
            breaks: m.breaks,
            place: m.place.command(),
            variant: m.variant.and_then(named).map(|n| n.name),
            types: m.types,
            order: m.order,
            stress: m.stress.is_some(),
            equivalent: m.equivalent,
        }
    }
}

/// The catalogue.
pub(super) fn catalogue() -> Catalogue {
    Catalogue {
        schema: "shootdown/mutants-list/1",
        mutants: mutants::mutants().map(Row::of).collect(),
    }
}

#[derive(Serialize)]
pub(super) struct Results<'a> {
    schema: &'static str,
    complete: bool,
    faults: usize,
    killed: usize,
    equivalent: usize,
    survivors: Vec<String>,
    longest_counterexample: usize,
    mutants: Vec<Result<'a>>,
    elapsed_ms: u64,
}

#[derive(Serialize)]
struct Result<'a> {
    #[serde(flatten)]
    row: Row,
    as_expected: bool,
    missed_by: Vec<&'static str>,
    evidence: &'a Evidence,
}

/// What was found.
pub(super) fn results(tried: &[Tried], stopped: bool, elapsed: Duration) -> Results<'_> {
    let tally = tally(tried);
    Results {
        schema: "shootdown/mutants/1",
        complete: !stopped,
        faults: tally.faults,
        killed: tally.killed,
        equivalent: tally.equivalent,
        survivors: tally.survivors,
        longest_counterexample: tally.longest,
        mutants: tried
            .iter()
            .map(|t| Result {
                row: Row::of(t.mutant),
                as_expected: t.evidence.as_expected(t.mutant),
                missed_by: t.evidence.missed_by(),
                evidence: &t.evidence,
            })
            .collect(),
        elapsed_ms: elapsed.as_millis() as u64,
    }
}
