//! What else a log says, that is worth knowing and decides nothing.

use crate::console::graph::Waits;
use crate::console::log::{CsdState, Log};
use crate::console::situation::{Context, Doing, How, Situation, Who};

/// What else the log says, that is worth knowing and decides nothing.
#[must_use]
pub fn notes(waits: &Waits<'_>) -> Vec<(String, u64)> {
    let log: &Log = waits.log;
    let mut notes = Vec::new();
    for situation in waits.of.values() {
        let (who, line) = (situation.who, situation.line);
        if situation.doing == Doing::AwaitsAcks {
            if let Some(irqs) = situation
                .irqs
                .as_ref()
                .filter(|i| !i.on && i.how == How::Printed)
            {
                notes.push((
                    format!("rule broken: {who} awaits acknowledgements with interrupts off"),
                    irqs.line,
                ));
            }
            if situation.context != Context::Task {
                notes.push((format!("rule broken: {who} makes a synchronous cross-call in a {}; make it asynchronous, or run it where it belongs", situation.context.name()), line));
            }
        }
    }
    for wait in log.csd.values() {
        let c = &wait.counters;
        if let (Some((_, queued)), Some((sent, _))) = (c.queued, c.sent) {
            let since = c.taken.is_some_and(|(taken, _)| taken > sent);
            let words = if since {
                format!(
                    "the counters show that CPU{} took the interrupt of CPU{}'s request",
                    wait.to, wait.from
                )
            } else {
                format!(
                    "the counters show that CPU{}'s request was queued and its IPI sent, and that CPU{} has taken no interrupt for it since",
                    wait.from, wait.to
                )
            };
            notes.push((words, queued));
        }
        if let Some((CsdState::HandlingThis | CsdState::HandlingPrior, line)) = wait.state {
            notes.push((format!("CPU{} is inside the handler of a request: not waiting for the interrupt, but for what the handler does", wait.to), line));
        }
    }
    for (cpu, n) in &log.reports {
        if *n > 1
            && waits
                .of
                .get(&Who::Cpu(*cpu))
                .is_some_and(|s| s.samples > 1 && s.stays)
        {
            notes.push((format!("CPU{cpu} was reported stuck {n} times, always at the same place: a hang, not a slow section"), log.stuck[cpu].line));
        }
    }
    for (cpu, line) in &log.silent {
        notes.push((format!("CPU{cpu} did not answer the request for a backtrace: not even its NMI, or it is hard off"), *line));
    }
    for line in log.host_hints.iter().take(2) {
        notes.push((
            "the kernel's own threads or timers did not run: as on a stalled host".into(),
            *line,
        ));
    }
    if let (Some(trace), Some(line)) = (&log.trace, log.ftrace) {
        let mut words = format!(
            "the dump of ftrace's was read along: {} events",
            trace.counts.events
        );
        for missing in trace.unsure().iter().take(3) {
            words += &format!("; {missing}");
        }
        notes.push((words, line));
    }
    for (name, who) in same_mm(waits) {
        notes.push((name, who));
    }
    notes
}

fn same_mm(waits: &Waits<'_>) -> Vec<(String, u64)> {
    let waiting: Vec<&&Situation> = waits
        .of
        .values()
        .filter(|s| s.doing.waits() && s.mm.is_some())
        .collect();
    let mut notes = Vec::new();
    for (i, a) in waiting.iter().enumerate().take(16) {
        for b in waiting.iter().skip(i + 1).take(16) {
            if a.mm == b.mm {
                notes.push((
                    format!("{} and {} are on the same mm (CR3)", a.who, b.who),
                    b.registers.line("CR3").unwrap_or(b.line),
                ));
            }
        }
    }
    notes
}
