//! A run of the code, told in the protocol's steps.

use shootdown_spec::trace::Trace;

use super::joint::Refinement;

/// The protocol's side of a run of the code.
#[derive(Clone, Debug)]
pub struct Told {
    /// Every step the protocol took, hidden ones included: a run of the protocol.
    pub trace: Trace,
    /// By step of the code: how many steps of the protocol were taken before it.
    pub before: Vec<usize>,
    /// How many steps of the code fit; all of them, unless the run shows that the code does not refine the protocol.
    pub fits: usize,
}

impl Refinement {
    /// Plays a run of the code and writes down what the protocol did along with it.
    pub fn told(&self, run: &Trace) -> Told {
        let mut at = self.initial(&run.start);
        let mut told = Told {
            trace: Trace {
                start: run.start,
                actions: Vec::new(),
                loops_to: None,
            },
            before: Vec::new(),
            fits: 0,
        };
        for action in &run.actions {
            told.before.push(told.trace.actions.len());
            let (next, misfit, taken) = self.step_told(&at, action);
            if misfit.is_some() {
                return told;
            }
            told.trace.actions.extend(taken.iter().map(|t| t.action));
            told.fits += 1;
            at = next;
        }
        told.trace.loops_to = run.loops_to.and_then(|at| told.before.get(at).copied());
        told
    }
}
