//! A dump as contexts: the one that the CPU is in, and those that it interrupted.

use super::frame::{Frame, Marker};
use super::log::{Dump, Item};
use super::registers::Registers;
use super::table::{Does, does};

/// A context of a CPU, innermost frame first.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    /// Frames that the unwinder stands by.
    pub frames: Vec<Frame>,
    /// Frames that it doubts.
    pub doubtful: Vec<Frame>,
    /// Interrupts on or off, with the line.
    pub irqs: Option<(bool, u64)>,
    /// Registers.
    pub registers: Registers,
    /// User mode.
    pub user: bool,
    /// The mark of the stack it is on.
    pub marker: Option<Marker>,
    /// The line of the mark.
    pub marked_at: Option<u64>,
}

impl Segment {
    fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.doubtful.is_empty() && !self.user
    }

    /// Whether any frame does something.
    #[must_use]
    pub fn has(&self, what: Does) -> bool {
        self.frames.iter().any(|f| does(&f.function) == Some(what))
    }

    fn only_entries(&self) -> bool {
        !self.user
            && !self.frames.is_empty()
            && self
                .frames
                .iter()
                .all(|f| does(&f.function) == Some(Does::InterruptEntry))
    }

    /// An NMI: it comes although interrupts are off, so it says nothing about what it interrupted.
    #[must_use]
    pub fn is_nmi(&self) -> bool {
        self.marker == Some(Marker::Nmi)
            || self.frames.iter().any(|f| {
                f.function.contains("nmi")
                    || matches!(
                        &*f.function,
                        "watchdog_overflow_callback"
                            | "watchdog_hardlockup_check"
                            | "kdump_nmi_callback"
                    )
            })
    }
}

/// The contexts of a dump, innermost first.
#[must_use]
pub fn segments(dump: &Dump) -> Vec<Segment> {
    let mut all: Vec<Segment> = Vec::new();
    let mut now = Segment::default();
    let mut split = false;
    let mut in_trace = false;
    let mut at_just_now = false;
    // Where the frames of a marked section begin in `now`, behind the place that registers name.
    let mut section: Option<usize> = None;
    for item in &dump.items {
        let before = std::mem::take(&mut at_just_now);
        match item {
            Item::At(frame, user) => {
                if (in_trace && !before && !now.is_empty()) || (*user && !now.is_empty()) {
                    all.push(std::mem::take(&mut now));
                    // Registers of an interrupted context stand in the middle of a stack; its frames follow.
                }
                split = false;
                now.user |= user;
                if let Some(frame) = frame {
                    push_new(&mut now.frames, frame);
                }
                at_just_now = true;
            }
            Item::Irqs(on, line) => {
                now.irqs.get_or_insert((*on, *line));
                at_just_now = before;
            }
            Item::Registers(registers) => {
                now.registers.add(registers.clone());
                at_just_now = before;
            }
            Item::Trace => in_trace = true,
            Item::Marker(marker, line) => match marker {
                Marker::Interrupted => match section.take() {
                    // The section only printed: `RIP: f`, `<NMI>`, `? nmi_cpu_backtrace`, `</NMI>`. The place is below it.
                    Some(start)
                        if start > 0
                            && only_reports(&now.frames[start.min(now.frames.len())..]) =>
                    {
                        now.frames.truncate(start);
                        now.doubtful.clear();
                        (now.marker, now.marked_at) = (None, None);
                    }
                    // crash: the place, and then the frames of the same context.
                    None if now.marker.is_none() && before => {}
                    _ => split = true,
                },
                Marker::End => split = true,
                marker => {
                    if in_trace && !now.frames.is_empty() && now.marker.is_some() && !split {
                        all.push(std::mem::take(&mut now));
                    } else if split && !now.is_empty() {
                        all.push(std::mem::take(&mut now));
                        split = false;
                    }
                    if *marker != Marker::Task {
                        section = Some(now.frames.len());
                    }
                    now.marker = Some(*marker);
                    now.marked_at = Some(*line);
                }
            },
            Item::Frame(frame) => {
                in_trace = true;
                if std::mem::take(&mut split) && !now.is_empty() {
                    all.push(std::mem::take(&mut now));
                }
                if now.user {
                    all.push(std::mem::take(&mut now));
                }
                if frame.certain {
                    push_new(&mut now.frames, frame);
                    split = does(&frame.function) == Some(Does::InterruptEntry);
                } else {
                    now.doubtful.push(frame.clone());
                }
            }
        }
    }
    if !now.is_empty() || now.irqs.is_some() || !now.registers.values.is_empty() {
        all.push(now);
    }
    all
}

fn only_reports(frames: &[Frame]) -> bool {
    frames.is_empty()
        || frames
            .iter()
            .any(|f| matches!(does(&f.function), Some(Does::ReportsInInterrupt)))
}

/// The place that registers name is often the first frame again.
fn push_new(frames: &mut Vec<Frame>, frame: &Frame) {
    if frames.len() == 1 && frames[0].function == frame.function && frames[0].line != frame.line {
        return;
    }
    frames.push(frame.clone());
}

/// The contexts without those that only print the report, and what that says about the interrupts of the rest.
#[derive(Debug, Default)]
pub struct Contexts {
    /// Innermost first.
    pub segments: Vec<Segment>,
    /// A report came by an interrupt that can be masked: interrupts were on below it. The line of that.
    pub interrupted_at: Option<u64>,
    /// The code itself was asked to print: it runs.
    pub reports: Option<u64>,
}

/// Takes off what prints the report.
#[must_use]
pub fn contexts(dump: &Dump) -> Contexts {
    let mut out = Contexts::default();
    let mut rest = segments(dump).into_iter().peekable();
    while let Some(mut segment) = rest.next() {
        let reporter = segment.has(Does::ReportsInInterrupt) || segment.has(Does::Stopped);
        let more = rest.peek().is_some();
        if reporter && more {
            if !segment.is_nmi() {
                out.interrupted_at = segment.frames.first().map(|f| f.line);
            }
            continue;
        }
        if segment.only_entries() && more {
            continue;
        }
        if reporter {
            // One stack without marks: what is below the reporter and its entry was interrupted.
            let last = segment
                .frames
                .iter()
                .rposition(|f| does(&f.function) == Some(Does::ReportsInInterrupt));
            let last = last.map_or(0, |at| at + 1);
            let entry = segment.frames[last..]
                .iter()
                .position(|f| does(&f.function) == Some(Does::InterruptEntry));
            let from = entry.map_or(last, |at| last + at + 1);
            segment.frames.drain(..from.min(segment.frames.len()));
        }
        let printing = segment
            .frames
            .iter()
            .rposition(|f| does(&f.function) == Some(Does::Reports));
        if let Some(at) = printing
            && segment.frames[..at]
                .iter()
                .all(|f| matches!(does(&f.function), Some(Does::Reports | Does::Helper) | None))
        {
            let line = segment.frames[at].line;
            // `dump_stack` under a csd wait is the watchdog of the wait; elsewhere the code that prints runs.
            let below = segment.frames.get(at + 1).and_then(|f| does(&f.function));
            if below == Some(Does::AwaitsAcks) || below.is_some_and(Does::spins) {
                segment.frames.drain(..=at);
            } else {
                out.reports = Some(line);
            }
        }
        out.segments.push(segment);
        out.segments
            .extend(rest.by_ref().filter(|s| !s.only_entries()));
        break;
    }
    out
}
