//! The header of a trace: which tracer, how many CPUs, and what each place of the flags is.

use crate::ftrace::place::printable;

/// What the comments before the first event said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Legend {
    /// `# tracer: nop`.
    pub tracer: Option<String>,
    /// `#P:8`: CPUs of the machine.
    pub cpus: Option<u16>,
    /// Where among the flags the context stands.
    pub context: Option<usize>,
    /// `# latency: 431 us`, of a latency tracer.
    pub latency: Option<String>,
    /// How many places were named so far.
    places: usize,
    /// Places of this header: the next begins with `TASK-PID`, or another tracer.
    open: bool,
}

/// The longest name of a tracer that is kept.
const LONGEST: usize = 32;

impl Legend {
    /// A comment, `#` included.
    pub fn comment(&mut self, comment: &[u8]) {
        let Ok(text) = std::str::from_utf8(comment) else {
            return;
        };
        if let Some(tracer) = text.strip_prefix("# tracer:") {
            let tracer = tracer.trim();
            *self = Legend {
                tracer: Some(printable(tracer).chars().take(LONGEST).collect()),
                cpus: self.cpus,
                ..Legend::default()
            };
        }
        if let Some(latency) = text.strip_prefix("# latency:") {
            self.latency = latency
                .split(',')
                .next()
                .map(|l| printable(l.trim()).chars().take(LONGEST).collect());
        }
        if let Some((_, cpus)) = text.split_once("#P:") {
            let digits = cpus
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(cpus.len());
            self.cpus = cpus[..digits].parse().ok().or(self.cpus);
        }
        // `#  |  / _---=> hardirq/softirq`
        let Some((art, name)) = text.split_once("=> ") else {
            if text.contains("TASK-PID") || text.contains("cmd     pid") {
                self.open = false;
            }
            return;
        };
        let art = art.trim_end();
        if !art.ends_with('-')
            || !art.contains("_-")
            || name.starts_with("started at")
            || name.starts_with("ended at")
        {
            return;
        }
        if !self.open {
            (self.open, self.places, self.context) = (true, 0, None);
        }
        let name = name.trim();
        if name == "CPU#" {
            return;
        }
        if name.starts_with("hardirq") {
            self.context = Some(self.places);
        }
        self.places += 1;
    }

    /// `cpus=2`, of `trace-cmd report`.
    pub fn note(&mut self, note: &[u8]) {
        let cpus = note
            .strip_prefix(b"cpus=")
            .and_then(|cpus| std::str::from_utf8(cpus).ok());
        self.cpus = cpus.and_then(|cpus| cpus.trim().parse().ok()).or(self.cpus);
    }

    /// The tracer prints lines of its own, which are no events.
    pub fn has_own_lines(&self) -> bool {
        self.tracer.as_deref().is_some_and(|tracer| tracer != "nop")
    }
}
