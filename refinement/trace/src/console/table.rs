//! What functions do, as far as a stack tells: the one table that the diagnosis rests on.
//!
//! A function that is not in it is *not known*: from that no conclusion is drawn, in particular not that it makes
//! progress. `docs/diagnose.md` prints the table.

mod kernels;
mod linux;
mod under_locks;

pub use under_locks::{UNDER_LOCKS, UnderLock, under_lock};

use serde::Serialize;
use std::collections::HashMap;
use std::sync::OnceLock;

/// What a function does while it is the innermost that is not a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// Spins until other CPUs have run what they were asked to.
    AwaitsAcks,
    /// Sends the request; the wait comes next.
    SendsIpi,
    /// Spins for a lock that excludes everybody.
    SpinsFor,
    /// Spins for a lock to read.
    SpinsToRead,
    /// Spins for a lock to write.
    SpinsToWrite,
    /// Stopper threads that wait for each other: a CPU joins by scheduling.
    AwaitsStoppers,
    /// An IPI handler that waits until every CPU is in it: a CPU joins by taking the interrupt.
    AwaitsEverybody,
    /// Waits until a handler (timer, interrupt, tasklet, irq work) has ended on another CPU.
    AwaitsHandler,
    /// Sleeps until a mutex, rwsem or semaphore is free.
    SleepsForLock,
    /// Sleeps for something else.
    Sleeps,
    /// Part of a wait or of a request: what it is called by decides.
    Helper,
    /// Counts time. Part of a wait if what calls it is one; by itself it ends.
    Delays,
    /// The idle loop: an interrupt wakes it, whether or not the flags have them on.
    Idle,
    /// The CPU has gone.
    Offline,
    /// Stopped by a panic or a crash dump.
    Stopped,
    /// Gets on by itself, however long it takes.
    Runs,
    /// Prints the report, in an interrupt: what it interrupted is what matters.
    ReportsInInterrupt,
    /// Prints the report in the code that was asked to.
    Reports,
    /// Where an interrupt comes in; the next frame was interrupted.
    InterruptEntry,
    /// Runs softirqs.
    Softirq,
}

impl Does {
    /// In a few words, for the table in the docs.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Does::AwaitsAcks => "awaits acknowledgements",
            Does::SendsIpi => "sends an IPI",
            Does::SpinsFor => "spins for a lock",
            Does::SpinsToRead => "spins for a lock, to read",
            Does::SpinsToWrite => "spins for a lock, to write",
            Does::AwaitsStoppers => "awaits all stopper threads",
            Does::AwaitsEverybody => "awaits every CPU in an IPI handler",
            Does::AwaitsHandler => "awaits the end of a handler",
            Does::SleepsForLock => "sleeps for a lock",
            Does::Sleeps => "sleeps",
            Does::Helper => "looked through",
            Does::Delays => "counts time",
            Does::Idle => "idle",
            Does::Offline => "offline",
            Does::Stopped => "stopped after a panic",
            Does::Runs => "gets on by itself",
            Does::ReportsInInterrupt => "prints the report, in an interrupt",
            Does::Reports => "prints the report",
            Does::InterruptEntry => "interrupt entry",
            Does::Softirq => "softirq",
        }
    }

    /// Waits for somebody.
    #[must_use]
    pub fn waits(self) -> bool {
        self.spins()
            || matches!(
                self,
                Does::AwaitsAcks
                    | Does::AwaitsStoppers
                    | Does::AwaitsEverybody
                    | Does::AwaitsHandler
                    | Does::SleepsForLock
            )
    }

    /// Spins for a lock, in any mode.
    #[must_use]
    pub fn spins(self) -> bool {
        matches!(
            self,
            Does::SpinsFor | Does::SpinsToRead | Does::SpinsToWrite
        )
    }
}

/// Functions that do the same.
#[derive(Debug)]
pub struct Entry {
    /// What.
    pub does: Does,
    /// Their names; one that ends in `*` stands for all that begin so.
    pub functions: &'static [&'static str],
    /// Where they are, since and until when, what to beware of.
    pub note: &'static str,
}

/// The whole table: Linux first, then other kernels.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    linux::entries().chain(kernels::ENTRIES)
}

struct Index {
    exact: HashMap<&'static str, Does>,
    prefixes: Vec<(&'static str, Does)>,
}

/// What a function does, if it is known.
#[must_use]
pub fn does(function: &str) -> Option<Does> {
    static INDEX: OnceLock<Index> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let mut index = Index {
            exact: HashMap::new(),
            prefixes: Vec::new(),
        };
        for entry in entries() {
            for name in entry.functions {
                match name.strip_suffix('*') {
                    Some(prefix) => index.prefixes.push((prefix, entry.does)),
                    None => {
                        index.exact.entry(name).or_insert(entry.does);
                    }
                }
            }
        }
        // The longest prefix is the most particular.
        index
            .prefixes
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        index
    });
    if let Some(does) = index.exact.get(function) {
        return Some(*does);
    }
    if let Some((_, does)) = index
        .prefixes
        .iter()
        .find(|(prefix, _)| function.starts_with(prefix))
    {
        return Some(*does);
    }
    kernels::by_last_part(function)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_function_is_told_twice() {
        let mut seen = HashSet::new();
        for entry in entries() {
            assert!(!entry.note.is_empty());
            for name in entry.functions {
                assert!(seen.insert(*name), "{name} is in the table twice");
            }
        }
    }

    #[test]
    fn an_unknown_function_is_unknown() {
        for name in [
            "hog_thread",
            "foo",
            "",
            "0xffffffff81130de8",
            "wait_for_my_hardware",
        ] {
            assert_eq!(does(name), None, "{name}");
        }
    }

    #[test]
    fn the_waits_of_the_kernels_of_fifteen_years_are_known() {
        for name in [
            "flush_tlb_others_ipi",
            "smp_call_function_many",
            "smp_call_function_many_cond",
            "__csd_lock_wait",
            "pmap_tlb_ack_outstanding",
        ] {
            assert_eq!(does(name), Some(Does::AwaitsAcks), "{name}");
        }
        for name in [
            "__ticket_spin_lock",
            "native_queued_spin_lock_slowpath",
            "_raw_spin_lock_irqsave",
            "usimple_lock",
            "osv::spinlock::lock",
        ] {
            assert_eq!(does(name), Some(Does::SpinsFor), "{name}");
        }
        assert_eq!(does("delay_tsc"), Some(Does::Delays));
        assert_eq!(does("queued_write_lock_slowpath"), Some(Does::SpinsToWrite));
    }
}
