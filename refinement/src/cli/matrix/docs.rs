//! The generated pages in the tree: written by `--docs`, compared by `--check-docs`.

use super::table::{grid_axes, summary};
use super::{Matrix, markdown};
use crate::cli::error::CliError;
use crate::cli::list;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- verdicts:begin -->\n";
const END: &str = "<!-- verdicts:end -->";

/// Every generated text with the file it belongs to, below the root of the tree.
fn pages(matrix: &Matrix, root: &Path) -> Result<Vec<(PathBuf, String)>, CliError> {
    let readme = root.join("README.md");
    let (properties, kernel_map) = list::pages()?;
    Ok(vec![
        (root.join("docs/verdicts.md"), markdown::verdicts(matrix)),
        (root.join("docs/claims.md"), markdown::claims(matrix)),
        (root.join("docs/properties.md"), properties),
        (root.join("docs/kernel-map.md"), kernel_map),
        (readme.clone(), with_table(&read(&readme)?, matrix)),
    ])
}

fn read(path: &Path) -> Result<String, CliError> {
    let failed = |error| CliError::File {
        path: path.to_path_buf(),
        error,
    };
    std::fs::read_to_string(path).map_err(failed)
}

/// The README with its table between the markers made anew.
fn with_table(readme: &str, matrix: &Matrix) -> String {
    let parts = readme.split_once(BEGIN).and_then(|(head, rest)| {
        let (_, tail) = rest.split_once(END)?;
        Some((head, tail))
    });
    match parts {
        Some((head, tail)) => format!("{head}{BEGIN}{}{END}{tail}", table(matrix)),
        // Without markers there is no table to keep.
        None => readme.to_string(),
    }
}

fn table(matrix: &Matrix) -> String {
    let (designs, environments) = grid_axes(matrix);
    let mut text = format!("| design | {} |\n", environments.join(" | "));
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
    text
}

/// Writes every page.
pub(super) fn write(matrix: &Matrix, root: &Path) -> Result<(), CliError> {
    for (path, text) in pages(matrix, root)? {
        std::fs::write(&path, text).map_err(|error| CliError::File { path, error })?;
    }
    Ok(())
}

/// Pages that differ from what this run came to.
pub(super) fn stale(matrix: &Matrix, root: &Path) -> Result<Vec<PathBuf>, CliError> {
    let mut stale = Vec::new();
    for (path, text) in pages(matrix, root)? {
        if read(&path)? != text {
            stale.push(path);
        }
    }
    Ok(stale)
}
