//! Lines to dumps: which line belongs to which CPU's dump.
//!
//! CPUs print at the same time. Where printk says who printed (`CONFIG_PRINTK_CALLER`), each caller has a stream of its
//! own; otherwise a line belongs to the last `CPU:` line, and a dump that then says a thing twice is marked as garbled.

use super::frame::{self, Frame, Marker};
use super::log::{Dump, Item, Kind, LONGEST_DUMP, Log, MOST};
use super::prefix::{Caller, Cleaned, strip};
use super::registers::{self, Registers, Said};
use super::{debugger, events, header, lockdep};
use std::collections::HashMap;

/// Lines of no dump that end one: what follows belongs to nobody.
const PATIENCE: u32 = 400;

/// Collects a log line by line.
#[derive(Debug, Default)]
pub struct Collector {
    /// What there is so far.
    pub log: Log,
    streams: HashMap<Option<Caller>, Stream>,
    locks: lockdep::Reader,
}

/// What one caller prints.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) dump: Option<Dump>,
    /// A CPU that was named and whose dump is to come.
    pub(super) expected: Option<u32>,
    /// The line of a warning or an oops whose dump is to come.
    pub(super) oops: Option<u64>,
    in_trace: bool,
    /// The last line if it stopped short.
    open: Option<String>,
    strangers: u32,
}

impl Stream {
    /// Starts a dump; the one before is finished.
    pub(super) fn begin(&mut self, dump: Dump, log: &mut Log) {
        // Two heads of the same CPU without anything between are one: `NMI backtrace for cpu 3`, `CPU: 3 PID: ...`.
        if let Some(open) = &mut self.dump
            && open.items.is_empty()
            && open.cpu == dump.cpu
            && open.kind == dump.kind
        {
            open.comm = dump.comm.or(open.comm.take());
            open.pid = dump.pid.or(open.pid);
            return;
        }
        // A head with nothing behind it, and another CPU's head at once: their lines will be mixed.
        let mixed = self.dump.as_ref().is_some_and(|open| {
            open.items.is_empty()
                && !open.skipped_idle
                && open.kind == Kind::Cpu
                && open.line + 2 >= dump.line
                && open.cpu != dump.cpu
        });
        self.finish(log);
        self.in_trace = false;
        self.strangers = 0;
        self.expected = None;
        let mut dump = dump;
        dump.oops = self
            .oops
            .take()
            .filter(|line| line + 60 > dump.line && dump.kind == Kind::Cpu);
        if mixed {
            dump.garbled = Some(dump.line);
        }
        self.dump = Some(dump);
    }

    pub(super) fn finish(&mut self, log: &mut Log) {
        if let Some(dump) = self.dump.take()
            && (!dump.items.is_empty() || dump.skipped_idle)
        {
            log.keep(dump);
        }
        self.in_trace = false;
    }

    fn item(&mut self, item: Item) {
        if let Some(dump) = &mut self.dump
            && dump.items.len() < LONGEST_DUMP
        {
            dump.items.push(item);
        }
        self.strangers = 0;
    }
}

impl Collector {
    /// A line, decompressed and out of its mail. `whole` is false for the last line of a file without a line feed.
    pub fn line(&mut self, number: u64, text: &str, whole: bool) {
        self.log.lines = self.log.lines.max(number);
        let mut cleaned = strip(text);
        if cleaned.time.is_none() {
            cleaned = resync(cleaned);
        }
        if cleaned.text.is_empty() {
            return;
        }
        let key = match cleaned.caller {
            key if self.streams.len() < MOST || self.streams.contains_key(&key) => key,
            _ => None,
        };
        let mut stream = self.streams.remove(&key).unwrap_or_default();
        // A cut line tells nothing, except by the words that stand before the cut.
        match stream.open.take() {
            Some(before) => {
                let joined = format!("{before} {}", cleaned.text);
                let line = Cleaned {
                    text: &joined,
                    ..cleaned
                };
                self.read(number, line, &mut stream, whole);
            }
            None => self.read(number, cleaned, &mut stream, whole),
        }
        self.streams.insert(key, stream);
    }

    /// The end.
    #[must_use]
    pub fn end(mut self) -> Log {
        let mut streams: Vec<_> = self.streams.into_values().collect();
        streams.sort_by_key(|s| s.dump.as_ref().map(|d| d.line));
        for mut stream in streams {
            stream.finish(&mut self.log);
        }
        self.locks.end(&mut self.log);
        self.log
    }

    fn read(&mut self, number: u64, line: Cleaned<'_>, stream: &mut Stream, whole: bool) {
        let text = line.text;
        if whole && wraps(text) {
            stream.open = Some(text.to_string());
            return;
        }
        if self.locks.line(number, line, &mut self.log) {
            return;
        }
        if header::read(number, line, stream, &mut self.log)
            || debugger::read(number, text, stream, &mut self.log)
        {
            return;
        }
        if stream.dump.is_none()
            && let Some(Caller::Cpu(cpu)) = line.caller
            && (text.starts_with("RIP: ") || text.starts_with("pc : "))
        {
            let dump = Dump {
                cpu: Some(cpu),
                line: number,
                time: line.time,
                ..Dump::default()
            };
            stream.begin(dump, &mut self.log);
        }
        if stream.dump.is_some() && part_of_dump(number, text, stream, &self.log) {
            return;
        }
        events::read(number, line, stream, &mut self.log);
        if stream.dump.is_some() {
            stream.strangers += 1;
            if stream.strangers > PATIENCE {
                stream.finish(&mut self.log);
            }
        }
    }
}

/// A logger's prefix that is not known, before printk's time.
fn resync(cleaned: Cleaned<'_>) -> Cleaned<'_> {
    let head = cleaned.text.as_bytes();
    let Some(at) = memchr::memchr(b'[', &head[..head.len().min(120)]) else {
        return cleaned;
    };
    if at == 0 || !cleaned.text.is_char_boundary(at) {
        return cleaned;
    }
    let behind = strip(&cleaned.text[at..]);
    if behind.time.is_some() {
        behind
    } else {
        cleaned
    }
}

/// A line that a mailer or a narrow terminal broke inside a value.
fn wraps(text: &str) -> bool {
    text.len() < 200
        && (text.ends_with("EFLAGS:")
            || text.ends_with("RIP: 0010:")
            || text.ends_with("RIP:")
            || text.ends_with("CPU:")
            || text.ends_with(" PID:")
            || text.ends_with(" GS:")
            || text.ends_with("CR3:")
            || text.ends_with("RDI:"))
}

/// A line of the dump that is open: registers, flags, frames.
fn part_of_dump(number: u64, text: &str, stream: &mut Stream, log: &Log) -> bool {
    if let Some((marker, rest)) = frame::marker(text) {
        if marker == Marker::End {
            stream.in_trace = false;
            if let Some(dump) = &mut stream.dump {
                dump.ended = true;
            }
            return true;
        }
        stream.item(Item::Marker(marker, number));
        if !rest.is_empty() {
            part_of_dump(number, rest, stream, log);
        }
        return true;
    }
    let first = text.as_bytes()[0];
    // `Call Trace:`, with the first marker or frame on the same line on old kernels.
    if matches!(first, b'C' | b'B' | b'S') {
        for word in [
            "Call Trace:",
            "Call trace:",
            "Call Trace (",
            "Backtrace:",
            "Stack traceback",
        ] {
            if let Some(rest) = text.strip_prefix(word) {
                begin_trace(number, stream);
                let rest = rest.trim();
                if !rest.is_empty() {
                    part_of_dump(number, rest, stream, log);
                }
                return true;
            }
        }
    }
    if let Some((at, user)) = place(text, number) {
        at_place(number, at, user, stream);
        flags(number, text, stream, log);
        return true;
    }
    if let Some(rest) = text
        .strip_prefix("--- interrupt:")
        .or_else(|| text.strip_prefix("--- Exception:"))
    {
        // ppc64: `--- interrupt: 901 at f+0x1/0x2`: a timer or a doorbell, and c00 is a system call.
        let vector = rest.trim_start().split(' ').next().unwrap_or("");
        stream.item(Item::Marker(
            if vector.starts_with('c') {
                Marker::End
            } else {
                Marker::Interrupted
            },
            number,
        ));
        if let Some((_, at)) = rest.split_once(" at ")
            && let Some(frame) = frame::kernel_frame(at.trim(), number)
        {
            stream.item(Item::Frame(frame));
        }
        return true;
    }
    if let Some(frame) = frame::kernel_frame(text, number) {
        let fits = stream.in_trace
            || stream
                .dump
                .as_ref()
                .is_some_and(|d| d.items.iter().any(|i| matches!(i, Item::At(..))));
        if fits {
            let last = ends_a_stack(&frame.function);
            stream.item(Item::Frame(frame));
            if last && let Some(dump) = &mut stream.dump {
                dump.ended = true;
            }
        }
        return fits;
    }
    flags(number, text, stream, log)
}

/// The functions that a stack of the kernel's begins with.
fn ends_a_stack(function: &str) -> bool {
    function.starts_with("ret_from_fork")
        || function.starts_with("entry_SYSCALL")
        || function.starts_with("el0t_64_")
        || function.starts_with("el0_")
        || matches!(
            function,
            "kthread"
                | "kernel_thread_helper"
                | "child_rip"
                | "system_call_fastpath"
                | "system_call"
                | "start_secondary"
                | "secondary_startup_64"
                | "secondary_startup_64_no_verify"
                | "common_startup_64"
                | "do_syscall_64"
                | "asm_exc_page_fault"
                | "page_fault"
                | "start_kernel"
                | "ret_from_kernel_thread"
                | "start_here_common"
        )
}

fn begin_trace(number: u64, stream: &mut Stream) {
    if let Some(dump) = &mut stream.dump
        && stream.in_trace
        && dump
            .items
            .iter()
            .filter(|i| matches!(i, Item::Trace))
            .count()
            > 0
    {
        // A second stack inside one: another CPU's.
        dump.garbled.get_or_insert(number);
    }
    stream.in_trace = true;
    stream.item(Item::Trace);
}

/// Where the registers say that the context is.
fn at_place(number: u64, at: Option<Frame>, user: bool, stream: &mut Stream) {
    let in_trace = stream.in_trace;
    let Some(dump) = &mut stream.dump else {
        return;
    };
    let before = dump.items.iter().rev().find_map(|item| match item {
        Item::At(frame, user) => Some((frame.is_some(), *user)),
        Item::Trace | Item::Frame(_) | Item::Marker(..) => Some((false, true)),
        Item::Irqs(..) | Item::Registers(_) => None,
    });
    let flags_between = matches!(dump.items.last(), Some(Item::Irqs(..) | Item::Registers(_)));
    if !in_trace && !user && at.is_some() && before == Some((true, false)) && flags_between {
        // Two places and no stack between them: the second is another CPU's.
        dump.garbled.get_or_insert(number);
    }
    stream.item(Item::At(at, user));
}

/// The program counter: `RIP: 0010:f+0x1/0x2` and its like on every architecture.
fn place(text: &str, line: u64) -> Option<(Option<Frame>, bool)> {
    let known = |rest: &str| {
        let rest = rest.trim_start();
        // `[<addr>]  [<addr>] f+0x1/0x2`, `[addr] f+0x1/0x2`.
        frame::kernel_frame(rest, line).or_else(|| {
            let (first, behind) = rest.split_once(' ')?;
            first
                .starts_with('[')
                .then(|| frame::kernel_frame(behind.trim(), line))?
        })
    };
    for name in ["RIP: ", "EIP: "] {
        let Some(rest) = text.strip_prefix(name) else {
            continue;
        };
        let (selector, at) = match rest.split_once(':') {
            Some((selector, at))
                if selector.len() == 4 && selector.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                (selector, at)
            }
            _ => ("", rest),
        };
        // The two low bits of a selector are the privilege: 3 is user mode. Xen's guests run their kernels in it, at e030.
        let user = u16::from_str_radix(selector, 16).is_ok_and(|s| s & 3 == 3 && s < 0xe000);
        if selector.is_empty() && at.trim_start().starts_with(|c: char| c.is_ascii_digit()) {
            // crash: `RIP: 00007f98...`: an address alone.
            let address = at.split_whitespace().next()?;
            let user =
                u64::from_str_radix(address, 16).is_ok_and(|a| a < 1 << 47 && address.len() == 16);
            return user.then_some((None, true));
        }
        if user {
            return Some((None, true));
        }
        let word = at.split(" EFLAGS").next().unwrap_or(at).trim();
        return match known(word) {
            Some(frame) => Some((Some(frame), false)),
            None if selector.is_empty() => None,
            None => {
                let address = word
                    .trim_start_matches("[<")
                    .split(['>', ' '])
                    .next()
                    .unwrap_or("");
                Some((
                    frame::kernel_frame(
                        &format!("[<{}>] 0x{0}", address.trim_start_matches("0x")),
                        line,
                    ),
                    false,
                ))
            }
        };
    }
    for name in [
        "EIP is at ",
        "PC is at ",
        "pc : ",
        "epc : ",
        "NIP ",
        "Krnl PSW : ",
    ] {
        let Some(rest) = text.strip_prefix(name) else {
            continue;
        };
        let rest = match name {
            "Krnl PSW : " => rest.split_once('(')?.1,
            "epc : " => rest.split(" ra :").next()?.trim(),
            _ => rest,
        };
        return match known(
            rest.split(" lr :")
                .next()
                .unwrap_or(rest)
                .trim_end_matches(')'),
        ) {
            Some(frame) => Some((Some(frame), false)),
            None => {
                let address = rest.split([' ', '\t']).next()?;
                let number = u64::from_str_radix(
                    address.trim_start_matches("[<").trim_end_matches(">]"),
                    16,
                )
                .ok()?;
                // The upper half is the kernel's.
                (address.len() >= 16 && number < 1 << 55).then_some((None, true))
            }
        };
    }
    None
}

/// Interrupts and registers of the place before.
fn flags(number: u64, text: &str, stream: &mut Stream, log: &Log) -> bool {
    let mut any = false;
    if let Some(on) = registers::x86_flags(text) {
        let again = stream.dump.as_ref().is_some_and(|dump| {
            let since = dump
                .items
                .iter()
                .rev()
                .take_while(|i| !matches!(i, Item::At(..)));
            !stream.in_trace && since.clone().any(|i| matches!(i, Item::Irqs(..)))
        });
        if again && let Some(dump) = &mut stream.dump {
            dump.garbled.get_or_insert(number);
        }
        stream.item(Item::Irqs(on, number));
        any = true;
    }
    for said in registers::other_flags(text) {
        match said {
            Said::Irqs(on) => stream.item(Item::Irqs(on, number)),
            Said::HardOff => stream.item(Item::Irqs(false, number)),
            Said::Priority(on) => priority(on, number, stream),
            // 4e26bc4a4ed6 (4.16) turned the meaning round; without a version it says nothing.
            Said::SoftMask(mask) => match log.version {
                Some(version) if version < (4, 16) => stream.item(Item::Irqs(mask != 0, number)),
                Some(_) => stream.item(Item::Irqs(mask == 0, number)),
                None => {}
            },
        }
        any = true;
    }
    let mut read = Registers::default();
    if registers::collect(text, number, &mut read) {
        any = true;
        match stream.dump.as_mut().and_then(|dump| dump.items.last_mut()) {
            Some(Item::Registers(before)) => before.add(read),
            _ => stream.item(Item::Registers(read)),
        }
    }
    any
}

/// With pseudo-NMI the priority mask says it, and `pstate` says nothing.
fn priority(on: bool, number: u64, stream: &mut Stream) {
    if let Some(dump) = &mut stream.dump {
        let tail = dump
            .items
            .iter()
            .rposition(|i| matches!(i, Item::Trace | Item::Frame(_) | Item::Marker(..)));
        let from = tail.map_or(0, |at| at + 1);
        let mut at = 0;
        dump.items.retain(|item| {
            at += 1;
            at <= from || !matches!(item, Item::Irqs(..))
        });
    }
    stream.item(Item::Irqs(on, number));
}
