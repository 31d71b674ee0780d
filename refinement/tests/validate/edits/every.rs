//! Every edit of a trace: an event taken out, told twice, moved within its context, moved in time, on another CPU,
//! with another value.

use serde_json::{Value, json};
use shootdown_impl::event::{Event, Flushed, Lock};
use shootdown_impl::host::trace::{Header, Line};
use shootdown_impl::id::{CpuId, CpuMask, MmId};
use shootdown_impl::irq::Vector;
use shootdown_impl::operation::Operation;
use shootdown_impl::tlb::{AccessKind, Scope, Slot};
use shootdown_refinement::validate::footprint::footprint;

/// How far an event is moved at most.
const FAR: usize = 8;

/// An edited copy.
pub struct Edit<'a> {
    /// What was done.
    pub kind: &'static str,
    /// To which events or fields.
    pub what: String,
    /// The event that it was done to.
    pub at: usize,
    /// The events, to be numbered again.
    pub lines: &'a [Line],
}

/// Every so many-th edit, counted from one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The first.
    pub first: usize,
    /// How many are a slice apart; 1 for all.
    pub of: usize,
}

/// The edits of a trace.
pub struct Every<'a, F> {
    /// The trace's first line.
    pub header: &'a Header,
    /// Its events.
    pub lines: &'a [Line],
    /// Which of the edits.
    pub slice: Slice,
    /// How many there were so far.
    pub met: usize,
    /// What is done with each.
    pub each: F,
}

/// The name of the event, as in the trace.
fn name(line: &Line) -> String {
    let value = serde_json::to_value(line.event).unwrap();
    value["event"].as_str().unwrap().to_string()
}

impl<F: FnMut(Edit<'_>)> Every<'_, F> {
    /// Makes them.
    pub fn edit(&mut self) {
        for at in 0..self.lines.len() {
            self.taken_out(at);
            self.told_twice(at);
            self.moved_in_its_context(at);
            self.moved_in_time(at);
            self.changed(at);
        }
    }

    /// Whether the next edit is in the slice.
    fn turn(&mut self) -> bool {
        self.met += 1;
        (self.met - 1) % self.slice.of == self.slice.first
    }

    fn made(&mut self, at: usize, kind: &'static str, what: String, lines: &[Line]) {
        (self.each)(Edit {
            kind,
            what,
            at,
            lines,
        });
    }

    fn taken_out(&mut self, at: usize) {
        if !self.turn() {
            return;
        }
        let mut new = self.lines.to_vec();
        new.remove(at);
        for line in &mut new {
            line.since -= u64::from(line.since > at as u64);
        }
        self.made(at, "taken out", name(&self.lines[at]), &new);
    }

    fn told_twice(&mut self, at: usize) {
        if !self.turn() {
            return;
        }
        let mut new = self.lines.to_vec();
        for line in &mut new {
            line.since += u64::from(line.since > at as u64);
        }
        new.insert(at, self.lines[at]);
        self.made(at, "told twice", name(&self.lines[at]), &new);
    }

    /// In its context's own order, before or behind the next few; numbers and intervals stay where they are.
    fn moved_in_its_context(&mut self, at: usize) {
        let lines = self.lines;
        let same = |&b: &usize| (lines[b].cpu, lines[b].irq) == (lines[at].cpu, lines[at].irq);
        let later: Vec<usize> = (at..lines.len()).filter(same).take(FAR + 1).collect();
        let earlier: Vec<usize> = (0..=at).rev().filter(same).take(FAR + 1).collect();
        for (places, least) in [(later, 1), (earlier, 2)] {
            for far in least..places.len() {
                if !self.turn() {
                    continue;
                }
                let mut new = lines.to_vec();
                for pair in places[..=far].windows(2) {
                    new[pair[0]].event = lines[pair[1]].event;
                }
                new[places[far]].event = lines[at].event;
                if new == lines {
                    continue;
                }
                let (own, next) = (name(&lines[at]), name(&lines[places[far]]));
                match far {
                    1 => {
                        let kind = "exchanged with the next of its context";
                        self.made(at, kind, format!("{own}, {next}"), &new);
                    }
                    _ => self.made(at, "moved in its context", own, &new),
                }
            }
        }
    }

    /// Before or behind events of other CPUs, and surely so: the intervals say that it came first, or last.
    fn moved_in_time(&mut self, at: usize) {
        let (header, lines) = (self.header, self.lines);
        let mut active = header.placement.clone();
        for line in &lines[..at] {
            if let Event::LoadCr3 { mm } = line.event {
                active[usize::from(line.cpu)] = Some(mm);
            }
        }
        let print = |line: &Line| {
            let on = active[usize::from(line.cpu)];
            footprint(CpuId(line.cpu), on, &line.event)
        };
        let what = |passed: &[Line]| {
            let common = |line: &&Line| print(line) & print(&lines[at]) != 0;
            let mut names: Vec<String> = passed.iter().filter(common).map(name).collect();
            if names.is_empty() {
                return "nothing in common with what it passes".to_string();
            }
            names.push(name(&lines[at]));
            names.sort();
            names.dedup();
            names.join(", ")
        };
        let stays = |to: usize| lines[to].cpu == lines[at].cpu;
        for to in (at + 1..lines.len().min(at + 1 + FAR)).take_while(|&to| !stays(to)) {
            if !self.turn() {
                continue;
            }
            let mut new = lines.to_vec();
            new[at..=to].rotate_left(1);
            for (n, line) in new.iter_mut().enumerate().take(to).skip(at) {
                line.since = line.since.min(n as u64);
            }
            new[to].since = to as u64;
            self.made(at, "moved in time", what(&lines[at + 1..=to]), &new);
        }
        for to in (at.saturating_sub(FAR)..at)
            .rev()
            .take_while(|&to| !stays(to))
        {
            if !self.turn() {
                continue;
            }
            let mut new = lines.to_vec();
            new[to..=at].rotate_right(1);
            new[to].since = new[to].since.min(to as u64);
            for line in &mut new[to + 1..=at] {
                line.since = line.since.max(to as u64 + 1);
            }
            self.made(at, "moved in time", what(&lines[to..at]), &new);
        }
    }

    /// On another CPU, at the other level, since another moment, with another value, as another event.
    fn changed(&mut self, at: usize) {
        let old = self.lines[at];
        for cpu in (0..self.header.environment.cpus).filter(|&cpu| cpu != old.cpu) {
            self.put(at, "on another CPU", || {
                Some((name(&old), Line { cpu, ..old }))
            });
        }
        let irq = !old.irq;
        self.put(at, "at the other level", || {
            Some((name(&old), Line { irq, ..old }))
        });
        for (since, kind) in [
            (old.since.saturating_sub(1), "since one event earlier"),
            (old.seq, "since its own number"),
        ] {
            self.put(at, kind, || {
                Some(("any event".to_string(), Line { since, ..old }))
            });
        }
        let told = serde_json::to_value(old).unwrap();
        for (field, value) in told.as_object().unwrap() {
            if ["seq", "since", "cpu", "irq"].contains(&field.as_str()) {
                continue;
            }
            for other in domain(self.header, field)
                .into_iter()
                .filter(|o| o != value)
            {
                let kind = match field.as_str() {
                    "event" => "as another event",
                    _ => "with another value",
                };
                self.put(at, kind, || {
                    let mut edited = told.clone();
                    edited[field] = other;
                    // No event has these values, or this name with these values.
                    let line = serde_json::from_value::<Line>(edited).ok()?;
                    let own = name(&old);
                    Some(match field.as_str() {
                        "event" => (format!("{own} as {}", name(&line)), line),
                        _ => (format!("{own} {field}"), line),
                    })
                });
            }
        }
    }

    fn put(
        &mut self,
        at: usize,
        kind: &'static str,
        edit: impl FnOnce() -> Option<(String, Line)>,
    ) {
        if !self.turn() {
            return;
        }
        let Some((what, line)) = edit() else { return };
        if line == self.lines[at] {
            return;
        }
        let mut new = self.lines.to_vec();
        new[at] = line;
        self.made(at, kind, what, &new);
    }
}

/// Every event of the format.
const EVENTS: &str = "begin end irq_save irq_restore irq_enter irq_exit lock_wait lock_acquired lock_released \
    init_entry_set init_entry_read walk_at walk_done kernel_entry_read kernel_entry_set pinned_read \
    list_add list_del mm_born mm_freed entry_read clear_young get_and_clear set_splitting \
    pmd_not_present pmd_populate entry_set split_compound pending_raised pending_dropped \
    pending_read frame_get frame_put flush_local mask_read request_published acks_set ipi_sent \
    acks_complete hypercall_flush request_read flush_handled acked mask_set mask_cleared load_cr3 \
    enter_lazy leave_lazy leave_mm tlb_fill user_access pinned unpinned return_to_user frame_alloc";

/// Every value that a field of this name may have in this trace.
fn domain(header: &Header, field: &str) -> Vec<Value> {
    let env = &header.environment;
    let mms = || (0..env.mms).map(MmId);
    let cpus = || (0..env.cpus).map(CpuId);
    let told = |v: Vec<Value>| v;
    match field {
        "event" => EVENTS.split_whitespace().map(|e| json!(e)).collect(),
        "operation" => Operation::all()
            .filter(|o| o.names().is_none_or(|mm| mm.0 < env.mms))
            .map(|o| json!(o))
            .collect(),
        "vector" => cpus()
            .map(|c| json!(Vector::FlushTlb(c)))
            .chain(mms().map(|m| json!(Vector::PgdFree(m))))
            .collect(),
        "lock" => [Lock::PgdLock, Lock::PgdRead, Lock::PgdWrite]
            .into_iter()
            .chain(mms().map(Lock::PageTable))
            .chain(mms().map(Lock::Pte))
            .map(|l| json!(l))
            .collect(),
        "mm" => mms().map(|m| json!(m)).collect(),
        "frame" => (0..2 * env.mms)
            .map(|f| json!(f))
            .chain([Value::Null])
            .collect(),
        "slot" => Slot::ALL.iter().map(|s| json!(s)).collect(),
        "kind" => told(vec![json!(AccessKind::Load), json!(AccessKind::Store)]),
        "scope" => told(vec![json!(Scope::Page), json!(Scope::All)]),
        "result" => [Flushed::Flushed, Flushed::LeftMm, Flushed::NotLoaded]
            .iter()
            .map(|r| json!(r))
            .collect(),
        "targets" => (0..1_u8 << env.cpus).map(|m| json!(CpuMask(m))).collect(),
        "from" | "to" => cpus().map(|c| json!(c)).collect(),
        "count" => [0, 1, 2, 3, 255].iter().map(|c| json!(c)).collect(),
        "enabled" | "present" | "hypervisor" | "pinned" | "splitting" | "young" | "newly"
        | "freed" | "filled" => vec![json!(false), json!(true)],
        other => panic!("the domain of `{other}` is not known"),
    }
}
