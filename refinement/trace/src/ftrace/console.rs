//! What the console says around a dump: call traces, and lines that announce a hang.

use super::place::printable;
use serde::Serialize;
use std::collections::BTreeMap;

/// How many lines, and frames of a stack, are kept.
const SHOWN: usize = 16;

/// Words of the lines worth showing: watchdogs, RCU stalls, the csd watchdog, panics.
const WORDS: &[&str] = &[
    "soft lockup",
    "hard LOCKUP",
    "detected stall",
    "self-detected stall",
    "csd: ",
    "blocked for more than",
    "Kernel panic",
];

/// A line of the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The line, from 1.
    pub line: u64,
    /// What it says.
    pub text: String,
}

/// The first call trace that was printed of a CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stack {
    /// The line, from 1, of `CPU: n ...`.
    pub line: u64,
    /// `RIP:`, then `Call Trace:` without what the unwinder doubts; innermost first.
    pub frames: Vec<String>,
}

/// Collects.
#[derive(Debug, Default)]
pub struct Console {
    /// Lines worth showing.
    pub notices: Vec<Notice>,
    /// By CPU.
    pub stacks: BTreeMap<u16, Stack>,
    current: Option<u16>,
    in_trace: bool,
}

impl Console {
    /// A line of text.
    pub fn line(&mut self, number: u64, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end();
        if WORDS.iter().any(|word| text.contains(word)) && self.notices.len() < SHOWN {
            let text = printable(text.chars().take(160).collect::<String>().trim());
            self.notices.push(Notice { line: number, text });
        }
        let trimmed = text.trim_start();
        if let Some(rest) = trimmed.strip_prefix("CPU: ") {
            let cpu = rest.split(' ').next().and_then(|n| n.parse().ok());
            self.in_trace = false;
            // The first stack of a CPU is where it was caught; a panic prints its own later.
            self.current =
                cpu.filter(|cpu| !self.stacks.contains_key(cpu) && self.stacks.len() < 1024);
            if let Some(cpu) = self.current {
                let frames = Vec::new();
                self.stacks.insert(
                    cpu,
                    Stack {
                        line: number,
                        frames,
                    },
                );
            }
            return;
        }
        let Some(stack) = self.current.and_then(|cpu| self.stacks.get_mut(&cpu)) else {
            return;
        };
        let frame = trimmed.strip_prefix("RIP: 0010:").or_else(|| {
            let there =
                self.in_trace && !trimmed.starts_with(['?', '<']) && trimmed.contains("+0x");
            there.then_some(trimmed)
        });
        match (frame, trimmed) {
            (Some(frame), _) if stack.frames.len() < SHOWN => {
                let frame = frame.split(' ').next().unwrap_or(frame);
                stack
                    .frames
                    .push(printable(&frame.chars().take(120).collect::<String>()));
            }
            (_, "Call Trace:") => self.in_trace = true,
            (_, "</TASK>") => self.current = None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_trace_goes_to_its_cpu_and_the_first_one_stays() {
        let mut console = Console::default();
        let text = "watchdog: BUG: soft lockup - CPU#0 stuck for 7s! [wl:64]
CPU: 0 UID: 0 PID: 64 Comm: wl
RIP: 0010:queued_spin_lock_slowpath+0x88/0x330
RAX: 0000000000000001
Call Trace:
 <TASK>
 _raw_spin_lock+0x69/0x70
 ? wake_up_q+0xe0/0xe0
 exc_page_fault+0x251/0x8f0
RIP: 0033:0x402e44
 </TASK>
CPU: 0 UID: 0 PID: 64 Comm: wl
Call Trace:
 panic+0x308/0x320
 </TASK>";
        for (number, line) in text.lines().enumerate() {
            console.line(number as u64 + 1, line.as_bytes());
        }
        let frames = [
            "queued_spin_lock_slowpath+0x88/0x330",
            "_raw_spin_lock+0x69/0x70",
            "exc_page_fault+0x251/0x8f0",
        ];
        assert_eq!(
            console.stacks[&0],
            Stack {
                line: 2,
                frames: frames.map(String::from).to_vec()
            }
        );
        assert_eq!(console.notices.len(), 1);
    }
}
