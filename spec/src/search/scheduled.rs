//! Who performs an action.

use stateright::Model;

/// The most movers a search tells apart.
pub const MAX_MOVERS: usize = 8;

/// The most classes of urgent hardware actions; classes are `0..MAX_CLASSES`.
pub const MAX_CLASSES: usize = 15;

/// A model that tells which CPU performs an action, so that the search can prefer counterexamples with few
/// context switches and the progress analysis knows who is owed a turn.
pub trait Scheduled: Model {
    /// The number of movers (CPUs), at most [`MAX_MOVERS`].
    fn movers(&self) -> usize;

    /// The mover of an action, below [`movers`](Self::movers); `None` for a step of the environment (hardware),
    /// which is never counted as a switch and which nobody is owed.
    fn mover(&self, action: &Self::Action) -> Option<usize>;

    /// The class of an action that hardware performs without fail when it keeps being possible, such as
    /// "deliver the pending IPI to CPU 2"; `None` for an action it may leave out for ever. Only
    /// [`crate::progress`] looks at it (strong fairness per class). Classes are below [`MAX_CLASSES`].
    fn urgent(&self, _action: &Self::Action) -> Option<usize> {
        None
    }
}

/// Lets any Stateright model be searched: all its actions belong to the environment.
#[derive(Clone, Copy, Debug)]
pub struct Unscheduled<'a, M>(pub &'a M);

impl<M: Model> Model for Unscheduled<'_, M> {
    type State = M::State;
    type Action = M::Action;

    fn init_states(&self) -> Vec<Self::State> {
        self.0.init_states()
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>) {
        self.0.actions(state, actions);
    }

    fn next_state(&self, last_state: &Self::State, action: Self::Action) -> Option<Self::State> {
        self.0.next_state(last_state, action)
    }

    fn within_boundary(&self, state: &Self::State) -> bool {
        self.0.within_boundary(state)
    }
}

impl<M: Model> Scheduled for Unscheduled<'_, M> {
    fn movers(&self) -> usize {
        0
    }

    fn mover(&self, _action: &Self::Action) -> Option<usize> {
        None
    }
}
