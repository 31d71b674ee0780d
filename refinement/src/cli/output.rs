//! Terminal: diagnostics, the progress line, signals, files, widths and numbers.

use super::error::CliError;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use shootdown_refinement::cancel::{self, Cancel};
use shootdown_refinement::file;
use shootdown_spec::search::{Progress, ProgressFn};
pub use shootdown_trace::paragraph::wrap;
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// Sends tracing's events to stderr: warnings, or more with `-v`.
pub fn init_tracing(verbosity: u8) {
    let level = match verbosity {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // Tests may have installed one already; theirs will do.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(shows_progress() && std::env::var_os("NO_COLOR").is_none())
        .try_init();
}

/// Prints a line on stderr. A terminal that has gone away is no reason to panic.
macro_rules! complain {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($argument)*);
    }};
}
pub(crate) use complain;

/// The flag that INT, TERM and HUP raise: see [`cancel::on_signals`].
pub fn cancel_on_signals() -> Result<Cancel, CliError> {
    cancel::on_signals().map_err(CliError::Signal)
}

/// The same flag, raised when a time is over: see [`cancel::after`].
pub fn cancel_after(time: Duration) -> Result<(), CliError> {
    cancel::after(time).map(drop).map_err(CliError::Signal)
}

/// Tries whether a file can be written, before the work: see [`file::try_out`].
pub fn try_out(path: &Path) -> Result<(), CliError> {
    file::try_out(path).map_err(|error| failed(path, error))
}

/// Writes a file as a whole or not at all: see [`file::write_beside`].
pub fn write_file(path: &Path, text: impl AsRef<[u8]>) -> Result<(), CliError> {
    file::write_beside(path, text).map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: io::Error) -> CliError {
    CliError::File {
        path: path.to_path_buf(),
        error,
    }
}

/// A progress line on stderr for anything over a second; nothing when stderr is no terminal.
pub struct ProgressLine {
    bar: ProgressBar,
}

impl ProgressLine {
    /// A line that starts with what is being done.
    pub fn new(what: &str) -> ProgressLine {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(
            ProgressStyle::with_template("{spinner} {prefix}: {msg}").expect("a constant"),
        );
        bar.set_prefix(what.to_string());
        ProgressLine { bar }
    }

    /// Changes what is being done.
    pub fn now(&self, what: &str) {
        self.bar.set_prefix(what.to_string());
    }

    /// What a search calls as it gets on.
    pub fn callback(&self) -> ProgressFn {
        let bar = self.bar.clone();
        Arc::new(move |p: &Progress| {
            if p.elapsed > Duration::from_secs(1) && bar.is_hidden() && shows_progress() {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            bar.set_message(describe(p));
            bar.tick();
        })
    }

    /// How far work has come that is no search.
    pub fn done(&self, message: &str, elapsed: Duration) {
        if elapsed > Duration::from_secs(1) && self.bar.is_hidden() && shows_progress() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_message(message.to_string());
        self.bar.tick();
    }

    /// How far a file was read.
    pub fn read(&self, bytes: u64, elapsed: Duration) {
        if elapsed > Duration::from_secs(1) && self.bar.is_hidden() && shows_progress() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let rate = bytes as f64 / elapsed.as_secs_f64().max(1e-9);
        let (bytes, rate) = (HumanBytes(bytes), HumanBytes(rate as u64));
        self.bar.set_message(format!("{bytes} read ({rate}/s)"));
        self.bar.tick();
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Can stderr show a line that changes?
pub fn shows_progress() -> bool {
    stderr().is_terminal() && !is_dumb()
}

fn describe(p: &Progress) -> String {
    // A level-synchronous search cannot know how many levels are left.
    format!(
        "{} states ({}/s), {} transitions, depth {}, {} waiting, {}, time left unknown",
        HumanCount(p.unique),
        HumanCount(p.rate as u64),
        HumanCount(p.generated),
        p.depth,
        HumanCount(p.frontier),
        HumanBytes(p.memory_bytes),
    )
}

/// Columns to write for: the terminal's, or what `COLUMNS` says when stdout is none (and the
/// shell exports it), or 100.
pub fn width() -> usize {
    let asked = || std::env::var("COLUMNS").ok()?.trim().parse().ok();
    terminal_size::terminal_size()
        .map(|(w, _)| w.0 as usize)
        .or_else(asked)
        .unwrap_or(100)
        .clamp(40, 240)
}

/// Writes a result to stdout at once. A reader that has gone away (`| head -1`) has what it
/// wanted: that is no error, and the verdict still decides the exit code.
pub fn print(text: impl AsRef<[u8]>) -> Result<(), CliError> {
    let mut out = stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(e) if !is_gone(&e) => Err(CliError::Output(e)),
        _ => Ok(()),
    }
}

/// Nobody reads any more: a closed pipe, or a terminal that was hung up.
pub fn is_gone(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    error.kind() == io::ErrorKind::BrokenPipe || error.raw_os_error() == Some(EIO)
}

/// [`print()`], as JSON.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), CliError> {
    print(serde_json::to_string_pretty(value)? + "\n")
}

/// `1 step`, `2 steps`: one thing, or several.
pub fn plural(n: u64, one: &str) -> String {
    let s = match n {
        1 => "",
        _ if one.ends_with("ch") || one.ends_with("sh") => "es",
        _ => "s",
    };
    format!("{} {one}{s}", count(n))
}

/// Should stdout be coloured? Not where `NO_COLOR` says no, nor on a terminal that cannot (`TERM=dumb`).
pub fn colour() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    stdout().is_terminal() && set("NO_COLOR").is_none() && !is_dumb()
}

/// Is the terminal one that knows no escape sequences?
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// A count with thousands separators.
pub fn count(n: u64) -> String {
    HumanCount(n).to_string()
}

/// A size with its unit.
pub fn bytes(n: u64) -> String {
    HumanBytes(n).to_string()
}
