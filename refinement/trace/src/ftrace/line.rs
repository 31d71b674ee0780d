//! One line of a trace: who, where, when, in which context, and which event.
//!
//! | shape | a line of it | module |
//! |---|---|---|
//! | `trace`, `trace_pipe`, `trace-cmd report` | `%16s-PID [CPU] FLAGS TIME: EVENT: ARGS`, time in seconds, or a number with `trace_clock=counter`; flags and tgid may be missing or there | `columns` |
//! | a dump on the console, `latency-format`, `trace-cmd report -l` | `%8s-PID CPUFLAGS TIMEus : EVENT: ARGS` | `columns` |
//! | `perf script` | `COMM PID [CPU] TIME: SYSTEM:EVENT: ARGS` | `perf` |
//! | `function_graph` | `CPU) DURATION | /* EVENT: ARGS */` | [`graph`] |
//! | `babeltrace` | `[TIME] (+DELTA) HOST EVENT: { cpu_id = CPU }, { ARGS }` | `lttng` |
//! | marker | `CPU:n [LOST k EVENTS]`, `CPU:n [k EVENTS DROPPED]` | `note` |
//! | comment | `# ...`; the header says what the flags mean, how many entries there are, and which tracer it is | `legend` |
//! | frame | ` => function`, `=> function (address)`, and perf's `address function (module)` | `note` |
//! | text | anything else: the console around a dump | |
//!
//! What loggers put before a line is taken off (`prefix`); [`Parser`] tries the shapes, the last one first.

mod columns;
mod cursor;
mod flags;
mod graph;
mod legend;
mod lttng;
mod note;
mod parser;
mod perf;
pub(super) mod prefix;

pub use legend::Legend;
pub use parser::Parser;

use super::place::{Task, Time};

/// How much of the machine a context is above: each interrupts those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A task.
    Task,
    /// A softirq.
    Softirq,
    /// An interrupt.
    Hardirq,
    /// An NMI.
    Nmi,
}

/// What the FLAGS column says that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// Interrupts are off; `None` where the kernel does not say (`X`).
    pub irqs_off: Option<bool>,
    /// Bottom halves are off; kernels before 6.3 never say so.
    pub bh_off: bool,
    /// The context.
    pub level: Level,
}

/// Which of the shapes an event's line has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// `trace`, `trace_pipe` or `trace-cmd report`.
    Table,
    /// A dump on the console, or the latency format.
    Dump,
    /// `perf script`.
    Perf,
    /// `function_graph`, with events as comments.
    Graph,
    /// LTTng's, by `babeltrace`.
    Lttng,
}

impl Shape {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Table => "trace",
            Shape::Dump => "dump on a console",
            Shape::Perf => "perf script",
            Shape::Graph => "function_graph",
            Shape::Lttng => "babeltrace",
        }
    }
}

/// The line of an event, its arguments not yet read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Which shape it has.
    pub shape: Shape,
    /// The task.
    pub task: Task,
    /// The CPU.
    pub cpu: u16,
    /// The flags; none with the option `noirq-info`, and where a tool does not print them.
    pub flags: Option<Flags>,
    /// The time.
    pub time: Time,
    /// The event's name; in parentheses what has none: `(function tracer)`.
    pub event: &'a [u8],
    /// Its arguments.
    pub args: &'a [u8],
    /// Where those start, in bytes from 1.
    pub column: usize,
}

/// What a line cannot be read for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The column in bytes, from 1.
    pub column: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// An event.
    Event(Line<'a>),
    /// A function of the stack that the event before it was printed with.
    Frame(&'a [u8]),
    /// Events of a CPU were lost here; how many, if it says so.
    Lost(u16, Option<u64>),
    /// A comment.
    Comment,
    /// The header's count: entries in the buffer, entries written.
    Entries(u64, u64),
    /// Nothing of a trace's.
    Text,
    /// The line of an event, damaged.
    Malformed(Malformed),
}

/// The longest name of a task that a kernel prints.
const LONGEST_NAME: usize = 16;

/// More CPUs than any kernel is built for.
pub(super) const MOST_CPUS: u64 = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Parsed<'_> {
        Parser::default().parse(bytes)
    }

    fn event(text: &str) -> Line<'_> {
        match parse(text.as_bytes()) {
            Parsed::Event(line) => line,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn each_shape_is_read() {
        let line = event(
            "              wl-64      [002] ...2.     6.325123: lock_contended: 000000008f53e1d7 ptlock_ptr(ptdesc)",
        );
        assert_eq!(line.task.to_string(), "wl-64");
        assert_eq!((line.cpu, line.shape), (2, Shape::Table));
        assert_eq!(line.time.to_string(), "6.325123");
        assert_eq!(line.event, b"lock_contended");
        assert_eq!(line.args, b"000000008f53e1d7 ptlock_ptr(ptdesc)");
        assert_eq!(line.column, 68);
        let line = event(" kswapd0-38        2dNs4. 9174968us : irq_enable: caller=a parent=b");
        assert_eq!((line.cpu, line.shape), (2, Shape::Dump));
        assert_eq!(line.time.to_string(), "9174968us");
        let flags = line.flags.unwrap();
        assert_eq!((flags.irqs_off, flags.level), (Some(true), Level::Softirq));
        let line = event(
            "            init-1       [001] d..1.            3: irq_disable: caller=a parent=b",
        );
        assert_eq!(line.time.to_string(), "3");
        // A long pause, an older kernel's four flags, printk's stamp and a tgid.
        assert_eq!(
            event("      wl-65        1d..3 2739733us!: x: y")
                .time
                .value,
            2_739_733
        );
        assert_eq!(
            event("<4>[    9.12] [   T65]       wl-65   1d..3 27us : x: y").cpu,
            1
        );
        assert_eq!(
            event("   wl-65  (   65) [001] d..3.  6.31: x: y").task.pid,
            65
        );
        assert_eq!(event("   wl-65   [001]  6.31: x: y").flags, None);
        assert_eq!(
            event("   wl-65   [001] d..1. 6.31: do_fork <-sys_fork").event,
            b"(function tracer)"
        );
    }

    #[test]
    fn a_task_may_be_called_anything() {
        for name in [
            "a-b c",
            "<...>",
            "<idle>",
            "x-1 [000] d.",
            "kworker/u8:1-ev",
            "-",
            "x-12   1d..",
        ] {
            for line in [
                format!("{name:>16}-77      [001] ...2.     6.325123: lock_contended: 01 a"),
                format!("{name:>16}-77        1...2. 6325123us : lock_contended: 01 a"),
            ] {
                let line = event(&line);
                assert_eq!(line.task.to_string(), format!("{name}-77"));
                assert_eq!((line.cpu, line.event), (1, &b"lock_contended"[..]));
            }
        }
    }

    #[test]
    fn what_is_no_event_is_told_apart() {
        assert_eq!(
            parse(b"CPU:1 [LOST 5284 EVENTS]"),
            Parsed::Lost(1, Some(5284))
        );
        assert_eq!(parse(b"CPU:1 [LOST EVENTS]"), Parsed::Lost(1, None));
        assert_eq!(parse(b"# tracer: nop"), Parsed::Comment);
        let header = b"# entries-in-buffer/entries-written: 71482/71490   #P:3";
        assert_eq!(parse(header), Parsed::Entries(71482, 71490));
        for text in [
            "",
            "Dumping ftrace buffer:",
            "---------------------------------",
            " asm_exc_page_fault+0x2b/0x30",
            "CPU: 0 UID: 0 PID: 64 Comm: wl Not tainted 6.12.117-ktrace #4 ",
            "CPU:x [LOST 1 EVENTS]",
            "watchdog: BUG: soft lockup - CPU#0 stuck for 7s! [wl:64]",
        ] {
            assert_eq!(parse(text.as_bytes()), Parsed::Text, "{text}");
        }
    }

    #[test]
    fn a_damaged_line_is_reported_where_it_is_damaged() {
        let reason = |text: &str| match parse(text.as_bytes()) {
            Parsed::Malformed(m) => (m.column, m.reason),
            other => panic!("{text}: {other:?}"),
        };
        let whole = "              wl-64      [002] ...2.     6.325123: lock_contended: 8f ptlock_ptr(ptdesc)";
        assert_eq!(reason(&whole[..30]), (31, "the line ends before the flags"));
        assert_eq!(reason(&whole[..31]), (32, "the line ends before the flags"));
        assert_eq!(reason(&whole[..40]), (41, "the line ends before the time"));
        assert_eq!(reason(&whole[..47]), (48, "the line ends inside the time"));
        assert_eq!(
            reason(&whole[..58]),
            (59, "the line ends before the `:` behind the event's name")
        );
        assert_eq!(
            reason("  wl-64  [002] ..?2. ..: x: y").1,
            "these are no flags (`d..1.` and the like)"
        );
        assert_eq!(
            reason("  wl-64  [002] ..... soon: x: y").1,
            "this is no time"
        );
    }
}
