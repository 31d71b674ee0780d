//! What lockdep and DEPT print: the locks a task holds, and reports of an order that can deadlock.

use super::frame::{Frame, kernel_frame};
use super::log::{Log, MOST};
use super::prefix::Cleaned;
use serde::Serialize;

/// How many lines of a report's chain and scenario are kept.
const LONGEST: usize = 64;

/// A lock as lockdep prints it: `addr (class){usage}-{outer:inner}, at: f+0x1/0x2`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The address of its `lockdep_map`, if it is printed: the lock begins a little before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<u64>,
    /// The class.
    pub class: String,
    /// Usage characters: hardirq write, hardirq read, softirq write, softirq read.
    pub usage: String,
    /// Where it was or is being taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The line.
    pub line: u64,
}

impl Held {
    /// Whether this is the lock at an address that a CPU spins for: the map is inside it.
    #[must_use]
    pub fn is_at(&self, address: u64) -> bool {
        // 0x18 in a spinlock_t with DEBUG_SPINLOCK; other layouts differ by a word or two.
        self.map
            .is_some_and(|map| (0..=0x28).contains(&map.wrapping_sub(address)))
    }
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Splat {
    /// "possible circular locking dependency".
    Circular,
    /// "possible irq lock inversion dependency".
    Inversion,
    /// "HARDIRQ-safe -> HARDIRQ-unsafe lock order".
    SafeToUnsafe,
    /// "inconsistent lock state".
    Inconsistent,
    /// "possible recursive locking".
    Recursive,
    /// DEPT's "Circular dependency".
    Dept,
}

/// An action of lockdep's "possible unsafe locking scenario".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// `lock(x)`.
    Lock(String),
    /// `local_irq_disable()`.
    IrqsOff,
    /// `<Interrupt>`.
    Interrupt,
}

/// An edge that a report prints: who holds the first and wants the second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// Held.
    pub held: String,
    /// Wanted.
    pub wanted: String,
    /// The line that says so.
    pub line: u64,
}

/// A context of DEPT's: what it waits for, and the event that it cannot trigger meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Context {
    /// Its letter.
    pub name: String,
    /// `[S]`: where the event's context starts.
    pub start: Option<String>,
    /// `[W]`: the wait.
    pub wait: Option<String>,
    /// `[E]`: the event that is not reached.
    pub event: Option<String>,
    /// The line.
    pub line: u64,
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// About what.
    pub splat: Splat,
    /// Its first line.
    pub line: u64,
    /// `HARDIRQ` or `SOFTIRQ`, where interrupts matter.
    pub irq: Option<&'static str>,
    /// Locks, in the order of the report.
    pub locks: Vec<Held>,
    /// `-> #1 (class)`, with where each was taken.
    pub chain: Vec<(Held, Vec<Frame>)>,
    /// The scenario: CPU 0 or 1, action, line.
    pub scenario: Vec<(u8, Action, u64)>,
    /// DEPT's contexts.
    pub contexts: Vec<Context>,
}

impl Report {
    /// The edges that it prints.
    #[must_use]
    pub fn edges(&self) -> Vec<Edge> {
        let mut edges: Vec<Edge> = Vec::new();
        let mut add = |held: &str, wanted: &str, line| {
            if !edges.iter().any(|e| e.held == held && e.wanted == wanted) {
                edges.push(Edge {
                    held: held.to_string(),
                    wanted: wanted.to_string(),
                    line,
                });
            }
        };
        // The CPU that is interrupted comes last: its second lock is the interrupt's.
        let interrupted = self
            .scenario
            .iter()
            .find(|(_, action, _)| *action == Action::Interrupt)
            .map(|(cpu, ..)| *cpu);
        let order = if interrupted == Some(0) {
            [1, 0]
        } else {
            [0, 1]
        };
        for cpu in order {
            let mut held: Vec<&str> = Vec::new();
            for (_, action, line) in self.scenario.iter().filter(|(c, ..)| *c == cpu) {
                if let Action::Lock(lock) = action {
                    if let Some(last) = held.last() {
                        add(last, lock, *line);
                    }
                    held.push(lock);
                }
            }
        }
        // `-> #1` was taken under `#0`, and `#0` is wanted under the last.
        if self.scenario.is_empty() {
            for pair in self.chain.windows(2) {
                add(&pair[1].0.class, &pair[0].0.class, pair[0].0.line);
            }
            if let (Some(last), Some(first)) = (self.chain.first(), self.chain.last())
                && self.chain.len() > 1
            {
                add(&last.0.class, &first.0.class, first.0.line);
            }
            if self.chain.is_empty() && self.locks.len() > 1 {
                let (first, second) = (&self.locks[0], &self.locks[1]);
                match self.splat {
                    Splat::Inversion => {
                        add(&first.class, &second.class, second.line);
                        add(&second.class, &first.class, first.line);
                    }
                    _ => add(&second.class, &first.class, first.line),
                }
            }
        }
        for context in &self.contexts {
            if let (Some(wait), Some(event)) = (&context.wait, &context.event) {
                add(event, wait, context.line);
            }
        }
        edges
    }
}

/// Reads locks and reports out of the lines.
#[derive(Debug, Default)]
pub struct Reader {
    owner: Option<u32>,
    /// Lists of locks of this owner are new from this line on.
    report: Option<Report>,
    in_chain: bool,
    in_scenario: bool,
    since: u32,
}

impl Reader {
    /// A line; true if nobody else needs it.
    pub fn line(&mut self, number: u64, line: Cleaned<'_>, log: &mut Log) -> bool {
        let text = line.text;
        let first = text.as_bytes()[0];
        if (first == b'W' || first == b'[' || first == b'D' || first == b'=')
            && let Some(splat) = begins(text)
        {
            self.end(log);
            self.report = Some(Report {
                splat,
                line: number,
                irq: irq(text),
                locks: Vec::new(),
                chain: Vec::new(),
                scenario: Vec::new(),
                contexts: Vec::new(),
            });
            self.owner = None;
            return true;
        }
        if first.is_ascii_digit() && text.contains("held by ") {
            return self.list(text, log);
        }
        if first == b'#'
            && let Some(pid) = self.owner
            && let Some((_, lock)) = text.split_once(": ")
            && let Some(held) = lock_line(lock, number)
        {
            let list = log.held.entry(pid).or_default();
            if list.len() < LONGEST {
                list.push(held);
            }
            return true;
        }
        let Some(report) = &mut self.report else {
            return false;
        };
        self.since += 1;
        let over = text.starts_with("stack backtrace:")
            || text.starts_with("CPU: ")
            || text.starts_with("---[ end")
            || self.since > 2000;
        if over {
            self.end(log);
            return text.starts_with("stack backtrace:");
        }
        if report.splat == Splat::Dept {
            return dept(number, text, report);
        }
        if report.irq.is_none() {
            report.irq = irq(text);
        }
        if text.ends_with("scenario:") {
            (self.in_scenario, self.in_chain) = (true, false);
            return true;
        }
        if self.in_scenario {
            let action = if let Some(inside) = inside_call(text) {
                Some(Action::Lock(inside))
            } else if text.starts_with("local_irq_disable()") {
                Some(Action::IrqsOff)
            } else if text.starts_with("<Interrupt>") {
                Some(Action::Interrupt)
            } else {
                None
            };
            if let Some(action) = action {
                if report.scenario.len() < LONGEST {
                    report
                        .scenario
                        .push((u8::from(line.indent > 16), action, number));
                }
                return true;
            }
            if text.starts_with("*** DEADLOCK") {
                self.in_scenario = false;
                return true;
            }
        }
        if let Some(rest) = text.strip_prefix("-> #")
            && let Some((_, lock)) = rest.split_once(' ')
            && let Some(held) = lock_line(lock, number)
        {
            if report.chain.len() < LONGEST {
                report.chain.push((held, Vec::new()));
            }
            self.in_chain = true;
            return true;
        }
        if self.in_chain
            && let Some(frame) = kernel_frame(text, number)
        {
            if let Some((_, frames)) = report.chain.last_mut()
                && frames.len() < LONGEST
            {
                frames.push(frame);
            }
            return true;
        }
        if let Some(held) = lock_line(text, number) {
            if report.locks.len() < LONGEST {
                report.locks.push(held);
            }
            return true;
        }
        false
    }

    /// `2 locks held by x/123:`, `no locks held by x/1.`, `1 lock held by swapper/154/0:`.
    fn list(&mut self, text: &str, log: &mut Log) -> bool {
        let Some((count, behind)) = text.split_once(" lock") else {
            return false;
        };
        let Some((_, name)) = behind.split_once("held by ") else {
            return false;
        };
        let Some((comm, pid)) = name.trim_end_matches([':', '.']).rsplit_once('/') else {
            return false;
        };
        let (Ok(_), Ok(pid)) = (count.parse::<u32>(), pid.parse::<u32>()) else {
            return false;
        };
        self.owner = (log.held.len() < MOST || log.held.contains_key(&pid)).then_some(pid);
        if self.owner.is_some() {
            log.held.insert(pid, Vec::new());
            log.names.insert(pid, comm.chars().take(32).collect());
        }
        true
    }

    /// A report is open.
    pub fn is_open(&self) -> bool {
        self.report.is_some()
    }

    /// The open report, kept.
    pub fn end(&mut self, log: &mut Log) {
        if let Some(report) = self.report.take()
            && log.splats.len() < LONGEST
        {
            log.splats.push(report);
        }
        (self.in_chain, self.in_scenario, self.since) = (false, false, 0);
    }
}

fn begins(text: &str) -> Option<Splat> {
    const WORDS: [(&str, Splat); 8] = [
        (
            "possible circular locking dependency detected",
            Splat::Circular,
        ),
        (
            "possible irq lock inversion dependency detected",
            Splat::Inversion,
        ),
        (
            "-safe -> HARDIRQ-unsafe lock order detected",
            Splat::SafeToUnsafe,
        ),
        (
            "-safe -> SOFTIRQ-unsafe lock order detected",
            Splat::SafeToUnsafe,
        ),
        ("inconsistent lock state", Splat::Inconsistent),
        ("possible recursive locking detected", Splat::Recursive),
        ("DEPT: Circular dependency has been detected", Splat::Dept),
        ("DEPT: Circular dependency", Splat::Dept),
    ];
    WORDS
        .iter()
        .find(|(words, _)| text.contains(words))
        .map(|(_, splat)| *splat)
}

fn irq(text: &str) -> Option<&'static str> {
    if text.contains("SOFTIRQ") {
        Some("softirq")
    } else if text.contains("HARDIRQ") {
        Some("hardirq")
    } else {
        None
    }
}

/// `lock(x);`, `rlock(x);`, `sync(x);`: what is inside.
fn inside_call(text: &str) -> Option<String> {
    let rest = text
        .strip_prefix("lock(")
        .or_else(|| text.strip_prefix("rlock("))
        .or_else(|| text.strip_prefix("sync("))?;
    let inside = rest.trim_end_matches(';').strip_suffix(')')?;
    Some(inside.chars().take(128).collect())
}

/// `addr (class){usage}-{2:2}, at: f+0x1/0x2`; the address and `at:` may be missing.
fn lock_line(text: &str, line: u64) -> Option<Held> {
    let (before, rest) = text.split_once('(')?;
    let map = before.trim();
    let map = if map.is_empty() {
        None
    } else {
        let address = map.trim_start_matches("[<").trim_end_matches(">]");
        Some(
            u64::from_str_radix(address, 16)
                .ok()
                .filter(|_| address.len() >= 8)?,
        )
    };
    let end = rest.find("){")?;
    let usage: String = rest[end + 2..]
        .chars()
        .take_while(|c| matches!(c, '.' | '-' | '+' | '?'))
        .collect();
    if !(2..=6).contains(&usage.len()) {
        return None;
    }
    let at = rest[end..].split_once("at: ").and_then(|(_, at)| {
        let name = kernel_frame(at.trim(), line)?.function;
        Some(name)
    });
    Some(Held {
        map,
        class: rest[..end].chars().take(128).collect(),
        usage,
        at,
        line,
    })
}

fn dept(number: u64, text: &str, report: &mut Report) -> bool {
    if let Some(name) = text.strip_prefix("context ") {
        let name = name.split_whitespace().next().unwrap_or("");
        // Each context is printed in short, and again in detail.
        let fresh = name.len() == 1
            && !report.contexts.iter().any(|c| c.name == name)
            && report.contexts.len() < LONGEST;
        if fresh {
            report.contexts.push(Context {
                name: name.to_string(),
                line: number,
                ..Context::default()
            });
        }
        return fresh;
    }
    let Some((mark, what)) = text
        .split_once("] ")
        .filter(|(mark, _)| mark.starts_with('[') && mark.len() == 2)
    else {
        return false;
    };
    let Some(context) = report.contexts.last_mut() else {
        return false;
    };
    let slot = match mark {
        "[S" => &mut context.start,
        "[W" => &mut context.wait,
        "[E" => &mut context.event,
        _ => return false,
    };
    if slot.is_none() {
        // `mutex_lock(&x:0)`: the class is inside the last parentheses.
        let class = what
            .rsplit_once('(')
            .map_or(what, |(_, inside)| inside.trim_end_matches(')'));
        *slot = Some(class.chars().take(128).collect());
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_line_is_read_with_and_without_address() {
        let held = lock_line("ffff888 (x)", 1);
        assert_eq!(held, None);
        let held = lock_line(
            "c0000000023b0948 (base_crng.lock){..-.}-{2:2}, at: _credit_init_bits+0x17d/0x1d0",
            7,
        )
        .unwrap();
        assert_eq!(
            (held.map, &*held.class, &*held.usage),
            (Some(0xc000_0000_023b_0948), "base_crng.lock", "..-.")
        );
        assert_eq!(held.at.as_deref(), Some("_credit_init_bits"));
        let held = lock_line(
            "(&(&l->lock)->rlock){+.+...}, at: [<ffffffff81130de8>] f+0x1/0x2",
            7,
        )
        .unwrap();
        assert_eq!(
            (held.map, &*held.class, held.at.as_deref()),
            (None, "&(&l->lock)->rlock", Some("f"))
        );
        assert!(held.map.is_none());
    }

    #[test]
    fn the_map_is_inside_the_lock() {
        let held = Held {
            map: Some(0x1018),
            ..Held::default()
        };
        assert!(
            held.is_at(0x1000) && held.is_at(0x1018) && !held.is_at(0x1040) && !held.is_at(0x900)
        );
    }
}
