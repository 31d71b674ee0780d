//! The generated part of `docs/mutants.md`.

use super::{Tried, tally, text};
use crate::cli::error::CliError;
use crate::cli::output;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- mutants:begin -->\n";
const END: &str = "<!-- mutants:end -->";

/// The kill matrix.
fn table(tried: &[Tried]) -> String {
    let tally = tally(tried);
    let mut text = format!(
        "{} faults: {} noticed by the refinement, {} argued to be equivalent, {}; the longest shortest \
         counterexample has {}.\n\n",
        tally.faults,
        tally.killed,
        tally.equivalent,
        output::plural(tally.survivors.len() as u64, "survivor"),
        output::plural(tally.longest as u64, "step"),
    );
    text += "| part | fault | what it does | where it shows | types | order | model | refinement |\n\
             |---|---|---|---|---|---|---|---|\n";
    for t in tried {
        let (m, e) = (t.mutant, &t.evidence);
        let types = m.types.map_or("-".to_string(), |test| {
            format!("[killed](../impl/tests/compile_fail/{test}.rs)")
        });
        let _ = writeln!(
            text,
            "| {} | `{}` | {} | `{}` | {types} | {} | {} | {} |",
            m.part.name(),
            m.name,
            m.breaks.replace('|', "\\|"),
            m.place.command(),
            text::cell(&e.order),
            text::cell(&e.model),
            text::refinement(t),
        );
    }
    let equivalent: Vec<_> = tried
        .iter()
        .filter_map(|t| Some((t.mutant.name, t.mutant.equivalent?)))
        .collect();
    if !equivalent.is_empty() {
        text += "\nArgued to be equivalent:\n\n";
        for (name, why) in equivalent {
            let _ = writeln!(text, "- `{name}`: {why}.");
        }
    }
    text
}

/// The page as it is.
pub(super) fn read(root: &Path) -> Result<(PathBuf, String), CliError> {
    let path = root.join("docs/mutants.md");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(error) => Err(CliError::File { path, error }),
    }
}

fn page(tried: &[Tried], root: &Path) -> Result<(PathBuf, String, String), CliError> {
    let (path, old) = read(root)?;
    let parts = old
        .split_once(BEGIN)
        .and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    // Without markers there is nothing that could be fresh.
    let new = parts.map_or(String::new(), |(head, tail)| {
        format!("{head}{BEGIN}{}{END}{tail}", table(tried))
    });
    Ok((path, old, new))
}

/// Writes it.
pub(super) fn write(tried: &[Tried], root: &Path) -> Result<(), CliError> {
    let (path, old, new) = page(tried, root)?;
    if new.is_empty() || new == old {
        return Ok(());
    }
    output::write_file(&path, new)
}

/// The page, if it differs from what this run came to.
pub(super) fn stale(tried: &[Tried], root: &Path) -> Result<Option<PathBuf>, CliError> {
    let (path, old, new) = page(tried, root)?;
    Ok((old != new).then_some(path))
}
