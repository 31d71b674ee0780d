//! Every order of the events that the intervals allow, as far as it matters.
//!
//! Events are judged in the order of their numbers. A *candidate* is a state that some order of the events so far
//! leads to, with the few events of higher number that this order has put before them (at most one of each context:
//! the next one came after it was numbered). To judge event `e` in a candidate: if it went before already, it is
//! done; else it happens now, or after some of the overlapping events have happened early. Only those are tried early
//! that concern something `e` does, or something that another such event does: the others can as well come after `e`,
//! with the same result ([`super::footprint`]). So no order is lost, and when the set becomes empty there is none.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::io::BufRead;

use shootdown_impl::event::Event;
use shootdown_spec::model::Protocol;

use super::header;
use super::order::Dependencies;
use super::reader::{End, Item, ReadError, Reader};
use super::rejection::{Rejection, stuck};
use super::shadow::Shadow;
use super::window::{CONTEXTS, Recorded, Window};
use super::{Counts, Options, Report, Verdict};
use crate::relation::step::Refused;

/// How many events a rejection shows.
const KEPT: usize = 24;

/// A state that some order of the events so far leads to.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The state.
    pub shadow: Shadow,
    /// Contexts whose next event has happened already, one bit each.
    pub ahead: u8,
    /// The fewest events that were put before one with a lower number.
    pub moved: u64,
}

type Fast = BuildHasherDefault<DefaultHasher>;

/// The search.
pub struct Search {
    protocol: Protocol,
    options: Options,
    pub(super) cpus: u8,
    pub(super) window: Window,
    pub(super) candidates: Vec<Candidate>,
    counts: Counts,
    pub(super) end: Option<End>,
    /// What the search could not look at, because a bound was hit.
    limited: Option<String>,
    last: VecDeque<Recorded>,
    dependencies: Option<Dependencies>,
}

/// How the search ended.
pub struct Ended {
    pub(super) rejection: Option<Box<Rejection>>,
    /// Why a rejection does not count.
    doubt: Option<String>,
}

impl Search {
    /// At the start of a run.
    pub fn new(recorded: &header::Recorded, options: Options) -> Self {
        let start = Candidate {
            shadow: Shadow::new(recorded.initial()),
            ahead: 0,
            moved: 0,
        };
        Self {
            protocol: recorded.protocol.clone(),
            options,
            cpus: recorded.header.environment.cpus,
            window: Window::new(&recorded.header),
            candidates: vec![start],
            counts: Counts::default(),
            end: None,
            limited: None,
            last: VecDeque::new(),
            dependencies: options
                .order
                .then(|| Dependencies::new(recorded.header.environment.cpus)),
        }
    }

    /// Judges every event, or up to the first that does not fit.
    pub fn run<R: BufRead>(&mut self, reader: &mut Reader<R>) -> Result<Ended, ReadError> {
        loop {
            self.read_ahead(reader)?;
            let sees = self.end.is_some() || self.window.sees(self.cpus);
            let Some(item) = self.window.pop() else {
                return Ok(self.over());
            };
            if !sees {
                let n = self.options.read_ahead;
                self.limited.get_or_insert_with(|| {
                    format!(
                        "from line {} on, what came before what reaches over more than {n} events",
                        item.line()
                    )
                });
            }
            if let Some(dependencies) = &mut self.dependencies {
                dependencies.feed(&item);
            }
            if let Err(refusals) = self.judge(&item) {
                let doubt = self.doubt(&item);
                let rejection = Rejection::new(&self.protocol, &item, &self.last, &refusals);
                return Ok(Ended {
                    rejection: Some(Box::new(rejection)),
                    doubt,
                });
            }
            self.note(item);
        }
    }

    /// Reads on until every event is in the window that may have come before the next one.
    fn read_ahead<R: BufRead>(&mut self, reader: &mut Reader<R>) -> Result<(), ReadError> {
        while self.end.is_none()
            && self.window.len() < self.options.read_ahead
            && !self.window.sees(self.cpus)
        {
            match reader.read()? {
                Item::Event(line) => self.window.push(&line),
                Item::End(end) => self.end = Some(end),
            }
        }
        self.counts.most_read_ahead = self.counts.most_read_ahead.max(self.window.len());
        Ok(())
    }

    /// Lets the event happen in every candidate, in every way. If there is none: the candidates before it, each
    /// with the reason.
    pub(super) fn judge(&mut self, item: &Recorded) -> Result<(), Vec<(Shadow, Refused)>> {
        if item.is_eviction() {
            return Ok(());
        }
        let early = self.early(item);
        let (me, mut next, mut refusals) = (1_u8 << item.context(), Vec::new(), Vec::new());
        let mut seen: HashSet<(Shadow, u8), Fast> = HashSet::default();
        let alone = early.is_empty() && self.candidates.len() == 1;
        for candidate in &self.candidates {
            if candidate.ahead & me != 0 {
                let ahead = candidate.ahead & !me;
                keep(
                    &mut next,
                    alone,
                    Candidate {
                        ahead,
                        ..*candidate
                    },
                );
                continue;
            }
            seen.clear();
            let mut stack = vec![*candidate];
            while let Some(now) = stack.pop() {
                match now.shadow.apply(&self.protocol, item) {
                    Ok(shadow) => keep(&mut next, alone, Candidate { shadow, ..now }),
                    Err(refused) if now.ahead == candidate.ahead => {
                        refusals.push((now.shadow, refused))
                    }
                    Err(_) => {}
                }
                for other in &early {
                    let bit = 1 << other.context();
                    let interrupted = !other.irq && now.shadow.in_irq(other.cpu);
                    if now.ahead & bit != 0 || interrupted {
                        continue;
                    }
                    if let Ok(shadow) = now.shadow.apply(&self.protocol, other) {
                        let (ahead, moved) = (now.ahead | bit, now.moved + 1);
                        if seen.insert((shadow, ahead)) {
                            stack.push(Candidate {
                                shadow,
                                ahead,
                                moved,
                            });
                        }
                    }
                }
            }
        }
        if next.is_empty() {
            return Err(refusals);
        }
        if next.len() > self.options.candidates {
            next.truncate(self.options.candidates);
            let n = self.options.candidates;
            self.limited
                .get_or_insert_with(|| format!("more than {n} candidates at line {}", item.line()));
        }
        self.counts.most_candidates = self.counts.most_candidates.max(next.len());
        self.candidates = next;
        Ok(())
    }

    /// Overlapping events that may have to happen before this one: those that have something in common with it, or
    /// with another such.
    fn early(&self, item: &Recorded) -> Vec<Recorded> {
        let overlaps = |k: usize| {
            self.window
                .next_of(k)
                .filter(|other| other.since <= item.seq)
        };
        let mut left: Vec<Recorded> = (0..CONTEXTS).filter_map(overlaps).copied().collect();
        let (mut concerned, mut early) = (item.footprint, Vec::new());
        while let Some(at) = left
            .iter()
            .position(|other| other.footprint & concerned != 0)
        {
            let other = left.swap_remove(at);
            concerned |= other.footprint;
            early.push(other);
        }
        early
    }

    /// Counts an event that fits.
    fn note(&mut self, item: Recorded) {
        self.counts.events += 1;
        match item.event {
            Event::End { .. } => self.counts.operations += 1,
            Event::IrqExit { .. } => self.counts.interrupts += 1,
            Event::RequestPublished { .. } | Event::HypercallFlush { .. } => {
                self.counts.flushes += 1
            }
            _ => {}
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(item);
    }

    /// Why a rejection of this event may be the search's fault, or that of lines that are not there.
    pub(super) fn doubt(&self, item: &Recorded) -> Option<String> {
        let whole = matches!(&self.end, Some(End::Whole(end)) if end.complete);
        match self.window.unknown(self.cpus, item.cpu) {
            _ if self.limited.is_some() => self.limited.clone(),
            Some(cpu) if self.end.is_some() && !whole => Some(format!(
                "the run was cut off; a line of {cpu} that is not there might have made line {} fit",
                item.line()
            )),
            _ => None,
        }
    }

    /// All lines fit.
    pub(super) fn over(&mut self) -> Ended {
        let whole = matches!(&self.end, Some(End::Whole(end)) if end.complete);
        let rests = |c: &Candidate| c.shadow.at_rest(&self.protocol);
        if whole && !self.candidates.iter().any(rests) {
            let candidate = self.candidates[0].shadow;
            let rejection =
                Rejection::unfinished(&self.protocol, &candidate, &self.last, self.counts.events);
            return Ended {
                rejection: Some(Box::new(rejection)),
                doubt: self.limited.clone(),
            };
        }
        Ended {
            rejection: None,
            doubt: None,
        }
    }

    /// Who can never move again in the states that are left.
    pub(super) fn stuck(&self) -> Vec<String> {
        stuck(&self.protocol, self.candidates.iter().map(|c| &c.shadow))
    }

    /// What came of it.
    pub fn report(self, recorded: header::Recorded, ended: Ended) -> Report {
        let mut counts = self.counts;
        counts.moved = self.candidates.iter().map(|c| c.moved).min().unwrap_or(0);
        let certain = ended.rejection.is_some() && ended.doubt.is_none();
        let stuck = match ended.rejection {
            Some(_) => Vec::new(),
            None => self.stuck(),
        };
        let incomplete = match &self.end {
            _ if certain => None,
            _ if ended.doubt.is_some() => ended.doubt,
            Some(End::CutOff(reason)) => Some(reason.clone()),
            Some(End::Whole(end)) if !end.complete && stuck.is_empty() => {
                Some("its last line says that the run did not complete".to_string())
            }
            Some(End::Whole(_)) | None => None,
        };
        let verdict = match (certain, &incomplete) {
            (true, _) => Verdict::Rejected,
            (false, Some(_)) => Verdict::Incomplete,
            (false, None) => Verdict::Accepted,
        };
        Report {
            verdict,
            recorded,
            counts,
            incomplete,
            rejection: ended.rejection,
            stuck,
            predicted: self.dependencies.map(Dependencies::predict),
        }
    }
}

/// Adds a candidate unless it is there; of two alike, the one with fewer events moved stays.
fn keep(candidates: &mut Vec<Candidate>, alone: bool, new: Candidate) {
    let alike = |c: &&mut Candidate| c.ahead == new.ahead && c.shadow == new.shadow;
    match candidates.iter_mut().find(alike) {
        Some(old) if !alone => old.moved = old.moved.min(new.moved),
        _ => candidates.push(new),
    }
}
