//! Lines between the events: lost events, frames of stacks, and what `trace-cmd` adds.

use super::cursor::{blanks, decimal};
use super::{MOST_CPUS, Parsed};

/// `CPU:0 [LOST 849 EVENTS]`, `CPU:0 [849 EVENTS DROPPED]`, both also without the number; `CPU 0 is empty`, `cpus=2`.
pub fn cpu(rest: &[u8]) -> Option<Parsed<'static>> {
    let text = std::str::from_utf8(rest).ok()?.trim_end();
    if let Some(cpus) = text.strip_prefix("cpus=") {
        return cpus
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then_some(Parsed::Comment);
    }
    if let Some(cpu) = text.strip_prefix("CPU ") {
        return cpu.ends_with("is empty").then_some(Parsed::Comment);
    }
    let (cpu, what) = text.strip_prefix("CPU:")?.split_once(' ')?;
    let what = what.trim().strip_prefix('[')?.strip_suffix(']')?;
    let what = match what.strip_prefix("LOST") {
        Some(lost) => lost.strip_suffix("EVENTS")?,
        None => what.strip_suffix("EVENTS DROPPED")?,
    };
    let cpu = decimal(cpu.as_bytes()).filter(|cpu| *cpu < MOST_CPUS)?;
    let events = match what.trim() {
        "" => None,
        number => Some(decimal(number.as_bytes())?),
    };
    Some(Parsed::Lost(cpu as u16, events))
}

/// ` => function+0x1/0x2`, `=> function (ffffffff81a0006e)`, and perf's `\tffffffff81a0006e function+0x1 ([kernel])`.
pub fn frame(line: &[u8]) -> Option<Parsed<'_>> {
    let start = blanks(line);
    let rest = &line[start..];
    if let Some(frame) = rest.strip_prefix(b"=>") {
        let frame = &frame[blanks(frame)..];
        let end = frame.iter().position(|b| *b == b' ').unwrap_or(frame.len());
        return Some(Parsed::Frame(&frame[..end]));
    }
    if start == 0 {
        return None;
    }
    let digits = rest.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (address, behind) = rest.split_at(digits);
    let name = &behind[blanks(behind)..];
    let module = name.ends_with(b")") && name.contains(&b'(');
    let perf = address.len() >= 5 && behind.starts_with(b" ") && (module || line[0] == b'\t');
    perf.then(|| {
        let end = name.iter().position(|b| *b == b' ').unwrap_or(name.len());
        Parsed::Frame(&name[..end])
    })
}
