//! Single waits, as clauses.

use super::{Story, list};
use crate::eval::Cells;
use crate::protocol::{Kind, Op, Preempt};
use crate::system::{ContextId, X};
use crate::waits::Wait;

/// Longest statement that is quoted inside of a sentence.
const QUOTED: usize = 64;

impl Story<'_> {
    /// What a context waits for in state `n`; `None` if it can take its next step or does not run.
    pub fn wait(&self, n: usize, context: ContextId) -> Option<Wait> {
        let wait = self.waits.wait(&self.states[n], context)?;
        Some(match wait {
            // A context that is past its last write of what the condition reads cannot end it any more.
            Wait::Condition { mut writers } => {
                let cells = self.awaited(n, context);
                writers.retain(|&w| self.may_still_write(n, w, &cells));
                Wait::Condition { writers }
            }
            wait => wait,
        })
    }

    /// The cells that the condition of a wait reads, all elements of a row that could be meant.
    fn awaited(&self, n: usize, context: ContextId) -> Vec<u32> {
        let it = &self.machine.system().contexts[context.index()];
        let mut cells = Vec::new();
        for &s in &it.steps[self.view(n).place(context) as usize] {
            let ready = &self.machine.system().steps[s as usize].ready;
            ready.each_read(&mut |r| cells.extend(r.cells().map(|c| c.0)));
        }
        cells
    }

    /// Is there a way through the rest of the context's program that writes one of the cells?
    fn may_still_write(&self, n: usize, context: ContextId, cells: &[u32]) -> bool {
        let system = self.machine.system();
        let it = &system.contexts[context.index()];
        let mut seen = vec![false; it.steps.len()];
        let mut todo = vec![self.view(n).place(context) as usize];
        while let Some(place) = todo.pop() {
            if std::mem::replace(&mut seen[place], true) {
                continue;
            }
            for &s in &it.steps[place] {
                for assign in &system.steps[s as usize].assigns {
                    if assign.to.base == it.place {
                        targets(&assign.value, &mut |to| {
                            // Once ended, it is another run of it that writes.
                            if to > 0 && (to as usize) < it.steps.len() {
                                todo.push(to as usize);
                            }
                        });
                    } else if assign.to.cells().any(|c| cells.contains(&c.0)) {
                        return true;
                    }
                }
            }
        }
        // It may come once more.
        let again = system.objects.left[context.index()]
            .is_some_and(|left| self.view(n).cell(left) > 0)
            || self.is_pending(n, context);
        again && !seen[0] && {
            let mut first = vec![false; it.steps.len()];
            let mut todo = vec![0];
            let mut writes = false;
            while let Some(place) = todo.pop() {
                if std::mem::replace(&mut first[place], true) {
                    continue;
                }
                for &s in &it.steps[place] {
                    for assign in &system.steps[s as usize].assigns {
                        if assign.to.base == it.place {
                            targets(&assign.value, &mut |to| {
                                if to > 0 && (to as usize) < it.steps.len() {
                                    todo.push(to as usize);
                                }
                            });
                        } else {
                            writes |= assign.to.cells().any(|c| cells.contains(&c.0));
                        }
                    }
                }
            }
            writes
        }
    }

    /// The wait as a clause without its subject: `spins for l, held by CPU1`.
    pub fn wait_text(&self, n: usize, context: ContextId) -> Option<String> {
        let wait = self.wait(n, context)?;
        Some(self.clause(n, context, &wait))
    }

    pub(super) fn clause(&self, n: usize, context: ContextId, wait: &Wait) -> String {
        match wait {
            Wait::Lock {
                lock,
                element,
                holders,
                ahead,
            } => {
                let verb = match self.protocol.lock(*lock).kind.sleeps() {
                    true => "sleeps for",
                    false => "spins for",
                };
                let name = self.lock_name(*lock, *element);
                let mut text = format!("{verb} {name}");
                if !holders.is_empty() {
                    let holders = holders.iter().map(|&h| self.holder(n, context, h));
                    text += &format!(", held by {}", list(holders));
                }
                if !ahead.is_empty() {
                    let ahead = ahead.iter().map(|&a| self.who(a));
                    text += &format!(", queued behind {}", list(ahead));
                }
                text
            }
            Wait::Acks { handlers } => {
                format!("awaits {}", self.handlers(n, handlers))
            }
            Wait::CallData { handlers } => format!(
                "spins for its call data, busy with an earlier call until {} has returned",
                self.handlers(n, handlers)
            ),
            Wait::Condition { writers } => self.condition(n, context, writers),
            Wait::Quiet { instances } => format!(
                "{} until {} has ended{}",
                self.verb(n, context, "spins", "sleeps"),
                list(instances.iter().map(|&i| self.named(i))),
                self.quoted(n, context)
            ),
            Wait::Readers { readers } => format!(
                "sleeps until the RCU readers, and the CPUs with preemption or interrupts off, that were there have left: {}",
                list(readers.iter().map(|&r| self.who(r)))
            ),
            Wait::Drain { .. } => "waits until its CPU's stores are in memory".to_string(),
            Wait::Interrupted { by } => format!("is interrupted by {}", self.source_of(*by).name),
            Wait::Scheduled { behind } => format!(
                "does not get CPU{}: {} runs there{}",
                self.cpu_of(context),
                self.source_of(*behind).name,
                self.because(n, context)
            ),
            Wait::Blocked { .. } => match self.not_taken(n, context) {
                Some(why) => format!("is pending, {why}"),
                None => "is pending".to_string(),
            },
        }
    }

    fn because(&self, n: usize, context: ContextId) -> String {
        match self.not_taken(n, context) {
            Some(why) => format!(", {why}"),
            None => String::new(),
        }
    }

    /// `h on CPU1, pending: interrupts are off there`: what is awaited, and why it does not come.
    fn handlers(&self, n: usize, handlers: &[ContextId]) -> String {
        if handlers.is_empty() {
            return "an answer that nobody is left to give".to_string();
        }
        list(handlers.iter().map(|&h| self.answer(n, h)))
    }

    /// A handler that is awaited, and why it does not come.
    fn answer(&self, n: usize, context: ContextId) -> String {
        match self.view(n).place(context) {
            0 => self.could(n, context),
            _ => self.named(context),
        }
    }

    /// A condition: its statement, the values it reads, and who could still make it so.
    fn condition(&self, n: usize, context: ContextId, writers: &[ContextId]) -> String {
        let verb = self.verb(n, context, "spins in", "sleeps in");
        let statement = self.statement(n, context);
        let values = self.awaited_values(n, context);
        let values = match values.as_str() {
            "" => String::new(),
            values => format!(" ({values})"),
        };
        let could = match writers {
            [] if self.stuck() >> context.0 & 1 == 1 => {
                "; nobody is left who could end it".to_string()
            }
            [] => "; nobody that runs could end it".to_string(),
            writers => format!(
                "; could be ended by {}",
                list(writers.iter().map(|&w| self.could(n, w)))
            ),
        };
        format!("{verb} `{statement}`{values}{could}")
    }

    /// One who could end a wait, and what keeps it from that.
    fn could(&self, n: usize, context: ContextId) -> String {
        let runs = self.view(n).place(context) != 0;
        match (runs, self.is_pending(n, context)) {
            (false, true) => match self.not_taken(n, context) {
                Some(why) => format!("{} ({why})", self.named(context)),
                None => format!("{} (pending)", self.named(context)),
            },
            (false, false) => format!("{} (if it comes)", self.named(context)),
            (true, _) => self.who(context),
        }
    }

    fn awaited_values(&self, n: usize, context: ContextId) -> String {
        let it = &self.machine.system().contexts[context.index()];
        let view = self.view(n);
        let mut cells = Vec::new();
        for &s in &it.steps[view.place(context) as usize] {
            for cell in self.reads(&view, &self.machine.system().steps[s as usize].ready) {
                if !cells.contains(&cell) {
                    cells.push(cell);
                }
            }
        }
        self.values(n, &cells)
    }

    fn verb(&self, n: usize, context: ContextId, spins: &str, sleeps: &str) -> String {
        match self.sleeps_at(n, context) {
            true => sleeps.to_string(),
            false => spins.to_string(),
        }
    }

    /// Does the context sleep where it waits?
    pub(super) fn sleeps_at(&self, n: usize, context: ContextId) -> bool {
        let Some((_, line)) = self.stands_at(n, context) else {
            return false;
        };
        match &line.op {
            Op::Await { sleeps, .. } | Op::Sync { sleeps, .. } => *sleeps,
            Op::Lock(lock, _) => self.protocol.lock(lock.lock).kind.sleeps(),
            Op::SynchronizeRcu => true,
            _ => false,
        }
    }

    /// The statement at which the context stands, short enough for a sentence.
    pub(super) fn statement(&self, n: usize, context: ContextId) -> String {
        let Some((_, line)) = self.stands_at(n, context) else {
            return String::new();
        };
        short(&line.text.statement)
    }

    fn quoted(&self, n: usize, context: ContextId) -> String {
        match self.statement(n, context).as_str() {
            "" => String::new(),
            statement => format!(" (`{statement}`)"),
        }
    }

    /// The holder of a lock, as the one who waits for it sees it.
    pub(super) fn holder(&self, n: usize, who: ContextId, holder: ContextId) -> String {
        if holder == who {
            "itself".to_string()
        } else if self.stack(n, who).contains(&holder) {
            format!(
                "the very code it interrupted ({})",
                self.source_of(holder).name
            )
        } else {
            self.who(holder)
        }
    }

    /// What keeps a pending context, or a thread, from its CPU in state `n`; `None` if nothing does.
    pub(super) fn not_taken(&self, n: usize, context: ContextId) -> Option<String> {
        let system = self.machine.system();
        let it = &system.contexts[context.index()];
        let (cpu, view) = (it.cpu, self.view(n));
        let is_thread = self.is_thread(context);
        let on = view.is(&it.executes) && view.place(context) != 0;
        if on || (view.place(context) == 0 && view.is(&it.arrives)) {
            return None;
        }
        if let Some(masked) = system.objects.masked[it.source.0 as usize]
            && view.cell(masked) != 0
        {
            return Some("not taken: it is disabled".to_string());
        }
        let cells = system.cpu_cells[cpu];
        let (irqs, bh, preempt) = (
            view.cell(cells.irqs) != 0,
            view.cell(cells.bh) != 0,
            view.cell(cells.preempt) != 0,
        );
        let top = self.waits.top(&view, cpu);
        let above = top.filter(|&t| !self.is_thread(t));
        Some(match it.kind {
            Kind::Irq | Kind::Ipi if !irqs => match above {
                Some(top) => format!(
                    "not taken: interrupts are off in {}",
                    self.source_of(top).name
                ),
                None => "not taken: interrupts are off".to_string(),
            },
            Kind::Nmi => "not taken: an NMI runs there".to_string(),
            Kind::Softirq | Kind::Timer if bh => "not run: bottom halves are off".to_string(),
            _ if let Some(top) = above => {
                format!("not run: {} runs there", self.source_of(top).name)
            }
            _ if !irqs => "not run: interrupts are off".to_string(),
            _ if is_thread && bh => "not run: bottom halves are off".to_string(),
            _ if is_thread && preempt => "not run: preemption is off".to_string(),
            Kind::Task | Kind::Work | Kind::Stopper if self.protocol.preempt == Preempt::None => {
                "not run: nobody preempts a task here (preempt none)".to_string()
            }
            _ => match top {
                Some(top) => format!("not run: {} runs there", self.source_of(top).name),
                None => return None,
            },
        })
    }
}

/// The places that an assignment of a place can lead to.
fn targets(value: &X, f: &mut impl FnMut(i64)) {
    match value {
        X::Const(to) => f(*to),
        X::If(_, a, b) => {
            targets(a, f);
            targets(b, f);
        }
        X::Cell(_) | X::Unary(..) | X::Binary(..) => {}
    }
}

/// A statement for a sentence: without what does not fit.
pub(super) fn short(statement: &str) -> String {
    let statement = statement.trim_end_matches(';');
    match statement.chars().count() > QUOTED {
        true => {
            let head: String = statement.chars().take(QUOTED - 2).collect();
            format!("{head} …")
        }
        false => statement.to_string(),
    }
}
