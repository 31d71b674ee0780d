//! A run of the code, in the protocol's steps.

use shootdown_spec::trace::Trace;

use super::joint::Refinement;

/// The protocol's side of a run of the code.
#[derive(Clone, Debug)]
pub struct Translated {
    /// Every step the protocol took, hidden ones included: a run of the protocol.
    pub trace: Trace,
    /// By step of the code: how many steps of the protocol were taken before it.
    pub before: Vec<usize>,
    /// How many steps of the code fit; all of them, unless the run shows that the code does not refine the protocol.
    pub fits: usize,
}

impl Refinement {
    /// Plays a run of the code and writes down what the protocol did along with it.
    pub fn translate(&self, run: &Trace) -> Translated {
        let mut at = self.initial(&run.start);
        let mut translated = Translated {
            trace: Trace {
                start: run.start,
                actions: Vec::new(),
                loops_to: None,
            },
            before: Vec::new(),
            fits: 0,
        };
        for action in &run.actions {
            translated.before.push(translated.trace.actions.len());
            let (next, misfit, taken) = self.step_translated(&at, action);
            if misfit.is_some() {
                return translated;
            }
            translated
                .trace
                .actions
                .extend(taken.iter().map(|t| t.action));
            translated.fits += 1;
            at = next;
        }
        translated.trace.loops_to = run
            .loops_to
            .and_then(|at| translated.before.get(at).copied());
        translated
    }
}
