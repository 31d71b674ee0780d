//! The diagnosis, for people: the sentence, one line per CPU, the chain, the CPUs side by side, what else there is.

use super::conclude::Verdict;
use super::graph::{Cycle, Wait};
use super::situation::{Context, Doing, How, Situation, Who};
use super::{Diagnosis, Note};
use std::fmt::Write as _;

/// How many CPUs and notes are printed of many.
const SHOWN: usize = 24;

/// All of it.
#[must_use]
pub fn report(d: &Diagnosis, width: usize) -> String {
    let width = width.clamp(60, 120);
    let mut text = String::new();
    let boots = if d.boots > 1 {
        format!(", the last of {} boots is told", d.boots)
    } else {
        String::new()
    };
    let _ = writeln!(text, "{} lines, {} backtraces{boots}\n", d.lines, d.dumps);
    text += &verdict(&d.verdict, width);
    text += &cpus(d, width);
    if let Verdict::Cycle { cycle } | Verdict::CycleIf { cycle, .. } = &d.verdict {
        text += &chain(cycle, width);
        text += &lanes(d, cycle);
    }
    if let Some(shape) = &d.shape {
        let _ = writeln!(
            text,
            "\n{}",
            wrap(
                &format!("Known as {}: {}.", shape.name, shape.what),
                width,
                2
            )
        );
        let _ = writeln!(text, "  {}", shape.show);
    }
    for order in &d.orders {
        let _ = writeln!(
            text,
            "\nThe report at line {} prints {} of the lock order:",
            order.report.line,
            plural(order.edges.len(), "edge")
        );
        for edge in &order.edges {
            let _ = writeln!(
                text,
                "  {}",
                wrap(
                    &format!("{} -> {}  (line {})", edge.held, edge.wanted, edge.line),
                    width - 2,
                    4
                )
            );
        }
        let _ = writeln!(text, "  {}", wrap(&order.ipis, width - 2, 2));
    }
    text += &notes(&d.notes, width);
    for why in &d.incomplete {
        let _ = writeln!(text, "\n{}", wrap(&format!("INCOMPLETE: {why}."), width, 2));
    }
    text
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn verdict(verdict: &Verdict, width: usize) -> String {
    let mut text = String::new();
    match verdict {
        Verdict::Cycle { cycle } => {
            let who: Vec<String> = members(cycle).iter().map(ToString::to_string).collect();
            let _ = writeln!(
                text,
                "{}",
                wrap(
                    &format!("CYCLE of {}: every edge is in the log.", who.join(" and ")),
                    width,
                    2
                )
            );
        }
        Verdict::CycleIf {
            cycle,
            condition,
            or,
        } => {
            let _ = writeln!(
                text,
                "{}",
                wrap(&format!("CYCLE IF {condition}."), width, 2)
            );
            for other in or {
                let _ = writeln!(text, "{}", wrap(&format!("Or if {other}."), width, 2));
            }
            let more: Vec<&str> = cycle
                .inferred()
                .filter(|i| !condition.contains(i))
                .collect();
            if !more.is_empty() {
                let _ = writeln!(
                    text,
                    "{}",
                    wrap(&format!("Inferred: {}.", more.join("; ")), width, 2)
                );
            }
        }
        Verdict::NoCycle { reasons, .. } => {
            let mut first = true;
            for (reason, line) in reasons.iter().take(SHOWN) {
                let start = if first {
                    "NO CYCLE, because "
                } else {
                    "  and because "
                };
                let _ = writeln!(
                    text,
                    "{}",
                    wrap(&format!("{start}{reason}{}.", at(*line)), width, 4)
                );
                first = false;
            }
        }
        Verdict::NotDecidable {
            unknown,
            get,
            looks_like,
        } => {
            let _ = writeln!(
                text,
                "{}",
                wrap(
                    &format!(
                        "NOT DECIDABLE: {}.",
                        unknown
                            .iter()
                            .take(SHOWN)
                            .cloned()
                            .collect::<Vec<_>>()
                            .join("; ")
                    ),
                    width,
                    2
                )
            );
            if let Some(looks) = looks_like {
                let _ = writeln!(
                    text,
                    "{}",
                    wrap(&format!("With what there is, {looks}."), width, 2)
                );
            }
            let _ = writeln!(text, "Get:");
            for what in get {
                let _ = writeln!(text, "  - {}", wrap(what, width - 4, 4));
            }
        }
    }
    text
}

fn at(line: u64) -> String {
    if line == 0 {
        String::new()
    } else {
        format!(" (line {line})")
    }
}

fn members(cycle: &Cycle) -> Vec<Who> {
    let mut who: Vec<Who> = cycle.edges.iter().map(|e| e.from).collect();
    who.dedup();
    who
}

fn cpus(d: &Diagnosis, width: usize) -> String {
    if d.situations.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n");
    // Those that wait first, then those that are stuck or awaited; the idle ones only as a number.
    let awaited = |s: &Situation| matches!(s.who, Who::Cpu(cpu) if d.stuck.contains_key(&cpu) || d.awaited.values().flatten().any(|t| t.cpu == cpu));
    let matters = |s: &&Situation| {
        s.doing.waits()
            || awaited(s)
            || !matches!(s.doing, Doing::Idle | Doing::User | Doing::Sleeps)
    };
    let shown: Vec<&Situation> = d.situations.iter().filter(matters).collect();
    for situation in shown.iter().take(SHOWN) {
        let _ = writeln!(text, "{}", wrap(&line(d, situation), width, 6));
    }
    if shown.len() > SHOWN {
        let _ = writeln!(
            text,
            "and {} more; --format json has them all",
            shown.len() - SHOWN
        );
    }
    let quiet = d.situations.len() - shown.len();
    if quiet > 0 {
        let _ = writeln!(text, "{quiet} more idle, in user mode, or asleep");
    }
    text
}

/// A CPU in one line.
#[must_use]
pub fn line(d: &Diagnosis, s: &Situation) -> String {
    let mut parts = Vec::new();
    let task = match &s.task {
        Some((comm, Some(pid))) => format!(" ({comm}/{pid}, line {})", s.line),
        Some((comm, None)) => format!(" ({comm}, line {})", s.line),
        None => format!(" (line {})", s.line),
    };
    let place = s
        .place
        .as_ref()
        .map_or(String::new(), |(f, line)| format!(" in {f} (line {line})"));
    let doing = match &s.doing {
        Doing::AwaitsAcks => {
            let cpu = if let Who::Cpu(cpu) = s.who {
                cpu
            } else {
                u32::MAX
            };
            match d.awaited.get(&cpu) {
                Some(targets) => {
                    let each: Vec<String> = targets
                        .iter()
                        .map(|t| format!("CPU{} ({}, line {})", t.cpu, t.words, t.line))
                        .collect();
                    format!("awaits acknowledgements of {}{place}", each.join(" and "))
                }
                None => format!("awaits acknowledgements{place}; whose is not printed"),
            }
        }
        Doing::Spins(lock) => format!(
            "spins for {}{}{place}",
            lock.words(),
            lock.address
                .as_ref()
                .map_or(String::new(), |(_, line)| at(*line))
        ),
        Doing::SleepsFor(lock) => format!("sleeps for {}{place}", lock.words()),
        Doing::Rendezvous { .. } => format!("waits for all CPUs{place}"),
        Doing::AwaitsHandler => format!("waits for the end of a handler{place}"),
        Doing::Sleeps => format!("sleeps{place}"),
        Doing::User => "in user mode".into(),
        Doing::Idle => format!("idle{place}"),
        Doing::Offline => "offline".into(),
        Doing::Stopped => format!("was stopped{place}"),
        Doing::Prints => format!("prints a report{place}: it runs"),
        Doing::Runs(_) => format!("runs{place}, waits for nobody"),
        Doing::NotKnown(function) => format!(
            "is in {function}, which is not known{}",
            at(s.place.as_ref().map_or(0, |p| p.1))
        ),
        Doing::NotShown(why) => why.clone(),
    };
    parts.push(doing);
    if let Some(irqs) = &s.irqs
        && !matches!(s.doing, Doing::User | Doing::Idle)
    {
        let how = match &irqs.how {
            How::Printed => format!("line {}", irqs.line),
            How::Inferred(why) => format!("inferred: {why}, line {}", irqs.line),
        };
        parts.push(format!(
            "interrupts {} ({how})",
            if irqs.on { "on" } else { "OFF" }
        ));
    }
    if s.context != Context::Task {
        let below = s
            .interrupted
            .first()
            .and_then(|f| f.first())
            .map_or(String::new(), |f| {
                format!(", having interrupted {} (line {})", f.function, f.line)
            });
        parts.push(format!("in a {}{below}", s.context.name()));
    }
    let path: Vec<&str> = s
        .frames
        .iter()
        .map(|f| &*f.function)
        .skip_while(|f| s.place.as_ref().is_none_or(|(p, _)| f != p))
        .skip(1)
        .take(4)
        .collect();
    if s.doing.waits() && !path.is_empty() {
        parts.push(format!("from {}", path.join(" < ")));
    }
    for held in &s.holds {
        parts.push(match &held.how {
            How::Printed => format!("holds {} (line {})", held.lock, held.line),
            How::Inferred(why) => {
                format!("holds {}, inferred: {why} (line {})", held.lock, held.line)
            }
        });
    }
    if let Who::Cpu(cpu) = s.who
        && let Some(Some(seconds)) = d.stuck.get(&cpu)
    {
        parts.push(format!("stuck for {seconds} s"));
    }
    if s.samples > 1 {
        parts.push(format!("the same place in {} dumps", s.samples));
    }
    format!("{}{task}: {}", s.who, parts.join("; "))
}

fn chain(cycle: &Cycle, width: usize) -> String {
    let mut text = String::from("\n");
    for edge in &cycle.edges {
        let missing = if edge.missing.is_some() {
            " -- not in the log"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "{}",
            wrap(
                &format!("{}{}{missing}", edge.words, at(edge.line)),
                width,
                4
            )
        );
    }
    text
}

/// The members of the cycle side by side, as the kernel's own reports draw them.
fn lanes(d: &Diagnosis, cycle: &Cycle) -> String {
    let who = members(cycle);
    if who.len() < 2
        || who.len() > 4
        || !who.iter().all(|w| d.situations.iter().any(|s| s.who == *w))
    {
        return String::new();
    }
    let mut columns: Vec<Vec<String>> = Vec::new();
    for w in &who {
        let s = d
            .situations
            .iter()
            .find(|s| s.who == *w)
            .expect("checked above");
        let mut column = vec![w.to_string(), "----".into()];
        column.extend(
            s.frames
                .iter()
                .rev()
                .take(5)
                .map(|f| f.function.chars().take(38).collect::<String>()),
        );
        if let Some(irqs) = &s.irqs {
            column.push(format!(
                "/* interrupts {} */",
                if irqs.on { "on" } else { "OFF" }
            ));
        }
        for edge in cycle.edges.iter().filter(|e| e.from == *w) {
            column.push(match &edge.wait {
                Wait::Acks => format!("/* awaits {} */", edge.to),
                Wait::Lock(lock) => {
                    let verb = if matches!(s.doing, Doing::SleepsFor(_)) {
                        "sleeps"
                    } else {
                        "spins"
                    };
                    match lock.address {
                        Some((address, _)) => format!("/* {verb} for {address:#x} */"),
                        None => format!("/* {verb} for a lock */"),
                    }
                }
                Wait::Rendezvous => "/* waits for all */".into(),
                Wait::Handler => "/* waits for a handler */".into(),
            });
        }
        columns.push(column);
    }
    let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::from("\n");
    for row in 0..rows {
        let mut line = String::from("  ");
        for column in &columns {
            let _ = write!(line, "{:<40}", column.get(row).map_or("", String::as_str));
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn notes(notes: &[Note], width: usize) -> String {
    let mut text = String::new();
    if !notes.is_empty() {
        text += "\nBesides:\n";
    }
    for note in notes.iter().take(SHOWN) {
        let _ = writeln!(
            text,
            "  - {}",
            wrap(&format!("{}{}", note.text, at(note.line)), width - 4, 4)
        );
    }
    text
}

/// Breaks a paragraph between words; what follows the first line is indented.
fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            let _ = write!(out, "\n{}", " ".repeat(indent));
            column = indent;
        } else if column > 0 || out.ends_with(' ') {
            out.push(' ');
            column += 1;
        } else if word.is_empty() {
            out.push(' ');
            column += 1;
            continue;
        }
        // Names out of the log may hold anything.
        out.extend(word.chars().map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        }));
        column += length;
    }
    out
}
