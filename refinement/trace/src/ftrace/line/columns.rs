//! `TASK-PID [CPU] FLAGS TIME: EVENT: ARGS` and `TASK-PID CPUFLAGS TIMEus : EVENT: ARGS`.

use super::cursor::{Cursor, blanks};
use super::flags::flags;
use super::{LONGEST_NAME, Legend, Line, MOST_CPUS, Malformed, Parsed, Shape};
use crate::ftrace::place::Task;

/// Events whose names may be cut short by damage: then it is not something else that has no name.
const CUT: &[&str] = &[
    "lock_",
    "irq_",
    "csd_",
    "ipi_",
    "tlb_",
    "contention_",
    "call_function_",
];

/// Reads the line, from `first` on.
pub fn parse<'a>(bytes: &'a [u8], start: usize, legend: &Legend) -> Option<Parsed<'a>> {
    let first = start + blanks(&bytes[start..]);
    let rest = &bytes[first..];
    // A name may hold dashes, blanks and what looks like the columns after it, but it is short: the last dash that
    // fits is the one.
    let within = rest.len().min(LONGEST_NAME + 1);
    for dash in (0..within).rev().filter(|&at| rest[at] == b'-') {
        let mut cursor = Cursor {
            bytes,
            at: first + dash + 1,
        };
        if let Some((shape, pid, cpu)) = columns(&mut cursor) {
            let task = Task::new(&rest[..dash], pid);
            return Some(match line(&mut cursor, shape, task, cpu, legend) {
                Ok(line) => Parsed::Event(line),
                Err(malformed) => Parsed::Malformed(malformed),
            });
        }
    }
    None
}

/// From behind the dash to behind the CPU, if this looks like it: shape, pid, CPU.
fn columns(cursor: &mut Cursor<'_>) -> Option<(Shape, u32, u16)> {
    let pid = u32::try_from(cursor.number()?).ok()?;
    cursor.blanks();
    if cursor.eat(b'(') {
        // The option `record-tgid`.
        cursor.take(|b| b.is_ascii_digit() || b == b' ' || b == b'-');
        if !cursor.eat(b')') {
            return None;
        }
        cursor.blanks();
    }
    let shape = if cursor.eat(b'[') {
        Shape::Table
    } else {
        Shape::Dump
    };
    let cpu = cursor.number().filter(|cpu| *cpu < MOST_CPUS)?;
    let fits = match shape {
        Shape::Table => cursor.eat(b']'),
        _ => matches!(cursor.peek(), Some(b'.' | b'd' | b'D' | b'b' | b'X')),
    };
    fits.then_some((shape, pid, cpu as u16))
}

fn line<'a>(
    cursor: &mut Cursor<'a>,
    shape: Shape,
    task: Task,
    cpu: u16,
    legend: &Legend,
) -> Result<Line<'a>, Malformed> {
    cursor.blanks();
    let at = cursor.at;
    let token = cursor.take(|b| b != b' ');
    let flags = if shape == Shape::Table && token.first().is_some_and(u8::is_ascii_digit) {
        cursor.at = at;
        None
    } else {
        Some(flags(token, legend).ok_or(Malformed {
            column: at + 1,
            reason: if token.is_empty() {
                "the line ends before the flags"
            } else {
                "these are no flags (`d..1.` and the like)"
            },
        })?)
    };
    cursor.blanks();
    let time = cursor.time()?;
    if shape == Shape::Dump && cursor.peek() != Some(b':') {
        // The mark of a long pause: ` `, `+`, `!`, `#`, `*`, `@`, `$`.
        cursor.at += usize::from(cursor.peek().is_some());
    }
    if !cursor.eat(b':') {
        return cursor.wrong(if cursor.peek().is_none() {
            "the line ends inside the time"
        } else {
            "no `:` behind the time"
        });
    }
    cursor.blanks();
    if cursor.rest().starts_with(b"(+") {
        // `trace-cmd report --ts-diff`
        cursor.take(|b| b != b')');
        cursor.eat(b')');
        cursor.blanks();
    }
    let (event, args) = event(cursor, legend)?;
    Ok(Line {
        shape,
        task,
        cpu,
        flags,
        time,
        event,
        args: &cursor.bytes[args..],
        column: args + 1,
    })
}

/// The event's name, and where its arguments start.
fn event<'a>(cursor: &mut Cursor<'a>, legend: &Legend) -> Result<(&'a [u8], usize), Malformed> {
    let start = cursor.at;
    let name = cursor.take(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !name.is_empty() && cursor.eat(b':') {
        cursor.blanks();
        return Ok((name, cursor.at));
    }
    match other(&cursor.bytes[start..], name, legend) {
        Some(kind) => Ok((kind, start)),
        None => cursor.wrong("the line ends before the `:` behind the event's name"),
    }
}

/// What is no event and yet no damage.
fn other(rest: &[u8], name: &[u8], legend: &Legend) -> Option<&'static [u8]> {
    let behind = &rest[name.len()..];
    if rest.starts_with(b"<stack trace") || rest.starts_with(b"<user stack trace") {
        return Some(b"(stack)");
    }
    if rest.windows(2).any(|w| w == b"<-") || rest.contains(&b'|') {
        return Some(b"(function tracer)");
    }
    if !name.is_empty() && (behind.starts_with(b"(") || behind.starts_with(b" -> ")) {
        return Some(b"(system call)");
    }
    // trace_printk and trace_marker: the place that printed.
    let place = behind.first() == Some(&b'+') || rest.starts_with(b"0x");
    if !name.is_empty() && place && rest.contains(&b':') {
        return Some(b"(trace_printk)");
    }
    let cut = rest.is_empty()
        || CUT.iter().any(|event| {
            let event = event.as_bytes();
            let n = event.len().min(name.len());
            name.starts_with(event) || (behind.is_empty() && name[..n] == event[..n])
        });
    (legend.has_own_lines() && !cut).then_some(b"(line of another tracer)")
}
