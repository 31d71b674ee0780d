//! Debuggers and emulators: crash's `bt -a`, gdb's `thread apply all bt`, QEMU's `info registers -a` and `info cpus`.

use super::collect::Stream;
use super::frame::Marker;
use super::frame::{debugger_frame, named};
use super::header::leading;
use super::log::{Dump, Item, Kind, Log};

/// What a debugger prints where its answer has ended.
const PROMPTS: [&str; 3] = ["crash>", "(gdb)", "(qemu)"];

/// A line of a debugger's, taken.
pub(super) fn read(number: u64, text: &str, stream: &mut Stream, log: &mut Log) -> bool {
    let dump = |kind, cpu| Dump {
        kind,
        cpu: Some(cpu),
        line: number,
        ..Dump::default()
    };
    if PROMPTS.iter().any(|prompt| text.starts_with(prompt)) {
        log.list_ended = log.listed.is_some();
        return true;
    }
    match text.as_bytes()[0] {
        b'#' => {
            let Some(n) = leading(&text[1..]).filter(|_| stream.dump.is_some()) else {
                return debugger_frame(text, number).is_some();
            };
            if n != std::mem::replace(&mut stream.next_frame, n.saturating_add(1)) {
                // Frames are numbered: lines are missing, and what follows may be another CPU's.
                stream.finish(log);
                log.orphan.get_or_insert(number);
            } else if let Some((_, frame)) = debugger_frame(text, number) {
                if let Some(dump) = stream.dump.as_mut().filter(|_| n == 0) {
                    dump.numbered = true;
                }
                push(stream, Item::Frame(frame));
            }
            true
        }
        b'T' => {
            let Some(rest) = text.strip_prefix("Thread ") else {
                return false;
            };
            let Some(cpu) = rest.find("(CPU#").and_then(|at| leading(&rest[at + 5..])) else {
                // A thread of a process, as gdb shows them: no CPU of a kernel.
                return rest.starts_with(|c: char| c.is_ascii_digit());
            };
            let threads = leading(rest).unwrap_or(1);
            log.list(cpu.max(threads.saturating_sub(1)));
            // gdb counts down, and the first thread is the last.
            log.list_ended = threads == 1;
            let mut dump = dump(Kind::Cpu, cpu);
            dump.skipped_idle = rest.contains("[halted");
            stream.begin(dump, log);
            true
        }
        b'C' | b'*' => {
            // QEMU: `CPU#0`, `* CPU #0: pc=0xffffffff81 (halted) thread_id=3`.
            let rest = text.trim_start_matches(['*', ' ']);
            let Some(rest) = rest
                .strip_prefix("CPU#")
                .or_else(|| rest.strip_prefix("CPU #"))
            else {
                return false;
            };
            let Some(cpu) = leading(rest) else {
                return false;
            };
            let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim();
            if !behind.is_empty() && !behind.starts_with(':') {
                return false;
            }
            log.list(cpu);
            let mut dump = dump(Kind::Registers, cpu);
            dump.skipped_idle = behind.contains("(halted)");
            stream.begin(dump, log);
            true
        }
        b'P' => {
            // crash: `PID: 1234   TASK: ffff88  CPU: 3   COMMAND: "x"`.
            let Some(rest) = text.strip_prefix("PID: ") else {
                return false;
            };
            let Some(cpu) = rest
                .find("CPU: ")
                .and_then(|at| leading(&rest[at + 5..]))
                .filter(|_| rest.contains("COMMAND:"))
            else {
                return false;
            };
            log.list(cpu);
            let mut dump = dump(Kind::Cpu, cpu);
            dump.pid = leading(rest);
            let name = rest
                .split_once("COMMAND: ")
                .map(|(_, name)| name.trim().trim_matches('"'));
            dump.comm = name.map(|n| n.chars().take(32).collect());
            stream.begin(dump, log);
            true
        }
        b'[' => {
            // crash: `[exception RIP: f+355]`, `[exception EIP: f+1]`.
            let Some(rest) = text.strip_prefix("[exception ") else {
                return false;
            };
            let Some((_, at)) = rest.split_once(": ") else {
                return false;
            };
            let name = at.split(['+', ']', ' ']).next().unwrap_or("");
            push(
                stream,
                Item::At(named(name, true, number), name.starts_with("unknown")),
            );
            true
        }
        b'-' => {
            // crash: `--- <NMI exception stack> ---`, `--- <IRQ stack> ---`.
            if !text.starts_with("--- <") {
                return false;
            }
            push(stream, Item::Marker(Marker::Interrupted, number));
            true
        }
        b'E' | b'R' => {
            if stream
                .dump
                .as_ref()
                .is_some_and(|d| d.kind == Kind::Registers)
                && text.contains(" HLT=1")
                && let Some(dump) = &mut stream.dump
            {
                dump.skipped_idle = true;
            }
            false
        }
        _ => false,
    }
}

fn push(stream: &mut Stream, item: Item) {
    if let Some(dump) = &mut stream.dump
        && dump.items.len() < super::log::LONGEST_DUMP
    {
        dump.items.push(item);
    }
}
