//! The events, and what each means here.
//!
//! | event | what it means here |
//! |---|---|
//! | `lock_acquire` | the attempt; with `try`, and for what never prints `lock_acquired` (RCU, seqcounts, every lock of a kernel without LOCK_STAT), the lock is held from here |
//! | `lock_contended` | the first try failed: whoever prints it waits, a spinlock's waiter spins |
//! | `lock_acquired` | held from here |
//! | `lock_release` | no longer held; printed just before the unlock |
//! | `irq_disable`, `irq_enable` | after interrupts went off, before they come on; who did it |
//! | `csd_queue_cpu` of a function below | the acknowledgement of that CPU is awaited from here; of another function, nobody may wait |
//! | `ipi_send_cpu`, `ipi_send_cpumask` | the requests queued before are sent; the next ones are another flush |
//! | `tlb_flush`, reason 4 | another flush begins |
//! | `csd_function_exit` | the acknowledgement. `tlb_flush` is not: a CPU on which the mm is not loaded prints none |
//! | `csd_function_entry`, `csd=0` | stutter: the sender's own part |
//! | `sched_switch`, `contention_*`, `call_function*`, `reschedule_*` | stutter: read, not needed |
//! | anything else | unknown: counted by name |
//!
//! | awaited function | why its sender waits |
//! |---|---|
//! | `flush_tlb_func` | the flush of an mm |
//! | `do_flush_tlb_all`, `do_kernel_range_flush` | the flush of kernel translations |
//! | `tlb_remove_table_smp_sync` | `tlb_remove_table_sync_one`: waits out lockless walkers, flushes nothing |

use super::line::{Line, Malformed};
use super::place::Address;

/// A lock as the lock events name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock<'a> {
    /// The address of its lockdep map, not of the lock itself.
    pub address: Address,
    /// The name of its class.
    pub name: &'a str,
}

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// `lock_acquire`.
    Acquire {
        /// The lock.
        lock: Lock<'a>,
        /// By a trylock, which had succeeded.
        trylock: bool,
        /// To read.
        read: bool,
    },
    /// `lock_contended`.
    Contended(Lock<'a>),
    /// `lock_acquired`.
    Acquired(Lock<'a>),
    /// `lock_release`.
    Release(Lock<'a>),
    /// `irq_disable` (true) or `irq_enable`.
    Irqs {
        /// They are off.
        off: bool,
        /// Where.
        caller: &'a str,
        /// Called from where.
        parent: &'a str,
    },
    /// `tlb_flush` with reason 4.
    FlushBegins,
    /// `csd_queue_cpu` of an awaited function.
    Queue {
        /// Whose acknowledgement.
        cpu: u16,
        /// Where.
        callsite: &'a str,
        /// The function, by its place in [`AWAITED`].
        function: usize,
        /// The request.
        csd: Address,
    },
    /// `csd_queue_cpu` of another function.
    QueueOther {
        /// The request.
        csd: Address,
    },
    /// `ipi_send_cpu` or `ipi_send_cpumask`.
    Sent,
    /// `csd_function_exit`.
    Answer {
        /// The request; 0 is the sender's own part.
        csd: Address,
        /// Its function is awaited.
        awaited: bool,
    },
    /// `sched_switch`, `call_function_entry` and the like.
    Stutter,
    /// Not in the table.
    Unknown,
}

/// Functions whose senders wait, and whether they are flushes.
pub const AWAITED: &[(&str, bool)] = &[
    ("flush_tlb_func", true),
    ("do_flush_tlb_all", true),
    ("do_kernel_range_flush", true),
    ("tlb_remove_table_smp_sync", false),
];

fn awaited(function: &str) -> Option<usize> {
    AWAITED.iter().position(|(name, _)| *name == function)
}

/// The longest name of a lock class or function that is read.
const LONGEST_NAME: usize = 256;

struct Args<'a> {
    rest: &'a str,
    column: usize,
}

impl<'a> Args<'a> {
    fn wrong<T>(&self, reason: &'static str) -> Result<T, Malformed> {
        Err(Malformed {
            column: self.column,
            reason,
        })
    }

    fn eat(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else {
            return false;
        };
        self.rest = rest;
        self.column += word.len();
        true
    }

    /// Up to a blank, or the end.
    fn word(&mut self) -> &'a str {
        let end = self.rest.find(' ').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix(' ').unwrap_or(rest);
        self.column += end + usize::from(end < word.len() + rest.len());
        word
    }

    fn key(&mut self, key: &str, reason: &'static str) -> Result<&'a str, Malformed> {
        if !self.eat(key) {
            return self.wrong(reason);
        }
        let column = self.column;
        let word = self.word().trim_end_matches(',');
        if word.is_empty() || word.len() > LONGEST_NAME {
            return Err(Malformed { column, reason });
        }
        Ok(word)
    }

    fn address(&mut self) -> Result<Address, Malformed> {
        let column = self.column;
        let word = self.word();
        let word = word.strip_prefix("0x").unwrap_or(word);
        let value = match word {
            "(null)" => Some(0),
            _ if (1..=16).contains(&word.len()) => u64::from_str_radix(word, 16).ok(),
            _ => None,
        };
        value.map(Address).ok_or(Malformed {
            column,
            reason: "this is no address",
        })
    }

    fn csd(&mut self) -> Result<Address, Malformed> {
        if !self.eat("csd=") {
            return self.wrong("no `csd=` here");
        }
        self.address()
    }

    fn lock(&mut self) -> Result<(Lock<'a>, bool, bool), Malformed> {
        let address = self.address()?;
        let trylock = self.eat("try ");
        let read = self.eat("read ");
        let name = self.rest.trim_end();
        if name.is_empty() || name.len() > LONGEST_NAME {
            return self.wrong("no name of a lock here");
        }
        Ok((Lock { address, name }, trylock, read))
    }
}

/// Reads an event's arguments.
///
/// # Errors
/// If the event is one of the table's and its arguments are not.
pub fn event<'a>(line: &Line<'a>) -> Result<Event<'a>, Malformed> {
    let text = match std::str::from_utf8(line.args) {
        Ok(text) => text,
        Err(utf8) => {
            return Err(Malformed {
                column: line.column + utf8.valid_up_to(),
                reason: "not UTF-8",
            });
        }
    };
    let mut args = Args {
        rest: text,
        column: line.column,
    };
    Ok(match line.event {
        b"lock_acquire" => {
            let (lock, trylock, read) = args.lock()?;
            Event::Acquire {
                lock,
                trylock,
                read,
            }
        }
        b"lock_acquired" => Event::Acquired(args.lock()?.0),
        b"lock_contended" => Event::Contended(args.lock()?.0),
        b"lock_release" => Event::Release(args.lock()?.0),
        b"irq_disable" | b"irq_enable" => Event::Irqs {
            off: line.event == b"irq_disable",
            caller: args.key("caller=", "no `caller=` here")?,
            parent: args.key("parent=", "no `parent=` here")?,
        },
        b"csd_queue_cpu" => {
            let cpu = args.key("cpu=", "no `cpu=` here")?.parse();
            let Ok(cpu) = cpu else {
                return args.wrong("`cpu=` is no CPU");
            };
            let callsite = args.key("callsite=", "no `callsite=` here")?;
            let function = args.key("func=", "no `func=` here")?;
            let csd = args.csd()?;
            match awaited(function) {
                Some(function) => Event::Queue {
                    cpu,
                    callsite,
                    function,
                    csd,
                },
                None => Event::QueueOther { csd },
            }
        }
        b"csd_function_exit" => {
            let function = args.key("func=", "no `func=` here")?;
            Event::Answer {
                csd: args.csd()?,
                awaited: awaited(function).is_some(),
            }
        }
        b"csd_function_entry" => {
            args.key("func=", "no `func=` here")?;
            args.csd()?;
            Event::Stutter
        }
        b"tlb_flush" => {
            let reason = text.rsplit_once('(').map_or("", |(_, reason)| reason);
            match reason.trim_end().strip_suffix(')').map(str::parse::<u8>) {
                Some(Ok(4)) => Event::FlushBegins,
                Some(Ok(_)) => Event::Stutter,
                _ => return args.wrong("no reason of the flush, `(0)` to `(4)`, at the end"),
            }
        }
        b"ipi_send_cpu" | b"ipi_send_cpumask" => Event::Sent,
        b"contention_begin"
        | b"contention_end"
        | b"sched_switch"
        | b"sched_process_exit"
        | b"call_function_entry"
        | b"call_function_exit"
        | b"call_function_single_entry"
        | b"call_function_single_exit"
        | b"reschedule_entry"
        | b"reschedule_exit" => Event::Stutter,
        _ => Event::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::super::line::{Parsed, parse};
    use super::*;

    fn with(text: &str, check: impl Fn(Result<Event<'_>, Malformed>)) {
        let text = format!("   wl-64  [002] ...2.  6.325123: {text}");
        match parse(text.as_bytes()) {
            Parsed::Event(line) => check(event(&line)),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_lock_has_an_address_a_name_and_how_it_is_taken() {
        let lock = |trylock, read| Event::Acquire {
            lock: Lock {
                address: Address(0x0286_ad9c),
                name: "&mm->mmap_lock",
            },
            trylock,
            read,
        };
        let check = |text, t, r| with(text, |event| assert_eq!(event, Ok(lock(t, r))));
        check(
            "lock_acquire: 000000000286ad9c &mm->mmap_lock",
            false,
            false,
        );
        check(
            "lock_acquire: 000000000286ad9c read &mm->mmap_lock",
            false,
            true,
        );
        check(
            "lock_acquire: 000000000286ad9c try read &mm->mmap_lock",
            true,
            true,
        );
        check(
            "lock_acquire: 000000000286ad9c try &mm->mmap_lock",
            true,
            false,
        );
    }

    #[test]
    fn only_requests_that_are_awaited_count() {
        let queue = |function: &str| {
            format!(
                "csd_queue_cpu: cpu=2 callsite=on_each_cpu_cond_mask+0x23/0x30 func={function} csd=52a44aad"
            )
        };
        with(&queue("flush_tlb_func"), |event| {
            assert!(
                matches!(
                    event,
                    Ok(Event::Queue {
                        cpu: 2,
                        csd: Address(0x52a4_4aad),
                        ..
                    })
                ),
                "{event:?}"
            );
        });
        with(&queue("nohz_csd_func"), |event| {
            assert!(matches!(event, Ok(Event::QueueOther { .. })), "{event:?}");
        });
        with("tlb_flush: pages:-1 reason:remote ipi send (4)", |event| {
            assert_eq!(event, Ok(Event::FlushBegins));
        });
        with(
            "csd_function_exit: func=flush_tlb_func, csd=00000000e6bcdb51",
            |event| {
                let csd = Address(0xe6bc_db51);
                assert_eq!(event, Ok(Event::Answer { csd, awaited: true }));
            },
        );
    }

    #[test]
    fn arguments_that_are_cut_short_are_reported_at_their_column() {
        let cut = |text, column, reason| {
            with(text, |event| {
                assert_eq!(event, Err(Malformed { column, reason }), "{text}")
            });
        };
        // The name of the event starts at column 34.
        cut("lock_acquire: xyz a", 48, "this is no address");
        cut("lock_acquire: 0123", 52, "no name of a lock here");
        cut("irq_disable: caller=a", 55, "no `parent=` here");
        cut("csd_queue_cpu: cpu=x callsite=a", 55, "`cpu=` is no CPU");
        cut(
            "csd_queue_cpu: cpu=1 callsite=a func=b",
            72,
            "no `csd=` here",
        );
        cut(
            "tlb_flush: pages:-1 reas",
            45,
            "no reason of the flush, `(0)` to `(4)`, at the end",
        );
        with("wakeup: anything", |event| {
            assert_eq!(event, Ok(Event::Unknown))
        });
    }
}
