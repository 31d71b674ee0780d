//! Edited copies of a recorded run, each judged from its edit on.
//!
//! A checker that accepts what no run can do is worth nothing, and only edits show it: of a run that fits, every event
//! taken out, told twice, moved, its values changed. Those are some hundred thousand copies. Up to the edit each is
//! the run itself, so its candidates are kept before every event and taken up there.

use std::io::BufRead;

use shootdown_impl::host::trace::{Footer, Line};

use super::header::Recorded as Protocol;
use super::reader::{End, Item, ReadError, Reader};
use super::search::{Candidate, Search};
use super::window::{Recorded, Window};
use super::{Options, Verdict};

/// A run that fits, ready to be edited.
pub struct Run {
    /// The first line, with its protocol.
    pub recorded: Protocol,
    /// The events.
    pub lines: Vec<Line>,
    /// The last line.
    pub end: Footer,
    /// Before each event, and at the end: what is known of the run so far, without what was read ahead.
    before: Vec<(Window, Vec<Candidate>)>,
    /// The events with their sharpened intervals.
    items: Vec<Recorded>,
    /// From each event on, the earliest that any event may have happened.
    earliest: Vec<u64>,
    /// A search to take up.
    search: Search,
}

/// Why a trace cannot be edited.
#[derive(Debug, thiserror::Error)]
pub enum CannotEdit {
    /// It is no trace.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// Its first line contradicts itself.
    #[error("{0}")]
    Header(String),
    /// It is cut off.
    #[error("it is cut off: {0}")]
    CutOff(String),
    /// An edit of what does not fit says nothing.
    #[error("line {0} does not fit as it is")]
    Rejected(u64),
    /// So it is with a run that was not finished.
    #[error("it ends before its operations, and not in a deadlock")]
    Unfinished,
}

impl Run {
    /// Reads a run and judges it.
    ///
    /// # Errors
    /// If it is not a whole trace, or does not fit as it is.
    pub fn new<R: BufRead>(input: R) -> Result<Self, CannotEdit> {
        let mut reader = Reader::new(input)?;
        let recorded = Protocol::new(reader.header()).map_err(CannotEdit::Header)?;
        let mut lines = Vec::new();
        let end = loop {
            match reader.read()? {
                Item::Event(line) => lines.push(line),
                Item::End(End::Whole(end)) => break end,
                Item::End(End::CutOff(reason)) => return Err(CannotEdit::CutOff(reason)),
            }
        };
        let mut search = Search::new(&recorded, Options::default());
        let mut window = Window::new(&recorded.header);
        lines.iter().for_each(|line| search.window.push(line));
        search.end = Some(End::Whole(end));
        let (mut before, mut items) = (Vec::new(), Vec::new());
        for line in &lines {
            let Some(item) = search.window.pop() else {
                break;
            };
            before.push((window.clone(), search.candidates.clone()));
            if search.judge(&item).is_err() {
                return Err(CannotEdit::Rejected(item.line()));
            }
            window.push(line);
            window.pop();
            items.push(item);
        }
        before.push((window, search.candidates.clone()));
        if ended(&mut search, end) != Verdict::Accepted {
            return Err(CannotEdit::Unfinished);
        }
        let mut earliest: Vec<u64> = items.iter().map(|item| item.since).collect();
        for at in (1..earliest.len()).rev() {
            earliest[at - 1] = earliest[at - 1].min(earliest[at]);
        }
        Ok(Self {
            recorded,
            lines,
            end,
            before,
            items,
            earliest,
            search,
        })
    }

    /// What `validate` says of these events with this run's first and last line: numbers are given again, `since` is
    /// the lines'.
    pub fn judge(&mut self, edited: &[Line]) -> Verdict {
        let edited: Vec<Line> = edited
            .iter()
            .zip(0..)
            .map(|(line, seq)| Line {
                seq,
                since: line.since.min(seq),
                ..*line
            })
            .collect();
        let from = self.unchanged(&edited);
        let (window, candidates) = &self.before[from];
        self.search.window.clone_from(window);
        self.search.candidates.clone_from(candidates);
        self.search.end = None;
        let mut rest = edited[from..].iter();
        let mut as_the_run = None;
        loop {
            while self.search.end.is_none() && !self.search.window.sees(self.search.cpus) {
                match rest.next() {
                    Some(line) => self.search.window.push(line),
                    None => self.search.end = Some(End::Whole(self.end)),
                }
            }
            let Some(item) = self.search.window.pop() else {
                break;
            };
            if self.search.judge(&item).is_err() {
                return match self.search.doubt(&item) {
                    Some(_) => Verdict::Incomplete,
                    None => Verdict::Rejected,
                };
            }
            let next = item.seq as usize + 1;
            if next + self.lines.len() >= edited.len()
                && self.knows_the_same(next + self.lines.len() - edited.len())
                && next >= *as_the_run.get_or_insert_with(|| self.as_the_run(&edited, from))
            {
                return Verdict::Accepted;
            }
        }
        ended(&mut self.search, self.end)
    }

    /// From which event on the copy is the run, number for number, as far as the order goes that its intervals allow.
    fn as_the_run(&self, edited: &[Line], from: usize) -> usize {
        let told = |line: &Line| (line.cpu, line.irq, line.event);
        let pairs = self.lines.iter().rev().zip(edited.iter().rev());
        let common = pairs.take_while(|(a, b)| told(a) == told(b)).count();
        let common = common.min(edited.len() - from);
        let last = edited.len() - common;
        let mut window = self.before[from].0.clone();
        edited[from..].iter().for_each(|line| window.push(line));
        let items = self.items[self.lines.len() - common..].iter();
        // An interval that began before all that is left to judge began with it.
        let mut as_the_run = last as u64;
        for (new, old) in window.upcoming(edited.len()).skip(last - from).zip(items) {
            let since = (old.since + new.seq).saturating_sub(old.seq);
            if (new.since, new.footprint) != (since, old.footprint) {
                as_the_run = as_the_run.max(new.since.max(since));
            }
            if new.footprint != old.footprint {
                as_the_run = new.seq + 1;
            }
        }
        as_the_run as usize
    }

    /// Whether just those states are left that the run left before that event.
    fn knows_the_same(&self, at: usize) -> bool {
        let known = &self.before[at].1;
        let among = |new: &Candidate| {
            let alike = |old: &Candidate| (old.ahead, &old.shadow) == (new.ahead, &new.shadow);
            known.iter().any(alike)
        };
        known.len() == self.search.candidates.len() && self.search.candidates.iter().all(among)
    }

    /// How many events are judged as in the run itself: whatever differs, in the run and in the copy, came after all
    /// of them.
    fn unchanged(&self, edited: &[Line]) -> usize {
        let same = self.lines.iter().zip(edited).take_while(|(a, b)| a == b);
        let first = same.count();
        let mut window = self.before[first].0.clone();
        let mut met = 0_u8;
        for line in &edited[first..] {
            // What comes later on a CPU came after its first event here.
            if met.count_ones() == u32::from(self.search.cpus) {
                break;
            }
            window.push(line);
            if !line.irq {
                met |= 1 << line.cpu;
            }
        }
        let earliest = window.upcoming(edited.len()).map(|item| item.since);
        let earliest = earliest.min().unwrap_or(u64::MAX);
        let of_the_run = self.earliest.get(first).copied().unwrap_or(u64::MAX);
        first.min(earliest.min(of_the_run) as usize)
    }
}

/// The verdict when every event fits.
fn ended(search: &mut Search, end: Footer) -> Verdict {
    if search.over().rejection.is_some() {
        Verdict::Rejected
    } else if !end.complete && search.stuck().is_empty() {
        Verdict::Incomplete
    } else {
        Verdict::Accepted
    }
}
