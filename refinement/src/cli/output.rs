//! Terminal: diagnostics, the progress line, signals, files, widths and numbers.

use super::error::CliError;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use shootdown_refinement::cancel::{self, Cancel};
use shootdown_refinement::file;
use shootdown_spec::search::{Progress, ProgressFn};
pub use shootdown_trace::paragraph::wrap;
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
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

/// How much of a known whole is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// States of the parts that are finished.
    pub done: u64,
    /// States of all parts together, as written down.
    pub all: u64,
    /// States of the part at hand, as written down.
    pub now: u64,
    /// When the first part began.
    pub started: Instant,
}

impl ProgressLine {
    /// A line that starts with what is being done.
    pub fn new(what: &str) -> ProgressLine {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        // One line, cut at the edge: a line that wraps cannot be taken away again.
        bar.set_style(
            ProgressStyle::with_template("{spinner} {prefix}: {wide_msg}").expect("a constant"),
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
        self.callback_of(None)
    }

    /// The same, of a search whose number of states is known, if it is.
    pub fn callback_of(&self, all: Option<u64>) -> ProgressFn {
        let started = Instant::now();
        let plan = all.map(|all| Plan {
            done: 0,
            all,
            now: all,
            started,
        });
        self.callback_in(plan)
    }

    /// The same, of a search that is part of a known whole.
    pub fn callback_in(&self, plan: Option<Plan>) -> ProgressFn {
        let bar = self.bar.clone();
        Arc::new(move |p: &Progress| {
            let elapsed = plan.map_or(p.elapsed, |plan| plan.started.elapsed());
            if elapsed > Duration::from_secs(1) && bar.is_hidden() && shows_progress() {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            bar.set_message(describe(p, plan));
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

/// What matters first: the line is cut at the edge of the terminal.
fn describe(p: &Progress, plan: Option<Plan>) -> String {
    let left = match plan {
        Some(plan) => {
            let done = plan.done + p.unique.min(plan.now);
            let share = done as f64 / plan.all.max(1) as f64;
            // The first states say little about the rest.
            let left = match share > 0.01 {
                true => {
                    let spent = plan.started.elapsed().as_secs_f64();
                    format!("ETA {}", rounded(spent * (1.0 - share) / share))
                }
                false => "ETA unknown yet".to_string(),
            };
            format!("{} {:.0} %, {left}", bar(share), (share * 100.0).floor())
        }
        // A level-synchronous search cannot know how many levels are left.
        None => "time left unknown".to_string(),
    };
    format!(
        "{left}; {} states ({}/s), depth {}, {} waiting, {}",
        HumanCount(p.unique),
        HumanCount(p.rate as u64),
        p.depth,
        HumanCount(p.frontier),
        HumanBytes(p.memory_bytes),
    )
}

/// `[####------]`.
fn bar(share: f64) -> String {
    const WIDTH: usize = 10;
    let full = ((share.clamp(0.0, 1.0) * WIDTH as f64) as usize).min(WIDTH);
    format!("[{}{}]", "#".repeat(full), "-".repeat(WIDTH - full))
}

/// Seconds as a person says them.
fn rounded(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
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

/// What a word means to somebody who skims. The word says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As one would want it.
    Good,
    /// Violated.
    Bad,
    /// A rule about waiting is broken, and nothing hangs by that alone.
    Rule,
    /// Not decided, or meaningless here.
    Open,
}

/// The text in its colour, where stdout has colours.
pub fn paint(text: &str, tone: Tone) -> String {
    use anstyle::{AnsiColor, Style};
    if !colour() {
        return text.to_string();
    }
    let colour = match tone {
        Tone::Good => AnsiColor::Green,
        Tone::Bad => AnsiColor::Red,
        Tone::Rule => AnsiColor::Yellow,
        Tone::Open => AnsiColor::Cyan,
    };
    let style = Style::new().fg_color(Some(colour.into())).bold();
    format!("{style}{text}{style:#}")
}

/// `1 property`, `2 properties`.
pub fn properties(n: usize) -> String {
    match n {
        1 => "1 property".to_string(),
        n => format!("{} properties", count(n as u64)),
    }
}

/// Is the terminal one that knows no escape sequences?
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// A table with lines between its rows, coloured where stdout is.
pub fn table(width: usize) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width as u16);
    match colour() {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    table
}

/// The colour of a cell of a [`table`].
pub fn table_colour(tone: Tone) -> comfy_table::Color {
    match tone {
        Tone::Good => comfy_table::Color::Green,
        Tone::Bad => comfy_table::Color::Red,
        Tone::Rule => comfy_table::Color::Yellow,
        Tone::Open => comfy_table::Color::Cyan,
    }
}

/// The table, if every column is wide enough for its longest word: no number and no identifier is broken.
pub fn whole_words(table: &mut Table, width: usize) -> Option<String> {
    const PADDING: usize = 2;
    let longest = |text: String| {
        let words = text.split_whitespace().map(|w| w.chars().count());
        words.max().unwrap_or(0)
    };
    let columns = table.column_count();
    let mut widths = vec![0; columns];
    let rows = table.row_iter().chain(table.header());
    for row in rows {
        for (n, cell) in row.cell_iter().enumerate() {
            widths[n] = widths[n].max(longest(cell.content()));
        }
    }
    let all: usize = widths.iter().map(|w| w + PADDING).sum::<usize>() + columns;
    if all > width {
        return None;
    }
    for (n, longest) in widths.into_iter().enumerate() {
        let least = ColumnConstraint::LowerBoundary(Width::Fixed((longest + PADDING) as u16));
        table.column_mut(n)?.set_constraint(least);
    }
    Some(table.to_string())
}

/// A count with thousands separators.
pub fn count(n: u64) -> String {
    HumanCount(n).to_string()
}

/// A size with its unit.
pub fn bytes(n: u64) -> String {
    HumanBytes(n).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_whole_has_a_share_and_a_time_left() {
        let started = Instant::now()
            .checked_sub(Duration::from_secs(100))
            .expect("the clock is older");
        let plan = Plan {
            done: 200,
            all: 1000,
            now: 300,
            started,
        };
        let p = Progress {
            unique: 50,
            generated: 0,
            expanded: 0,
            depth: 3,
            frontier: 7,
            elapsed: Duration::from_secs(10),
            memory_bytes: 0,
            rate: 5.0,
        };
        // A quarter took 100 s, so three more take 300.
        let told = describe(&p, Some(plan));
        assert!(
            told.starts_with("[##--------] 25 %, ETA 5 min; 50 states"),
            "{told}"
        );
        assert!(describe(&p, None).starts_with("time left unknown; 50 states"));
        // More states than were written down: the share stays below the whole.
        let many = Progress { unique: 900, ..p };
        assert!(describe(&many, Some(plan)).starts_with("[#####-----] 50 %"));
    }
}
