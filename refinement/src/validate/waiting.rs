//! Who waits for a lock in a recorded run.

use shootdown_spec::id::{Context, LockId};

use super::window::CONTEXTS;

/// Who waits for which lock: for one lock, in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// By lock, then by arrival: lock, context. [`NOBODY`] at the end.
    queue: [(u8, u8); CONTEXTS],
}

const NOBODY: (u8, u8) = (u8::MAX, u8::MAX);

impl Default for Waiting {
    fn default() -> Self {
        Self {
            queue: [NOBODY; CONTEXTS],
        }
    }
}

impl Waiting {
    /// Contexts that wait, with their locks: by lock, then by arrival.
    pub fn iter(&self) -> impl Iterator<Item = (LockId, Context)> {
        let used = self.queue.into_iter().take_while(|&w| w != NOBODY);
        used.map(|(lock, who)| (LockId::from_index(lock.into()), Context::from_code(who)))
    }

    /// Whose turn it is.
    pub fn first(&self, lock: LockId) -> Option<Context> {
        self.iter().find(|w| w.0 == lock).map(|w| w.1)
    }

    /// Whether that context waits.
    pub fn contains(&self, who: Context) -> bool {
        self.iter().any(|w| w.1 == who)
    }

    /// A context waits from now on.
    pub fn push(&mut self, lock: LockId, who: Context) {
        let lock = lock.index() as u8;
        let at = self.queue.iter().position(|w| w.0 > lock);
        // A context waits for one lock at a time, so there is room.
        if let Some(at) = at {
            self.queue.copy_within(at..CONTEXTS - 1, at + 1);
            self.queue[at] = (lock, who.code());
        }
    }

    /// It waits no more.
    pub fn remove(&mut self, who: Context) {
        if let Some(at) = self.queue.iter().position(|w| w.1 == who.code()) {
            self.queue.copy_within(at + 1.., at);
            self.queue[CONTEXTS - 1] = NOBODY;
        }
    }
}
