//! One line of ftrace's text: who, where, when, in which context, and which event.
//!
//! | shape | a line of it |
//! |---|---|
//! | `trace`, `trace_pipe` | `%16s-PID [CPU] FLAGS TIME: EVENT: ARGS`, time in seconds, or a number with `trace_clock=counter` |
//! | a dump on the console | `%8s-PID CPUFLAGS TIMEus : EVENT: ARGS`, time since the dump's start; a printk stamp may come first |
//! | marker | `CPU:n [LOST k EVENTS]` |
//! | comment | `# ...`; the header of `trace` says how many entries there are |
//! | text | anything else: the console around a dump |
//!
//! FLAGS has a place for interrupts (`d` off, `.` on, `D` off with bottom halves off, `b` bottom halves off), for need-resched,
//! for the context (`h`, `H` hardirq, `s` softirq, `z`, `Z` NMI), for the preemption depth and, since 5.16, for the
//! migration depth.

use super::place::{Task, Time, Unit};

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
    /// `trace` or `trace_pipe`.
    Table,
    /// A dump on the console.
    Dump,
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
    /// The flags; none with the option `noirq-info`.
    pub flags: Option<Flags>,
    /// The time.
    pub time: Time,
    /// The event's name; empty for lines of the function tracers.
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
    /// Events of a CPU were lost here; how many, if it says so.
    Lost(u16, Option<u64>),
    /// A comment.
    Comment,
    /// The header's count: entries in the buffer, entries written.
    Entries(u64, u64),
    /// Nothing of ftrace's.
    Text,
    /// The line of an event, damaged.
    Malformed(Malformed),
}

/// The longest name of a task that a kernel prints.
const LONGEST_NAME: usize = 16;

/// More CPUs than any kernel is built for.
const MOST_CPUS: u64 = 8192;

/// Reads a line, without its newline.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let start = after_printk(bytes);
    let first = start + blanks(&bytes[start..]);
    let rest = &bytes[first..];
    if rest.starts_with(b"#") {
        return entries(rest).unwrap_or(Parsed::Comment);
    }
    if rest.starts_with(b"CPU:") {
        return lost(rest).unwrap_or(Parsed::Text);
    }
    // A name may hold dashes, blanks and what looks like the columns after it, but it is short: the last dash that
    // fits is the one.
    let within = rest.len().min(LONGEST_NAME + 1);
    for dash in (0..within).rev().filter(|&at| rest[at] == b'-') {
        let mut cursor = Cursor {
            bytes,
            at: first + dash + 1,
        };
        if let Some((shape, pid, cpu)) = columns(&mut cursor) {
            let task = Task::new(&rest[..dash], pid);
            return match line(&mut cursor, shape, task, cpu) {
                Ok(line) => Parsed::Event(line),
                Err(malformed) => Parsed::Malformed(malformed),
            };
        }
    }
    Parsed::Text
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| **b == b' ').count()
}

/// Where a line starts that printk has put its level, its stamp and its caller before.
pub(super) fn after_printk(bytes: &[u8]) -> usize {
    let mut at = 0;
    let level = bytes.len() > 2 && bytes[0] == b'<' && bytes[1].is_ascii_digit();
    if level {
        let digits = bytes[1..].iter().take_while(|b| b.is_ascii_digit()).count();
        if bytes.get(1 + digits) == Some(&b'>') {
            at = digits + 2;
        }
    }
    while bytes.get(at) == Some(&b'[') {
        let Some(end) = bytes[at..].iter().take(24).position(|b| *b == b']') else {
            break;
        };
        let inside = &bytes[at + 1..at + end];
        let stamp = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b' ' | b'T' | b'C');
        if inside.is_empty() || !inside.iter().all(stamp) || bytes.get(at + end + 1) != Some(&b' ')
        {
            break;
        }
        at += end + 2;
    }
    at
}

/// `# entries-in-buffer/entries-written: 71482/71482   #P:3`
fn entries(rest: &[u8]) -> Option<Parsed<'static>> {
    let text = std::str::from_utf8(rest).ok()?;
    let counts = text.strip_prefix("# entries-in-buffer/entries-written:")?;
    let (buffer, written) = counts.split_whitespace().next()?.split_once('/')?;
    Some(Parsed::Entries(buffer.parse().ok()?, written.parse().ok()?))
}

/// `CPU:0 [LOST 849 EVENTS]`, or without the number.
fn lost(rest: &[u8]) -> Option<Parsed<'static>> {
    let text = std::str::from_utf8(rest).ok()?;
    let (cpu, what) = text.strip_prefix("CPU:")?.split_once(' ')?;
    let what = what
        .trim()
        .strip_prefix("[LOST ")?
        .strip_suffix("EVENTS]")?;
    let cpu: u16 = cpu.parse().ok()?;
    if u64::from(cpu) >= MOST_CPUS {
        return None;
    }
    let events = match what.trim() {
        "" => None,
        number => Some(number.parse().ok()?),
    };
    Some(Parsed::Lost(cpu, events))
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn blanks(&mut self) -> usize {
        let n = blanks(&self.bytes[self.at..]);
        self.at += n;
        n
    }

    fn take(&mut self, which: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        let n = rest.iter().take_while(|b| which(**b)).count();
        self.at += n;
        &rest[..n]
    }

    fn number(&mut self) -> Option<u64> {
        decimal(self.take(|b| b.is_ascii_digit()))
    }

    fn wrong<T>(&self, reason: &'static str) -> Result<T, Malformed> {
        Err(Malformed {
            column: self.at + 1,
            reason,
        })
    }
}

/// A number of at most 19 digits, which cannot overflow.
fn decimal(digits: &[u8]) -> Option<u64> {
    let fits = !digits.is_empty() && digits.len() <= 19;
    fits.then(|| {
        digits
            .iter()
            .fold(0, |n, d| n * 10 + u64::from(d.wrapping_sub(b'0')))
    })
}

/// From behind the dash to behind the CPU, if this looks like it: shape, pid, CPU.
fn columns(cursor: &mut Cursor<'_>) -> Option<(Shape, u32, u16)> {
    let pid = u32::try_from(cursor.number()?).ok()?;
    cursor.blanks();
    if cursor.eat(b'(') {
        // The option `record-tgid`.
        cursor.take(|b| b.is_ascii_digit() || b == b' ' || b == b'-');
        if !cursor.eat(b')') {
            return None;
        }
        cursor.blanks();
    }
    let shape = if cursor.eat(b'[') {
        Shape::Table
    } else {
        Shape::Dump
    };
    let cpu = cursor.number().filter(|cpu| *cpu < MOST_CPUS)?;
    let fits = match shape {
        Shape::Table => cursor.eat(b']'),
        Shape::Dump => matches!(cursor.peek(), Some(b'.' | b'd' | b'D' | b'b' | b'X')),
    };
    fits.then_some((shape, pid, cpu as u16))
}

fn line<'a>(
    cursor: &mut Cursor<'a>,
    shape: Shape,
    task: Task,
    cpu: u16,
) -> Result<Line<'a>, Malformed> {
    cursor.blanks();
    let at = cursor.at;
    let token = cursor.take(|b| b != b' ');
    let flags = if shape == Shape::Table && token.first().is_some_and(u8::is_ascii_digit) {
        cursor.at = at;
        None
    } else {
        Some(flags(token).ok_or(Malformed {
            column: at + 1,
            reason: if token.is_empty() {
                "the line ends before the flags"
            } else {
                "these are no flags (`d..1.` and the like)"
            },
        })?)
    };
    cursor.blanks();
    let time = time(cursor, shape)?;
    cursor.blanks();
    let start = cursor.at;
    let name = cursor.take(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !cursor.eat(b':') {
        // Lines of the function tracers have a function here.
        let rest = &cursor.bytes[start..];
        let function = rest.windows(2).any(|w| w == b"<-") || rest.contains(&b'|');
        if !function {
            return cursor.wrong("the line ends before the `:` behind the event's name");
        }
        cursor.at = start;
    }
    cursor.eat(b' ');
    Ok(Line {
        shape,
        task,
        cpu,
        flags,
        time,
        event: if cursor.at == start { b"" } else { name },
        args: &cursor.bytes[cursor.at..],
        column: cursor.at + 1,
    })
}

fn flags(token: &[u8]) -> Option<Flags> {
    if !(3..=6).contains(&token.len()) || !token.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let (irqs_off, bh_off) = match token[0] {
        b'.' => (Some(false), false),
        b'b' => (Some(false), true),
        b'd' => (Some(true), false),
        b'D' => (Some(true), true),
        b'X' => (None, false),
        _ => return None,
    };
    let level = match token[2] {
        b'.' => Level::Task,
        b's' => Level::Softirq,
        b'h' | b'H' => Level::Hardirq,
        b'z' | b'Z' => Level::Nmi,
        _ => return None,
    };
    Some(Flags {
        irqs_off,
        bh_off,
        level,
    })
}

/// `6.310243:`, `23930:`, `2829493us :`, `2829493us+:`.
fn time(cursor: &mut Cursor<'_>, shape: Shape) -> Result<Time, Malformed> {
    let at = cursor.at;
    let Some(whole) = cursor.number() else {
        cursor.at = at;
        return cursor.wrong(if cursor.peek().is_none() {
            "the line ends before the time"
        } else {
            "this is no time"
        });
    };
    let mut time = Time {
        value: whole,
        unit: Unit::Count,
    };
    if cursor.eat(b'.') {
        let digits = cursor.take(|b| b.is_ascii_digit());
        let micros = (0..6).fold(0, |n, i| {
            n * 10 + u64::from(digits.get(i).map_or(0, |d| d - b'0'))
        });
        time = Time {
            value: whole.saturating_mul(1_000_000).saturating_add(micros),
            unit: Unit::Seconds,
        };
    } else if cursor.eat(b'u') {
        if !cursor.eat(b's') {
            return cursor.wrong("the time is neither in `us` nor a plain number");
        }
        time.unit = Unit::Micros;
    }
    if shape == Shape::Dump && cursor.peek() != Some(b':') {
        // The mark of a long pause: ` `, `+`, `!`, `#`, `*`, `@`, `$`.
        cursor.at += usize::from(cursor.peek().is_some());
    }
    if !cursor.eat(b':') {
        return cursor.wrong(if cursor.peek().is_none() {
            "the line ends inside the time"
        } else {
            "no `:` behind the time"
        });
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            b""
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
