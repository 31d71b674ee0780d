//! The generated parts of docs/second-opinion.md, one per checker. Nothing that changes from run to run: no times.

use super::Compared;
use super::checker::With;
use super::table::{cell_name, verdicts};
use crate::cli::error::CliError;
use crate::cli::{generated, output};
use crate::expectation::Cell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The page as it is.
pub(super) fn page(root: &Path) -> Result<(PathBuf, String), CliError> {
    let path = root.join("docs/second-opinion.md");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(error) => Err(CliError::File { path, error }),
    }
}

/// The part of the page that one checker has.
pub(super) struct Page<'a> {
    /// Which.
    pub with: With,
    /// The cells that it has, in their order.
    pub cells: &'a [&'a Cell],
    /// Cells that are too large for it.
    pub beyond: usize,
}

impl Page<'_> {
    /// Writes the part. Cells that were not compared stay as they are.
    pub(super) fn write(&self, compared: &[Compared], root: &Path) -> Result<(), CliError> {
        let (path, text) = page(root)?;
        let text = self.anew(compared, (&path, &text))?;
        output::write_file(&path, text)
    }

    /// The page, if its part differs from the result of this run.
    pub(super) fn stale(
        &self,
        compared: &[Compared],
        root: &Path,
    ) -> Result<Option<PathBuf>, CliError> {
        let (path, text) = page(root)?;
        Ok((self.anew(compared, (&path, &text))? != text).then_some(path))
    }

    fn anew(&self, compared: &[Compared], (path, text): (&Path, &str)) -> Result<String, CliError> {
        let name = self.with.part();
        let (begin, end) = (
            format!("<!-- {name}:begin -->"),
            format!("<!-- {name}:end -->"),
        );
        let old = text
            .split_once(&begin)
            .and_then(|(_, rest)| rest.split_once(&end));
        let part = self.table(compared, old.map_or("", |(old, _)| old));
        generated::replace(text, name, &part).ok_or_else(|| CliError::NoMarkers {
            path: path.to_path_buf(),
            name,
        })
    }

    fn table(&self, compared: &[Compared], old: &str) -> String {
        let name = self.with.name();
        let mut text = String::from(match self.with {
            With::Spin => {
                "| cell | violated, by both | states | transitions |\n|---|---|--:|--:|\n"
            }
            With::Tlc => {
                "| cell | violated, by both | `progress`, by both | states | transitions |\n\
                 |---|---|---|--:|--:|\n"
            }
        });
        let rows: Vec<String> = self
            .cells
            .iter()
            .filter_map(|cell| {
                let command = cell.command();
                let of_this_run = compared.iter().find(|c| c.cell == command);
                let begin = format!("| `{}` |", cell_name(&command));
                let kept = || old.split_inclusive('\n').find(|l| l.starts_with(&begin));
                of_this_run
                    .map(|c| row(self.with, c))
                    .or_else(|| kept().map(str::to_string))
            })
            .collect();
        text += &rows.concat();
        let agreed = rows.iter().filter(|row| !row.contains("**")).count();
        let states: u64 = rows.iter().map(|row| states(row)).sum();
        let _ = writeln!(
            text,
            "\n{agreed} of {} cells agree in every verdict and in both numbers; {} states in all.",
            rows.len(),
            output::count(states)
        );
        if let (true, Some(most)) = (self.beyond > 0, self.with.most()) {
            let _ = writeln!(
                text,
                "{} more have over {} states each, too many for {name} here; the table above has them.",
                self.beyond,
                output::count(most)
            );
        }
        text
    }
}

/// The number of states that a row ends with, before the number of transitions; the other checker's, if they differ.
fn states(row: &str) -> u64 {
    let column = row.rsplit('|').nth(2).unwrap_or_default();
    let number = column.rsplit(' ').find(|word| !word.is_empty());
    let digits = number.unwrap_or_default().replace([',', '*'], "");
    digits.parse().unwrap_or(0)
}

fn row(with: With, c: &Compared) -> String {
    let name = with.name();
    let both = |same: bool, ours: String, theirs: String| match same {
        true => ours,
        false => format!("**{ours}; {name}: {theirs}**"),
    };
    let (check, other) = (&c.check, &c.other);
    let progress = match with {
        With::Spin => String::new(),
        With::Tlc => {
            let word = |violated| match violated {
                None => "".to_string(),
                Some(true) => "violated".into(),
                Some(false) => "not violated".into(),
            };
            let (ours, theirs) = (check.progress_violated, other.progress_violated);
            format!(" {} |", both(ours == theirs, word(ours), word(theirs)))
        }
    };
    format!(
        "| `{}` | {} |{progress} {} | {} |\n",
        cell_name(&c.cell),
        both(
            check.violated == other.violated,
            verdicts(&check.violated),
            verdicts(&other.violated)
        ),
        both(
            check.states == other.states,
            output::count(check.states),
            output::count(other.states)
        ),
        both(
            check.transitions == other.transitions,
            output::count(check.transitions),
            output::count(other.transitions)
        ),
    )
}
