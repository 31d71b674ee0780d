//! `trace.dat` and `perf.data`: the installed `trace-cmd` and `perf` print their text, on the leash and with a time limit.

use crate::cli::error::CliError;
use shootdown_refinement::cancel::Cancel;
use shootdown_refinement::leash::{self, Stderr};
use shootdown_trace::ftrace::{self, ReadError, report::Report};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a tool may run.
const LONGEST: Duration = Duration::from_secs(3600);

/// A tool that prints the text of a binary file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    program: &'static str,
    arguments: &'static [&'static str],
    package: &'static str,
}

const TRACE_CMD: Tool = Tool {
    program: "trace-cmd",
    arguments: &["report", "-i"],
    package: "Debian, Ubuntu and Fedora: the package `trace-cmd`",
};
const PERF: Tool = Tool {
    program: "perf",
    arguments: &["script", "-F", "comm,tid,cpu,time,event,trace", "-i"],
    package: "Debian: `linux-perf`; Ubuntu: `linux-tools-common`; Fedora: `perf`",
};

/// The tool that a file needs, by its first bytes; none for text.
pub fn needed(path: &Path) -> Option<Tool> {
    let mut start = [0; 10];
    // What cannot be opened is reported by its reader; a pipe is not to be read from here.
    let mut file = File::open(path)
        .ok()
        .filter(|f| f.metadata().is_ok_and(|m| m.is_file()))?;
    file.read_exact(&mut start).ok()?;
    if start.starts_with(b"\x17\x08\x44tracing") {
        Some(TRACE_CMD)
    } else if start.starts_with(b"PERFILE2") {
        Some(PERF)
    } else {
        None
    }
}

impl Tool {
    /// Reads what the tool prints of a file.
    ///
    /// # Errors
    /// If the tool is not there, or prints nothing that can be judged.
    pub fn read(
        self,
        path: &Path,
        cancel: &Cancel,
        go_on: impl FnMut(u64) -> io::Result<()>,
    ) -> Result<Result<Report, ReadError>, CliError> {
        let program = self.program;
        let refused = |what: String| CliError::Tool {
            path: path.to_path_buf(),
            program,
            what,
        };
        let installed = Command::new(program).arg("--version").output();
        if installed.is_err() {
            let package = self.package;
            return Err(refused(format!(
                "it is a binary file, and `{program}` is not installed here ({package}); `{}` elsewhere prints the text",
                self.words()
            )));
        }
        let mut child = leash::command(program);
        child.args(self.arguments).arg(path).env("PAGER", "cat");
        let (over, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        let started = Instant::now();
        let ended = thread::scope(|scope| {
            let watch = scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let late = started.elapsed() > LONGEST;
                    if late || cancel.load(Ordering::Relaxed) {
                        stop.store(true, Ordering::SeqCst);
                        return;
                    }
                    thread::park_timeout(Duration::from_millis(20));
                }
            });
            let read = |pipe| ftrace::read_while(BufReader::with_capacity(1 << 17, pipe), go_on);
            let ended = leash::run(child, Stderr::Dropped, &stop, read);
            over.store(true, Ordering::SeqCst);
            watch.thread().unpark();
            ended
        });
        let ended = ended.map_err(|error| refused(error.to_string()))?;
        let mut report = match ended.read {
            Ok(report) => report,
            Err(error)
                if (!ended.status.success() || error.reason == "it is empty")
                    && !ended.cancelled =>
            {
                return Err(refused(format!(
                    "`{}` printed no trace ({}): the file may be cut, or of a newer version",
                    self.words(),
                    ended.status
                )));
            }
            Err(error) => return Ok(Err(error)),
        };
        if started.elapsed() > LONGEST {
            report.incomplete.push(format!(
                "`{program}` was ended after {} minutes",
                LONGEST.as_secs() / 60
            ));
        } else if !ended.status.success() && !ended.cancelled {
            let status = ended.status;
            report.incomplete.push(format!(
                "`{program}` ended with {status}: the file may be cut"
            ));
        }
        Ok(Ok(report))
    }

    /// The command without the file.
    fn words(self) -> String {
        format!("{} {} FILE", self.program, self.arguments.join(" "))
    }
}
