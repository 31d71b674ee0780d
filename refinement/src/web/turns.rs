//! Whose turn it is to search: one at a time, so that the page stays quick on two cores, and each for a moment only, so
//! that a small search never waits for large ones.
//!
//! A search gives its turn up from within, where it tells how it is getting on. What it has found so far stays in memory
//! meanwhile, so all of them share a budget.

use super::server::lock;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a turn is while others wait.
pub const TURN: Duration = Duration::from_millis(250);

/// How often a waiting search looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// The least memory a search gets.
const LEAST: u64 = 32 << 20;

/// The searches that take turns; the first of them has its turn.
#[derive(Debug)]
pub struct Turns {
    queue: Mutex<Queue>,
    changed: Condvar,
    budget: u64,
}

#[derive(Debug, Default)]
struct Queue {
    searches: VecDeque<u64>,
    next: u64,
    /// Bytes that searches were given.
    given: u64,
    /// A search runs beside the turns.
    aside: bool,
}

/// The place beside the turns, for a search that cannot give its turn up: one at a time. Until it is dropped.
#[derive(Debug)]
pub struct Aside {
    turns: Arc<Turns>,
}

impl Drop for Aside {
    fn drop(&mut self) {
        lock(&self.turns.queue).aside = false;
        self.turns.changed.notify_all();
    }
}

/// One search's place among them, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    me: u64,
    memory: u64,
    /// When its turn began, and how long it has searched before.
    clock: Mutex<(Instant, Duration)>,
}

impl Turns {
    /// Nobody searches yet. `budget`: most bytes that a search gets which begins alone.
    pub fn new(budget: u64) -> Turns {
        Turns {
            queue: Mutex::default(),
            changed: Condvar::new(),
            budget,
        }
    }

    /// Takes a place, and waits for the turn. None if `cancel` is raised before.
    pub fn begin(self: &Arc<Turns>, cancel: &AtomicBool) -> Option<Turn> {
        let turn = {
            let mut queue = lock(&self.queue);
            let me = queue.next;
            queue.next += 1;
            let memory = share(self.budget, queue.given);
            queue.given += memory;
            // Whoever is new comes second: it has had nothing yet, the first only gets its turn cut short.
            let at = queue.searches.len().min(1);
            queue.searches.insert(at, me);
            Turn {
                turns: self.clone(),
                me,
                memory,
                clock: Mutex::new((Instant::now(), Duration::ZERO)),
            }
        };
        turn.wait(cancel).then_some(turn)
    }
}

/// What the next search gets, of twice the budget: half of what is left. So the first gets all that it may, and there is
/// something left for every other.
fn share(budget: u64, given: u64) -> u64 {
    ((2 * budget).saturating_sub(given) / 2).max(LEAST)
}

impl Turn {
    /// Most bytes it may hold.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// How long it has searched, the time in which others had their turn left out.
    pub fn searched(&self) -> Duration {
        let (since, before) = *lock(&self.clock);
        before + since.elapsed()
    }

    /// Gives the turn up if it was long enough and others wait, and comes back with the next one, or once `cancel` is
    /// raised.
    pub fn pass(&self, cancel: &AtomicBool) {
        let searched = {
            let (since, before) = *lock(&self.clock);
            let mut queue = lock(&self.turns.queue);
            if since.elapsed() < TURN || queue.searches.len() < 2 {
                return;
            }
            queue.searches.retain(|s| *s != self.me);
            queue.searches.push_back(self.me);
            before + since.elapsed()
        };
        self.turns.changed.notify_all();
        self.wait(cancel);
        *lock(&self.clock) = (Instant::now(), searched);
    }

    /// Gives the turn up for good and waits for the place beside the turns; its memory it keeps. None if `cancel` is raised
    /// before.
    pub fn aside(&self, cancel: &AtomicBool) -> Option<Aside> {
        let mut queue = lock(&self.turns.queue);
        queue.searches.retain(|s| *s != self.me);
        self.turns.changed.notify_all();
        while queue.aside {
            if cancel.load(Ordering::Relaxed) {
                return None;
            }
            let waited = self.turns.changed.wait_timeout(queue, LOOK);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.aside = true;
        Some(Aside {
            turns: self.turns.clone(),
        })
    }

    /// Waits for the turn; false if `cancel` was raised before.
    fn wait(&self, cancel: &AtomicBool) -> bool {
        let mut queue = lock(&self.turns.queue);
        while queue.searches.front() != Some(&self.me) {
            if cancel.load(Ordering::Relaxed) {
                return false;
            }
            let waited = self.turns.changed.wait_timeout(queue, LOOK);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        lock(&self.clock).0 = Instant::now();
        true
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queue = lock(&self.turns.queue);
        queue.searches.retain(|s| *s != self.me);
        queue.given -= self.memory;
        drop(queue);
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_small_search_does_not_wait_for_the_large_ones_before_it() {
        let turns = Arc::new(Turns::new(1 << 30));
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let Some(turn) = turns.begin(&stop) else {
                        return;
                    };
                    while !stop.load(Ordering::Relaxed) {
                        thread::sleep(Duration::from_millis(5));
                        turn.pass(&stop);
                    }
                });
            }
            thread::sleep(Duration::from_millis(50));
            let asked = Instant::now();
            let turn = turns.begin(&stop).expect("it waits for its turn");
            // The one turn that is under way, on a machine that may be busy.
            assert!(asked.elapsed() < 10 * TURN, "{:?}", asked.elapsed());
            assert!(turn.searched() < 10 * TURN);
            drop(turn);
            stop.store(true, Ordering::Relaxed);
        });
        let queue = lock(&turns.queue);
        assert_eq!((queue.searches.len(), queue.given), (0, 0));
    }

    #[test]
    fn the_first_search_gets_the_budget_and_all_of_them_hardly_twice_that() {
        let budget = 1 << 30;
        assert_eq!(share(budget, 0), budget);
        let all = (0..32).fold(0, |given, _| given + share(budget, given));
        assert!(all <= 2 * budget + 32 * LEAST);
    }

    #[test]
    fn one_search_at_a_time_goes_on_beside_the_turns_and_keeps_nobody_waiting() {
        let turns = Arc::new(Turns::new(1 << 30));
        let (stop, raised) = (AtomicBool::new(false), AtomicBool::new(true));
        let long = turns.begin(&stop).expect("nobody is before it");
        let alone = long.aside(&stop).expect("nobody else is there");
        let small = turns.begin(&stop).expect("the turn is free");
        assert!(small.aside(&raised).is_none(), "the place is taken");
        drop(alone);
        assert!(small.aside(&stop).is_some());
        drop((long, small));
        let queue = lock(&turns.queue);
        assert_eq!((queue.searches.len(), queue.given), (0, 0));
    }

    #[test]
    fn a_search_that_is_cancelled_while_it_waits_leaves_nothing_behind() {
        let turns = Arc::new(Turns::new(1 << 30));
        let raised = AtomicBool::new(true);
        let first = turns.begin(&raised).expect("nobody is before it");
        assert!(turns.begin(&raised).is_none());
        drop(first);
        let queue = lock(&turns.queue);
        assert_eq!((queue.searches.len(), queue.given), (0, 0));
    }
}
