//! `report`: the design review as one HTML file, or as Markdown for a mail.

mod gather;
mod stale;

use super::bounds::Bounds;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::output;
use shootdown_refinement::review::candidates::Candidates;
use shootdown_refinement::review::findings::{Findings, count, plural};
use shootdown_refinement::review::{html, markdown, review};
use std::path::{Path, PathBuf};

/// The page of the tree that the Markdown is compared with.
const PAGE: &str = "docs/review.md";

const EXIT_CODES: &str = "\
Examples:
  shootdown report                                 review.html: choose between v2.6.38 and tracked
  shootdown report --candidates rwlock,tracked     choose between two other designs
  shootdown report --matrix-json m.json --full     from a matrix that was run before; all of it unfolded
  shootdown report spec/corpus/pgd-lock-2011.before.sd spec/corpus/pgd-lock-2011.after.sd

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
    /// A scenario file: its page, in place of the review of the designs; of two files: both beside each other
    #[arg(value_name = "FILE", num_args = 0..=2, conflicts_with_all = ["markdown", "docs", "check", "matrix_json", "stress_seconds", "candidates", "full"])]
    files: Vec<PathBuf>,
    /// The two designs to choose from [default: v2.6.38,tracked]
    #[arg(long, value_name = "A,B", default_value = "v2.6.38,tracked", hide_default_value = true, value_parser = Candidates::parse, conflicts_with_all = ["docs", "check"])]
    candidates: Candidates,
    /// Unfold everything in the HTML file, so that paper has it too: some 70 pages in place of 20
    #[arg(long)]
    full: bool,
    /// Write the HTML file here [default: review.html, unless Markdown is asked for]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write Markdown, to FILE or to stdout
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    markdown: Option<PathBuf>,
    /// Write docs/review.md of the tree at DIR: the first screen, the decision and the claims
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
    match args.files.as_slice() {
        [] => {}
        [file] => return super::scenario::report::run(file, args.output.as_deref(), &args.bounds),
        [before, after, ..] => {
            let to = args.output.as_deref();
            return super::scenario::report::both(before, after, to, &args.bounds);
        }
    }
    let file = args.html();
    args.try_out(file.as_deref())?;
    let findings = gather::findings(args, file.is_some())?;
    let document = review(&findings);
    let (page, brief) = (markdown::page(&document), markdown::brief(&document));
    let mut code = exit_code(&findings);
    // What one place does not take, another does: the summary is printed whatever becomes of the files.
    let mut refused: Vec<CliError> = Vec::new();
    let mut written = file.as_deref();
    if let Some(path) = &file
        && let Err(error) = output::write_file(path, html::page(&document, args.full))
    {
        refused.push(error);
        written = None;
    }
    let to_stdout = args.markdown.as_deref() == Some(Path::new("-"));
    let markdown = match &args.markdown {
        Some(_) if to_stdout => output::print(&page),
        Some(path) => output::write_file(path, &page),
        None => Ok(()),
    };
    refused.extend(markdown.err());
    // The page of the tree tells what a whole run came to, never a part of one.
    let whole = findings.incomplete() == 0;
    match (&args.docs, &args.check) {
        (Some(_), _) | (_, Some(_)) if !whole => {
            output::complain!("error: the run was cut off, so {PAGE} was left alone");
        }
        (Some(root), _) => refused.extend(output::write_file(&root.join(PAGE), &brief).err()),
        (_, Some(root)) => {
            let path = root.join(PAGE);
            if let Some(difference) = stale::first(&read(&path)?, &brief) {
                output::complain!(
                    "error: {} is stale: {difference}\n  `cargo run --release -- report --docs .` regenerates it",
                    path.display()
                );
                code = code.max(ExitCode::NotAsExpected);
            }
        }
        (None, None) => {}
    }
    if !to_stdout {
        output::print(summary(&findings, written))?;
    }
    let refused: Vec<ExitCode> = refused.iter().map(CliError::report).collect();
    Ok(refused.into_iter().max().unwrap_or(code))
}

impl Args {
    /// Tries everything that will be written or read when the work is done.
    fn try_out(&self, html: Option<&Path>) -> Result<(), CliError> {
        let markdown = self.markdown.as_deref().filter(|p| *p != Path::new("-"));
        let page = self.docs.as_ref().map(|root| root.join(PAGE));
        let mut files = html.into_iter().chain(markdown).chain(page.as_deref());
        files.try_for_each(output::try_out)?;
        let check = self.check.as_ref().map(|root| root.join(PAGE));
        check.iter().try_for_each(|path| read(path).map(drop))
    }

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
