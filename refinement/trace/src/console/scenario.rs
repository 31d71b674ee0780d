//! The hang as a scenario for the checker: a starting point for the person who knows the code.

use super::Diagnosis;
use super::conclude::Verdict;
use super::graph::Wait;
use super::situation::{Context, Doing, Situation, Who};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A scenario of the cycle, or why none can be written.
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
    if situations.len() != cycle.edges.len()
        || situations.iter().any(|s| !matches!(s.who, Who::Cpu(_)))
    {
        return of_order(d, source).ok_or("no CPU of this log is in the cycle");
    }
    let mut text = head(d, source);
    let cpus: BTreeMap<Who, usize> = situations
        .iter()
        .map(|s| s.who)
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .enumerate()
        .map(|(i, w)| (w, i))
        .collect();
    let _ = writeln!(
        text,
        "cpus {};\nexpect violated no_deadlock;\n",
        cpus.len().max(1)
    );
    // A lock for each edge that is one, named by who waits.
    let mut locks: BTreeMap<usize, String> = BTreeMap::new();
    for (i, edge) in cycle.edges.iter().enumerate() {
        if let Wait::Lock(lock) = &edge.wait {
            let name = lock
                .class
                .as_ref()
                .map(|(class, _)| word(class))
                .filter(|w| !w.is_empty());
            locks.insert(
                i,
                unique(&name.unwrap_or_else(|| format!("lock_{i}")), locks.values()),
            );
        }
    }
    for (i, name) in &locks {
        if let Wait::Lock(lock) = &cycle.edges[*i].wait {
            let address = lock
                .address
                .map_or(String::new(), |(a, _)| format!("    // {a:#x}"));
            let _ = writeln!(text, "spinlock_t {name};{address}");
        }
    }
    let acks = cycle.edges.iter().any(|e| e.wait == Wait::Acks);
    let meets = cycle.edges.iter().any(|e| e.wait == Wait::Rendezvous);
    if meets {
        text += "int arrived;\n";
    }
    if acks {
        text += "\nvoid flush(void) { }\n";
    }
    if meets {
        text += "\nvoid rendezvous(void)\n{\n    arrived++;\n    while (arrived < NR_CPUS) cpu_relax();\n}\n";
    }
    for (who, cpu) in &cpus {
        let situation = situations.iter().find(|s| s.who == *who).expect("listed");
        text += &task(situation, *cpu, cycle, &locks, &cpus);
    }
    Ok(text)
}

fn head(d: &Diagnosis, source: &str) -> String {
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

fn task(
    s: &Situation,
    cpu: usize,
    cycle: &super::graph::Cycle,
    locks: &BTreeMap<usize, String>,
    cpus: &BTreeMap<Who, usize>,
) -> String {
    let mut body = String::new();
    let mut after = String::new();
    let off = s.irqs.as_ref().is_some_and(|i| !i.on) || s.context != Context::Task;
    let itself = cycle.edges.iter().any(|e| e.from == s.who && e.to == s.who);
    let name = s
        .frames
        .iter()
        .rev()
        .take(6)
        .map(|f| word(&f.function))
        .find(|f| !f.is_empty() && !GENERIC.contains(&&**f))
        .unwrap_or_else(|| "task".into());
    // What others say that it holds.
    for (i, edge) in cycle
        .edges
        .iter()
        .enumerate()
        .filter(|(_, e)| e.to == s.who && !itself)
    {
        if let (Some(lock), Wait::Lock(_)) = (locks.get(&i), &edge.wait) {
            let _ = writeln!(body, "    spin_lock(&{lock});");
            after.insert_str(0, &format!("    spin_unlock(&{lock});\n"));
        }
    }
    if off && !itself {
        body = format!("    local_irq_disable();\n{body}");
        after += "    local_irq_enable();\n";
    }
    let mut handler = String::new();
    for (i, edge) in cycle
        .edges
        .iter()
        .enumerate()
        .filter(|(_, e)| e.from == s.who)
    {
        match &edge.wait {
            Wait::Acks => {
                let to = cpus.get(&edge.to).copied().unwrap_or(0);
                let _ = writeln!(body, "    smp_call_function_single({to}, flush, 1);");
            }
            Wait::Lock(_) => {
                let lock = &locks[&i];
                if itself {
                    let _ = write!(body, "    spin_lock(&{lock});\n    spin_unlock(&{lock});\n");
                    handler = format!(
                        "\nirq interrupt on CPU{cpu} times 1 {{\n    spin_lock(&{lock});\n    spin_unlock(&{lock});\n}}\n"
                    );
                } else {
                    let _ = write!(body, "    spin_lock(&{lock});\n    spin_unlock(&{lock});\n");
                }
            }
            Wait::Rendezvous => {
                body += "    preempt_disable();\n    smp_call_function(rendezvous, 0);\n    local_irq_save(f);\n    arrived++;\n    while (arrived < NR_CPUS) cpu_relax();\n    local_irq_restore(f);\n    preempt_enable();\n"
            }
            Wait::Handler => {
                body += "    // waits here for the end of a handler: name the timer or the irq\n"
            }
        }
    }
    let place = match &s.doing {
        Doing::AwaitsAcks | Doing::Spins(_) | Doing::Rendezvous { .. } => s
            .place
            .as_ref()
            .map_or(String::new(), |p| format!("    // {}, line {}", p.0, p.1)),
        _ => String::new(),
    };
    format!("\ntask {name}_{cpu} on CPU{cpu} {{{place}\n{body}{after}}}\n{handler}")
}

/// Functions that say nothing about whose code it is.
const GENERIC: [&str; 10] = [
    "kthread",
    "ret_from_fork",
    "do_syscall_64",
    "entry_SYSCALL_64_after_hwframe",
    "process_one_work",
    "worker_thread",
    "asm_exc_page_fault",
    "exc_page_fault",
    "system_call_fastpath",
    "ret_from_fork_asm",
];

/// The two orders of a report of lockdep's.
fn of_order(d: &Diagnosis, source: &str) -> Option<String> {
    let order = d.orders.first().filter(|o| !o.edges.is_empty())?;
    let mut text = head(d, source);
    let mut names: Vec<String> = Vec::new();
    for edge in &order.edges {
        for class in [&edge.held, &edge.wanted] {
            let name = word(class);
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let _ = writeln!(text, "cpus 2;\nexpect violated no_deadlock;\n");
    for name in &names {
        let _ = writeln!(text, "spinlock_t {name};");
    }
    let first = order.edges.first()?;
    let interrupt = order.report.irq.is_some();
    let (held, wanted) = (word(&first.held), word(&first.wanted));
    let take = |a: &str, b: &str| {
        format!(
            "    spin_lock(&{a});\n    spin_lock(&{b});\n    spin_unlock(&{b});\n    spin_unlock(&{a});\n"
        )
    };
    if interrupt {
        let (outer, inner) = (&held, &wanted);
        let _ = write!(
            text,
            "\ntask holder on CPU0 {{\n    spin_lock(&{inner});\n    spin_unlock(&{inner});\n}}\n\nirq interrupt on CPU0 times 1 {{\n    spin_lock(&{outer});\n    spin_unlock(&{outer});\n}}\n\ntask other on CPU1 {{\n    local_irq_disable();\n{}    local_irq_enable();\n}}\n",
            take(outer, inner)
        );
    } else {
        for (i, edge) in order.edges.iter().take(4).enumerate() {
            let _ = write!(
                text,
                "\ntask context_{i} on CPU{} {{\n{}}}\n",
                i % 2,
                take(&word(&edge.held), &word(&edge.wanted))
            );
        }
    }
    Some(text)
}

/// A name in the scenario language: letters, digits and `_`.
fn word(text: &str) -> String {
    let last = text
        .trim_end_matches([')', ' '])
        .rsplit(['>', '.', ':', '(', '&'])
        .next()
        .unwrap_or(text);
    let clean = |t: &str| {
        t.chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect::<String>()
            .trim_matches('_')
            .to_string()
    };
    // `&(&l->lock)->rlock` is best named by all of it.
    let name = if last.len() < 6 || last == "rlock" {
        clean(text)
    } else {
        clean(last)
    };
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

fn unique<'a>(name: &str, taken: impl Iterator<Item = &'a String>) -> String {
    let n = taken
        .filter(|t| *t == name || t.starts_with(&format!("{name}_")))
        .count();
    if n == 0 {
        name.to_string()
    } else {
        format!("{name}_{n}")
    }
}
