//! A run with all its states.

use super::TextOptions;
use super::page::Page;
use crate::check::{Outcome, Result as Judged, Violation};
use crate::machine::{Machine, View};
use crate::protocol::{Line, Pc, Protocol, Source};
use crate::run::shortest;
use crate::system::{ContextId, Step, What};
use crate::waits::Waits;

/// What a run is a counterexample of.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// The property's name.
    pub name: String,
    /// The context it is about.
    pub context: Option<ContextId>,
    /// The contexts that can never move again.
    pub stuck: u64,
}

/// A run of a protocol with all its states, and what it violates.
#[derive(Debug)]
pub struct Story<'a> {
    pub(super) protocol: &'a Protocol,
    pub(super) machine: &'a Machine<'a>,
    pub(super) waits: Waits<'a>,
    /// One more than steps.
    pub(super) states: Vec<Vec<u64>>,
    /// Indexes into the system's steps.
    pub(super) steps: Vec<u32>,
    /// The state that the last one repeats: from there on the run goes round for ever.
    pub(super) loops_to: Option<usize>,
    pub(super) claim: Option<Claim>,
}

impl<'a> Story<'a> {
    /// The shortest counterexample of a violated property; `None` if it is not violated.
    pub fn counterexample(
        protocol: &'a Protocol,
        machine: &'a Machine<'a>,
        outcome: &Outcome,
        result: &Judged,
    ) -> Option<Story<'a>> {
        let violation = result.violation.as_ref()?;
        let graph = &outcome.graph;
        let mut run = shortest(machine, graph, violation.state());
        let (mut context, mut stuck, mut loops_to) = (None, 0, None);
        match violation {
            Violation::State(_, about) => context = *about,
            Violation::Stuck(n, contexts) => {
                stuck = *contexts;
                let waits = Waits::new(protocol, machine);
                // Doomed, but not yet for all to see: those who doom it still move. Shown is the first state in which nobody
                // does.
                if waits.closed(graph.state(*n), stuck) == 0
                    && let Some(end) = (0..graph.len() as u32).find(|&n| {
                        graph.is_expanded(n)
                            && graph.edges(n).iter().all(|e| e.to == n)
                            && machine.active(graph.state(n)) & stuck != 0
                    })
                {
                    run = shortest(machine, graph, end);
                    stuck = machine.active(graph.state(end));
                }
            }
            Violation::Circle(circle) => {
                loops_to = Some(run.steps.len());
                let round = super::lasso::round(machine, graph, circle);
                run.steps.extend(&round.steps);
                run.states.extend(round.states.iter().skip(1));
            }
        }
        Some(Story {
            protocol,
            machine,
            waits: Waits::new(protocol, machine),
            states: run
                .states
                .iter()
                .map(|&n| graph.state(n).to_vec())
                .collect(),
            steps: run.steps,
            loops_to,
            claim: Some(Claim {
                name: result.name.clone(),
                context,
                stuck,
            }),
        })
    }

    /// The number of steps.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Is it a run without steps?
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The number of steps before the circle, if the run goes round for ever.
    pub fn loops_to(&self) -> Option<usize> {
        self.loops_to
    }

    /// The property that the run violates, if it is a counterexample.
    pub fn property(&self) -> Option<&str> {
        self.claim.as_ref().map(|c| c.name.as_str())
    }

    /// The protocol.
    pub fn protocol(&self) -> &'a Protocol {
        self.protocol
    }

    /// The machine.
    pub fn machine(&self) -> &'a Machine<'a> {
        self.machine
    }

    /// The state after `n` steps, packed.
    ///
    /// # Panics
    /// If the run has fewer steps.
    pub fn state(&self, n: usize) -> &[u64] {
        &self.states[n]
    }

    /// Who waits for what.
    pub fn waits(&self) -> &Waits<'a> {
        &self.waits
    }

    /// The state after `n` steps, to read.
    ///
    /// # Panics
    /// If the run has fewer steps.
    pub fn view(&self, n: usize) -> View<'_> {
        self.machine.view(&self.states[n])
    }

    /// The step from state `n` to the next.
    ///
    /// # Panics
    /// If the run has fewer steps.
    pub fn step(&self, n: usize) -> &'a Step {
        &self.machine.system().steps[self.steps[n] as usize]
    }

    /// The number of the last state.
    pub fn end(&self) -> usize {
        self.steps.len()
    }

    /// The contexts that can never move again, if the run ends in a deadlock: a set by number.
    pub fn stuck(&self) -> u64 {
        self.claim.as_ref().map_or(0, |c| c.stuck)
    }

    /// The run as text.
    pub fn text(&self, options: &TextOptions) -> String {
        let mut page = Page::new(*options);
        super::page::header(&mut page, self);
        super::columns::write(&mut page, self);
        super::status::write(&mut page, self);
        if let Some((title, sentence)) = self.explain() {
            page.titled(&title, &sentence);
            page.blank();
        }
        page.paragraph("", "Replay it:");
        page.out.push_str(&format!("  {}\n", self.replay_command()));
        page.out
    }

    /// The command that replays the run, as a shell reads it.
    pub fn replay_command(&self) -> String {
        let file = match self.protocol.file.as_str() {
            "" => "FILE",
            file => file,
        };
        format!("shootdown replay '{}' {}", self.schedule(), shell(file))
    }

    /// The source a context is an instance of.
    pub(super) fn source_of(&self, context: ContextId) -> &'a Source {
        let it = &self.machine.system().contexts[context.index()];
        self.protocol.source(it.source)
    }

    /// The CPU of a context.
    pub fn cpu_of(&self, context: ContextId) -> usize {
        self.machine.system().contexts[context.index()].cpu
    }

    /// Every context.
    pub fn contexts(&self) -> impl Iterator<Item = ContextId> + use<> {
        (0..self.machine.system().contexts.len() as u32).map(ContextId)
    }

    /// The program line that the step from state `n` is of; `None` for the start of a context.
    pub fn line_of(&self, n: usize) -> Option<(Pc, &'a Line)> {
        let step = self.step(n);
        if matches!(step.what, What::Start | What::Drain) {
            return None;
        }
        let it = &self.machine.system().contexts[step.context.index()];
        let pc = it.places[step.at as usize - 1].line;
        Some((pc, &self.source_of(step.context).program[pc]))
    }

    /// The program line at which a context stands in state `n`; `None` if it does not run.
    pub fn stands_at(&self, n: usize, context: ContextId) -> Option<(Pc, &'a Line)> {
        let pc = self.waits.line(&self.view(n), context)?;
        Some((pc, &self.source_of(context).program[pc]))
    }

    /// What the context runs on top of, in state `n`: itself first, then what it interrupted.
    pub(super) fn stack(&self, n: usize, context: ContextId) -> Vec<ContextId> {
        use crate::eval::Cells;
        let system = self.machine.system();
        let view = self.view(n);
        let mut stack = vec![context];
        while let Some(below) = system.objects.below[stack[stack.len() - 1].index()] {
            let slot = view.cell(below);
            let cpu = self.cpu_of(context);
            let found = self.contexts().find(|c| {
                let it = &system.contexts[c.index()];
                it.cpu == cpu && it.slot == slot
            });
            match found {
                Some(found) if slot != 0 && !stack.contains(&found) => stack.push(found),
                _ => break,
            }
        }
        stack
    }

    /// Is the context a task, a work item or a stopper?
    pub fn is_thread(&self, context: ContextId) -> bool {
        self.machine.system().objects.below[context.index()].is_none()
    }
}

/// A word for a shell.
fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+:@%,=".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
