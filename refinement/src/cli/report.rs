//! `report`: the design review as one HTML file, or as Markdown for a mail.

mod gather;
mod stale;

use super::bounds::Bounds;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::output;
use shootdown_refinement::review::findings::{Findings, count, plural};
use shootdown_refinement::review::{html, markdown, review};
use std::path::{Path, PathBuf};

/// The page of the tree that the Markdown is compared with.
const PAGE: &str = "docs/review.md";

const EXIT_CODES: &str = "\
The Markdown is the same for the same sources; times, versions and real threads are in the HTML file only.

Exit codes:
  0  written, or fresh, and everything came out as expected
  1  something did not come out as expected (it is written all the same), or the page is stale
  2  usage, or unreadable input
  3  cut off by a bound, a time-out or Ctrl-C, or a matrix with cells missing: written with what is known
  4  internal error";

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// Write the HTML file here [default: review.html, unless Markdown is asked for]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write Markdown, to FILE or to stdout
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    markdown: Option<PathBuf>,
    /// Write docs/review.md of the tree at DIR
    #[arg(long, value_name = "DIR")]
    docs: Option<PathBuf>,
    /// Fail, naming the first part that differs, if docs/review.md of the tree at DIR is stale
    #[arg(long, value_name = "DIR", conflicts_with = "docs")]
    check: Option<PathBuf>,
    /// Take the matrix from FILE, which `matrix --json FILE` writes, instead of exploring it
    #[arg(long, value_name = "FILE")]
    matrix_json: Option<PathBuf>,
    /// How long each design may run on real threads, for the HTML file; 0 leaves them out
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(..=3600))]
    stress_seconds: u16,
    #[command(flatten)]
    bounds: Bounds,
}

/// Runs what is reported and writes it.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    if let Some(root) = args.check.as_ref().or(args.docs.as_ref()) {
        // Not after all the work.
        read(&root.join(PAGE)).or_else(|e| {
            if args.docs.is_some() {
                Ok(String::new())
            } else {
                Err(e)
            }
        })?;
    }
    let file = args.html();
    let findings = gather::findings(args, file.is_some())?;
    let document = review(&findings);
    let page = markdown::page(&document);
    let mut code = exit_code(&findings);
    if let Some(path) = &file {
        write(path, &html::page(&document))?;
    }
    match &args.markdown {
        Some(path) if path == Path::new("-") => output::print(&page)?,
        Some(path) => write(path, &page)?,
        None => {}
    }
    // The page of the tree tells what a whole run came to, never a part of one.
    let whole = findings.incomplete() == 0;
    match (&args.docs, &args.check) {
        (Some(_), _) | (_, Some(_)) if !whole => {
            eprintln!("error: the run was cut off, so {PAGE} was left alone");
        }
        (Some(root), _) => write(&root.join(PAGE), &page)?,
        (_, Some(root)) => {
            let path = root.join(PAGE);
            if let Some(difference) = stale::first(&read(&path)?, &page) {
                eprintln!(
                    "error: {} is stale: {difference}\n  `cargo run --release -- report --docs .` writes it anew",
                    path.display()
                );
                code = code.max(ExitCode::NotAsExpected);
            }
        }
        (None, None) => {}
    }
    if args.markdown.as_deref() != Some(Path::new("-")) {
        output::print(summary(&findings, file.as_deref()))?;
    }
    Ok(code)
}

impl Args {
    /// Where the HTML goes, if it is wanted.
    fn html(&self) -> Option<PathBuf> {
        let other = self.markdown.is_some() || self.docs.is_some() || self.check.is_some();
        let default = || (!other).then(|| PathBuf::from("review.html"));
        self.output.clone().or_else(default)
    }
}

fn exit_code(findings: &Findings) -> ExitCode {
    if !findings.unexpected().is_empty() {
        ExitCode::NotAsExpected
    } else if findings.incomplete() > 0 {
        ExitCode::Incomplete
    } else {
        ExitCode::AsPromised
    }
}

fn summary(findings: &Findings, file: Option<&Path>) -> String {
    let cells = findings.distinct();
    let stand = findings.claims.iter().filter(|c| c.stands()).count();
    let unexpected = findings.unexpected();
    let mut text = format!(
        "{}: {} states; {stand} of {} came out as written; {} refined, {} tried, {:.1} s; {} not as expected\n",
        plural(cells.len(), "configuration"),
        count(cells.iter().map(|c| c.states()).sum::<u64>()),
        plural(findings.claims.len(), "claim"),
        plural(findings.refined.len(), "cell"),
        plural(findings.faults.len(), "fault"),
        findings.made.elapsed.as_secs_f64(),
        count(unexpected.len() as u64),
    );
    for line in unexpected {
        text += &format!("  UNEXPECTED {line}\n");
    }
    if findings.incomplete() > 0 {
        text += &format!(
            "INCOMPLETE: {} not run to the end\n",
            plural(findings.incomplete(), "cell")
        );
    }
    if let Some(path) = file {
        text += &format!("written: {}\n", path.display());
    }
    text
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| CliError::File {
        path: path.to_path_buf(),
        error,
    })
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text).map_err(|error| CliError::File {
        path: path.to_path_buf(),
        error,
    })
}
