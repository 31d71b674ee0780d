//! Seeded faults: who was asked, and who noticed.

use super::document::{Block, Entry, Part, Table, Tone};
use super::findings::{Asked, Fault, Findings, plural};

pub fn part(findings: &Findings) -> Part {
    let faults = &findings.faults;
    let mut table = Table::new(
        ["part", "faults"]
            .into_iter()
            .chain(Fault::JUDGES)
            .chain(["longest counterexample"]),
    );
    let mut parts: Vec<&str> = Vec::new();
    for fault in faults {
        if !parts.contains(&fault.part) {
            parts.push(fault.part);
        }
    }
    for part in parts {
        let of: Vec<_> = faults.iter().filter(|f| f.part == part).collect();
        let mut row: Vec<Entry> = vec![part.into(), of.len().to_string().into()];
        row.extend((0..Fault::JUDGES.len()).map(|judge| tally(&of, judge)));
        let longest = of.iter().filter_map(|f| f.steps).max();
        row.push(longest.map_or("-".into(), |n| plural(n, "step").into()));
        table.row(row);
    }
    let missed: Vec<_> = faults.iter().filter(|f| !f.as_expected).collect();
    let equivalent: Vec<_> = faults.iter().filter(|f| f.equivalent.is_some()).collect();
    let noticed = faults
        .iter()
        .filter(|f| f.judged.contains(&Asked::Killed))
        .count();
    let mut silent: Vec<String> = equivalent
        .iter()
        .map(|f| {
            format!(
                "`{}`, put in so that somebody would notice nothing: {}",
                f.name,
                f.equivalent.unwrap_or_default()
            )
        })
        .collect();
    silent.extend(
        missed
            .iter()
            .filter(|f| f.equivalent.is_none())
            .map(|f| format!("**`{}`**, which somebody had to notice", f.name)),
    );
    let silent = match silent.is_empty() {
        true => "none".to_string(),
        false => silent.join("; "),
    };
    Part {
        title: "Mutants".into(),
        blocks: vec![
            Block::Text(format!(
                "A checker that cannot fail proves nothing, so {} were put in on purpose: into the machine, the locking, the list, \
                 the flushes, the order of steps, and the dictionary between code and protocol. *2 of 3* means that three were \
                 asked of this judge and two were noticed. {noticed} were noticed by somebody; controls that change nothing: {}; \
                 not noticed by somebody who must notice: {}.",
                plural(faults.len(), "fault"),
                equivalent.len(),
                missed.len()
            )),
            Block::Text(format!("Which were not noticed, and why: {silent}.")),
            Block::Table(table),
            Block::Text(
                "Each by name with its shortest run: [mutants.md](mutants.md), `shootdown mutants --show ack-before-flush`."
                    .into(),
            ),
        ],
    }
}

fn tally(faults: &[&Fault], judge: usize) -> Entry {
    let asked = faults
        .iter()
        .filter(|f| f.judged[judge] != Asked::No)
        .count();
    let killed = faults
        .iter()
        .filter(|f| f.judged[judge] == Asked::Killed)
        .count();
    match asked {
        0 => "-".into(),
        _ => Entry::toned(
            format!("{killed} of {asked}"),
            if killed == asked {
                Tone::Good
            } else {
                Tone::Bad
            },
        ),
    }
}
