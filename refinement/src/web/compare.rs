//! One schedule on two sides: another design, or specification against real code.
//!
//! On another design the run is led along statement by statement ([`designs`]); the real code of another design does
//! the same actions, as far as they are possible. Between specification and code a step is not a step: the code does
//! in several operations what is one step of the protocol. There the other side is led along, CPU by CPU, until it has
//! done as many of the protocol's steps.

mod designs;
mod ending;

use super::error::ApiError;
use super::server::Server;
use super::subject::Subject;
use super::told::{Played, Wanted};
use super::view::compare::{CompareView, DivergesKind, DivergesView, EndsView};
use super::view::config::bare_schedule;
use super::view::run::{RefusedView, RunView, SubjectName};
use shootdown_spec::config::Config;
use shootdown_spec::design::{DESIGNS, Design};
use shootdown_spec::model::Action;
use shootdown_spec::program::Op;
use shootdown_spec::schedule::Schedule;
use shootdown_spec::workload::nearest;

/// Most operations of the code that are taken for one step of the protocol.
const MOST_OPERATIONS: usize = 64;

/// Both runs, played.
pub struct Sides {
    /// The run.
    pub left: Played,
    /// The same on the other side, carried on to its end.
    pub right: Played,
    /// By step of the left run, the step of the right one that is it.
    pub pairs: Vec<Option<usize>>,
    /// Where they part, if that is known before they are described.
    diverges: Option<Option<DivergesView>>,
    /// How the left run ends.
    pub left_ends: EndsView,
    /// How the right run ends.
    pub right_ends: EndsView,
}

/// Both runs.
pub fn compare(
    server: &Server,
    subject: SubjectName,
    schedule: &Schedule,
    with: &str,
) -> Result<CompareView, ApiError> {
    let sides = sides(subject, schedule, with)?;
    let view = |played: &Played| {
        let key = (played.subject.name(), bare_schedule(played.config()));
        played.view(&Wanted::default(), server.fates_of(&key).as_deref())
    };
    let (left, right) = (view(&sides.left), view(&sides.right));
    let pairs = sides.pairs;
    Ok(CompareView {
        schema: "shootdown/compare/1",
        with: with.to_string(),
        diverges: sides
            .diverges
            .unwrap_or_else(|| diverges(&left, &right, &pairs)),
        left,
        right,
        pairs,
        left_ends: sides.left_ends,
        right_ends: sides.right_ends,
    })
}

/// Plays both sides.
pub fn sides(subject: SubjectName, schedule: &Schedule, with: &str) -> Result<Sides, ApiError> {
    let left = super::api::played(subject, schedule)?;
    let done = left.actions.len();
    let mut parted = None;
    let (mut right, pairs) = match (with, subject) {
        ("spec", SubjectName::Spec) | ("impl", SubjectName::Impl) => {
            let pairs = (0..done).map(Some).collect();
            (super::api::played(subject, schedule)?, pairs)
        }
        ("spec", SubjectName::Impl) => protocol_of(&left)?,
        ("impl", SubjectName::Spec) => code_of(&left)?,
        (name, SubjectName::Spec) => {
            let other = on_design(schedule, name)?;
            let subject = Subject::new(subject, other.config)
                .map_err(|e| ApiError::senseless(e, "compare with another design"))?;
            let mut right = Played::begin(subject, left.start);
            let led = designs::lead(&left, &mut right);
            parted = Some(designs::diverges(&left, &right, &led));
            (right, led.pairs)
        }
        (name, SubjectName::Impl) => {
            let other = on_design(schedule, name)?;
            let right = super::api::played(subject, &other)?;
            let reached = right.actions.len();
            let pairs = (0..done).map(|i| (i < reached).then_some(i)).collect();
            (right, pairs)
        }
    };
    // The left run is shown as it was asked for; how it would end is found out on a copy.
    let left_ends = ending::carry(&mut super::api::played(subject, schedule)?);
    let right_ends = ending::carry(&mut right);
    Ok(Sides {
        left,
        right,
        pairs,
        diverges: parted,
        left_ends,
        right_ends,
    })
}

/// The schedule on another design.
fn on_design(schedule: &Schedule, name: &str) -> Result<Schedule, ApiError> {
    let names = || DESIGNS.iter().map(|d| d.name).chain(["spec", "impl"]);
    let design = Design::named(name).ok_or_else(|| {
        let hint = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
        };
        ApiError::unreadable(format!("nothing to compare with is called `{name}`"), hint)
    })?;
    let c = &schedule.config;
    let config = Config::new(design, c.environment, c.workload.clone(), c.variants)
        .map_err(|e| ApiError::senseless(e, "compare with another design"))?;
    Ok(Schedule {
        config,
        trace: schedule.trace.clone(),
    })
}

/// The protocol's side of a run of the code.
fn protocol_of(left: &Played) -> Result<(Played, Vec<Option<usize>>), ApiError> {
    let told = Schedule {
        config: left.config().clone(),
        trace: left.told.clone(),
    };
    let right = super::api::played(SubjectName::Spec, &told)?;
    let pairs = (0..left.actions.len())
        .map(|i| (left.before[i + 1] > left.before[i]).then(|| left.before[i + 1] - 1))
        .collect();
    Ok((right, pairs))
}

/// A run of the code that does what a run of the protocol does, CPU by CPU.
fn code_of(left: &Played) -> Result<(Played, Vec<Option<usize>>), ApiError> {
    let config = left.config().clone();
    let mut subject = Subject::new(SubjectName::Impl, config)
        .map_err(|e| ApiError::senseless(e, "the specification can be compared with designs"))?;
    loop {
        let mut right = Played::begin(subject, left.start);
        let pairs = lead(left, &mut right);
        // Histories of the code that looked alike may have parted on the way.
        if !right.subject.must_start_again() {
            return Ok((right, pairs));
        }
        subject = right.subject;
    }
}

/// Leads the code along the protocol's run; by step of that, the last step of the code that is it.
fn lead(left: &Played, right: &mut Played) -> Vec<Option<usize>> {
    let mut pairs = vec![None; left.actions.len()];
    // By CPU: how many of the protocol's steps the left run has done.
    let mut wanted = [0usize; shootdown_spec::id::MAX_CPUS];
    for (i, action) in left.actions.iter().enumerate() {
        let cpu = action.cpu();
        wanted[cpu.index()] += 1;
        if is_hidden(left, i, action) {
            // The code says nothing there and goes on with what follows.
            continue;
        }
        let done = |right: &Played| {
            let own = right.told.actions.iter().filter(|a| a.cpu() == cpu);
            own.count()
        };
        let mut operations = 0;
        while done(right) < wanted[cpu.index()] && operations < MOST_OPERATIONS {
            // Only the first may be a start or an interrupt; the rest are operations of what runs there.
            let next = match operations {
                0 => *action,
                _ => Action::Step { cpu },
            };
            if let Err(guard) = right.take(&next) {
                right.refused = Some(RefusedView {
                    step: i + 1,
                    cpu: Some(cpu.0),
                    action: action.to_string(),
                    guard,
                });
                return pairs;
            }
            operations += 1;
            if right.misfit.is_some() {
                return pairs;
            }
        }
        pairs[i] = right.actions.len().checked_sub(1);
    }
    pairs
}

/// A flush of an mm that is not loaded: a step of the protocol, nothing in the code.
fn is_hidden(left: &Played, i: usize, action: &Action) -> bool {
    let state = left.states[i].state();
    let Some((_, line)) = left.subject.protocol().line(state, action) else {
        return false;
    };
    let cpu = state.cpu(action.cpu());
    matches!(line.op, Op::FlushLocal(_)) && cpu.loaded_mm() != Some(cpu.context(cpu.top()).mm)
}

/// Where the runs part first.
fn diverges(left: &RunView, right: &RunView, pairs: &[Option<usize>]) -> Option<DivergesView> {
    let refused = right.refused.as_ref().map(|r| r.step);
    let same_subject = left.subject == right.subject;
    for (step, pair) in left.steps.iter().zip(pairs) {
        let other = pair.and_then(|i| right.steps.get(i));
        let Some(other) = other else {
            if refused != Some(step.n) {
                continue;
            }
            let r = right.refused.as_ref()?;
            return Some(DivergesView {
                step: step.n,
                cpu: step.cpu,
                kind: DivergesKind::Refused,
                guard: Some(r.guard.clone()),
                sentence: format!(
                    "In step {} CPU{} does `{}` on the left. On the right it cannot: {}.",
                    step.n, step.cpu, step.source, r.guard
                ),
                refused,
            });
        };
        let parted = (step.program, &step.source) != (other.program, &other.source);
        if same_subject && parted {
            return Some(DivergesView {
                step: step.n,
                cpu: step.cpu,
                kind: DivergesKind::Statement,
                guard: None,
                sentence: format!(
                    "In step {} CPU{} does `{}` on the left and `{}` on the right.",
                    step.n, step.cpu, step.source, other.source
                ),
                refused,
            });
        }
    }
    let r = right.refused.as_ref()?;
    Some(DivergesView {
        step: r.step,
        cpu: r.cpu.unwrap_or(0),
        kind: DivergesKind::Refused,
        guard: Some(r.guard.clone()),
        sentence: format!("On the right step {} is not possible: {}.", r.step, r.guard),
        refused,
    })
}
