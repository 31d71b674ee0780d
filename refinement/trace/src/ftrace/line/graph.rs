//! `function_graph`: `CPU) DURATION | function() {`, and events as comments between.
//!
//! Which task runs is told where it changes (` 0)  a-1  =>  b-2`), or by the option `funcgraph-proc`; interrupts by their
//! arrows, or by flags.

use super::cursor::{Cursor, blanks, decimal};
use super::flags::flags;
use super::{Flags, Legend, Level, Line, MOST_CPUS, Parsed, Shape};
use crate::ftrace::place::{Task, Time, Unit};
use std::collections::BTreeMap;

/// What the lines before this one said.
#[derive(Debug, Default)]
pub struct Graph {
    cpus: BTreeMap<u16, Running>,
    lines: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Running {
    task: Option<Task>,
    interrupts: u32,
}

impl Graph {
    /// Reads the line, if it is one.
    pub fn parse<'a>(
        &mut self,
        bytes: &'a [u8],
        start: usize,
        legend: &Legend,
    ) -> Option<Parsed<'a>> {
        let mut cursor = Cursor { bytes, at: start };
        cursor.blanks();
        let mark = cursor.at;
        // `funcgraph-abstime`
        let time = cursor.time().ok().filter(|time| time.unit != Unit::Count);
        cursor.blanks();
        if time.is_none() || !cursor.eat(b'|') {
            cursor.at = mark;
        }
        cursor.blanks();
        let cpu = cursor.number().filter(|cpu| *cpu < MOST_CPUS)? as u16;
        if !cursor.eat(b')') {
            return None;
        }
        let rest = cursor.rest();
        let running = self.cpus.entry(cpu).or_default();
        if let Some(arrow) = memchr::memmem::find(rest, b" => ")
            && !rest.contains(&b'|')
        {
            running.task = task(rest[arrow + 4..].trim_ascii());
            return Some(Parsed::Comment);
        }
        self.lines += 1;
        let bar = rest.iter().position(|b| *b == b'|')?;
        // `funcgraph-proc`: a task before another bar.
        let (bar, named) = match task(rest[..bar].trim_ascii()) {
            Some(task) => {
                let next = rest[bar + 1..].iter().position(|b| *b == b'|');
                (bar + 1 + next?, Some((task, bar + 1)))
            }
            None => (bar, None),
        };
        running.task = named.map(|(task, _)| task).or(running.task);
        let between = &rest[named.map_or(0, |(_, from)| from)..bar];
        if memchr::memmem::find(between, b"==========>").is_some() {
            running.interrupts += 1;
            return Some(Parsed::Comment);
        }
        if memchr::memmem::find(between, b"<==========").is_some() {
            running.interrupts = running.interrupts.saturating_sub(1);
            return Some(Parsed::Comment);
        }
        let token = between
            .trim_ascii()
            .split(|b| *b == b' ')
            .next()
            .unwrap_or(b"");
        let printed = flags(token, legend).filter(|_| !token.contains(&b'|') && token.len() >= 4);
        let by_arrows = (running.interrupts > 0).then_some(Flags {
            irqs_off: None,
            bh_off: false,
            level: Level::Hardirq,
        });
        let content = cursor.at + bar + 1;
        let content = content + blanks(&bytes[content..]);
        let text = bytes[content..].trim_ascii_end();
        let line = |event, args, column| Line {
            shape: Shape::Graph,
            task: running.task.unwrap_or(Task::new(b"<...>", 0)),
            cpu,
            flags: printed.or(by_arrows),
            time: time.unwrap_or(Time {
                value: self.lines,
                unit: Unit::Count,
            }),
            event,
            args,
            column,
        };
        let Some(comment) = text.strip_prefix(b"/*") else {
            return Some(Parsed::Event(line(b"(function tracer)", text, content + 1)));
        };
        let Some(inside) = comment.strip_suffix(b"*/") else {
            return Some(Parsed::Malformed(super::Malformed {
                column: bytes.len() + 1,
                reason: "the line ends inside the comment that an event is in",
            }));
        };
        let skipped = blanks(inside);
        let inside = inside[skipped..].trim_ascii_end();
        let name = inside
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
            .count();
        if inside.get(name) != Some(&b':') {
            return Some(Parsed::Event(line(b"(comment)", inside, content + 1)));
        }
        let args = name + 1 + blanks(&inside[name + 1..]);
        Some(Parsed::Event(line(
            &inside[..name],
            &inside[args..],
            content + 2 + skipped + args + 1,
        )))
    }
}

/// `walker-402`.
fn task(text: &[u8]) -> Option<Task> {
    let dash = text.iter().rposition(|b| *b == b'-')?;
    let pid = decimal(&text[dash + 1..])?;
    Some(Task::new(
        text[..dash].trim_ascii(),
        u32::try_from(pid).ok()?,
    ))
}
