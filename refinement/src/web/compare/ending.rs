//! What becomes of the other side: it goes on until every program that has begun is done, or nothing can move.

use crate::web::told::Played;
use crate::web::view::compare::EndsView;
use crate::web::view::run::SubjectName;
use shootdown_spec::id::CpuId;
use shootdown_spec::model::Action;

/// Most steps that are added. The longest program has fewer than twenty.
const MOST: usize = 400;

/// Carries the run on, one CPU after the other and the lowest first: interrupts that wait are taken, what runs is
/// finished, nothing new is started. Says how that ends.
pub(super) fn carry(run: &mut Played) -> EndsView {
    let from = run.actions.len();
    // A step of the code is tried by running it, which leaves marks; only the protocol can be asked for free.
    let free = run.subject.name() == SubjectName::Spec;
    while free && run.actions.len() - from < MOST {
        if !any(run) {
            break;
        }
    }
    let config = run.config();
    let state = run.last().state();
    let stuck = !state.stuck(config).is_empty();
    let done = state.each_context(config).next().is_none();
    let steps = run.actions.len();
    let sentence = match (stuck, done) {
        (true, _) => format!("hangs: after step {steps} some CPU never moves again"),
        (false, true) => format!("finishes: after step {steps} every program that began is done"),
        (false, false) => format!("is still running after step {steps}"),
    };
    EndsView {
        from,
        stuck,
        done,
        sentence,
    }
}

/// Takes the first action that is possible.
fn any(run: &mut Played) -> bool {
    let cpus = || (0..run.config().cpus() as u8).map(CpuId);
    let interrupts = cpus().flat_map(|cpu| cpus().map(move |from| Action::Ipi { cpu, from }));
    let steps = cpus().map(|cpu| Action::Step { cpu });
    let all: Vec<Action> = interrupts.chain(steps).collect();
    all.iter().any(|action| run.take(action).is_ok())
}
