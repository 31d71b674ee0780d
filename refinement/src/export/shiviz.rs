//! A run as a ShiViz log: events with vector clocks, one host for each CPU.
//!
//! Causality is what the protocol synchronises with: a lock let go and taken, an IPI sent and taken, an acknowledgement
//! and the end of the wait for it. That one CPU reads from memory what another wrote is not an edge, so events may
//! look concurrent that memory orders.

use super::run::Run;
use shootdown_spec::id::{MAX_CPUS, MAX_LOCKS};
use std::fmt::Write as _;

/// First line of the log: how ShiViz is to read the events. The braces are escaped, so that engines stricter than
/// JavaScript's take it too.
pub const PARSER: &str = r"(?<event>.*)\n(?<host>\S*) (?<clock>\{.*\})";

/// How much of each CPU's past something knows of.
pub type Clock = [u64; MAX_CPUS];

/// One event: a step of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The CPU.
    pub cpu: u8,
    /// The step in words.
    pub text: String,
    /// What it knows of.
    pub clock: Clock,
}

/// The log.
pub fn shiviz(run: &Run) -> String {
    let mut text = format!("{PARSER}\n\n");
    for event in events(run) {
        let clock: Vec<String> = event
            .clock
            .iter()
            .enumerate()
            .filter(|(_, n)| **n > 0)
            .map(|(cpu, n)| format!("\"CPU{cpu}\":{n}"))
            .collect();
        let _ = writeln!(
            text,
            "{}\nCPU{} {{{}}}",
            event.text,
            event.cpu,
            clock.join(", ")
        );
    }
    text
}

/// Every step with its vector clock.
pub fn events(run: &Run) -> Vec<Event> {
    let mut own = [[0; MAX_CPUS]; MAX_CPUS];
    let mut released: [Clock; MAX_LOCKS] = [[0; MAX_CPUS]; MAX_LOCKS];
    // By context: what it learns with its next step, because a lock was handed to it.
    let mut handed: [Clock; 8] = [[0; MAX_CPUS]; 8];
    let mut at = Vec::new();
    for n in 1..run.states.len() {
        let who = run.actor(n);
        let mut clock = own[who.cpu.index()];
        merge(
            &mut clock,
            &std::mem::take(&mut handed[usize::from(who.code())]),
        );
        for attempt in run
            .locks
            .iter()
            .filter(|a| a.granted == Some(n) && a.asked == n)
        {
            merge(&mut clock, &released[attempt.lock.index()]);
        }
        // The clock of the step that sent the IPI, and of those that acknowledged.
        let learned = run.ipis.iter().flat_map(|ipi| {
            let sent = (ipi.taken == Some(n)).then_some(ipi.sent);
            let acked = (ipi.seen == Some(n)).then_some(ipi.acked).flatten();
            sent.into_iter().chain(acked)
        });
        for step in learned {
            merge(&mut clock, &at[step - 1]);
        }
        clock[who.cpu.index()] = own[who.cpu.index()][who.cpu.index()] + 1;
        own[who.cpu.index()] = clock;
        at.push(clock);
        for attempt in run.locks.iter().filter(|a| a.released == Some(n)) {
            merge(&mut released[attempt.lock.index()], &clock);
        }
        let waited = |a: &&super::run::Attempt| a.granted == Some(n) && a.asked < n;
        for attempt in run.locks.iter().filter(waited) {
            merge(
                &mut handed[usize::from(attempt.who.code())],
                &released[attempt.lock.index()],
            );
        }
    }
    let told = run.steps.iter().zip(at);
    told.map(|(step, clock)| {
        let function = step.function.map_or(String::new(), |f| format!("{f}: "));
        let note = step
            .note
            .as_ref()
            .map_or(String::new(), |n| format!(" /* {n} */"));
        let irq = if step.in_irq { "[irq] " } else { "" };
        Event {
            cpu: step.cpu,
            text: format!("{}. {irq}{function}{}{note}", step.n, step.step),
            clock,
        }
    })
    .collect()
}

/// Element by element the larger.
fn merge(clock: &mut Clock, other: &Clock) {
    for (mine, theirs) in clock.iter_mut().zip(other) {
        *mine = (*mine).max(*theirs);
    }
}
