//! The two candidates beside each other: the run that separates them, and the programs that differ.

use super::candidates::named;
use super::designs::{differing, programs};
use super::document::{Block, Part, Table};
use super::findings::{Beside, Findings};
use super::short::short;
use crate::map::config::implemented;
use shootdown_spec::program::Program;
use similar::{ChangeTag, TextDiff};

/// How many differences are unfolded at first.
const OPEN: usize = 2;

/// The title, for links.
pub const TITLE: &str = "The candidates beside each other";

pub fn part(findings: &Findings) -> Part {
    let [one, other] = findings.candidates.0;
    let mut blocks = Vec::new();
    match &findings.beside {
        Some(beside) => blocks.extend(run(beside)),
        None => blocks.push(Block::Text(format!(
            "No run of this matrix hangs or corrupts something in one of `{one}` and `{other}` and not in the other, in the \
             same environment."
        ))),
    }
    blocks.push(Block::Heading(format!(
        "What {other} changes against {one}"
    )));
    blocks.extend(difference(one, other));
    Part {
        title: TITLE.into(),
        blocks,
    }
}

fn run(beside: &Beside) -> Vec<Block> {
    let (bad, good) = (&beside.bad, &beside.good);
    let mut table = Table::new(["CPU".to_string(), format!("`{bad}`"), format!("`{good}`")]);
    for row in &beside.rows {
        let side = |step: &Option<(usize, String)>| {
            step.as_ref().map_or(String::new(), |(n, text)| {
                format!("{n} `{}`", text.replace('|', "\\|"))
            })
        };
        table.row([format!("CPU{}", row.cpu), side(&row.left), side(&row.right)]);
    }
    let picture = |run: &super::run::Run, design: &str, what: &str| Block::Run {
        run: Box::new(run.clone()),
        caption: format!(
            "`{design}`: {what}. Time runs right. A lane per CPU, below them one per lock; hatched is interrupts off, striped \
             is spinning or waiting."
        ),
    };
    vec![
        Block::Text(format!(
            "In `{}` the same beginning ends differently. `{bad}` violates `{}` after {} steps; led statement by statement \
             along the same run, and then on to its end, `{good}` {}.",
            beside.env, beside.left.property, beside.left.steps, beside.ends
        )),
        picture(&beside.left, bad, short(beside.left.property)),
        picture(&beside.right, good, &beside.ends),
        Block::Fold {
            title: "Statement beside statement".into(),
            listed: false,
            open: false,
            blocks: vec![Block::Table(table)],
        },
    ]
}

/// The programs that differ, as C statements, each with the file of its implementation.
fn difference(one: &str, other: &str) -> Vec<Block> {
    let of = |name| programs(named(name).design);
    let (before, after) = (of(one), of(other));
    let changed = differing(&before, &after);
    let (a, b) = (named(one).design, named(other).design);
    let mut axes = Table::new([
        "axis".to_string(),
        format!("`{one}`"),
        format!("`{other}`"),
        "in `impl`".into(),
    ]);
    let yes = |b: bool| if b { "yes" } else { "no" }.to_string();
    for (axis, x, y, place) in [
        (
            "`pgd_lock`",
            a.pgd_lock.to_string(),
            b.pgd_lock.to_string(),
            "`Design::PgdLock`",
        ),
        (
            "walk takes `page_table_lock`",
            yes(a.walk_takes_ptl),
            yes(b.walk_takes_ptl),
            "`Design::WALK_TAKES_PTL`",
        ),
        (
            "page-table locks",
            a.ptl.to_string(),
            b.ptl.to_string(),
            "`Design::PtLock`",
        ),
        (
            "flush",
            a.flush.to_string(),
            b.flush.to_string(),
            "`Design::Flush`",
        ),
    ] {
        if x != y {
            axes.row([
                axis.to_string(),
                x,
                y,
                format!("{place} of `impl/src/design.rs`"),
            ]);
        }
    }
    let mut blocks = vec![
        Block::Text(format!(
            "{} of {} programs differ, as statements of C below. In `impl` each program is written once and generic over the \
             design; what differs there is the types of the axes:",
            changed.len(),
            after.len()
        )),
        Block::Table(axes),
    ];
    for (n, name) in changed.iter().enumerate() {
        let find = |all: &[Program]| all.iter().find(|p| p.id.name() == *name).map(source);
        let (old, new) = (
            find(&before).unwrap_or_default(),
            find(&after).unwrap_or_default(),
        );
        let file = after
            .iter()
            .find(|p| p.id.name() == *name)
            .and_then(|p| implemented(p.id));
        let mut inside = vec![Block::Listing(unified(&old, &new))];
        if let Some(file) = file {
            inside.push(Block::Text(format!("In `impl`: `{}`.", file.file)));
        }
        blocks.push(Block::Fold {
            title: (*name).to_string(),
            listed: false,
            open: n < OPEN,
            blocks: inside,
        });
    }
    blocks
}

/// The statements of a program, a line each.
fn source(program: &Program) -> String {
    let real = program.lines.iter().filter(|l| !l.op.is_control());
    real.map(|l| format!("{}\n", l.source)).collect()
}

/// All lines, those that go with `-` and those that come with `+`.
fn unified(before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let lines = diff.iter_all_changes().map(|change| {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        format!("{sign} {}", change.value())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fix_of_2011_differs_in_how_it_takes_pgd_lock() {
        let blocks = difference("v2.6.37", "v2.6.38");
        let listings: Vec<&str> = blocks
            .iter()
            .filter_map(|b| match b {
                Block::Fold { title, blocks, .. } if title == "vmalloc_sync_all" => Some(blocks),
                _ => None,
            })
            .flatten()
            .filter_map(|b| match b {
                Block::Listing(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(listings.len(), 1);
        assert!(
            listings[0].contains("- spin_lock_irqsave(&pgd_lock, flags)"),
            "{}",
            listings[0]
        );
        assert!(
            listings[0].contains("+ spin_lock(&pgd_lock)"),
            "{}",
            listings[0]
        );
    }
}
