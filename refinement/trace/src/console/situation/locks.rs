//! The locks of a dump: the one that is waited for, and those that are held.

use super::{Doing, Holds, How, LockName};
use crate::console::frame::Frame;
use crate::console::log::{Dump, Log};
use crate::console::segment::Segment;
use crate::console::table::{Does, UnderLock, does, under_lock};

/// Addresses of the kernel's half.
fn kernel_address(value: u64) -> bool {
    (0xff00_0000_0000_0000..0xffff_ffff_ffff_0000).contains(&value)
}

pub(super) fn lock_name(segment: &Segment, dump: &Dump, log: &Log) -> LockName {
    let mut name = LockName::default();
    let last = segment.frames.iter().position(|f| !matches!(does(&f.function), Some(d) if d.spins() || matches!(d, Does::Helper | Does::Delays | Does::SleepsForLock | Does::Sleeps)));
    let taker = last.and_then(|at| segment.frames.get(at));
    name.taken_by = taker.map(|f| f.function.clone());
    let at_lock = segment
        .frames
        .first()
        .is_some_and(|f| does(&f.function).is_some_and(Does::spins));
    if at_lock
        && let Some(address) = segment.registers.get("RDI")
        && kernel_address(address)
    {
        name.address = Some((address, segment.registers.line("RDI").unwrap_or(dump.line)));
    }
    // A debugger's first argument that is an address.
    for frame in segment
        .frames
        .iter()
        .take_while(|f| does(&f.function).is_some_and(Does::spins))
    {
        if let Some(arguments) = &frame.arguments
            && let Some(address) = hex_argument(arguments)
        {
            name.address.get_or_insert((address, frame.line));
        }
    }
    // lockdep lists the lock that is waited for last, with the place where it is being taken.
    if let Some(held) = dump
        .pid
        .and_then(|pid| log.held.get(&pid))
        .and_then(|list| list.last())
    {
        let here = segment
            .frames
            .iter()
            .any(|f| Some(&f.function) == held.at.as_ref());
        let fits = name
            .address
            .is_none_or(|(address, _)| held.map.is_none() || held.is_at(address));
        if here && fits {
            name.class = Some((held.class.clone(), held.line));
            if let (None, Some(map)) = (name.address, held.map) {
                name.address = Some((map, held.line));
            }
        }
    }
    name
}

/// `l=0xc0251a40`: the first argument that is an address of the kernel.
fn hex_argument(arguments: &str) -> Option<u64> {
    for argument in arguments.split(", ") {
        let value = argument.split_once('=').map_or(argument, |(_, v)| v);
        let value = value.rsplit(' ').next()?.strip_prefix("0x");
        if let Some(value) = value.and_then(|v| {
            u64::from_str_radix(v.trim_end_matches(|c: char| !c.is_ascii_hexdigit()), 16).ok()
        }) && value >= 0x1000
        {
            return Some(value);
        }
    }
    None
}

pub(super) fn held_by_lockdep(dump: &Dump, doing: &Doing, log: &Log, holds: &mut Vec<Holds>) {
    let Some(list) = dump
        .pid
        .filter(|pid| *pid != 0)
        .and_then(|pid| log.held.get(&pid))
    else {
        return;
    };
    let awaited = match doing {
        Doing::Spins(lock) | Doing::SleepsFor(lock) => lock.class.as_ref().map(|(_, line)| *line),
        _ => None,
    };
    for held in list {
        // The lock waited for is in the list, too. A task that sleeps for a lock sleeps for the last, even if the
        // place does not tell.
        let last = list.last().is_some_and(|l| l.line == held.line);
        if Some(held.line) == awaited
            || (last && matches!(doing, Doing::SleepsFor(_) | Doing::Spins(_)))
        {
            continue;
        }
        holds.push(Holds {
            map: held.map,
            lock: held.class.clone(),
            traced: None,
            line: held.line,
            how: How::Printed,
        });
    }
}

pub(super) fn held_by_table(segment: &Segment, interrupted: &[Vec<Frame>], holds: &mut Vec<Holds>) {
    let all = segment.frames.iter().chain(interrupted.iter().flatten());
    for frame in all {
        if let Some(UnderLock {
            function,
            lock,
            why,
        }) = under_lock(&frame.function)
        {
            let how = How::Inferred(format!("{function} runs under it ({why})"));
            if !holds.iter().any(|h| h.lock == *lock) {
                holds.push(Holds {
                    map: None,
                    lock: (*lock).to_string(),
                    traced: None,
                    line: frame.line,
                    how,
                });
            }
        }
    }
}
