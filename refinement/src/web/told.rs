//! Builds the run document: plays a schedule as far as it goes and describes every state on the way.

mod choice;
mod ipi;
mod state;
mod step;

use super::fates::Fates;
use super::subject::{At, Subject};
use super::view::config::ConfigView;
use super::view::run::{
    FateName, LineView, MismatchView, ProgramView, RefusedView, RunView, SubjectName, ViolationView,
};
use shootdown_spec::config::{Config, Start};
use shootdown_spec::model::Action;
use shootdown_spec::program::ProgramId;
use shootdown_spec::property::Property;
use shootdown_spec::report;
use shootdown_spec::schedule::{Schedule, schedule};
use shootdown_spec::trace::Trace;

/// Longest run that choices are worked out for at every state, not only at one.
pub const CHOICES_EVERYWHERE: usize = 120;

/// Most stretches of a run for which it is worked out what is wrong there: each plays the run again.
const MOST_SENTENCES: usize = 64;

/// A schedule, played as far as it goes.
pub struct Played {
    /// What runs.
    pub subject: Subject,
    /// Where the CPUs start.
    pub start: Start,
    /// The actions that were possible.
    pub actions: Vec<Action>,
    /// Every state: one more than there are actions.
    pub states: Vec<At>,
    /// The run in the protocol's steps.
    pub told: Trace,
    /// By state: how many of the protocol's steps led to it.
    pub before: Vec<usize>,
    /// The step that is not possible, if the schedule goes further.
    pub refused: Option<RefusedView>,
    /// Why the last step of the code does not fit.
    pub misfit: Option<String>,
    /// The state that a loop comes back to.
    pub loops_to: Option<usize>,
}

/// What is wanted of a run document.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The state that choices are about; the last one by default.
    pub at: Option<usize>,
    /// Checks of states, of any length, to be compared.
    pub hashes: Vec<String>,
}

/// Plays a schedule.
///
/// # Errors
/// If the subject cannot be run in its configuration.
pub fn play(name: SubjectName, wanted: &Schedule) -> Result<Played, String> {
    let mut subject = Subject::new(name, wanted.config.clone())?;
    loop {
        let mut played = play_once(subject, &wanted.trace);
        if !played.subject.must_start_again() {
            return Ok(played);
        }
        subject = played.subject;
    }
}

fn play_once(subject: Subject, trace: &Trace) -> Played {
    let mut start = trace.start;
    let mut refused = None;
    if !subject.config().starts().contains(&start) {
        start = subject.config().starts()[0];
        refused = Some(RefusedView {
            step: 0,
            cpu: None,
            action: "start".to_string(),
            guard: "this configuration does not start with that placement of CPUs on mms".into(),
        });
    }
    let mut played = Played::begin(subject, start);
    played.refused = refused;
    if played.refused.is_some() {
        return played;
    }
    for (i, action) in trace.actions.iter().enumerate() {
        if let Err(guard) = played.take(action) {
            played.refused = Some(RefusedView {
                step: i + 1,
                cpu: Some(action.cpu().0),
                action: action.to_string(),
                guard,
            });
            return played;
        }
        if played.misfit.is_some() {
            return played;
        }
    }
    // A loop that does not come back to where it began is none.
    let closes = |&to: &usize| played.states[to].hash() == played.last().hash();
    played.loops_to = trace.loops_to.filter(closes);
    played.told.loops_to = played.loops_to.map(|to| played.before[to]);
    played
}

impl Played {
    /// Nothing has happened yet.
    pub fn begin(subject: Subject, start: Start) -> Played {
        Played {
            states: vec![subject.initial(&start)],
            subject,
            start,
            actions: Vec::new(),
            told: Trace {
                start,
                actions: Vec::new(),
                loops_to: None,
            },
            before: vec![0],
            refused: None,
            misfit: None,
            loops_to: None,
        }
    }

    /// The state it ends in.
    pub fn last(&self) -> &At {
        self.states.last().expect("a run has its initial state")
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        self.subject.config()
    }

    /// The run so far.
    pub fn trace(&self) -> Trace {
        Trace {
            start: self.start,
            actions: self.actions.clone(),
            loops_to: self.loops_to,
        }
    }

    /// Goes one step further.
    ///
    /// # Errors
    /// The guard that is false, if it is not possible.
    pub fn take(&mut self, action: &Action) -> Result<(), String> {
        let moved = self.subject.step(self.last(), action)?;
        self.actions.push(*action);
        self.told.actions.extend(moved.told);
        self.before.push(self.told.actions.len());
        self.states.push(moved.at);
        if moved.misfit {
            let why = self.subject.explain(&self.trace());
            self.misfit = Some(why.unwrap_or_else(|| "the code does not fit".to_string()));
        }
        Ok(())
    }

    /// The run document.
    pub fn view(&self, wanted: &Wanted, fates: Option<&Fates>) -> RunView {
        let config = self.config();
        let walked = fates.map(|f| f.walk(&self.subject, &self.start, &self.actions));
        let fate = |i: usize| {
            let walked = walked.as_ref()?;
            Some((*walked.get(i)?)?.fate)
        };
        let at = wanted.at.unwrap_or(usize::MAX).min(self.actions.len());
        let everywhere = self.actions.len() <= CHOICES_EVERYWHERE;
        let states: Vec<_> = (0..self.states.len())
            .map(|i| {
                let mut view = state::view(&self.subject, &self.states[i]);
                view.fate = fate(i).unwrap_or(FateName::Unknown);
                if everywhere {
                    let number = walked.as_ref().and_then(|w| w[i]).map(|w| w.number);
                    view.choices = Some(choice::choices(self, i, fates.zip(number)));
                }
                view
            })
            .collect();
        let choices = match states.get(at).and_then(|s| s.choices.clone()) {
            Some(choices) => choices,
            None => {
                let number = walked.as_ref().and_then(|w| w[at]).map(|w| w.number);
                choice::choices(self, at, fates.zip(number))
            }
        };
        let text = schedule(config, &self.trace());
        let prefix = match self.subject.name() {
            SubjectName::Spec => "",
            SubjectName::Impl => crate::cli::refine::CODE,
        };
        let doom = (0..states.len()).find(|&i| states[i].fate == FateName::Always);
        RunView {
            schema: "shootdown/run/1",
            subject: self.subject.name(),
            replay: format!("shootdown replay '{prefix}{text}'"),
            schedule: text,
            config: ConfigView::new(config),
            cpus: config.cpus(),
            start: self.start[..config.cpus()]
                .iter()
                .map(|mm| mm.is_some().then(|| mm.to_string()))
                .collect(),
            steps: step::steps(self),
            ipis: ipi::ipis(self),
            at,
            choices,
            violations: self.violations(),
            programs: programs(config),
            refused: self.refused.clone(),
            misfit: self.misfit.clone(),
            loops_to: self.loops_to,
            doom,
            fates_known: fates.is_some(),
            fates_complete: fates.is_some_and(|f| f.complete),
            mismatch: mismatch(&states, &wanted.hashes),
            states,
        }
    }

    /// Every stretch of states that violates a property, with the sentence about its first state.
    fn violations(&self) -> Vec<ViolationView> {
        let config = self.config();
        let mut all: Vec<ViolationView> = Vec::new();
        for (i, at) in self.states.iter().enumerate() {
            for property in shootdown_spec::property::PROPERTIES {
                if !property.is_violated(config, at.state()) {
                    continue;
                }
                let stretch = all
                    .iter_mut()
                    .find(|v| v.property == property.name && v.until + 1 == i);
                if let Some(stretch) = stretch {
                    stretch.until = i;
                } else {
                    let explained = all.len() < MOST_SENTENCES;
                    all.push(self.violation(i, property, explained));
                }
            }
        }
        all
    }

    fn violation(&self, i: usize, property: &'static Property, explained: bool) -> ViolationView {
        let upto = Trace {
            start: self.start,
            actions: self.told.actions[..self.before[i]].to_vec(),
            loops_to: None,
        };
        let said = explained
            .then(|| report::explain(self.subject.protocol(), &upto, property.name))
            .flatten();
        let (title, sentence) = said.unwrap_or_else(|| {
            let title = format!("{} IS VIOLATED", property.name);
            (title, property.promise.to_string())
        });
        ViolationView {
            state: i,
            until: i,
            property: property.name,
            title,
            sentence,
        }
    }
}

/// The first of the checks that is not the state's.
fn mismatch(states: &[super::view::run::StateView], hashes: &[String]) -> Option<MismatchView> {
    hashes.iter().enumerate().find_map(|(i, expected)| {
        let found = states.get(i).map(|s| s.hash.clone());
        let same = found
            .as_ref()
            .is_some_and(|hash| hash.starts_with(expected));
        (!same).then(|| MismatchView {
            state: i,
            expected: expected.clone(),
            found,
        })
    })
}

/// Every program that can run in the configuration, line by line.
fn programs(config: &Config) -> Vec<ProgramView> {
    let program = |p: &shootdown_spec::program::Program| ProgramView {
        name: p.id.name(),
        about: p.id.info().about,
        lines: p
            .lines
            .iter()
            .map(|line| LineView {
                source: line.source,
                function: line.function,
                op: step::op_name(&line.op),
                control: line.op.is_control(),
            })
            .collect(),
    };
    config
        .reachable_programs()
        .filter(|p| p.id != ProgramId::None)
        .map(program)
        .collect()
}
