//! A run as a string that can be mailed, and back.
//!
//! `0:page_referenced_one*3 1:vmalloc_sync_all*3`: who takes the next step, CPU and source, and how many in a row. Where a
//! context could take several different steps, `/2` says which, from 0, which is left out. `|` stands before the part that
//! goes round for ever, and `@2` at the beginning says where it starts, if the machine has several starts.

use super::Story;
use crate::check::{Outcome, Violation};
use crate::machine::{Machine, Moves};
use crate::protocol::Protocol;
use crate::system::ContextId;
use crate::waits::Waits;

/// Longest run that a string may ask for.
const MOST_STEPS: usize = 100_000;

/// Why a string is not a run of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A part of it has another form.
    #[error("`{0}` is not `CPU:SOURCE`, `CPU:SOURCE*COUNT` or `CPU:SOURCE/CHOICE`")]
    Form(String),
    /// It names what the protocol does not have.
    #[error("there is no `{name}` on CPU{cpu}; there are: {all}")]
    Unknown {
        /// The name.
        name: String,
        /// The CPU.
        cpu: usize,
        /// The right ones.
        all: String,
    },
    /// It is longer than any run worth replaying.
    #[error("more than {MOST_STEPS} steps")]
    TooLong,
    /// A step that is not possible.
    #[error("step {step}, {who}: not possible{why}")]
    Refused {
        /// Its number, from 1.
        step: usize,
        /// Whose.
        who: String,
        /// Why, with a comma in front; empty if there is nothing to say.
        why: String,
    },
    /// The part that should go round does not.
    #[error("the circle does not close: after the last step things are not as before step {0}")]
    Open(usize),
}

/// The parts of a string: who, which choice, and where the circle starts.
type Parsed = (Vec<(ContextId, usize)>, Option<usize>);

impl<'a> Story<'a> {
    /// The run as a string.
    pub fn schedule(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        let starts = self.machine.initial();
        if let Some(start @ 1..) = starts.iter().position(|s| *s == self.states[0]) {
            words.push(format!("@{start}"));
        }
        let (mut last, mut count) = (String::new(), 0usize);
        let flush = |words: &mut Vec<String>, last: &str, count: usize| match count {
            0 => {}
            1 => words.push(last.to_string()),
            n => words.push(format!("{last}*{n}")),
        };
        for n in 0..self.steps.len() {
            if self.loops_to == Some(n) {
                flush(&mut words, &last, count);
                count = 0;
                words.push("|".to_string());
            }
            let word = self.word(n);
            if count > 0 && word == last {
                count += 1;
            } else {
                flush(&mut words, &last, count);
                last = word;
                count = 1;
            }
        }
        flush(&mut words, &last, count);
        words.join(" ")
    }

    /// Each step as a word of [`schedule`](Self::schedule).
    pub fn words(&self) -> Vec<String> {
        (0..self.steps.len()).map(|n| self.word(n)).collect()
    }

    fn word(&self, n: usize) -> String {
        let context = self.step(n).context;
        let choice = choices(self.machine, &self.states[n], context)
            .iter()
            .position(|&s| s == self.steps[n])
            .unwrap_or(0);
        let name = handle(self.protocol, self.machine, context);
        match choice {
            0 => name,
            k => format!("{name}/{k}"),
        }
    }

    /// The run that a string describes. The second part says why the run ends before the string does.
    ///
    /// # Errors
    /// Where the string has another form, or names what there is not.
    pub fn replay(
        protocol: &'a Protocol,
        machine: &'a Machine<'a>,
        text: &str,
    ) -> Result<(Story<'a>, Option<ReplayError>), ReplayError> {
        let starts = machine.initial();
        let (start, rest) = match text.trim_start().strip_prefix('@') {
            None => (0, text),
            Some(text) => {
                let (number, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
                let form = || {
                    ReplayError::Form(format!("@{}", number.chars().take(60).collect::<String>()))
                };
                let number = number.parse::<usize>().ok().filter(|&n| n < starts.len());
                (number.ok_or_else(form)?, rest)
            }
        };
        let (wanted, loops_to) = parse(protocol, machine, rest)?;
        let mut story = Story {
            protocol,
            machine,
            waits: Waits::new(protocol, machine),
            states: vec![starts[start].clone()],
            steps: Vec::new(),
            loops_to: None,
            claim: None,
        };
        for (i, (context, choice)) in wanted.into_iter().enumerate() {
            let state = &story.states[i];
            let mut moves = Moves::default();
            machine.moves(state, &mut moves);
            let all = choices(machine, state, context);
            let Some(&step) = all.get(choice) else {
                let why = match story.wait_text(i, context) {
                    Some(why) => format!(": it {why}"),
                    None if all.is_empty() => ": it has nothing to do here".to_string(),
                    None => format!(": it has {} ways to go on", all.len()),
                };
                let who = story.named(context);
                let step = i + 1;
                return Ok((story, Some(ReplayError::Refused { step, who, why })));
            };
            let Some(at) = moves.steps.iter().position(|&s| s == step) else {
                let who = story.named(context);
                let why = ": a value would be out of range".to_string();
                return Ok((
                    story,
                    Some(ReplayError::Refused {
                        step: i + 1,
                        who,
                        why,
                    }),
                ));
            };
            let words = machine.words();
            let next = moves.states[at * words..(at + 1) * words].to_vec();
            story.states.push(next);
            story.steps.push(step);
        }
        if let Some(to) = loops_to {
            if story.states[to] != story.states[story.steps.len()] || to == story.steps.len() {
                return Ok((story, Some(ReplayError::Open(to + 1))));
            }
            story.loops_to = Some(to);
        }
        Ok((story, None))
    }

    /// Tells the run as a counterexample of the first property that its last state violates, by what a check found.
    pub fn judge(&mut self, outcome: &Outcome) {
        let last = &self.states[self.end()];
        let graph = &outcome.graph;
        let number = (0..graph.len() as u32).find(|&n| graph.state(n) == last.as_slice());
        let stuck = number.map_or(0, |n| {
            crate::stuck::Future::of(self.machine, graph).stuck(self.machine, graph, n)
        });
        let mut moves = Moves::default();
        self.machine.moves(last, &mut moves);
        let fails = |name: &str| {
            let faults = moves.faults.iter().filter_map(|&(step, fault)| {
                let context = self.machine.system().steps[step as usize].context;
                Some((self.machine.fault_check(fault)?, context))
            });
            let mut all = moves.failed.iter().copied().chain(faults);
            all.find(|(check, _)| check.name() == name).map(|f| f.1)
        };
        let invariants = &self.machine.system().invariants;
        for result in &outcome.results {
            let broken = invariants.iter().find(|i| i.name == result.name);
            let (context, set) = match &result.violation {
                None => continue,
                Some(_) if result.name == "no_deadlock" => match stuck {
                    0 => continue,
                    stuck => {
                        let closed = self.waits.closed(last, stuck);
                        (None, if closed == 0 { stuck } else { closed })
                    }
                },
                Some(Violation::Circle(circle)) => match (self.loops_to, number) {
                    (Some(_), Some(n)) if circle.contains(&n) => (None, 0),
                    _ => continue,
                },
                Some(Violation::State(n, context)) if Some(*n) == number => (*context, 0),
                Some(Violation::Stuck(n, set)) if Some(*n) == number => (None, *set),
                Some(_)
                    if broken
                        .is_some_and(|i| self.machine.view(last).value(&i.holds) == Some(0)) =>
                {
                    (None, 0)
                }
                Some(_) => match fails(&result.name) {
                    Some(context) => (Some(context), 0),
                    None => continue,
                },
            };
            self.claim = Some(super::story::Claim {
                name: result.name.clone(),
                context,
                stuck: set,
            });
            return;
        }
    }
}

/// The steps that a context could take in a state, in order.
fn choices(machine: &Machine<'_>, state: &[u64], context: ContextId) -> Vec<u32> {
    let mut moves = Moves::default();
    machine.moves(state, &mut moves);
    let steps = &machine.system().steps;
    moves
        .steps
        .iter()
        .copied()
        .filter(|&s| steps[s as usize].context == context)
        .collect()
}

/// How a context is called: `0:name`; with `#2` where a second source of its CPU has the name.
fn handle(protocol: &Protocol, machine: &Machine<'_>, context: ContextId) -> String {
    let contexts = &machine.system().contexts;
    let it = &contexts[context.index()];
    let name = &protocol.source(it.source).name;
    let before = contexts[..context.index()]
        .iter()
        .filter(|c| c.cpu == it.cpu && protocol.source(c.source).name == *name)
        .count();
    match before {
        0 => format!("{}:{name}", it.cpu),
        n => format!("{}:{name}#{}", it.cpu, n + 1),
    }
}

fn parse(protocol: &Protocol, machine: &Machine<'_>, text: &str) -> Result<Parsed, ReplayError> {
    let all: Vec<(String, ContextId)> = (0..machine.system().contexts.len() as u32)
        .map(|c| (handle(protocol, machine, ContextId(c)), ContextId(c)))
        .collect();
    let (mut wanted, mut loops_to) = (Vec::new(), None);
    for word in text.split_whitespace() {
        if word == "|" {
            loops_to = Some(wanted.len());
            continue;
        }
        let form = || ReplayError::Form(word.chars().take(60).collect());
        let (rest, count) = match word.split_once('*') {
            None => (word, 1),
            Some((rest, count)) => (rest, count.parse::<usize>().map_err(|_| form())?),
        };
        let (name, choice) = match rest.split_once('/') {
            None => (rest, 0),
            Some((name, choice)) => (name, choice.parse::<usize>().map_err(|_| form())?),
        };
        let (cpu, source) = name.split_once(':').ok_or_else(form)?;
        let cpu: usize = cpu.parse().map_err(|_| form())?;
        let found = all.iter().find(|(handle, _)| handle == name);
        let Some(&(_, context)) = found else {
            let names: Vec<&str> = all.iter().map(|a| a.0.as_str()).collect();
            return Err(ReplayError::Unknown {
                name: source.chars().take(60).collect(),
                cpu,
                all: names.join(", "),
            });
        };
        if count == 0 || wanted.len() + count > MOST_STEPS {
            return Err(if count == 0 {
                form()
            } else {
                ReplayError::TooLong
            });
        }
        wanted.extend(std::iter::repeat_n((context, choice), count));
    }
    Ok((wanted, loops_to))
}
