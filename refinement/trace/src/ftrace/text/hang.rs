//! A hang: who holds, who waits, and which acknowledgement never came.

use super::SHOWN;
use crate::ftrace::hang::{Hang, Row, Standing, Wait, spins};
use crate::paragraph::wrap;
use std::fmt::Write as _;

/// A hang: the sentence, the columns, and each context.
pub fn hang(hang: &Hang, width: usize) -> String {
    let mut text = format!(
        "DEADLOCK{}:\n  {}\n",
        likely(hang),
        wrap(&hang.sentence, width - 2, 2)
    );
    for what in &hang.assumes {
        let _ = writeln!(
            text,
            "  {}",
            wrap(
                &format!("That takes for granted that {what}."),
                width - 2,
                2
            )
        );
    }
    text.push('\n');
    text += &columns(hang, width);
    text.push('\n');
    for (standings, head) in [
        (&hang.cycle, "wait for each other"),
        (&hang.bystanders, "wait for them"),
    ] {
        if standings.is_empty() {
            continue;
        }
        let _ = writeln!(text, "These {head}:");
        standings.iter().for_each(|s| text += &describe(s, width));
    }
    text
}

/// How certain it is.
pub fn likely(hang: &Hang) -> &'static str {
    if hang.assumes.is_empty() {
        ""
    } else {
        ", very likely"
    }
}

/// The rows, a column for each CPU.
fn columns(hang: &Hang, width: usize) -> String {
    let all = || hang.cycle.iter().chain(&hang.bystanders);
    let mut cpus: Vec<u16> = hang.rows.iter().map(|r| r.cpu).collect();
    cpus.extend(all().map(|s| s.cpu));
    cpus.sort_unstable();
    cpus.dedup();
    let lane = (width.saturating_sub(12) / cpus.len().max(1))
        .clamp(20, 48)
        .saturating_sub(2);
    let task = |cpu: u16| all().find(|s| s.cpu == cpu).map(|s| format!(" {}", s.task));
    let mut text = format!("  {:>8}", "line");
    for cpu in &cpus {
        let _ = write!(
            text,
            "  {:<lane$}",
            format!("CPU{cpu}{}", task(*cpu).unwrap_or_default())
        );
    }
    text = format!("{}\n", text.trim_end());
    for Row {
        line,
        cpu,
        text: what,
        ..
    } in &hang.rows
    {
        let at = cpus.iter().position(|c| c == cpu).unwrap_or(0);
        let blank = " ".repeat(at * (lane + 2));
        for (n, part) in wrap(what, lane, 2).lines().enumerate() {
            let number = if n == 0 {
                line.to_string()
            } else {
                String::new()
            };
            let _ = writeln!(text, "  {number:>8}  {blank}{part}");
        }
    }
    text
}

/// A context that waits, in words.
fn describe(s: &Standing, width: usize) -> String {
    let mut lines = Vec::new();
    if s.irqs_off {
        lines.push(match &s.off {
            Some(off) => format!(
                "interrupts off since line {}: {} from {}{}",
                off.place.line,
                off.caller,
                off.parent,
                stack(&off.stack)
            ),
            None => "interrupts off".into(),
        });
    }
    for lock in &s.holds {
        lines.push(format!(
            "holds {} {} since line {}",
            lock.class, lock.address, lock.since.line
        ));
    }
    match &s.wait {
        Wait::Lock {
            lock,
            contended,
            holders,
        } => {
            let found = contended.map_or(String::new(), |c| {
                format!(", found taken in line {}", c.line)
            });
            let by = match &holders[..] {
                [] => "by nobody seen to take it".into(),
                names => format!("by {}", names.join(", ")),
            };
            lines.push(format!(
                "{} for {} {} since line {}{found}; held {by}",
                spins(&lock.class),
                lock.class,
                lock.address,
                lock.since.line
            ));
        }
        Wait::Acknowledgements { requests, told, .. } => {
            if let Some(told) = told.as_ref().filter(|_| requests.is_empty()) {
                lines.push(format!(
                    "awaits the acknowledgements of its flush, line {}: the requests are not recorded",
                    told.place.line
                ));
            }
            for r in requests {
                let what = format!(
                    "CPU{}'s acknowledgement of {}{}, line {}",
                    r.target,
                    r.function(),
                    r.csd(),
                    r.queued.line
                );
                lines.push(match &r.answered {
                    Some(answered) => format!("has {what}: came in line {}", answered.line),
                    None if r.out_of_sight => format!(
                        "awaits {what}: not seen, events of CPU{} are missing",
                        r.target
                    ),
                    None => format!("awaits {what}: never came"),
                });
            }
        }
        Wait::Interrupt => lines.push("stands still below the interrupt".into()),
    }
    let waited = s.waited.as_ref().map_or(String::new(), |w| {
        format!("for {w}, to the end of the trace; ")
    });
    lines.push(format!("{waited}last line of its CPU: {}", s.last.line));
    if !s.frames.is_empty() {
        lines.push(format!("stack there: {}", s.frames.join(" < ")));
    }
    if let Some(stack) = &s.stack {
        lines.push(format!(
            "stack of its CPU on the console, line {}: {}",
            stack.line,
            stack.frames.join(" < ")
        ));
    }
    let mut text = format!("  {}\n", s.who());
    for line in lines {
        let _ = writeln!(text, "    {}", wrap(&line, width - 4, 6));
    }
    text
}

fn stack(frames: &[String]) -> String {
    if frames.is_empty() {
        return String::new();
    }
    format!(", in {}", frames.join(" < "))
}

pub(super) fn standing(standing: &[Standing], width: usize) -> String {
    if standing.is_empty() {
        return String::new();
    }
    let mut text =
        "\nWaits where the trace ends, which may still end as far as it shows:\n".to_string();
    standing
        .iter()
        .take(SHOWN)
        .for_each(|s| text += &describe(s, width));
    if standing.len() > SHOWN {
        let _ = writeln!(text, "  and {} more", standing.len() - SHOWN);
    }
    text
}
