//! Chrome trace JSON, for ui.perfetto.dev: a track for each CPU, what it runs nested as it was interrupted, its statements
//! inside; a track for each lock and for interrupts that are off; arrows from the sending of an IPI to its handler. A
//! microsecond is a step.

use serde_json::{Value, json};
use shootdown_ir::LockId;
use shootdown_ir::eval::Cells as _;
use shootdown_ir::report::Story;
use shootdown_ir::system::ContextId;

const CPUS: u64 = 1;
const LOCKS: u64 = 2;
const INTERRUPTS: u64 = 3;

/// The run as a trace.
///
/// # Panics
/// Never: JSON serializes.
pub fn perfetto(story: &Story<'_>) -> String {
    let mut out = Out { events: Vec::new() };
    let p = story.protocol();
    for (pid, name) in [
        (CPUS, "CPUs"),
        (LOCKS, "locks"),
        (INTERRUPTS, "interrupts off"),
    ] {
        out.name("process_name", pid, 0, name);
    }
    let end = story.end() + 1;
    for cpu in 0..p.cpus {
        out.name("thread_name", CPUS, lane(cpu), &format!("CPU{cpu}"));
        out.name("thread_name", INTERRUPTS, lane(cpu), &format!("CPU{cpu}"));
        let cell = story.machine().system().cpu_cells[cpu].irqs;
        let off = |n: usize| story.view(n).cell(cell) == 0;
        for (from, to) in stretches(story.end(), off) {
            out.slice(INTERRUPTS, lane(cpu), (from, to), "IF=0", "irq", json!({}));
        }
    }
    let handled: Vec<ContextId> = story.contexts().collect();
    for &context in &handled {
        let runs = |n: usize| story.stands_at(n, context).is_some();
        let cpu = story.cpu_of(context);
        for (from, to) in stretches(story.end(), runs) {
            let name = story.named(context);
            // Threads of one CPU lie on tracks of their own: slices of a track must nest.
            let tid = match story.is_thread(context) {
                true => lane(cpu),
                false => lane(cpu) + 1000,
            };
            if !story.is_thread(context) {
                out.name("thread_name", CPUS, tid, &format!("CPU{cpu}, interrupts"));
            }
            let mut seen = Vec::new();
            if story.is_thread(context) && threads(story, cpu) > 1 {
                let tid = lane(cpu) + 2000 + u64::from(context.0);
                out.name("thread_name", CPUS, tid, &name);
                seen.push(tid);
            }
            let tid = seen.first().copied().unwrap_or(tid);
            out.slice(CPUS, tid, (from, to), &name, "context", json!({}));
            for (n, record) in (0..story.end()).zip(story.records()) {
                if story.step(n).context == context && n >= from && n < to {
                    let args = json!({
                        "line": record.line, "note": record.note, "waits": record.waits, "changes": record.changes,
                    });
                    out.slice(CPUS, tid, (n, n + 1), &record.statement, "step", args);
                }
            }
        }
    }
    for (l, lock) in p.locks.iter().enumerate() {
        for element in 0..lock.len.unwrap_or(1) as u32 {
            let id = (LockId(l as u32), element);
            let tid = 100 * (l as u64 + 1) + u64::from(element);
            out.name("thread_name", LOCKS, tid, &story.lock_name(id.0, id.1));
            for &context in &handled {
                let holds = |n: usize| story.waits().held(story.state(n), context).contains(&id);
                for (from, to) in stretches(story.end(), holds) {
                    let name = story.named(context);
                    out.slice(LOCKS, tid, (from, to), &name, "lock", json!({}));
                }
            }
        }
    }
    for (i, ipi) in story.ipis().iter().enumerate() {
        let (from, to) = (story.cpu_of(ipi.from), story.cpu_of(ipi.handler));
        let name = story.named(ipi.handler);
        let id = format!("{:#x}", i + 1);
        let pending = json!({
            "ph": "b", "cat": "ipi", "name": name, "id": id, "pid": CPUS, "tid": lane(to), "ts": ipi.sent,
            "args": { "from": story.named(ipi.from), "taken": ipi.taken },
        });
        out.events.push(pending);
        let until = ipi.taken.unwrap_or(end);
        out.events.push(json!({
            "ph": "e", "cat": "ipi", "name": name, "id": id, "pid": CPUS, "tid": lane(to), "ts": until, "args": {},
        }));
        if let Some(taken) = ipi.taken {
            let at = |n: usize| n as f64 - 0.5;
            out.events.push(json!({
                "ph": "s", "cat": "ipi", "name": name, "id": id, "pid": CPUS, "tid": lane(from), "ts": at(ipi.sent),
            }));
            out.events.push(json!({
                "ph": "f", "bp": "e", "cat": "ipi", "name": name, "id": id, "pid": CPUS, "tid": lane(to) + 1000,
                "ts": at(taken),
            }));
        }
    }
    if let Some(property) = story.property() {
        let sentence = story.explain().map(|(_, s)| s);
        out.events.push(json!({
            "ph": "i", "s": "g", "name": format!("{property} is violated"), "cat": "property", "pid": CPUS, "tid": 0,
            "ts": story.end(), "args": { "sentence": sentence },
        }));
    }
    let trace = json!({
        "traceEvents": out.events,
        "displayTimeUnit": "ns",
        "otherData": { "scenario": p.name, "file": p.file, "schedule": story.schedule(), "unit": "1 us is 1 step" },
    });
    serde_json::to_string_pretty(&trace).expect("JSON serializes") + "\n"
}

fn threads(story: &Story<'_>, cpu: usize) -> usize {
    story
        .contexts()
        .filter(|&c| story.is_thread(c) && story.cpu_of(c) == cpu)
        .count()
}

fn lane(cpu: usize) -> u64 {
    cpu as u64 + 1
}

/// The stretches of states in which something is so: from the step that made it so, to the one that ended it.
fn stretches(end: usize, is: impl Fn(usize) -> bool) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for n in (0..=end).filter(|&n| is(n)) {
        match found.last_mut() {
            Some(last) if last.1 == n => last.1 = n + 1,
            _ => found.push((n, n + 1)),
        }
    }
    found
}

struct Out {
    events: Vec<Value>,
}

impl Out {
    fn name(&mut self, kind: &str, pid: u64, tid: u64, name: &str) {
        let event =
            json!({ "ph": "M", "name": kind, "pid": pid, "tid": tid, "args": { "name": name } });
        if !self.events.contains(&event) {
            self.events.push(event);
        }
    }

    fn slice(
        &mut self,
        pid: u64,
        tid: u64,
        (from, to): (usize, usize),
        name: &str,
        category: &str,
        args: Value,
    ) {
        self.events.push(json!({
            "ph": "X", "name": name, "cat": category, "pid": pid, "tid": tid, "ts": from, "dur": to - from, "args": args,
        }));
    }
}
