//! LTTng's text: `[TIME] (+DELTA) HOST EVENT: { cpu_id = 1 }, { procname = "a", pid = 3 }, { FIELDS }`.

use super::cursor::decimal;
use super::{Line, MOST_CPUS, Malformed, Parsed, Shape};
use crate::ftrace::event::field;
use crate::ftrace::place::{Task, Time, Unit};

/// Reads the line, if it is one.
pub fn parse(bytes: &[u8], start: usize) -> Option<Parsed<'_>> {
    let line = bytes[start..].strip_prefix(b"[")?;
    let close = memchr::memchr(b']', line)?;
    let time = time(&line[..close])?;
    let brace = close + memchr::memmem::find(&line[close..], b": { ")?;
    let head = line[close + 1..brace].trim_ascii();
    let at = head.iter().rposition(|b| *b == b' ').map_or(0, |at| at + 1);
    let name = &head[at..];
    let event = name.rsplit(|b| *b == b':').next().unwrap_or(name);
    let args = &line[brace + 2..];
    let column = bytes.len() - args.len() + 1;
    let wrong = |reason| Some(Parsed::Malformed(Malformed { column, reason }));
    let Ok(text) = std::str::from_utf8(args) else {
        return wrong("not UTF-8");
    };
    if !text.trim_end().ends_with('}') {
        return wrong("the line ends inside its braces");
    }
    let cpu = field(text, "cpu_id").and_then(|cpu| decimal(cpu.as_bytes()));
    let Some(cpu) = cpu.filter(|cpu| *cpu < MOST_CPUS) else {
        return wrong("no `cpu_id = ` here, and so no CPU");
    };
    let id = ["tid", "vtid", "pid", "vpid"];
    let id = id
        .iter()
        .find_map(|key| field(text, key)?.parse().ok())
        .unwrap_or(0);
    Some(Parsed::Event(Line {
        shape: Shape::Lttng,
        task: Task::new(field(text, "procname").unwrap_or("<...>").as_bytes(), id),
        cpu: cpu as u16,
        flags: None,
        time,
        event,
        args,
        column,
    }))
}

/// `14:02:06.300100117`, with a date before it or not, or seconds: `1234.567890123`.
fn time(text: &[u8]) -> Option<Time> {
    let clock = text.rsplit(|b| *b == b' ').next()?;
    let (whole, fraction) = clock.split_at(clock.iter().position(|b| *b == b'.')?);
    let seconds = whole
        .split(|b| *b == b':')
        .try_fold(0_u64, |seconds, part| {
            seconds.checked_mul(60)?.checked_add(decimal(part)?)
        })?;
    let digits = &fraction[1..];
    let micros = decimal(digits.get(..digits.len().min(6))?)?;
    Some(Time {
        value: seconds.checked_mul(1_000_000)?.checked_add(micros)?,
        unit: Unit::Seconds,
    })
}
