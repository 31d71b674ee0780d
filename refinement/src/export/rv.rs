//! Automata for the kernel's runtime verification: the local rules that exclude the deadlock of 2011.
//!
//! `rvgen` (tools/verification/rvgen, 6.16 and later; before that dot2k) makes a per-CPU monitor of such a graph. Each
//! rule is about one CPU, so a monitor sees it without looking at others. They are stronger than "no deadlock": a CPU
//! that breaks one hangs nothing yet.
//!
//! | rule | what excludes the cycle |
//! |---|---|
//! | `no_spin_irqs_off` | nobody spins for a lock that is held across a flush while its interrupts are off |
//! | `no_await_irqs_off` | nobody awaits acknowledgements while its interrupts are off |
//!
//! # Limitations
//! Which locks are held across a flush is for the glue code to know: `flush_lock_spin` must be raised for those alone.
//! The first rule is direct; the upstream rule of `docs/properties.md` is transitive, through chains of holders, which
//! no per-CPU monitor can see.

mod rules;

use super::run::Run;
pub use rules::{RuleError, parse};
use shootdown_spec::id::{Level, LockId};
use shootdown_spec::model::Action;
use shootdown_spec::program::Op;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A deterministic automaton as `rvgen` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Automaton {
    /// Its name: the file's, and the monitor's.
    pub name: String,
    /// Where it starts.
    pub initial: String,
    /// Where it may end; `rvgen` wants one at least.
    pub finals: BTreeSet<String>,
    /// Every state.
    pub states: BTreeSet<String>,
    /// From, event, to.
    pub transitions: BTreeSet<(String, String, String)>,
}

/// A rule with its automaton.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Name of the rule, the file and the monitor.
    pub name: &'static str,
    /// What it forbids.
    pub about: &'static str,
    initial: &'static str,
    transitions: &'static [(&'static str, &'static str, &'static str)],
}

/// The rules.
pub static RULES: [Rule; 2] = [
    Rule {
        name: "no_spin_irqs_off",
        about: "never spin for a flush lock with interrupts off",
        initial: "irqs_on",
        transitions: &[
            ("irqs_on", "irq_disable", "irqs_off"),
            ("irqs_on", "irq_enable", "irqs_on"),
            ("irqs_on", "flush_lock_spin", "irqs_on"),
            ("irqs_off", "irq_enable", "irqs_on"),
            ("irqs_off", "irq_disable", "irqs_off"),
        ],
    },
    // An interrupt that is taken turns interrupts off too; so does the flush handler, above a wait as anywhere else.
    Rule {
        name: "no_await_irqs_off",
        about: "never await flush acknowledgements with interrupts off",
        initial: "irqs_on",
        transitions: &[
            ("irqs_on", "irq_disable", "irqs_off"),
            ("irqs_on", "irq_enable", "irqs_on"),
            ("irqs_on", "ack_wait_begin", "waiting"),
            ("irqs_off", "irq_enable", "irqs_on"),
            ("irqs_off", "irq_disable", "irqs_off"),
            ("waiting", "irq_disable", "interrupted"),
            ("waiting", "irq_enable", "waiting"),
            ("waiting", "ack_wait_end", "irqs_on"),
            ("interrupted", "irq_enable", "waiting"),
            ("interrupted", "irq_disable", "interrupted"),
        ],
    },
];

impl Rule {
    /// The rule of that name.
    pub fn named(name: &str) -> Option<&'static Rule> {
        RULES.iter().find(|r| r.name == name)
    }

    /// Its automaton.
    pub fn automaton(&self) -> Automaton {
        let transitions: BTreeSet<_> = self
            .transitions
            .iter()
            .map(|(from, event, to)| (from.to_string(), event.to_string(), to.to_string()))
            .collect();
        let ends = transitions
            .iter()
            .flat_map(|(from, _, to)| [from.clone(), to.clone()]);
        Automaton {
            name: self.name.to_string(),
            initial: self.initial.to_string(),
            finals: BTreeSet::from([self.initial.to_string()]),
            states: ends.collect(),
            transitions,
        }
    }
}

impl Automaton {
    /// The graph as the generator reads it: line by line, token by token.
    pub fn dot(&self) -> String {
        let mut text = String::from("digraph state_automaton {\n");
        for state in &self.states {
            if *state == self.initial {
                let _ = writeln!(
                    text,
                    "\t{{node [shape = plaintext, style=invis, label=\"\"] \"__init_{state}\"}};"
                );
            }
            if self.finals.contains(state) {
                let _ = writeln!(text, "\t{{node [shape = doublecircle] \"{state}\"}};");
            }
            let _ = writeln!(text, "\t{{node [shape = circle] \"{state}\"}};");
        }
        let _ = writeln!(text, "\t\"__init_{0}\" -> \"{0}\";", self.initial);
        for state in &self.states {
            let _ = writeln!(text, "\t\"{state}\" [label = \"{state}\"];");
            let out = self.transitions.iter().filter(|(from, _, _)| from == state);
            for to in out.clone().map(|t| &t.2).collect::<BTreeSet<_>>() {
                let events: Vec<&str> = out
                    .clone()
                    .filter(|t| t.2 == *to)
                    .map(|t| t.1.as_str())
                    .collect();
                let _ = writeln!(
                    text,
                    "\t\"{state}\" -> \"{to}\" [ label = \"{}\" ];",
                    events.join("\\n")
                );
            }
        }
        let _ = write!(
            text,
            "\t{{ rank = min ;\n\t\t\"__init_{0}\";\n\t\t\"{0}\";\n\t}}\n}}\n",
            self.initial
        );
        text
    }

    /// Where an event leads, if it is allowed.
    pub fn step(&self, state: &str, event: &str) -> Option<&str> {
        let found = self
            .transitions
            .iter()
            .find(|(from, e, _)| from == state && e == event);
        found.map(|(_, _, to)| to.as_str())
    }

    /// The first event that is not allowed, by position; events that the automaton does not know do not concern it.
    pub fn rejects<'a>(&self, events: impl IntoIterator<Item = &'a str>) -> Option<usize> {
        let known = |event: &str| self.transitions.iter().any(|(_, e, _)| e == event);
        let mut at = self.initial.as_str();
        for (i, event) in events.into_iter().enumerate().filter(|(_, e)| known(e)) {
            match self.step(at, event) {
                Some(next) => at = next,
                None => return Some(i),
            }
        }
        None
    }
}

/// What the monitors of one CPU would be told during a run, each event with its step. `is_flush_lock` says for which
/// locks `flush_lock_spin` is raised.
pub fn events(
    run: &Run,
    cpu: u8,
    is_flush_lock: impl Fn(LockId) -> bool,
) -> Vec<(usize, &'static str)> {
    let mut told = Vec::new();
    for n in 1..run.states.len() {
        let who = run.actor(n);
        if who.cpu.0 != cpu {
            continue;
        }
        let (was, is) = (run.states[n - 1].cpu(who.cpu), run.states[n].cpu(who.cpu));
        let op = run
            .line(n)
            .map(|at| run.protocol.config.program(at.program).line(at.pc).op);
        if was.irqs_on && !is.irqs_on {
            told.push((n, "irq_disable"));
        }
        let spins = |level: Level| is.context(level).spins_for().filter(|l| is_flush_lock(*l));
        if matches!(op, Some(Op::Lock(..))) && spins(who.level).is_some() {
            told.push((n, "flush_lock_spin"));
        }
        if matches!(op, Some(Op::SendIpi(_))) && is.awaits_acks(&run.protocol.config, who.level) {
            told.push((n, "ack_wait_begin"));
        }
        if op == Some(Op::AwaitAcks) {
            told.push((n, "ack_wait_end"));
        }
        if !was.irqs_on && is.irqs_on {
            told.push((n, "irq_enable"));
        }
        debug_assert!(!matches!(run.action(n), Action::Start { .. }) || was.irqs_on == is.irqs_on);
    }
    told
}
