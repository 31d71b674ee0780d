//! `perf script`: `COMM PID[/TID] [CPU] TIME: [PERIOD] SYSTEM:EVENT: ARGS`.

use super::cursor::Cursor;
use super::{Line, MOST_CPUS, Malformed, Parsed, Shape};
use crate::ftrace::place::Task;

/// Reads the line, if it is one.
pub fn parse(bytes: &[u8], start: usize) -> Option<Parsed<'_>> {
    let colon = start + memchr::memchr(b':', &bytes[start..])?;
    // From the first colon back: the time, the CPU, the thread.
    let head = &bytes[start..colon];
    let digits = head
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_digit() || **b == b'.')
        .count();
    let (before, time) = head.split_at(head.len() - digits);
    if !time.contains(&b'.') {
        return None;
    }
    let before = before.trim_ascii_end();
    let (before, cpu) = match before.strip_suffix(b"]") {
        Some(inside) => {
            let open = inside.iter().rposition(|b| *b == b'[')?;
            let cpu = super::cursor::decimal(inside[open + 1..].trim_ascii())?;
            (
                before[..open].trim_ascii(),
                Some(cpu).filter(|cpu| *cpu < MOST_CPUS),
            )
        }
        None => (before.trim_ascii(), None),
    };
    let at = before.iter().rposition(|b| matches!(b, b' ' | b'\t'))?;
    let (name, ids) = (before[..at].trim_ascii(), &before[at + 1..]);
    let tid = ids.rsplit(|b| *b == b'/').next()?;
    let tid = tid.strip_prefix(b"-").unwrap_or(tid);
    let tid = u32::try_from(super::cursor::decimal(tid)?).ok()?;
    let mut cursor = Cursor {
        bytes,
        at: colon + 1,
    };
    let time = Cursor { bytes: time, at: 0 }.time().ok()?;
    cursor.blanks();
    // `-F period`, and what `perf record -c` and -g bring.
    let mark = cursor.at;
    cursor.take(|b| b.is_ascii_digit());
    if cursor.at == mark || !matches!(cursor.peek(), Some(b' ' | b'\t')) {
        cursor.at = mark;
    }
    cursor.blanks();
    let mark = cursor.at;
    let name_of = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
    let mut event = cursor.take(name_of);
    if event.is_empty() || !cursor.eat(b':') {
        // What `-F` leaves out, or the end of a line that was cut.
        return Some(Parsed::Malformed(Malformed {
            column: mark + 1,
            reason: "no event behind the time, as `perf script` prints it: it needs the fields comm,tid,cpu,time,event,trace",
        }));
    }
    let system = cursor.at;
    let second = cursor.take(name_of);
    if !second.is_empty() && cursor.eat(b':') {
        event = second;
    } else {
        cursor.at = system;
    }
    // Modifiers of the event: `cycles:u:`.
    cursor.blanks();
    let Some(cpu) = cpu else {
        return Some(Parsed::Malformed(Malformed {
            column: start + 1,
            reason: "no CPU here: `perf script -F +cpu` prints it, after `perf record -a`",
        }));
    };
    Some(Parsed::Event(Line {
        shape: Shape::Perf,
        task: Task::new(name, tid),
        cpu: cpu as u16,
        flags: None,
        time,
        event,
        args: cursor.rest(),
        column: cursor.at + 1,
    }))
}
