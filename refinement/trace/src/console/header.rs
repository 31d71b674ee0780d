//! The lines that start a dump of a CPU or of a task.

use super::collect::Stream;
use super::log::{Dump, Kind, Log};
use super::prefix::Cleaned;

/// A head, taken; false if the line is none.
pub(super) fn read(number: u64, line: Cleaned<'_>, stream: &mut Stream, log: &mut Log) -> bool {
    let text = line.text;
    let dump = |kind, cpu| Dump {
        kind,
        cpu,
        line: number,
        time: line.time,
        ..Dump::default()
    };
    match text.as_bytes()[0] {
        b'C' => {
            if let Some(rest) = text.strip_prefix("CPU: ")
                && let Some(cpu) = leading(rest)
                && (rest.contains("PID:") || rest.contains("Comm:"))
            {
                version(rest, log);
                let mut dump = dump(Kind::Cpu, Some(cpu));
                dump.pid = between(rest, "PID: ").and_then(|t| t.parse().ok());
                dump.comm = comm(rest);
                stream.begin(dump, log);
                return true;
            }
            // To 3.9: `CPU 14 `, `CPU1:`, and then the registers.
            if let Some(rest) = text.strip_prefix("CPU")
                && let Some(cpu) = leading(rest.trim_start())
            {
                let behind = rest
                    .trim_start()
                    .trim_start_matches(|c: char| c.is_ascii_digit())
                    .trim();
                if behind.is_empty() || behind == ":" {
                    stream.begin(dump(Kind::Cpu, Some(cpu)), log);
                    return true;
                }
            }
            false
        }
        b'N' => {
            let Some(rest) = text.strip_prefix("NMI backtrace for cpu ") else {
                return false;
            };
            let Some(cpu) = leading(rest) else {
                return true;
            };
            let mut dump = dump(Kind::Cpu, Some(cpu));
            dump.skipped_idle = rest.contains("skipped: idling");
            let idle = dump.skipped_idle;
            stream.begin(dump, log);
            if idle {
                stream.finish(log);
            }
            true
        }
        b'T' => {
            let Some(cpu) = text.strip_prefix("Task dump for CPU ").and_then(leading) else {
                return false;
            };
            stream.begin(dump(Kind::TaskDump, Some(cpu)), log);
            true
        }
        b'P' => {
            // `Pid: 1068, comm: x Not tainted (2.6.32)`.
            let Some(rest) = text.strip_prefix("Pid: ") else {
                return false;
            };
            let Some((pid, rest)) = rest.split_once(", comm: ") else {
                return false;
            };
            version(rest, log);
            let name = rest.split_whitespace().next().map(str::to_string);
            if let Some(open) = &mut stream.dump
                && open.items.is_empty()
            {
                (open.pid, open.comm) = (pid.parse().ok(), name);
                return true;
            }
            if let Some(cpu) = stream.expected {
                let mut dump = dump(Kind::Cpu, Some(cpu));
                (dump.pid, dump.comm) = (pid.parse().ok(), name);
                stream.begin(dump, log);
            }
            true
        }
        b't' => {
            // `task:x               state:D stack:0     pid:123 ...`.
            let Some(rest) = text.strip_prefix("task:") else {
                return false;
            };
            let Some((name, rest)) = rest.split_once("state:") else {
                return false;
            };
            let pid = between(rest, "pid:").and_then(|t| t.parse().ok());
            task(
                name.trim(),
                pid,
                rest.starts_with('R'),
                dump(Kind::Task, None),
                stream,
                log,
            );
            true
        }
        _ => old_task(text, dump(Kind::Task, None), stream, log),
    }
}

/// `x   D ffff88003e   0  123    1 0x00000080`, `x   R  running task    0 20931    1 0x00080000`.
fn old_task(text: &str, dump: Dump, stream: &mut Stream, log: &mut Log) -> bool {
    if !text.contains(" 0x") {
        return false;
    }
    let words: Vec<&str> = text.split_whitespace().take(12).collect();
    let n = words.len();
    if !(6..=11).contains(&n)
        || !matches!(
            words[1],
            "R" | "S" | "D" | "T" | "t" | "Z" | "X" | "I" | "K"
        )
    {
        return false;
    }
    let numbers = words[n - 4..n - 1]
        .iter()
        .all(|w| w.bytes().all(|b| b.is_ascii_digit()));
    if !numbers || !words[n - 1].starts_with("0x") {
        return false;
    }
    task(
        words[0],
        words[n - 3].parse().ok(),
        words[1] == "R",
        dump,
        stream,
        log,
    );
    true
}

/// A task's head: of the CPU whose `Task dump` is open, or of a task by itself.
fn task(
    name: &str,
    pid: Option<u32>,
    _runs: bool,
    mut dump: Dump,
    stream: &mut Stream,
    log: &mut Log,
) {
    if let Some(open) = &mut stream.dump
        && open.kind == Kind::TaskDump
        && open.items.is_empty()
    {
        (open.comm, open.pid) = (Some(name.to_string()), pid);
        return;
    }
    (dump.comm, dump.pid) = (Some(name.to_string()), pid);
    stream.finish(log);
    stream.begin(dump, log);
}

/// A number at the start of a text.
pub(super) fn leading(text: &str) -> Option<u32> {
    let end = text
        .bytes()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok().filter(|cpu| *cpu < 65_536)
}

/// The word behind a name.
pub(super) fn between<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let at = text.find(name)? + name.len();
    text[at..]
        .split([' ', ',', ']', '\t'])
        .find(|w| !w.is_empty())
}

/// The name of a task, which may have blanks: up to what the kernel prints behind it.
fn comm(text: &str) -> Option<String> {
    let at = text.find("Comm: ")? + 6;
    let rest = &text[at..];
    let end = ["Not tainted", "Tainted:", "Kdump:"]
        .iter()
        .filter_map(|w| rest.find(w))
        .min();
    let name = match end {
        Some(end) => rest[..end].trim(),
        None => rest.split(' ').next().unwrap_or(""),
    };
    (!name.is_empty()).then(|| name.chars().take(32).collect())
}

/// The kernel's version behind its taint.
fn version(text: &str, log: &mut Log) {
    if log.version.is_some() {
        return;
    }
    log.version = text.split([' ', '(']).filter_map(release).next_back();
}

/// `4.15.0-15-generic` to (4, 15).
pub(super) fn release(word: &str) -> Option<(u32, u32)> {
    let mut parts = word.split('.');
    let major: u32 = parts.next()?.parse().ok().filter(|m| (2..=9).contains(m))?;
    let minor = parts.next()?;
    let digits = minor
        .bytes()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(minor.len());
    let minor = minor[..digits].parse().ok()?;
    (parts.next().is_some() || minor > 0).then_some((major, minor))
}
