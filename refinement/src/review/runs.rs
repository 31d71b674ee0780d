//! Every violation with the run that shows it: one story once, however many cells tell it.

use super::document::{Block, Part, slug};
use super::findings::{Cell, Findings, plural};
use super::run::Run;
use super::short::short;
use shootdown_spec::property::PROPERTIES;
use std::cell::RefCell;

/// How many runs are unfolded at first: more than that nobody reads.
const OPEN: usize = 15;

/// A run and every cell that is violated in this way.
struct Story<'a> {
    run: &'a Run,
    /// Claim, if it is a claim's, and cell.
    cells: Vec<(Option<&'a str>, &'a Cell)>,
}

/// All of them, by property.
pub struct Runs<'a> {
    stories: Vec<Story<'a>>,
    /// Runs in the order in which the review came to speak of them.
    cited: RefCell<Vec<usize>>,
}

impl<'a> Runs<'a> {
    /// Groups the counterexamples: two are one story if they violate the same property by the same steps.
    pub fn of(findings: &'a Findings) -> Runs<'a> {
        let claimed = findings.claims.iter();
        let claimed = claimed.flat_map(|c| c.cells.iter().map(|cell| (Some(c.id.as_str()), cell)));
        let all = || {
            findings
                .grid
                .iter()
                .map(|c| (None, c))
                .chain(claimed.clone())
        };
        let mut stories: Vec<Story<'a>> = Vec::new();
        for property in PROPERTIES {
            for (claim, cell) in all() {
                let violated = cell.violated().filter(|j| j.name == property.name);
                for run in violated.filter_map(|j| j.run.as_ref()) {
                    let same = |s: &&mut Story<'a>| {
                        s.run.property == run.property && s.run.shape == run.shape
                    };
                    match stories.iter_mut().find(same) {
                        Some(story) => story.cells.push((claim, cell)),
                        None => stories.push(Story {
                            run,
                            cells: vec![(claim, cell)],
                        }),
                    }
                }
            }
        }
        Runs {
            stories,
            cited: RefCell::default(),
        }
    }

    /// The number of the story of a run, from 1, and the anchor of its heading.
    fn name(&self, run: &Run) -> Option<(String, String)> {
        let same = |s: &Story<'a>| s.run.property == run.property && s.run.shape == run.shape;
        let n = self.stories.iter().position(same)?;
        let mut cited = self.cited.borrow_mut();
        if !cited.contains(&n) {
            cited.push(n);
        }
        Some((
            format!("R{}", n + 1),
            slug(&heading(n, self.stories[n].run)),
        ))
    }

    /// The runs that were spoken of so far, the first ones: those that are to be unfolded.
    pub fn cited(&self) -> Vec<usize> {
        let cited = self.cited.borrow();
        cited.iter().copied().take(OPEN).collect()
    }

    /// `words`, leading to the run by which a cell violates a property.
    pub fn link(&self, cell: &Cell, property: &str, words: &str) -> String {
        let run = cell.judged(property).and_then(|j| j.run.as_ref());
        match run.and_then(|r| self.name(r)) {
            Some((_, anchor)) => format!("[{words}](#{anchor})"),
            None => words.to_string(),
        }
    }

    /// How a cell violates a property: `after 11 steps (R1)`.
    pub fn told(&self, cell: Option<&Cell>, property: &str) -> String {
        let run = cell
            .and_then(|c| c.judged(property))
            .and_then(|j| j.run.as_ref());
        match run.and_then(|r| Some((r, self.name(r)?))) {
            Some((run, (name, anchor))) => {
                format!("after {} ([{name}](#{anchor}))", plural(run.steps, "step"))
            }
            None => "(no run: not as expected)".to_string(),
        }
    }

    /// All of them, with pictures and columns; these are unfolded.
    pub fn part(&self, open: &[usize]) -> Part {
        let mut blocks = vec![Block::Text(format!(
            "Every violation that this run found: {} in {}. Two counterexamples are one story if they violate the same \
             property by the same steps, CPUs and mms renamed. Each is a shortest run (fewest steps, then fewest \
             changes of CPU; a loop that violates `progress` is short, not always the shortest), and was executed \
             again from its schedule before it was written down here. `progress` is violated with every deadlock and is \
             not shown again. {}",
            plural(
                self.stories.iter().map(|s| s.cells.len()).sum(),
                "violation"
            ),
            if self.stories.len() == 1 {
                "1 story".to_string()
            } else {
                format!("{} stories", self.stories.len())
            },
            match open.len() < self.stories.len() {
                true => format!(
                    "Unfolded: the {} that the first parts speak of.",
                    open.len()
                ),
                false => String::new(),
            }
        ))];
        for (n, story) in self.stories.iter().enumerate() {
            let run = story.run;
            let told = Block::Text(format!(
                "**`{}`** is violated after {}: {}. In {}.",
                run.property,
                plural(run.steps, "step"),
                programs(run),
                places(&story.cells)
            ));
            let picture = Block::Run {
                run: Box::new(run.clone()),
                caption: format!(
                    "R{}: `{}` by {}. Time runs right. A lane per CPU, below them one per lock; hatched is interrupts \
                     off, striped is spinning or waiting.",
                    n + 1,
                    short(run.property),
                    programs(run)
                ),
            };
            blocks.push(Block::Fold {
                title: heading(n, run),
                listed: true,
                open: open.contains(&n),
                blocks: vec![told, picture],
            });
        }
        Part {
            title: "Counterexamples".into(),
            blocks,
        }
    }
}

/// A run's name: its number, what goes wrong, and by whom.
fn heading(n: usize, run: &Run) -> String {
    let who = match run.programs.as_slice() {
        [] => "the hardware alone".to_string(),
        [one] => one.to_string(),
        [one, other] => format!("{one} and {other}"),
        [one, other, rest @ ..] => format!("{one}, {other} and {} more", rest.len()),
    };
    format!("R{}: {} by {who}", n + 1, short(run.property))
}

fn programs(run: &Run) -> String {
    let names: Vec<_> = run.programs.iter().map(|p| format!("`{p}`")).collect();
    match names.as_slice() {
        [] => "the hardware alone".into(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

/// Cells of the grid by design, claims by name.
fn places(cells: &[(Option<&str>, &Cell)]) -> String {
    let mut designs: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut claims: Vec<&str> = Vec::new();
    for (claim, cell) in cells {
        match claim {
            Some(id) if !claims.contains(id) => claims.push(id),
            Some(_) => {}
            None => match designs.iter_mut().find(|(d, _)| *d == cell.design) {
                Some((_, envs)) => envs.push(&cell.env),
                None => designs.push((&cell.design, vec![&cell.env])),
            },
        }
    }
    let mut words: Vec<String> = designs
        .iter()
        .map(|(design, envs)| format!("`{design}` ({})", envs.join(", ")))
        .collect();
    if !claims.is_empty() {
        let word = if claims.len() == 1 { "claim" } else { "claims" };
        words.push(format!("{word} {}", claims.join(", ")));
    }
    words.join("; ")
}
