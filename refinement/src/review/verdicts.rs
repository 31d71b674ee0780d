//! The matrix: every design in every environment.

use super::document::{Block, Entry, Part, Table, Tone};
use super::findings::{Cell, Findings, count, plural};
use super::runs::Runs;
use super::short::short;
use super::word::{self, Kind};
use shootdown_spec::environment::ENVIRONMENTS;
use shootdown_spec::property::PROPERTIES;

pub fn part(findings: &Findings, runs: &Runs<'_>) -> Part {
    let environments = findings.environments();
    let columns: Vec<_> = findings.columns().collect();
    let heads = columns
        .iter()
        .map(|(env, workload)| word::head(env, workload));
    let heads: Vec<String> = std::iter::once("design".to_string()).chain(heads).collect();
    let head = || heads.iter().cloned();
    let mut table = Table::new(head());
    let mut order = Table::new(head());
    for design in findings.designs() {
        let cells = || environments.iter().map(|env| findings.cell(design, env));
        let name = || Entry::from(format!("`{design}`"));
        table.row(std::iter::once(name()).chain(cells().map(|c| entry(c, runs))));
        order.row(
            std::iter::once(name()).chain(
                environments
                    .iter()
                    .map(|env| standing(findings, design, env)),
            ),
        );
    }
    let mut bounds = Table::new(["environment", "bounds and axes", "workload", "stands for"]);
    for env in &environments {
        let Some(cell) = findings.grid.iter().find(|c| c.env == *env) else {
            continue;
        };
        let about = ENVIRONMENTS.iter().find(|e| e.name == *env);
        bounds.row([
            format!("`{env}`"),
            cell.environment.to_string(),
            cell.workload.clone(),
            about.map_or("", |e| e.about).to_string(),
        ]);
    }
    let mut properties = Table::new(["in the table", "property", "promise"]);
    for p in PROPERTIES {
        properties.row([
            short(p.name).to_string(),
            format!("`{}`", p.name),
            p.promise.replace('|', "\\|"),
        ]);
    }
    Part {
        title: "The verdicts".into(),
        blocks: vec![
            Block::Text(
                "Violated properties, each leading to the run that shows it, and the number of distinct states, which \
                 is all there are within the bounds below. `holds` means that no property is violated; some are \
                 vacuous there, as [Coverage](#coverage) says. `progress`, which is violated with every deadlock, is not \
                 repeated beside one."
                    .into(),
            ),
            Block::Table(table),
            Block::Text(word::footnote(columns.iter().copied()).unwrap_or_default()),
            Block::Text(
                "Red: something hangs or is corrupted. Amber: a rule about waiting is broken, which a design may do on \
                 purpose, and nothing hangs by that alone. Green: every program ran and nothing is violated. Yellow: not \
                 decided, or partial."
                    .into(),
            ),
            Block::Text(size(findings)),
            fold("Bounds and environments", Block::Text(
                "One operation per CPU, on any mm that the program can name; every placement of CPUs on mms at the \
                 start; sequential consistency. See [Assumptions](#assumptions)."
                    .into(),
            ), bounds),
            fold("The static order", Block::Text(
                "What the lock order of the same programs proves without bounds: *acyclic* means no deadlock for any \
                 number of CPUs, mms and operations; a cycle is *realised* if the model deadlocks within the bounds \
                 above. The theorem and its proof: [order.md](order.md)."
                    .into(),
            ), order),
            fold("The properties", Block::Text("What each promises, and its short name in the table.".into()), properties),
        ],
    }
}

/// A table that is looked up, not read.
fn fold(title: &str, about: Block, table: Table) -> Block {
    Block::Fold {
        title: title.into(),
        listed: true,
        open: false,
        blocks: vec![about, Block::Table(table)],
    }
}

/// What a cell came to.
fn entry(cell: Option<&Cell>, runs: &Runs<'_>) -> Entry {
    let Some((cell, outcome)) = cell.and_then(|c| Some((c, c.outcome.as_ref()?))) else {
        return Entry::toned("not run", Tone::Open);
    };
    let words = summary(cell, runs, &cell.workload);
    let text = format!("{words} ({})", count(outcome.states.unique));
    let violated = cell.violated().map(|j| j.name.as_str());
    let tone = match Kind::of(violated, outcome.complete, &cell.workload) {
        _ if !cell.as_expected() => Tone::Open,
        Kind::Violated => Tone::Bad,
        Kind::Rule => Tone::Rule,
        Kind::Holds => Tone::Good,
        Kind::Partial | Kind::Incomplete => Tone::Open,
    };
    Entry::toned(text, tone)
}

/// Violated properties in short names, each leading to its run. `workload` is what ran, or `everything` where the command
/// stands beside it.
pub fn summary(cell: &Cell, runs: &Runs<'_>, workload: &str) -> String {
    let Some(outcome) = &cell.outcome else {
        return "not run".into();
    };
    let violated: Vec<&str> = cell.violated().map(|j| j.name.as_str()).collect();
    let word = word::word(
        &violated,
        cell.verdict("no_deadlock"),
        outcome.complete,
        workload,
    );
    let mut text = word.text(&violated, |name, short| runs.link(cell, name, short));
    if !outcome.differences.is_empty() {
        text += " UNEXPECTED";
    }
    text
}

/// What `prove` says of the environment, and what the model makes of its cycles.
fn standing(findings: &Findings, design: &str, env: &str) -> Entry {
    let standing = findings.standing(design, env);
    let tone = match standing {
        "acyclic" => Tone::Good,
        "cyclic, realised" => Tone::Bad,
        _ => Tone::Open,
    };
    Entry::toned(standing, tone)
}

fn size(findings: &Findings) -> String {
    let cells = findings.distinct();
    let run = cells.iter().filter(|c| c.outcome.is_some()).count();
    let states: u64 = cells.iter().map(|c| c.states()).sum();
    let outcomes = || cells.iter().filter_map(|c| c.outcome.as_ref());
    let transitions: u64 = outcomes().map(|o| o.states.generated).sum();
    let deepest = outcomes().map(|o| o.states.depth).max().unwrap_or(0);
    let verdicts: usize = outcomes().map(|o| o.properties.len()).sum();
    format!(
        "With the cells of the claims this run explored {}: {} states, {} transitions, none farther than {} steps from \
         its start; {} verdicts. Cells that did not come out as `refinement/expectations.toml` says: {}.",
        plural(run, "configuration"),
        count(states),
        count(transitions),
        count(deepest),
        count(verdicts as u64),
        cells.iter().filter(|c| !c.as_expected()).count()
    )
}
