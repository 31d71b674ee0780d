//! The claims of the thread and those beyond it, each with the commands that decide it.

use super::document::{Block, Entry, Part, Table, Tone};
use super::findings::{Claim, Findings, count};
use super::runs::Runs;
use super::verdicts::summary;

/// The claims in a table, a line each.
pub fn overview(findings: &Findings) -> Part {
    let mut table = Table::new(["claim", "says", "came out", "cells as expected"]);
    for claim in &findings.claims {
        let good = claim.cells.iter().filter(|c| c.as_expected()).count();
        table.row([
            Entry::from(format!(
                "[{}](#{})",
                claim.id,
                super::document::slug(&heading(claim))
            )),
            claim.says.clone().into(),
            outcome(claim),
            format!("{good} of {}", claim.cells.len()).into(),
        ]);
    }
    Part {
        title: "The claims".into(),
        blocks: vec![
            Block::Text(
                "C1 to C9 are what the mails of 2011 say; B1 to B12 and B14 lie beyond them. `shootdown matrix --claim C1` decides \
                 one anew."
                    .into(),
            ),
            Block::Table(table),
        ],
    }
}

/// The claims with what decides each.
pub fn part(findings: &Findings, runs: &Runs<'_>) -> Part {
    let mut part = overview(findings);
    part.blocks.push(Block::Text(
        "Each command below a claim is one of its cells (`shootdown` stands for `cargo run --release --`). Everything not \
         named as violated holds, or is vacuous as the expectations say. *Order* is for any number of CPUs."
            .into(),
    ));
    for claim in &findings.claims {
        part.blocks.push(Block::Fold {
            title: heading(claim),
            listed: true,
            open: false,
            blocks: vec![
                Block::Text(finding(claim)),
                Block::Table(cells(claim, runs)),
            ],
        });
    }
    part
}

fn heading(claim: &Claim) -> String {
    format!("{}: {}", claim.id, claim.says)
}

/// In a word: the finding begins with one where the claim is somebody's.
fn outcome(claim: &Claim) -> Entry {
    if !claim.stands() {
        return Entry::toned("not decided", Tone::Open);
    }
    let word = claim.finding.split([',', ' ', ':']).next().unwrap_or("");
    match word {
        "confirmed" => Entry::toned("confirmed", Tone::Good),
        "both" => Entry::toned("confirmed", Tone::Good),
        // To the letter, or in the words of the claim, it does not come out.
        _ if claim.id == "C9" => Entry::toned("refuted, to its letter", Tone::Bad),
        _ => Entry::toned("confirmed", Tone::Good),
    }
}

fn finding(claim: &Claim) -> String {
    if claim.stands() {
        format!("**{}.**", capital(&claim.finding))
    } else {
        format!(
            "**Not borne out by this run.** It would have been: {}.",
            claim.finding
        )
    }
}

fn cells(claim: &Claim, runs: &Runs<'_>) -> Table {
    let mut table = Table::new(["command", "violated", "states", "order"]);
    for cell in &claim.cells {
        let note = if cell.note.is_empty() {
            String::new()
        } else {
            format!(" ({})", cell.note)
        };
        let tone = if cell.as_expected() {
            Tone::Plain
        } else {
            Tone::Open
        };
        table.row([
            Entry::from(format!("`{}`{note}", cell.command)),
            Entry::toned(summary(cell, runs, "everything"), tone),
            count(cell.states()).into(),
            cell.standing().into(),
        ]);
    }
    table
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}
