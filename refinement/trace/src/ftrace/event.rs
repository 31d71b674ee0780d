//! The events, and what each means here.
//!
//! | event | what it means here |
//! |---|---|
//! | `lock_acquire` | the attempt; with `try`, and for what never prints `lock_acquired` (seqcounts, every lock of a kernel without LOCK_STAT), the lock is held from here |
//! | `lock_contended` | the first try failed: the context that prints it waits, a spinlock's waiter spins |
//! | `lock_acquired` | held from here |
//! | `lock_release` | no longer held; printed just before the unlock |
//! | `lock_*` of RCU's maps | no lock: nobody waits for a reader by them |
//! | `contention_begin`, `contention_end` | as `lock_contended` and `lock_acquired`, where a kernel without lockdep prints no others: who waits, not who holds |
//! | `irq_disable`, `irq_enable` | after interrupts went off, before they come on; who did it |
//! | `csd_queue_cpu` of a function below | the acknowledgement of that CPU is awaited from here; of another function, nobody may wait |
//! | `ipi_send_cpu`, `ipi_send_cpumask` | the requests queued before are sent; the next ones are another flush. Without csd events: the request itself, if its callsite waits |
//! | `tlb_flush`, reason 4 | another flush begins. Without csd events: the request, to CPUs that are not named |
//! | `csd_function_exit` | the acknowledgement. `tlb_flush` is not: a CPU on which the mm is not loaded prints none |
//! | `call_function_exit`, `call_function_single_exit` | without csd events, the acknowledgement |
//! | `csd_function_entry`, `csd=0` | stutter: the sender's own part |
//! | `kernel_stack` | the frames behind it are of the event before |
//! | `sched_switch`, `reschedule_*` | stutter: read, not needed |
//! | anything else | unknown: counted by name |
//!
//! Arguments are read as the kernel prints them, or by the names of their fields: `trace-cmd report -R`, the option
//! `fields`, and `babeltrace` print those.
//!
//! | awaited function | why its sender waits |
//! |---|---|
//! | `flush_tlb_func` (up to 5.13 `flush_tlb_func_remote`, to 4.13 `flush_tlb_func` too) | the flush of an mm |
//! | `do_flush_tlb_all`, `do_kernel_range_flush` | the flush of kernel translations |
//! | `tlb_remove_table_smp_sync` | `tlb_remove_table_sync_one`: waits out lockless walkers, flushes nothing |

mod args;

pub use args::field;

use super::line::{Line, Malformed};
use super::place::Address;
use args::{Args, places, reason};

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
    /// `lock_*` of what is no lock: its context went on, and nobody waits for it.
    NoLock,
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
    /// `csd_queue_cpu` of a function that is printed as an address: awaited behind a flush's beginning.
    QueueUnnamed {
        /// Whose acknowledgement.
        cpu: u16,
        /// Where.
        callsite: &'a str,
        /// The request.
        csd: Address,
    },
    /// `csd_queue_cpu` of another function.
    QueueOther {
        /// The request.
        csd: Address,
    },
    /// `ipi_send_cpu` or `ipi_send_cpumask`.
    Sent {
        /// To whom, as it is printed: a number, a list, or a mask.
        to: &'a str,
        /// Where.
        callsite: &'a str,
        /// A function call sent from there is waited for.
        awaited: bool,
    },
    /// `contention_begin` (true) or `contention_end`: of the lock itself, not its lockdep map.
    Contention {
        /// It begins.
        begins: bool,
        /// The lock.
        lock: Address,
        /// It spins: not a mutex, nor an rwsem.
        spins: bool,
    },
    /// `call_function_entry` (true) or `call_function_exit`, single ones too: a CPU works off its requests.
    CallFunction {
        /// It begins.
        begins: bool,
    },
    /// `tlb_flush` with another reason.
    Flushed {
        /// Because another CPU asked (reason 1).
        remote: bool,
    },
    /// `kernel_stack`, `<stack trace>`: frames follow.
    Stack,
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
    ("flush_tlb_func_remote", true),
    ("do_flush_tlb_all", true),
    ("do_kernel_range_flush", true),
    ("tlb_remove_table_smp_sync", false),
    ("remote flush", true),
    ("function call", false),
];

/// Where in [`AWAITED`] the flush is that only `tlb_flush` tells of, and the call that only an IPI does.
pub const ONLY_TOLD: [usize; 2] = [AWAITED.len() - 2, AWAITED.len() - 1];

/// Callers that wait for what they send (`smp_call_function_many_cond` with `wait`, and who is inlined around it).
const WAITING_CALLERS: &[&str] = &[
    "on_each_cpu",
    "smp_call_function_many",
    "smp_call_function_single",
    "smp_call_function+",
    "flush_tlb",
    "native_flush_tlb",
    "arch_tlbbatch_flush",
    "tlb_remove_table_sync",
];

/// Lock classes that are none: `lock_acquire` marks a reader, and nobody waits for it in the lock's name.
pub fn no_lock(name: &str) -> bool {
    let rcu = name.strip_prefix("rcu_").is_some_and(|rest| {
        matches!(
            rest,
            "read_lock" | "read_lock_bh" | "read_lock_sched" | "read_lock_trace" | "callback"
        )
    });
    rcu || name == "srcu" || name.starts_with("&(ssp)->") || name == "rcu_tasks_trace"
}

fn awaited(function: &str) -> Option<usize> {
    AWAITED.iter().position(|(name, _)| *name == function)
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
            if no_lock(lock.name) {
                return Ok(Event::NoLock);
            }
            Event::Acquire {
                lock,
                trylock,
                read,
            }
        }
        b"lock_acquired" | b"lock_contended" | b"lock_release" => {
            let (lock, ..) = args.lock()?;
            match line.event {
                _ if no_lock(lock.name) => Event::NoLock,
                b"lock_acquired" => Event::Acquired(lock),
                b"lock_contended" => Event::Contended(lock),
                _ => Event::Release(lock),
            }
        }
        b"irq_disable" | b"irq_enable" => {
            let Some((caller, parent)) = places(text) else {
                args.key("caller=", "no `caller=` here")?;
                return args.wrong("no `parent=` here");
            };
            Event::Irqs {
                off: line.event == b"irq_disable",
                caller,
                parent,
            }
        }
        b"csd_queue_cpu" => {
            let cpu = args.key("cpu=", "no `cpu=` here")?.parse();
            let Ok(cpu) = cpu else {
                return args.wrong("`cpu=` is no CPU");
            };
            let callsite = args.key("callsite=", "no `callsite=` here")?;
            let function = args.key("func=", "no `func=` here")?;
            let csd = args.csd()?;
            // A tool without the kernel's symbols prints an address.
            let unnamed = function.starts_with("0x") || function.starts_with("ffffffff");
            match awaited(function) {
                Some(function) => Event::Queue {
                    cpu,
                    callsite,
                    function,
                    csd,
                },
                None if unnamed => Event::QueueUnnamed { cpu, callsite, csd },
                None => Event::QueueOther { csd },
            }
        }
        b"csd_function_exit" => {
            let function = args.key("func=", "no `func=` here")?;
            Event::Answer {
                csd: args.csd()?,
                awaited: awaited(function).is_some() || function.starts_with("0x"),
            }
        }
        b"csd_function_entry" => {
            args.key("func=", "no `func=` here")?;
            args.csd()?;
            Event::Stutter
        }
        b"tlb_flush" => match reason(text) {
            Some(4) => Event::FlushBegins,
            Some(reason) => Event::Flushed {
                remote: reason == 1,
            },
            None => return args.wrong("no reason of the flush, `(0)` to `(4)`, at the end"),
        },
        b"ipi_send_cpu" | b"ipi_send_cpumask" => {
            let to = field(text, "cpu").or(field(text, "cpumask")).unwrap_or("");
            let callsite = field(text, "callsite").unwrap_or("");
            let reschedules =
                field(text, "callback").is_some_and(|c| matches!(c, "0x0" | "(nil)" | "0"));
            Event::Sent {
                to,
                callsite,
                awaited: !reschedules && WAITING_CALLERS.iter().any(|w| callsite.starts_with(w)),
            }
        }
        b"contention_begin" | b"contention_end" => {
            let printed = field(text, "lock_addr").unwrap_or(text);
            let flags = field(text, "flags").unwrap_or(text);
            let column = args.column;
            Event::Contention {
                begins: line.event == b"contention_begin",
                lock: Args {
                    rest: printed,
                    column,
                }
                .address()?,
                spins: flags.contains("SPIN") && !flags.contains("MUTEX"),
            }
        }
        b"call_function_entry" | b"call_function_single_entry" => {
            Event::CallFunction { begins: true }
        }
        b"call_function_exit" | b"call_function_single_exit" => {
            Event::CallFunction { begins: false }
        }
        b"kernel_stack" | b"user_stack" | b"(stack)" => Event::Stack,
        b"sched_switch" | b"sched_process_exit" | b"reschedule_entry" | b"reschedule_exit" => {
            Event::Stutter
        }
        _ => Event::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::super::line::{Parsed, Parser};
    use super::*;

    fn with(text: &str, check: impl Fn(Result<Event<'_>, Malformed>)) {
        let text = format!("   wl-64  [002] ...2.  6.325123: {text}");
        match Parser::default().parse(text.as_bytes()) {
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
