//! The lines inside a dump: where the CPU is, its flags and registers, its frames.

use super::Stream;
use crate::console::frame::{self, Frame, Marker};
use crate::console::log::{Dump, Item, Log};
use crate::console::registers::{self, Registers, Said};

/// Whether a line behind the end of a stack cannot be of the same CPU.
fn belongs_to_the_next(dump: &Dump, text: &str, number: u64) -> bool {
    let marked = matches!(dump.items.last(), Some(Item::Marker(Marker::End, _)));
    match place(text, number) {
        Some((Some(_), false)) => dump.closed,
        // Where user code made a system call, or was interrupted.
        Some(_) => marked,
        None if text.starts_with("Call Trace") => dump.closed,
        None if text.starts_with('<') => {
            dump.closed && frame::marker(text).is_some_and(|(m, _)| m != Marker::End)
        }
        None => {
            marked
                && (frame::kernel_frame(text, number).is_some()
                    || registers::collect(text, number, &mut Registers::default()))
        }
    }
}

/// A line that only a dump has: there is one whose head is missing.
pub(super) fn of_some_dump(text: &str, number: u64) -> bool {
    text.starts_with("Call Trace")
        || frame::marker(text).is_some()
        || frame::kernel_frame(text, number).is_some()
        || registers::x86_flags(text).is_some()
        || matches!(place(text, number), Some((Some(_), false)))
}

/// A line of the dump that is open: registers, flags, frames.
pub(super) fn part_of_dump(number: u64, text: &str, stream: &mut Stream, log: &mut Log) -> bool {
    if let Some(dump) = stream.dump.as_ref().filter(|d| d.ended && d.oops.is_none())
        && belongs_to_the_next(dump, text, number)
    {
        // Behind the end of one stack lines of another CPU's, whose head is missing.
        stream.finish(log);
        log.orphan.get_or_insert(number);
        return true;
    }
    if let Some((marker, rest)) = frame::marker(text) {
        if marker == Marker::End {
            stream.in_trace = false;
            stream.item(Item::Marker(Marker::End, number));
            if let Some(dump) = &mut stream.dump {
                (dump.ended, dump.closed) = (true, true);
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
            let bottom = last && is_the_bottom(&frame.function);
            stream.item(Item::Frame(frame));
            if last && let Some(dump) = &mut stream.dump {
                dump.ended = true;
                dump.closed |= bottom;
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

/// Of those the ones that no kernel code is below, not even interrupted code.
fn is_the_bottom(function: &str) -> bool {
    function.starts_with("ret_from_fork")
        || function.starts_with("secondary_startup_64")
        || function.starts_with("entry_SYSCALL")
        || matches!(
            function,
            "kernel_thread_helper"
                | "child_rip"
                | "start_secondary"
                | "common_startup_64"
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
    // i386 prints the address first, and its name on the next line: `EIP: 0060:[<c105f2b1>]`, `EIP is at f+0x1/0x2`.
    if let Some(named) = at.as_ref().filter(|f| !f.function.starts_with("0x"))
        && let Some(Item::At(Some(address), false)) = dump.items.iter_mut().rev().find(|item| {
            matches!(
                item,
                Item::At(..) | Item::Trace | Item::Frame(_) | Item::Marker(..)
            )
        })
        && address.function.starts_with("0x")
        && address.line + 2 >= number
    {
        *address = named.clone();
        return;
    }
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
pub(super) fn place(text: &str, line: u64) -> Option<(Option<Frame>, bool)> {
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
