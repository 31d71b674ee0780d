//! The kept recordings, and what the tests do with them.

use flate2::read::GzDecoder;
use shootdown_trace::ftrace::report::{Report, Rule};
use shootdown_trace::ftrace::{self};
use std::io::Read;
use std::path::{Path, PathBuf};

pub const THP: &str = "03_thp_aging_reclaim.txt.gz";
pub const UNMAP: &str = "08_unmap_counter_clock.txt.gz";
pub const LOST: &str = "10_fork_trace_pipe_lost.txt.gz";
pub const CONTROL: &str = "12_control_pgdwalk_reclaim_irqs_on.txt.gz";
pub const HUNG: &str = "16_hang_console_dump_kswapd.txt.gz";

/// What decides the exit code unless the user says otherwise.
pub const DEFAULT: [Rule; 3] = [Rule::Hang, Rule::Upstream, Rule::Order];

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ftrace")
}

pub fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The lines of a recording, from 1 (there is no line 0).
pub fn lines(name: &str) -> Vec<String> {
    let mut text = String::new();
    GzDecoder::new(&bytes(name)[..])
        .read_to_string(&mut text)
        .expect("a recording is text");
    let mut lines = vec![String::new()];
    lines.extend(text.lines().map(String::from));
    lines
}

/// Judges lines, of which the first is line 0 and left out.
pub fn judge(lines: &[String]) -> Report {
    let text = lines[1..].join("\n") + "\n";
    ftrace::read(text.as_bytes()).expect("a trace")
}

/// Judges a small trace.
pub fn judge_text(text: &str) -> Report {
    ftrace::read(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Chains of all classes.
pub fn chains(report: &Report) -> u64 {
    report.chains().values().sum()
}
