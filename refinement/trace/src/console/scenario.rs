//! The hang as a scenario for the checker: a starting point for the person who knows the code.

mod names;
mod order;

use super::Diagnosis;
use super::conclude::Verdict;
use super::graph::{Cycle, Wait};
use super::situation::{Context, Doing, Situation, Who};
use names::{of_task, unique, word};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A scenario of the cycle, or why none can be written. `shootdown check` of it ends in the deadlock.
///
/// # Errors
/// If there is no cycle to write a scenario of.
pub fn scenario(d: &Diagnosis, source: &str) -> Result<String, &'static str> {
    let cycle = match &d.verdict {
        Verdict::Cycle { cycle } | Verdict::CycleIf { cycle, .. } => cycle,
        Verdict::NoCycle { .. } => return Err("there is no cycle to write a scenario of"),
        Verdict::NotDecidable { .. } => return Err("a scenario needs to know who waits for whom"),
    };
    let situations: Vec<&Situation> = cycle
        .edges
        .iter()
        .filter_map(|e| d.situations.iter().find(|s| s.who == e.from))
        .collect();
    // The edges of a report of lockdep's are of classes, not of CPUs.
    let by_classes = cycle.edges.iter().any(
        |e| matches!(&e.wait, Wait::Lock(lock) if *lock == super::situation::LockName::default()),
    ) && !d.orders.is_empty();
    if by_classes || situations.len() != cycle.edges.len() {
        return order::of_order(d, source).ok_or("no CPU or task of this log is in the cycle");
    }
    let mut text = head(d, source);
    if let [edge] = &cycle.edges[..]
        && edge.wait == Wait::Acks
    {
        return Ok(text + &cross_calls(situations[0]));
    }
    let who: BTreeSet<Who> = situations.iter().map(|s| s.who).collect();
    let hang = Hang {
        cycle,
        locks: locks(cycle),
        cpus: who.into_iter().enumerate().map(|(i, w)| (w, i)).collect(),
    };
    text += &hang.declarations(&situations);
    for (who, cpu) in &hang.cpus {
        let situation = situations.iter().find(|s| s.who == *who).expect("listed");
        text += &hang.task(situation, *cpu);
    }
    Ok(text)
}

pub(super) fn head(d: &Diagnosis, source: &str) -> String {
    let name: String = source
        .rsplit('/')
        .next()
        .unwrap_or("log")
        .chars()
        .filter(|c| !c.is_control() && *c != '"' && *c != '\\')
        .take(60)
        .collect();
    let mut text = format!("// Written by `shootdown diagnose` from {name}: a starting point.\n");
    if let Verdict::CycleIf { condition, .. } = &d.verdict {
        let _ = writeln!(
            text,
            "// Assumes what the log does not show: {}.",
            one_line(condition)
        );
    }
    for situation in d.situations.iter().filter(|s| s.doing.waits()).take(8) {
        let _ = writeln!(text, "// {}", one_line(&super::text::line(d, situation)));
    }
    let _ = writeln!(text, "scenario \"hang of {name}\";");
    text
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(400)
        .collect()
}

/// A lock for each edge that is one, named by its class, or by the edge.
fn locks(cycle: &Cycle) -> BTreeMap<usize, String> {
    let mut locks: BTreeMap<usize, String> = BTreeMap::new();
    for (i, edge) in cycle.edges.iter().enumerate() {
        if let Wait::Lock(lock) = &edge.wait {
            let class = lock.class.as_ref().map(|(class, _)| word(class));
            let name = class.filter(|name| !name.is_empty());
            let name = name.unwrap_or_else(|| format!("lock_{i}"));
            locks.insert(i, unique(&name, locks.values()));
        }
    }
    locks
}

/// Two CPUs that make a synchronous call each, from an interrupt.
fn cross_calls(s: &Situation) -> String {
    let name = of_task(s);
    let place = s.place.as_ref();
    let place = place.map_or(String::new(), |p| format!("    // {}, line {}", p.0, p.1));
    format!(
        "cpus 2;
expect violated no_deadlock;

void flush(void) {{ }}

// With its interrupts on, each would answer the other.
irq {name}_1 on any times 1 {{{place}
    smp_call_function_single(1 - smp_processor_id(), flush, 1);
}}

task interrupted on any {{ }}
"
    )
}

/// A cycle, with what its members are called.
struct Hang<'a> {
    cycle: &'a Cycle,
    /// By edge.
    locks: BTreeMap<usize, String>,
    /// CPUs and tasks by their CPU in the scenario.
    cpus: BTreeMap<Who, usize>,
}

impl Hang<'_> {
    fn declarations(&self, situations: &[&Situation]) -> String {
        let mut text = format!(
            "cpus {};\nexpect violated no_deadlock;\n\n",
            self.cpus.len().max(1)
        );
        for (i, name) in &self.locks {
            let edge = &self.cycle.edges[*i];
            let Wait::Lock(lock) = &edge.wait else {
                continue;
            };
            let address = lock.address;
            let address = address.map_or(String::new(), |(a, _)| format!("    // {a:#x}"));
            let kind = if sleeps(situations, edge.from) {
                "struct mutex"
            } else {
                "spinlock_t"
            };
            let _ = writeln!(text, "{kind} {name};{address}");
        }
        if self.any(&Wait::Rendezvous) {
            text += "int arrived;\n";
        }
        if self.any(&Wait::Acks) {
            text += "\nvoid flush(void) { }\n";
        }
        if self.any(&Wait::Rendezvous) {
            text += "\nvoid rendezvous(void)\n{\n    arrived++;\n    while (arrived < NR_CPUS) cpu_relax();\n}\n";
        }
        text
    }

    fn any(&self, wait: &Wait) -> bool {
        self.cycle.edges.iter().any(|e| e.wait == *wait)
    }

    /// A member of the cycle: what it holds, then what it waits for.
    fn task(&self, s: &Situation, cpu: usize) -> String {
        let cycle = self.cycle;
        let mut body = String::new();
        let mut after = String::new();
        let itself = cycle.edges.iter().any(|e| e.from == s.who && e.to == s.who);
        let awaited = |wait: Wait| cycle.edges.iter().any(|e| e.to == s.who && e.wait == wait);
        let is_handler = awaited(Wait::Handler);
        // A CPU that keeps others waiting for its acknowledgement has interrupts off, by the log or by the condition.
        let off = s.irqs.as_ref().is_some_and(|i| !i.on)
            || s.context != Context::Task
            || awaited(Wait::Acks);
        let call = |from: Who, what: &str, lock: &str| {
            let asleep = cycle.edges.iter().enumerate().any(|(i, e)| {
                self.locks.get(&i).is_some_and(|l| l == lock)
                    && matches!(e.from, Who::Task(_))
                    && e.from == from
            });
            let kind = if asleep { "mutex" } else { "spin" };
            format!("    {kind}_{what}(&{lock});\n")
        };
        // What others say that it holds.
        for (i, edge) in cycle.edges.iter().enumerate() {
            if edge.to == s.who
                && !itself
                && let Some(lock) = self.locks.get(&i)
            {
                body += &call(edge.from, "lock", lock);
                after.insert_str(0, &call(edge.from, "unlock", lock));
            }
        }
        if off && !itself && !is_handler {
            body = format!("    local_irq_disable();\n{body}");
            after += "    local_irq_enable();\n";
        }
        let mut handler = String::new();
        for (i, edge) in cycle.edges.iter().enumerate() {
            if edge.from != s.who {
                continue;
            }
            match &edge.wait {
                Wait::Acks => {
                    let to = self.cpus.get(&edge.to).copied().unwrap_or(0);
                    let _ = writeln!(body, "    smp_call_function_single({to}, flush, 1);");
                }
                Wait::Lock(_) => {
                    let lock = &self.locks[&i];
                    let both = call(s.who, "lock", lock) + &call(s.who, "unlock", lock);
                    if itself {
                        handler = format!("\nirq interrupt on CPU{cpu} times 1 {{\n{both}}}\n");
                    }
                    body += &both;
                }
                Wait::Rendezvous => {
                    body += "    preempt_disable();\n    smp_call_function(rendezvous, 0);\n    local_irq_save(f);\n    arrived++;\n    while (arrived < NR_CPUS) cpu_relax();\n    local_irq_restore(f);\n    preempt_enable();\n"
                }
                Wait::Handler => {
                    let to = self.cpus.get(&edge.to).copied().unwrap_or(0);
                    let _ = writeln!(body, "    del_timer_sync(&handler_{to});");
                }
            }
        }
        let place = match &s.doing {
            Doing::AwaitsAcks
            | Doing::Spins(_)
            | Doing::SleepsFor(_)
            | Doing::Rendezvous { .. } => {
                let place = s.place.as_ref();
                place.map_or(String::new(), |p| format!("    // {}, line {}", p.0, p.1))
            }
            _ => String::new(),
        };
        if is_handler {
            // A timer stands for any handler that is waited for.
            return format!(
                "\ntimer handler_{cpu} on CPU{cpu} times 1 {{{place}\n{body}{after}}}\n\ntask interrupted_{cpu} on CPU{cpu} {{ }}\n"
            );
        }
        format!(
            "\ntask {}_{cpu} on CPU{cpu} {{{place}\n{body}{after}}}\n{handler}",
            of_task(s)
        )
    }
}

/// The lock is one that its waiter sleeps for.
fn sleeps(situations: &[&Situation], waiter: Who) -> bool {
    let of = situations.iter().find(|s| s.who == waiter);
    of.is_some_and(|s| matches!(s.doing, Doing::SleepsFor(_)))
}
