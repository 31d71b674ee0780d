//! A run as Chrome trace-event JSON, for Perfetto's UI and chrome://tracing.
//!
//! One step is one microsecond, so that the viewers have something to scale: `otherData` says that the clock is model
//! steps. Step *n* lasts from *n* - 1 to *n*; state *n* from *n* to *n* + 1; what never ends, ends one microsecond
//! behind the last step and says so in its arguments.
//!
//! | process | lanes |
//! |---|---|
//! | CPUs | a CPU's programs, its interrupt handlers inside, the steps inside those |
//! | Waits | what a context spins for or awaits |
//! | Locks | a lock's holders; a second lane where readers overlap |
//! | Interrupts | where a CPU has interrupts off |
//! | TLB | a translation a CPU may still use; stale ones named so |

use super::run::{Ipi, Run};
use serde_json::{Value, json};
use shootdown_spec::id::{Context, CpuId, Level, LockId, MAX_LOCKS};
use shootdown_spec::program::{Entry, Mode};

const CPUS: u64 = 1;
const WAITS: u64 = 2;
const LOCKS: u64 = 3;
const INTERRUPTS: u64 = 4;
const TLB: u64 = 5;
const PROCESSES: [(u64, &str); 5] = [
    (CPUS, "CPUs"),
    (WAITS, "Waits"),
    (LOCKS, "Locks"),
    (INTERRUPTS, "Interrupts off"),
    (TLB, "TLB"),
];

/// The run as the text of a trace file.
///
/// # Panics
/// Never: JSON serializes.
pub fn perfetto(run: &Run) -> String {
    let config = &run.protocol.config;
    let trace = json!({
        "traceEvents": events(run),
        "displayTimeUnit": "ns",
        "otherData": {
            "clock": "model steps: 1 microsecond is one step, nothing here is a measured time",
            "generator": "shootdown export perfetto",
            "design": config.design.to_string(),
            "environment": config.environment.to_string(),
            "workload": config.workload.text,
            "property": run.property.map_or("", |p| p.name),
            "schedule": run.schedule(),
        },
    });
    serde_json::to_string_pretty(&trace).expect("JSON serializes") + "\n"
}

/// The events.
pub fn events(run: &Run) -> Vec<Value> {
    let mut page = Page {
        run,
        end: run.trace.actions.len() + 1,
        names: Vec::new(),
        slices: Vec::new(),
        rest: Vec::new(),
    };
    page.cpus();
    page.waits();
    page.locks();
    page.interrupts();
    page.tlb();
    page.ipis();
    page.violation();
    page.finish()
}

/// A slice of a lane.
struct Slice {
    pid: u64,
    tid: u64,
    from: usize,
    to: usize,
    name: String,
    category: &'static str,
    args: Value,
}

struct Page<'a> {
    run: &'a Run,
    /// Where everything ends.
    end: usize,
    names: Vec<Value>,
    slices: Vec<Slice>,
    rest: Vec<Value>,
}

impl Page<'_> {
    fn lane(&mut self, pid: u64, tid: u64, name: &str) {
        let args = json!({ "name": name });
        self.names
            .push(json!({"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": args}));
        let args = json!({ "sort_index": tid });
        self.names.push(
            json!({"ph": "M", "name": "thread_sort_index", "pid": pid, "tid": tid, "args": args}),
        );
    }

    fn slice(
        &mut self,
        lane: (u64, u64),
        span: (usize, usize),
        name: String,
        category: &'static str,
    ) {
        let args = if span.1 >= self.end {
            json!({"ends": "never, in this run"})
        } else {
            json!({})
        };
        self.slices.push(Slice {
            pid: lane.0,
            tid: lane.1,
            from: span.0,
            to: span.1,
            name,
            category,
            args,
        });
    }

    fn cpus(&mut self) {
        let run = self.run;
        for (who, _) in run.states[0].each_cpu(&run.protocol.config) {
            let tid = lane_of(who);
            self.lane(CPUS, tid, &who.to_string());
            for level in Level::ALL {
                let programs = run.stretches(|s| {
                    let ctx = s.cpu(who).context(level);
                    ctx.is_running().then_some((ctx.program, ctx.mm))
                });
                for (from, to, (program, mm)) in programs {
                    // From the step that started it to the one that ended it: state n follows step n.
                    let span = (from.saturating_sub(1), to.min(self.end));
                    let on = if mm.is_some() {
                        format!("({mm})")
                    } else {
                        "()".to_string()
                    };
                    let category = if level == Level::Irq {
                        "irq"
                    } else {
                        "program"
                    };
                    self.slice((CPUS, tid), span, format!("{program}{on}"), category);
                }
            }
        }
        for step in &run.steps {
            let args = json!({
                "step": step.n,
                "function": step.function,
                "note": step.note,
                "irqs_on": step.irqs_on,
                "holds": step.holds,
                "waits": step.waits,
            });
            self.slices.push(Slice {
                pid: CPUS,
                tid: u64::from(step.cpu) + 1,
                from: step.n - 1,
                to: step.n,
                name: step.step.clone(),
                category: "step",
                args,
            });
        }
    }

    fn waits(&mut self) {
        let run = self.run;
        let config = &run.protocol.config;
        for code in 0..2 * config.cpus() as u8 {
            let who = Context::from_code(code);
            let waits = run.stretches(|s| {
                let cpu = s.cpu(who.cpu);
                if let Some(lock) = who.of(&s.cpus).spins_for() {
                    return Some(format!("spins for {lock}"));
                }
                cpu.awaits_acks(config, who.level).then(|| {
                    let out: Vec<String> = cpu.acks.iter().map(|c| c.to_string()).collect();
                    format!("awaits the ack of {}", out.join(", "))
                })
            });
            if waits.is_empty() {
                continue;
            }
            let tid = u64::from(code) + 1;
            self.lane(WAITS, tid, &who.to_string());
            for (from, to, what) in waits {
                self.slice((WAITS, tid), (from, to), what, "wait");
            }
        }
    }

    fn locks(&mut self) {
        for lock in (0..MAX_LOCKS).map(LockId::from_index) {
            let attempts = self.run.locks.iter().filter(|a| a.lock == lock);
            let mut held: Vec<(usize, usize, String)> = attempts
                .filter_map(|a| {
                    let from = a.granted?;
                    let reads = if a.mode == Mode::Shared {
                        ", reads"
                    } else {
                        ""
                    };
                    Some((
                        from,
                        a.released.unwrap_or(self.end),
                        format!("{}{reads}", a.who),
                    ))
                })
                .collect();
            held.sort();
            // The first lane in which it does not overlap anything.
            let mut free: Vec<usize> = Vec::new();
            for (from, to, who) in held {
                let sub = free.iter().position(|end| *end <= from).unwrap_or_else(|| {
                    free.push(0);
                    let sub = free.len() - 1;
                    let more = if sub == 0 {
                        String::new()
                    } else {
                        format!(" ({})", sub + 1)
                    };
                    self.lane(LOCKS, lock_lane(lock, sub), &format!("{lock}{more}"));
                    sub
                });
                free[sub] = to;
                self.slice((LOCKS, lock_lane(lock, sub)), (from, to), who, "lock");
            }
        }
    }

    fn interrupts(&mut self) {
        let run = self.run;
        for (who, _) in run.states[0].each_cpu(&run.protocol.config) {
            let off = run.stretches(|s| (!s.cpu(who).irqs_on).then_some(()));
            if off.is_empty() {
                continue;
            }
            self.lane(INTERRUPTS, lane_of(who), &who.to_string());
            for (from, to, ()) in off {
                self.slice(
                    (INTERRUPTS, lane_of(who)),
                    (from, to),
                    "IF=0".to_string(),
                    "irq",
                );
            }
        }
    }

    fn tlb(&mut self) {
        let run = self.run;
        for (who, _) in run.states[0].each_cpu(&run.protocol.config) {
            for entry in Entry::ALL {
                let cached = run.stretches(|s| {
                    let cpu = s.cpu(who);
                    let mm = cpu.loaded_mm().filter(|_| cpu.tlb.contains(entry))?;
                    let stale = !s.mm(mm).translates(entry) || s.mm(mm).frame(entry).freed;
                    Some(if stale {
                        format!("STALE: {mm}'s {entry}")
                    } else {
                        format!("{mm}'s {entry}")
                    })
                });
                if cached.is_empty() {
                    continue;
                }
                let tid = 2 * lane_of(who) + entry as u64;
                self.lane(TLB, tid, &format!("{who}, {entry}"));
                for (from, to, name) in cached {
                    self.slice((TLB, tid), (from, to), name, "tlb");
                }
            }
        }
    }

    /// From send to acknowledgement an asynchronous event; from send to handler and from acknowledgement to the end of
    /// the wait an arrow, where there was one; and how many are pending where.
    fn ipis(&mut self) {
        let run = self.run;
        for (i, ipi) in run.ipis.iter().enumerate() {
            let id = format!("{:#x}", i + 1);
            let name = ipi_name(ipi);
            let (pid, from) = (CPUS, lane_of(ipi.from));
            let at = |ph: &str, ts: usize, args: Value| json!({"ph": ph, "cat": "ipi", "name": name, "id": id, "pid": pid, "tid": from, "ts": ts, "args": args});
            let end = ipi.acked.unwrap_or(self.end);
            let acknowledged = if ipi.acked.is_some() {
                "yes"
            } else {
                "never, in this run"
            };
            let args =
                json!({"mm": ipi.mm.to_string(), "scope": ipi.scope, "acknowledged": acknowledged});
            self.rest.push(at("b", ipi.sent, args));
            self.rest.push(at("e", end, json!({})));
            if let Some(taken) = ipi.taken {
                self.arrow(
                    "ipi-taken",
                    &name,
                    &id,
                    (ipi.from, ipi.sent),
                    (ipi.to, taken),
                );
            }
            if let (Some(acked), Some(seen)) = (ipi.acked, ipi.seen) {
                self.arrow(
                    "ack",
                    &format!("ack of {}", ipi.to),
                    &id,
                    (ipi.to, acked),
                    (ipi.from, seen),
                );
            }
        }
        for (who, _) in run.states[0].each_cpu(&run.protocol.config) {
            let pending = |i: usize| run.states[i].cpu(who).pending_ipis().count();
            if (0..run.states.len()).all(|i| pending(i) == 0) {
                continue;
            }
            for i in (0..run.states.len()).filter(|&i| i == 0 || pending(i) != pending(i - 1)) {
                let args = json!({ "pending": pending(i) });
                let name = format!("IPIs pending on {who}");
                self.rest.push(
                    json!({"ph": "C", "name": name, "pid": CPUS, "tid": 0, "ts": i, "args": args}),
                );
            }
        }
    }

    /// An arrow from the middle of one step to the middle of another.
    fn arrow(
        &mut self,
        category: &str,
        name: &str,
        id: &str,
        from: (CpuId, usize),
        to: (CpuId, usize),
    ) {
        let middle = |n: usize| n as f64 - 0.5;
        self.rest.push(json!({
            "ph": "s", "cat": category, "name": name, "id": id, "pid": CPUS, "tid": lane_of(from.0), "ts": middle(from.1),
        }));
        self.rest.push(json!({
            "ph": "f", "bp": "e", "cat": category, "name": name, "id": id, "pid": CPUS, "tid": lane_of(to.0),
            "ts": middle(to.1),
        }));
    }

    fn violation(&mut self) {
        let Some(property) = self.run.property else {
            return;
        };
        let at = self.run.violated_at.unwrap_or(self.run.states.len() - 1);
        self.rest.push(json!({
            "ph": "i", "s": "g", "name": format!("{} is violated", property.name), "cat": "property", "pid": CPUS,
            "tid": 0, "ts": at, "args": {"promise": property.promise},
        }));
    }

    /// Names first, then the slices of each lane, outer before inner, then the rest.
    fn finish(mut self) -> Vec<Value> {
        let mut events = Vec::new();
        for (pid, name) in PROCESSES {
            if self.slices.iter().all(|s| s.pid != pid) {
                continue;
            }
            for (kind, args) in [
                ("process_name", json!({ "name": name })),
                ("process_sort_index", json!({ "sort_index": pid })),
            ] {
                events.push(json!({"ph": "M", "name": kind, "pid": pid, "tid": 0, "args": args}));
            }
        }
        events.append(&mut self.names);
        self.slices
            .sort_by_key(|s| (s.pid, s.tid, s.from, usize::MAX - s.to));
        events.extend(self.slices.iter().map(|s| {
            json!({
                "ph": "X", "name": s.name, "cat": s.category, "pid": s.pid, "tid": s.tid, "ts": s.from,
                "dur": s.to - s.from, "args": s.args,
            })
        }));
        events.append(&mut self.rest);
        events
    }
}

fn ipi_name(ipi: &Ipi) -> String {
    format!("flush IPI {} -> {}", ipi.from, ipi.to)
}

/// A CPU's lane: 0 is the process itself.
fn lane_of(cpu: CpuId) -> u64 {
    u64::from(cpu.0) + 1
}

fn lock_lane(lock: LockId, sub: usize) -> u64 {
    16 * (lock.index() as u64 + 1) + sub as u64
}
