//! What the verdicts mean: which witnesses were reached, and what was never seen.

use super::document::{Block, Entry, Part, Table, Tone};
use super::findings::{Findings, plural};
use super::short::short;
use shootdown_spec::property::{PROPERTIES, WITNESSES};
use shootdown_spec::verdict::Verdict;
use std::collections::{BTreeMap, BTreeSet};

pub fn part(findings: &Findings) -> Part {
    let blocks = vec![
        Block::Text(
            "A promise that nothing violates means something only where the dangerous spot was reached. Every property has \
             witnesses, states that must have been seen; without them it is *vacuous*, which is no pass."
                .into(),
        ),
        Block::Table(verdicts(findings)),
        fold("Witnesses", vec![Block::Table(witnesses(findings))]),
        fold("Vacuous in the matrix", vec![Block::Table(vacuous(findings))]),
        fold(
            "Interrupts inside each program",
            vec![Block::Text(interrupts(findings))],
        ),
        Block::Heading("Steps that the code never took".into()),
        Block::Text(
            "Steps of the protocol that were possible in a cell of the refinement and that the compiled code never took there, \
             with the reason. One without a reason is a hole, and fails the run."
                .into(),
        ),
        missing(findings),
    ];
    Part {
        title: "Coverage".into(),
        blocks,
    }
}

fn fold(title: &str, blocks: Vec<Block>) -> Block {
    Block::Fold {
        title: title.into(),
        listed: true,
        open: false,
        blocks,
    }
}

/// By property: in how many of the configurations it came to what.
fn verdicts(findings: &Findings) -> Table {
    let mut table = Table::new(["property", "holds", "violated", "vacuous", "incomplete"]);
    let cells = findings.distinct();
    for p in PROPERTIES {
        let of = |v: Verdict| {
            cells
                .iter()
                .filter(|c| c.verdict(p.name) == Some(v))
                .count()
        };
        let violated = of(Verdict::Violated);
        table.row([
            Entry::from(format!("`{}`", p.name)),
            of(Verdict::Holds).to_string().into(),
            // A property that never falls could be one that cannot.
            Entry::toned(
                violated.to_string(),
                if violated == 0 {
                    Tone::Open
                } else {
                    Tone::Plain
                },
            ),
            of(Verdict::Vacuous).to_string().into(),
            of(Verdict::Incomplete).to_string().into(),
        ]);
    }
    table
}

fn witnesses(findings: &Findings) -> Table {
    let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut asked: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for cell in findings.distinct() {
        for judged in cell.outcome.iter().flat_map(|o| &o.properties) {
            for (name, was) in &judged.witnesses {
                asked.entry(name).or_default().insert(&cell.command);
                if *was {
                    reached.entry(name).or_default().insert(&cell.command);
                }
            }
        }
    }
    let mut table = Table::new(["witness", "reached in", "of configurations"]);
    for w in WITNESSES {
        let of = |map: &BTreeMap<&str, BTreeSet<&str>>| map.get(w.name).map_or(0, BTreeSet::len);
        let (reached, asked) = (of(&reached), of(&asked));
        table.row([
            Entry::from(format!("`{}`", w.name)),
            Entry::toned(
                reached.to_string(),
                if reached == 0 {
                    Tone::Open
                } else {
                    Tone::Plain
                },
            ),
            asked.to_string().into(),
        ]);
    }
    table
}

fn vacuous(findings: &Findings) -> Table {
    let mut table = Table::new(["environment", "designs", "vacuous"]);
    for env in findings.environments() {
        let cells: Vec<_> = findings.grid.iter().filter(|c| c.env == env).collect();
        let mut rows: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
        for cell in &cells {
            let outcome = cell.outcome.iter().flat_map(|o| &o.properties);
            let names: Vec<_> = outcome
                .filter(|j| j.verdict == Verdict::Vacuous)
                .map(|j| short(&j.name))
                .collect();
            match rows.iter_mut().find(|(_, v)| *v == names) {
                Some((designs, _)) => designs.push(&cell.design),
                None => rows.push((vec![&cell.design], names)),
            }
        }
        for (designs, names) in rows.iter().filter(|(_, names)| !names.is_empty()) {
            let designs = if designs.len() == cells.len() {
                "all".to_string()
            } else {
                designs.join(", ")
            };
            table.row([format!("`{env}`"), designs, names.join(" ")]);
        }
    }
    table
}

fn interrupts(findings: &Findings) -> String {
    let cells = findings.distinct();
    let mut never: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in cells.iter().filter_map(|c| c.outcome.as_ref()) {
        for program in &outcome.never_interrupted {
            *never.entry(program).or_default() += 1;
        }
    }
    if never.is_empty() {
        return "In every configuration an interrupt was taken inside each program that can run there.".into();
    }
    let words: Vec<_> = never
        .iter()
        .map(|(p, n)| format!("`{p}` in {}", plural(*n, "configuration")))
        .collect();
    format!(
        "In most configurations an interrupt was taken inside each program that can run there. Never inside {}: where nobody \
         sends an IPI, where the program runs with interrupts off, or where it is a single step.",
        words.join(", ")
    )
}

fn missing(findings: &Findings) -> Block {
    let all = findings.refined.iter().flat_map(|r| &r.missing);
    let holes: BTreeSet<_> = all.collect();
    if holes.is_empty() {
        return Block::Text("None.".into());
    }
    let mut table = Table::new(["program", "statement", "where", "why"]);
    for (program, statement, place, reason) in holes {
        let tone = if reason.is_none() {
            Tone::Bad
        } else {
            Tone::Plain
        };
        table.row([
            Entry::from(format!("`{program}`")),
            format!("`{}`", statement.replace('|', "\\|")).into(),
            place.clone().into(),
            Entry::toned(reason.clone().unwrap_or_else(|| "UNEXPLAINED".into()), tone),
        ]);
    }
    Block::Table(table)
}
