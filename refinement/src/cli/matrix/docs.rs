//! The generated pages in the tree: written by `--docs`, compared by `--check-docs`.

use super::table::{columns, grid_axes, heads, summary};
use super::{Matrix, markdown, order};
use crate::cli::error::CliError;
use crate::cli::{generated, list, output};
use shootdown_refinement::review::word::footnote;
use shootdown_spec::report::{self, TextOptions};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Parts of a page that are generated: what stands between two markers.
type Part = (&'static str, fn(&Matrix) -> String);
const README: &[Part] = &[("verdicts", table), ("run", seeds_deadlock)];
const ORDER: &[Part] = &[
    ("order", order::table),
    ("cells", order::cells),
    ("cycles", order::seeds_cycles),
];

/// The pages, below the root of the tree.
const PAGES: [&str; 6] = [
    "docs/verdicts.md",
    "docs/claims.md",
    "docs/properties.md",
    "docs/kernel-map.md",
    "README.md",
    "docs/order.md",
];

/// Tries whether the pages can be written.
pub(super) fn try_out(root: &Path) -> Result<(), CliError> {
    let mut pages = PAGES.iter().map(|page| root.join(page));
    pages.try_for_each(|path| output::try_out(&path))
}

/// Tries whether there are pages to compare with.
pub(super) fn try_read(root: &Path) -> Result<(), CliError> {
    let mut pages = PAGES.iter().map(|page| root.join(page));
    pages.try_for_each(|path| read(&path).map(drop))
}

/// Every generated text with the file it belongs to, below the root of the tree.
fn pages(matrix: &Matrix, root: &Path) -> Result<Vec<(PathBuf, String)>, CliError> {
    let paths = PAGES.map(|page| root.join(page));
    let (properties, kernel_map) = list::pages()?;
    let texts = [
        markdown::verdicts(matrix),
        markdown::claims(matrix),
        properties,
        kernel_map,
        with_parts(&read(&paths[4])?, README, matrix),
        with_parts(&read(&paths[5])?, ORDER, matrix),
    ];
    Ok(paths.into_iter().zip(texts).collect())
}

fn read(path: &Path) -> Result<String, CliError> {
    let failed = |error| CliError::File {
        path: path.to_path_buf(),
        error,
    };
    std::fs::read_to_string(path).map_err(failed)
}

/// A page with its generated parts regenerated.
fn with_parts(page: &str, parts: &[Part], matrix: &Matrix) -> String {
    parts.iter().fold(page.to_string(), |text, (name, make)| {
        let parts = generated::replace(&text, name, &make(matrix));
        // Without markers there is nothing to keep fresh.
        parts.unwrap_or(text)
    })
}

/// The deadlock of 2011 as `check` prints it.
fn seeds_deadlock(matrix: &Matrix) -> String {
    let run = matrix.checked.iter().find_map(|c| {
        let told = c.claim.as_deref() == Some("C2");
        let run = c.result.property("no_deadlock")?.counterexample.as_ref()?;
        told.then(|| report::text(&c.protocol, &run.trace, Some("no_deadlock"), &OPTIONS))
    });
    format!("```text\n{}\n```\n", run.unwrap_or_default().trim_end())
}

const OPTIONS: TextOptions = TextOptions {
    width: 100,
    verbose: false,
    colour: false,
};

fn table(matrix: &Matrix) -> String {
    let (designs, environments) = grid_axes(matrix);
    let mut text = format!("| design | {} |\n", heads(matrix).join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(environments.len()));
    for design in &designs {
        let _ = write!(text, "| `{design}` |");
        for env in &environments {
            let cell = matrix
                .grid()
                .find(|c| c.cell.design == *design && c.cell.env == *env);
            let _ = write!(text, " {} |", cell.map_or("not run".into(), summary));
        }
        text.push('\n');
    }
    let note = footnote(columns(matrix)).map(|note| format!("\n{note}\n"));
    text + &note.unwrap_or_default()
}

/// Writes every page.
pub(super) fn write(matrix: &Matrix, root: &Path) -> Result<(), CliError> {
    for (path, text) in pages(matrix, root)? {
        output::write_file(&path, text)?;
    }
    Ok(())
}

/// Pages that differ from the result of this run.
pub(super) fn stale(matrix: &Matrix, root: &Path) -> Result<Vec<PathBuf>, CliError> {
    let mut stale = Vec::new();
    for (path, text) in pages(matrix, root)? {
        if read(&path)? != text {
            stale.push(path);
        }
    }
    Ok(stale)
}
