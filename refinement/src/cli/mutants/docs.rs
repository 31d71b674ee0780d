//! The generated part of `docs/mutants.md`.

use super::{Tried, tally, text};
use crate::cli::error::CliError;
use crate::cli::output;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where a part begins and ends.
type Markers = (&'static str, &'static str);

/// The kill matrix of the catalogue.
pub(super) const CATALOGUE: Markers = ("<!-- mutants:begin -->\n", "<!-- mutants:end -->");
/// Random edits of the specification.
pub(super) const GENERATED: Markers = ("<!-- generated:begin -->\n", "<!-- generated:end -->");
/// What is left of every clause of the specification.
pub(super) const GUARDS: Markers = ("<!-- guards:begin -->\n", "<!-- guards:end -->");

/// The kill matrix.
pub(super) fn table(tried: &[Tried]) -> String {
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

fn page(root: &Path, markers: Markers, table: &str) -> Result<(PathBuf, String, String), CliError> {
    let (path, old) = read(root)?;
    let (begin, end) = markers;
    let parts = old
        .split_once(begin)
        .and_then(|(head, rest)| Some((head, rest.split_once(end)?.1)));
    // Without markers there is nothing that could be fresh.
    let new = parts.map_or(String::new(), |(head, tail)| {
        format!("{head}{begin}{table}{end}{tail}")
    });
    Ok((path, old, new))
}

/// Writes the part between the markers.
pub(super) fn write(root: &Path, markers: Markers, table: &str) -> Result<(), CliError> {
    let (path, old, new) = page(root, markers, table)?;
    if new.is_empty() || new == old {
        return Ok(());
    }
    output::write_file(&path, new)
}

/// The page, if its part between the markers differs.
pub(super) fn stale(
    root: &Path,
    markers: Markers,
    table: &str,
) -> Result<Option<PathBuf>, CliError> {
    let (path, old, new) = page(root, markers, table)?;
    Ok((old != new).then_some(path))
}
