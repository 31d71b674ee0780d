//! Steps compiled to operations on words: what the engine runs.
//!
//! The same meaning as [`Machine`], which evaluates expressions cell by cell. Here a condition on one cell is a mask and a
//! compare, or a look into a set; assignments of constants are one masked store a word; what all steps of a place
//! ask is asked once; and the place of the step's own context is known while it is compiled. Tests hold the two to the same
//! successors.

use crate::machine::{Bits, Machine, Slot};
use crate::remembered::Remembered;
use crate::system::{ContextId, X};

mod chain;
mod effect;
mod node;
use chain::{Chains, NO};
use effect::Effect;
use node::{Known, Node};

/// A compiled step.
#[derive(Debug)]
struct Step {
    number: u32,
    owed: bool,
    /// Where its condition begins.
    ready: u32,
    effect: Effect,
}

/// The steps of a context: its place, and what can be done there.
#[derive(Debug)]
struct Context {
    place: Slot,
    /// By place.
    at: Vec<At>,
}

/// The steps at one place.
#[derive(Debug)]
struct At {
    /// Where the condition of all of them begins.
    gate: u32,
    steps: Vec<Step>,
    /// Where much is to be tested: the bits that are, and which memory knows the answers.
    remembered: Option<(Bits, usize)>,
}

/// Where more tests than this are to be made, answers are remembered.
const MANY_TESTS: usize = 6;

/// What a thread remembers of which steps could be taken.
#[derive(Clone, Debug)]
pub struct Memory(Vec<Remembered<1>>);

/// A compiled condition, to be asked of states.
#[derive(Clone, Debug)]
pub struct Condition {
    chains: Chains,
    at: u32,
}

impl Condition {
    fn new(node: Node) -> Condition {
        let mut chains = Chains::default();
        let at = chains.add(node);
        Condition { chains, at }
    }

    /// Compiles a condition for states of the machine.
    pub fn on(machine: &Machine<'_>, x: &X) -> Condition {
        Condition::new(Known::nothing(machine).condition(x))
    }

    /// Is it non-zero?
    #[inline]
    pub fn is(&self, words: &[u64]) -> bool {
        self.chains.holds(self.at, words)
    }

    /// Is it the constant 0?
    pub fn is_never(&self) -> bool {
        self.at == NO
    }
}

/// A system compiled for speed.
#[derive(Debug)]
pub struct Packed<'a> {
    machine: &'a Machine<'a>,
    contexts: Vec<Context>,
    chains: Chains,
    /// Memories that a thread needs.
    memories: usize,
}

/// A step that has no successor because a value does not fit, or does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The step.
    pub step: u32,
}

impl<'a> Packed<'a> {
    /// Compiles every step.
    pub fn new(machine: &'a Machine<'a>) -> Packed<'a> {
        let system = machine.system();
        let mut packed = Packed {
            machine,
            contexts: Vec::new(),
            chains: Chains::default(),
            memories: 0,
        };
        for context in &system.contexts {
            let at = context.steps.iter().enumerate();
            let at = at.map(|(place, steps)| {
                let known = Known {
                    machine,
                    cell: context.place,
                    value: place as i64,
                };
                let gate = match place {
                    0 => &context.arrives,
                    _ => &context.executes,
                };
                packed.compile(known, gate, steps)
            });
            let at = at.collect();
            packed.contexts.push(Context {
                place: machine.slot(context.place),
                at,
            });
        }
        packed
    }

    /// The steps of one place; what all of them ask goes before them.
    fn compile(&mut self, known: Known<'_>, gate: &X, steps: &[u32]) -> At {
        let steps = steps
            .iter()
            .map(|&number| (number, &known.machine.system().steps[number as usize]));
        let mut ready: Vec<Vec<Node>> = Vec::new();
        let mut possible = Vec::new();
        for (number, step) in steps {
            let node = known.condition(&step.ready);
            if node != Node::Const(0) {
                ready.push(node.conjuncts());
                possible.push((number, step));
            }
        }
        let common: Vec<Node> = match ready.split_first() {
            Some((first, others)) => first
                .iter()
                .filter(|node| others.iter().all(|o| o.contains(node)))
                .cloned()
                .collect(),
            None => Vec::new(),
        };
        let both = |all, node| known.all(all, node);
        let gate = common.iter().cloned().fold(known.condition(gate), both);
        let mut masks = vec![0; known.machine.words()];
        let mut tests = gate.tests(&mut masks);
        let gate = self.chains.add(gate);
        let steps = possible.into_iter().zip(ready);
        let steps = steps.map(|((number, step), ready)| {
            let ready = ready.into_iter().filter(|node| !common.contains(node));
            let ready = ready.fold(Node::Const(1), both);
            tests += ready.tests(&mut masks);
            Step {
                number,
                owed: step.owed,
                ready: self.chains.add(ready),
                effect: Effect::new(&step.assigns, known, &mut self.chains),
            }
        });
        let steps: Vec<Step> = steps.collect();
        let many = tests > MANY_TESTS && steps.len() <= u64::BITS as usize;
        let remembered = many.then(|| {
            self.memories += 1;
            (Bits::new(masks), self.memories - 1)
        });
        At {
            gate,
            steps,
            remembered,
        }
    }

    /// What one thread may remember; empty.
    pub fn memory(&self) -> Memory {
        Memory(vec![Remembered::default(); self.memories])
    }

    /// The machine it was compiled from.
    pub fn machine(&self) -> &'a Machine<'a> {
        self.machine
    }

    /// More successors than this no state has.
    pub fn most_successors(&self) -> usize {
        self.contexts
            .iter()
            .map(|c| c.at.iter().map(|at| at.steps.len()).max().unwrap_or(0))
            .sum::<usize>()
            .max(1)
    }

    /// Compiles a condition.
    pub fn condition(&self, x: &X) -> Condition {
        Condition::on(self.machine, x)
    }

    /// Compiles a condition that is asked only where the context stands at the place.
    pub fn condition_at(&self, x: &X, context: ContextId, place: u32) -> Condition {
        let known = Known {
            machine: self.machine,
            cell: self.machine.system().contexts[context.index()].place,
            value: i64::from(place),
        };
        Condition::new(known.condition(x))
    }

    /// Calls `emit` with every successor and the step to it; returns how many of the steps are owed.
    ///
    /// # Errors
    /// The first step that cannot be carried out.
    #[inline]
    pub fn successors<const W: usize>(
        &self,
        state: &[u64; W],
        memory: &mut Memory,
        mut emit: impl FnMut(u32, &[u64; W]),
    ) -> Result<u32, Misfit> {
        let mut owed = 0;
        for context in &self.contexts {
            let at = &context.at[context.place.raw(state) as usize];
            let mut take = |step: &Step| {
                let Some(next) = step.effect.after(state, &self.chains) else {
                    return Err(Misfit { step: step.number });
                };
                owed += u32::from(step.owed);
                emit(step.number, &next);
                Ok(())
            };
            if let Some((bits, which)) = &at.remembered {
                let [mut ready] =
                    memory.0[*which].get(bits, state, false, || [self.ready(at, state)]);
                while ready != 0 {
                    take(&at.steps[ready.trailing_zeros() as usize])?;
                    ready &= ready - 1;
                }
            } else if !at.steps.is_empty() && self.chains.holds(at.gate, state) {
                for step in &at.steps {
                    if self.chains.holds(step.ready, state) {
                        take(step)?;
                    }
                }
            }
        }
        Ok(owed)
    }

    /// The state after the only step that the context can take; `None` where it can take none or several, or cannot carry
    /// it out.
    #[inline]
    pub fn only<const W: usize>(&self, context: usize, state: &[u64; W]) -> Option<[u64; W]> {
        let context = &self.contexts[context];
        let at = &context.at[context.place.raw(state) as usize];
        if !self.chains.holds(at.gate, state) {
            return None;
        }
        let mut ready = at.steps.iter();
        let mut ready = ready.by_ref().filter(|s| self.chains.holds(s.ready, state));
        match (ready.next(), ready.next()) {
            (Some(step), None) => step.effect.after(state, &self.chains),
            _ => None,
        }
    }

    /// The steps there that can be taken, a bit each.
    #[inline(never)]
    fn ready(&self, at: &At, state: &[u64]) -> u64 {
        if !self.chains.holds(at.gate, state) {
            return 0;
        }
        let steps = at.steps.iter().enumerate();
        steps
            .filter(|(_, step)| self.chains.holds(step.ready, state))
            .fold(0, |ready, (i, _)| ready | 1 << i)
    }
}
