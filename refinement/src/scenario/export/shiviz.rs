//! A ShiViz log: events with vector clocks, one host for each CPU.
//!
//! Causality is what the protocol synchronises with: a lock let go and taken, an IPI (or work, or a timer) sent and taken,
//! its handler's return and the end of the wait for it. That one CPU reads from memory what another wrote is not an edge,
//! so events may look concurrent that memory orders.

use crate::export::shiviz::PARSER;
use shootdown_ir::report::Story;
use shootdown_ir::{LockId, Op};
use std::collections::BTreeMap;
use std::fmt::Write as _;

type Clock = BTreeMap<usize, usize>;

/// The log.
pub fn shiviz(story: &Story<'_>) -> String {
    let mut text = format!("{PARSER}\n\n");
    let ipis = story.ipis();
    let mut own: Vec<Clock> = vec![Clock::new(); story.protocol().cpus];
    let mut at: Vec<Clock> = Vec::new();
    let mut released: BTreeMap<(LockId, u32), Clock> = BTreeMap::new();
    for (n, record) in (0..story.end()).zip(story.records()) {
        let context = story.step(n).context;
        let cpu = story.cpu_of(context);
        let mut clock = own[cpu].clone();
        let held = |n: usize| story.waits().held(story.state(n), context);
        for lock in held(n + 1).iter().filter(|l| !held(n).contains(l)) {
            if let Some(past) = released.get(lock) {
                merge(&mut clock, past);
            }
        }
        for ipi in &ipis {
            let awaits = matches!(
                story.line_of(n).map(|(_, line)| &line.op),
                Some(Op::AwaitAcks { .. } | Op::Sync { .. })
            );
            let past = match (ipi.taken == Some(n + 1), ipi.ended) {
                (true, _) => Some(ipi.sent),
                (false, Some(ended)) if ended <= n && awaits && ipi.from == context => Some(ended),
                _ => None,
            };
            if let Some(past) = past {
                merge(&mut clock, &at[past - 1]);
            }
        }
        *clock.entry(cpu).or_insert(0) += 1;
        own[cpu] = clock.clone();
        for other in story.contexts() {
            let before = story.waits().held(story.state(n), other);
            let after = story.waits().held(story.state(n + 1), other);
            for lock in before.into_iter().filter(|l| !after.contains(l)) {
                released.insert(lock, clock.clone());
            }
        }
        let told: Vec<String> = clock
            .iter()
            .map(|(cpu, n)| format!("\"CPU{cpu}\":{n}"))
            .collect();
        let note = record.note.map_or(String::new(), |n| format!(" /* {n} */"));
        let _ = writeln!(
            text,
            "{}. {}: {}{note}\nCPU{cpu} {{{}}}",
            n + 1,
            record.source,
            record.statement.replace('\n', " "),
            told.join(", ")
        );
        at.push(clock);
    }
    text
}

fn merge(clock: &mut Clock, other: &Clock) {
    for (&cpu, &n) in other {
        let mine = clock.entry(cpu).or_insert(0);
        *mine = (*mine).max(n);
    }
}
