//! Who waits for whom, as one sentence: the cycle that makes a deadlock, and the contexts that wait for it.

use super::{Story, list};
use crate::eval::Cells;
use crate::system::ContextId;
use crate::waits::Wait;

impl Story<'_> {
    /// The deadlock of state `n` among the contexts of `stuck`: its cycle, and the contexts that wait for it. `None` if nobody is
    /// stuck.
    pub fn deadlock(&self, n: usize, stuck: u64) -> Option<String> {
        if stuck == 0 {
            return None;
        }
        let cycle = self.cycle(n, stuck);
        let mut told = cycle.clone();
        let mut text = match cycle.is_empty() {
            true => String::new(),
            false => self.sentence(n, &cycle),
        };
        for who in self.contexts().filter(|c| stuck >> c.0 & 1 == 1) {
            if told.contains(&who) {
                continue;
            }
            told.push(who);
            let wait = self.wait(n, who);
            // A pending handler is told by the one who awaits it.
            let Some(wait) = wait else { continue };
            if matches!(wait, Wait::Blocked { .. }) && self.is_awaited(n, who, stuck) {
                continue;
            }
            if matches!(wait, Wait::Interrupted { by } if told.contains(&by)) {
                continue;
            }
            let clause = format!("{} {}", self.who(who), self.clause(n, who, &wait));
            text += &match text.is_empty() {
                true => format!("{clause}."),
                false => format!(" Also stuck: {clause}."),
            };
        }
        Some(text)
    }

    fn is_awaited(&self, n: usize, who: ContextId, among: u64) -> bool {
        self.contexts()
            .filter(|c| among >> c.0 & 1 == 1)
            .filter_map(|c| self.wait(n, c))
            .any(|w| !matches!(w, Wait::Interrupted { .. }) && w.on().contains(&who))
    }

    /// A shortest cycle of waits among the contexts of `stuck`; the one who awaits an interrupt first, as that is where the
    /// story starts.
    pub fn cycle(&self, n: usize, stuck: u64) -> Vec<ContextId> {
        let on: Vec<Vec<ContextId>> = self
            .contexts()
            .map(|c| match (stuck >> c.0 & 1 == 1, self.wait(n, c)) {
                (true, Some(wait)) => {
                    let mut on = wait.on();
                    on.retain(|o| stuck >> o.0 & 1 == 1);
                    on
                }
                _ => Vec::new(),
            })
            .collect();
        let rank = |c: ContextId| match self.wait(n, c) {
            Some(Wait::Acks { .. } | Wait::CallData { .. }) => 0,
            Some(Wait::Condition { .. }) => 1,
            Some(Wait::Quiet { .. } | Wait::Readers { .. }) => 2,
            Some(Wait::Lock { .. }) => 3,
            Some(Wait::Interrupted { .. } | Wait::Scheduled { .. } | Wait::Drain { .. }) => 4,
            Some(Wait::Blocked { .. }) | None => 5,
        };
        let mut starts: Vec<ContextId> = self.contexts().collect();
        starts.sort_by_key(|&c| (rank(c), c));
        let mut best: Vec<ContextId> = Vec::new();
        for start in starts {
            let mut from: Vec<Option<ContextId>> = vec![None; on.len()];
            let mut queue = std::collections::VecDeque::from([start]);
            'search: while let Some(at) = queue.pop_front() {
                for &next in &on[at.index()] {
                    if next == start {
                        let mut cycle = vec![at];
                        while let Some(before) = from[cycle[cycle.len() - 1].index()] {
                            cycle.push(before);
                        }
                        cycle.reverse();
                        if best.is_empty() || cycle.len() < best.len() {
                            best = cycle;
                        }
                        break 'search;
                    }
                    if from[next.index()].is_none() {
                        from[next.index()] = Some(at);
                        queue.push_back(next);
                    }
                }
            }
        }
        best
    }

    /// A cycle read out: one clause for each context, what it withholds from the one before and what it waits for itself.
    pub(super) fn sentence(&self, n: usize, cycle: &[ContextId]) -> String {
        let mut clauses = Vec::new();
        for (i, &who) in cycle.iter().enumerate() {
            let before = cycle[(i + cycle.len() - 1) % cycle.len()];
            let next = cycle[(i + 1) % cycle.len()];
            let Some(wait) = self.wait(n, who) else {
                continue;
            };
            match &wait {
                Wait::Blocked { .. } => continue,
                // Said already: it is held by the very code that was interrupted.
                Wait::Interrupted { .. } if cycle.len() == 2 && next == before => continue,
                _ => {}
            }
            let waits = self.waits_for(n, who, &wait, next);
            let clause = match self.withholds(n, before, who) {
                Some(withholds) => format!("{} {withholds} and {waits}", self.who(who)),
                None => format!("{} {waits}", self.who(who)),
            };
            clauses.push(clause);
        }
        format!("{}.", clauses.join("; "))
    }

    /// What `who` keeps `before` from.
    fn withholds(&self, n: usize, before: ContextId, who: ContextId) -> Option<String> {
        match self.wait(n, before)? {
            Wait::Lock {
                lock,
                element,
                holders,
                ..
            } => {
                let name = self.lock_name(lock, element);
                Some(match holders.contains(&who) {
                    true => format!("holds {name}"),
                    false => format!("is ahead of {} for {name}", self.who(before)),
                })
            }
            Wait::Readers { .. } if self.reads_under_rcu(n, who) => {
                Some("is inside rcu_read_lock()".to_string())
            }
            Wait::Blocked { .. } | Wait::Scheduled { .. } | Wait::Readers { .. } => {
                let cells = self.machine.system().cpu_cells[self.cpu_of(who)];
                let view = self.view(n);
                Some(if view.cell(cells.irqs) == 0 {
                    "has interrupts off".to_string()
                } else if view.cell(cells.bh) != 0 {
                    "has bottom halves off".to_string()
                } else if view.cell(cells.preempt) != 0 {
                    "has preemption off".to_string()
                } else {
                    format!("keeps CPU{} to itself", self.cpu_of(who))
                })
            }
            Wait::Acks { .. }
            | Wait::CallData { .. }
            | Wait::Condition { .. }
            | Wait::Quiet { .. }
            | Wait::Interrupted { .. }
            | Wait::Drain { .. } => None,
        }
    }

    fn reads_under_rcu(&self, n: usize, who: ContextId) -> bool {
        let nest = self.machine.system().objects.rcu[who.index()];
        self.view(n).cell(nest) != 0
    }

    /// What `who` waits for, of which `next` is part.
    fn waits_for(&self, n: usize, who: ContextId, wait: &Wait, next: ContextId) -> String {
        match wait {
            Wait::Lock {
                lock,
                element,
                holders,
                ..
            } => {
                let name = self.lock_name(*lock, *element);
                let verb = match self.protocol.lock(*lock).kind.sleeps() {
                    true => "sleeps for",
                    false => "spins for",
                };
                match holders.contains(&next) {
                    true => format!("{verb} {name}, held by {}", self.holder(n, who, next)),
                    false => format!("{verb} {name}, queued behind {}", self.who(next)),
                }
            }
            Wait::Acks { .. } => format!("awaits {}", self.named(next)),
            Wait::CallData { .. } => format!(
                "spins for its call data, which is busy until {} has returned",
                self.named(next)
            ),
            Wait::Condition { .. } => {
                let (context, statement) = (self.who(next), self.statement(n, who));
                if self.waits.awaits_ipi(&self.states[n], who) {
                    return format!("awaits {}", self.named(next));
                }
                let verb = match self.sleeps_at(n, who) {
                    true => "sleeps in",
                    false => "spins in",
                };
                format!("{verb} `{statement}` until {context} changes that")
            }
            Wait::Quiet { .. } => format!("waits until {} has ended", self.named(next)),
            Wait::Readers { .. } => format!("waits until {} has left", self.who(next)),
            Wait::Drain { .. } => "waits until its CPU's stores are in memory".to_string(),
            Wait::Interrupted { by } => {
                format!("is interrupted by {}", self.source_of(*by).name)
            }
            Wait::Scheduled { behind } => {
                format!(
                    "waits for the CPU, which {} has",
                    self.source_of(*behind).name
                )
            }
            Wait::Blocked { .. } => "is pending".to_string(),
        }
    }

    /// The locks a context holds, by name.
    pub fn held(&self, n: usize, context: ContextId) -> Vec<String> {
        self.waits
            .held(&self.states[n], context)
            .into_iter()
            .map(|(lock, element)| self.lock_name(lock, element))
            .collect()
    }

    /// What else a context has: `holds a and b`.
    pub(super) fn holds(&self, n: usize, context: ContextId) -> Option<String> {
        let held = self.held(n, context);
        (!held.is_empty()).then(|| format!("holds {}", list(held)))
    }
}
