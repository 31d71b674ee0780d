//! What is wrong in the state that a run ends in: a title and sentences, with the values that were read.

use super::note::Note;
use super::{Story, list, plural};
use crate::eval::Cells;
use crate::machine::Fault;
use crate::protocol::{Kind, Op};
use crate::system::{CellId, Check, ContextId, X};

impl Story<'_> {
    /// What is wrong: a title and sentences, one a line. `None` if the run is not a counterexample.
    pub fn explain(&self) -> Option<(String, String)> {
        let claim = self.claim.as_ref()?;
        let n = self.end();
        let title = |text: &str| text.to_string();
        if let Some(i) = self
            .protocol
            .invariants
            .iter()
            .position(|i| i.name == claim.name)
        {
            let invariant = &self.protocol.invariants[i];
            let place = match self.place(invariant.span.line) {
                place if place.is_empty() => place,
                place => format!(" ({place})"),
            };
            let holds = &self.machine.system().invariants[i].holds;
            let text = format!(
                "`{}`{place} is not so.{}",
                invariant.text,
                self.told(n, holds)
            );
            return Some((format!("INVARIANT {}", invariant.name), text));
        }
        Some(match claim.name.as_str() {
            "no_deadlock" => (title("DEADLOCK"), self.deadlock(n, claim.stuck)?),
            "no_lock_cycle" => {
                let cycle = self.cycle(n, claim.stuck);
                (title("LOCK CYCLE"), self.sentence(n, &cycle))
            }
            "progress" => (title("NO PROGRESS"), self.round()),
            "no_lock_held_across_ipi_wait" => {
                let who = claim.context?;
                let held: Vec<String> = self
                    .stack(n, who)
                    .into_iter()
                    .flat_map(|c| self.held(n, c))
                    .collect();
                let text = format!(
                    "{} holds {} and {}.",
                    self.who(who),
                    list(held),
                    self.wait_text(n, who)?
                );
                (title("STRICT RULE"), text)
            }
            "no_irqs_off_wait_for_flush_lock" => {
                (title("UPSTREAM RULE"), self.upstream(n, claim.context?))
            }
            "assertion" => {
                let (who, line, x) = self.failed(n, Check::Assertion)?;
                let text = format!(
                    "{}: {line} fails.{}",
                    self.where_is(n, who).trim_end_matches(','),
                    self.told(n, &x)
                );
                (title("ASSERTION"), text)
            }
            "no_sleep_in_atomic" => {
                let (who, line, _) = self.failed(n, Check::NoSleepInAtomic)?;
                let text = format!(
                    "{} may sleep in {line}, where that is forbidden: {}.",
                    self.where_is(n, who),
                    self.atomic(n, who)
                );
                (title("SLEEPS IN ATOMIC CONTEXT"), text)
            }
            "irqs_on_while_waiting_for_ipi" => {
                let (who, line, _) = self.failed(n, Check::IrqsOnWhileWaitingForIpi)?;
                let waits = self.wait_text(n, who).unwrap_or_default();
                let text = format!(
                    "{} has interrupts off and {waits}: {line}. Two CPUs that do so at once wait for each other for ever.",
                    self.where_is(n, who)
                );
                (title("AWAITS AN IPI WITH INTERRUPTS OFF"), text)
            }
            "unlock_held" => {
                let (who, line, _) = self.failed(n, Check::UnlockHeld)?;
                let text = format!(
                    "{} releases what it does not hold: {line}. {}.",
                    self.where_is(n, who),
                    self.holds(n, who)
                        .map_or("It holds no lock".to_string(), |h| format!("It {h}"))
                );
                (title("UNLOCK OF A LOCK THAT IS NOT HELD"), text)
            }
            "balance" => {
                let who = claim.context?;
                (title("NOT BALANCED"), self.unbalanced(n, who))
            }
            "range" => {
                let who = claim.context?;
                (title("OUT OF RANGE"), self.out_of_range(n, who))
            }
            other => (other.to_string(), String::new()),
        })
    }

    fn where_is(&self, n: usize, who: ContextId) -> String {
        let function = self
            .stands_at(n, who)
            .map(|(_, l)| l.text.function.clone())
            .filter(|f| !f.is_empty() && *f != self.source_of(who).name);
        match function {
            Some(function) => format!(
                "CPU{}, in {function}() of {},",
                self.cpu_of(who),
                self.kind_and_name(who)
            ),
            None => format!("CPU{}, in {},", self.cpu_of(who), self.kind_and_name(who)),
        }
    }

    /// The check that fails in state `n` at the place of the context the claim is about.
    fn failed(&self, n: usize, check: Check) -> Option<(ContextId, String, X)> {
        let who = self.claim.as_ref()?.context?;
        let it = &self.machine.system().contexts[who.index()];
        let place = self.view(n).place(who) as usize;
        let (_, line) = self.stands_at(n, who)?;
        let x = it.steps[place].iter().find_map(|&s| {
            let checks = &self.machine.system().steps[s as usize].checks;
            let of = |(c, x): &&(Check, X)| *c == check && self.evaluate(n, x) == Some(0);
            checks.iter().find(of).map(|(_, x)| x.clone())
        })?;
        let quoted = format!(
            "`{}`{}",
            super::wait::short(&line.text.statement),
            self.at(line)
        );
        Some((who, quoted, x))
    }

    /// A check that fails at the place of the step from state `n`, as a note.
    pub(super) fn failing(&self, n: usize) -> Option<Note> {
        let step = self.step(n);
        let fails = step
            .checks
            .iter()
            .any(|(check, x)| *check == Check::Assertion && self.evaluate(n, x) == Some(0));
        fails.then(|| Note {
            text: "FAILS".to_string(),
            bad: true,
        })
    }

    /// What is wrong with the statement at which the context of the claim stands, as a note; `None` where it waits, or where
    /// the claim is about no statement.
    pub(super) fn wrong(&self) -> Option<(ContextId, Note)> {
        let claim = self.claim.as_ref()?;
        let text = match claim.name.as_str() {
            "assertion" => "FAILS",
            "no_sleep_in_atomic" => "may sleep: forbidden here",
            "unlock_held" => "is not held",
            "balance" => "not balanced",
            "range" => "out of range",
            _ => return None,
        };
        let note = Note {
            text: text.to_string(),
            bad: true,
        };
        Some((claim.context?, note))
    }

    /// The values that an expression reads, and who wrote them.
    fn told(&self, n: usize, x: &X) -> String {
        let view = self.view(n);
        let mut text = String::new();
        for cell in self.reads(&view, x) {
            let Some(name) = self.variable(cell) else {
                continue;
            };
            let value = self.value(cell, view.cell(cell));
            let since = match self.written(n, cell) {
                None => "as at the start".to_string(),
                Some(i) => {
                    let step = self.step(i);
                    let place = match self.line_of(i) {
                        Some((_, line)) => self.at(line),
                        None => String::new(),
                    };
                    format!("since step {}, by {}{place}", i + 1, self.who(step.context))
                }
            };
            text += &format!("\n{name} is {value}, {since}.");
        }
        text
    }

    /// Why sleeping is forbidden.
    fn atomic(&self, n: usize, who: ContextId) -> String {
        let cells = self.machine.system().cpu_cells[self.cpu_of(who)];
        let view = self.view(n);
        let kind = self.source_of(who).kind;
        let mut why = Vec::new();
        if !matches!(kind, Kind::Task | Kind::Work) {
            why.push(match kind {
                Kind::Stopper => "a stopper must not sleep".to_string(),
                kind => format!("this is a {kind}"),
            });
        }
        let spinning: Vec<String> = self
            .waits
            .held(&self.states[n], who)
            .into_iter()
            .filter(|(lock, _)| !self.protocol.lock(*lock).kind.sleeps())
            .map(|(lock, element)| self.lock_name(lock, element))
            .collect();
        if !spinning.is_empty() {
            why.push(format!("{} is held", list(&spinning)));
        } else if view.cell(cells.preempt) != 0 {
            why.push("preemption is off".to_string());
        }
        if view.cell(cells.irqs) == 0 && matches!(kind, Kind::Task | Kind::Work) {
            why.push("interrupts are off".to_string());
        }
        if view.cell(cells.bh) != 0 {
            why.push("bottom halves are off".to_string());
        }
        let rcu = self.machine.system().objects.rcu[who.index()];
        if view.cell(rcu) != 0 {
            why.push("it is inside rcu_read_lock()".to_string());
        }
        match why.is_empty() {
            true => "the context is atomic".to_string(),
            false => list(why),
        }
    }

    fn unbalanced(&self, n: usize, who: ContextId) -> String {
        let cells = self.machine.system().cpu_cells[self.cpu_of(who)];
        let view = self.view(n);
        let mut left = Vec::new();
        let held = self.held(n, who);
        if !held.is_empty() {
            left.push(format!("{} held", list(&held)));
        }
        let kind = self.source_of(who).kind;
        let thread = self.is_thread(who);
        if view.cell(cells.irqs) == 0 && (thread || matches!(kind, Kind::Softirq | Kind::Timer)) {
            left.push("interrupts off".to_string());
        }
        if thread && held.is_empty() && view.cell(cells.preempt) != 0 {
            left.push("preemption off".to_string());
        }
        if thread && view.cell(cells.bh) != 0 {
            left.push("bottom halves off".to_string());
        }
        if view.cell(self.machine.system().objects.rcu[who.index()]) != 0 {
            left.push("an RCU reader section open".to_string());
        }
        match self.stands_at(n, who) {
            Some((_, line)) if matches!(line.op, Op::Return) && !left.is_empty() => format!(
                "{} ends with {}{}.",
                self.where_is(n, who),
                list(left),
                self.at(line)
            ),
            Some((_, line)) => format!(
                "{} takes a count below 0 or too deep: `{}`{}.",
                self.where_is(n, who),
                super::wait::short(&line.text.statement),
                self.at(line)
            ),
            None => format!("{} is not balanced.", self.where_is(n, who)),
        }
    }

    fn out_of_range(&self, n: usize, who: ContextId) -> String {
        let Some((_, line)) = self.stands_at(n, who) else {
            return format!("{} has a value out of range.", self.where_is(n, who));
        };
        let quoted = format!(
            "`{}`{}",
            super::wait::short(&line.text.statement),
            self.at(line)
        );
        let it = &self.machine.system().contexts[who.index()];
        let place = self.view(n).place(who) as usize;
        for &s in &it.steps[place] {
            let step = &self.machine.system().steps[s as usize];
            for (i, assign) in step.assigns.iter().enumerate() {
                let mut words = self.states[n].clone();
                let mut part = step.clone();
                part.assigns.truncate(i);
                if self.machine.apply(&mut words, &part).is_err() {
                    break;
                }
                let mut whole = words.clone();
                part.assigns = vec![assign.clone()];
                let Err(fault) = self.machine.apply(&mut whole, &part) else {
                    continue;
                };
                if let Fault::Overflow(cell) = fault
                    && let Some(name) = self.variable(cell)
                {
                    let decl = &self.machine.system().cells[cell.0 as usize];
                    let value = self
                        .machine
                        .view(&words)
                        .value(&assign.value)
                        .map_or(String::new(), |v| self.value(CellId(cell.0), v));
                    return format!(
                        "{} sets {name} to {value}, and its range is {}..{}: {quoted}.",
                        self.where_is(n, who),
                        decl.lo,
                        decl.hi
                    );
                }
            }
        }
        let mut cells = Vec::new();
        let view = self.view(n);
        for &s in &it.steps[place] {
            let step = &self.machine.system().steps[s as usize];
            for x in step
                .assigns
                .iter()
                .map(|a| &a.value)
                .chain(step.checks.iter().map(|c| &c.1))
                .chain([&step.ready])
            {
                for cell in self.reads(&view, x) {
                    if !cells.contains(&cell) {
                        cells.push(cell);
                    }
                }
            }
        }
        let values = match self.values(n, &cells).as_str() {
            "" => String::new(),
            values => format!(" {values}."),
        };
        format!(
            "{} uses a value that does not exist: an index, a CPU, a shift or a division out of range: {quoted}.{values}",
            self.where_is(n, who)
        )
    }

    /// The chain of holders from a CPU with interrupts off to the lock that is held across a wait for an IPI.
    fn upstream(&self, n: usize, from: ContextId) -> String {
        let mut clauses = Vec::new();
        let mut at = from;
        let mut seen = vec![from];
        while let Some(wait @ crate::waits::Wait::Lock { .. }) = self.wait(n, at) {
            let off = match at == from {
                true => "has interrupts off and ",
                false => "",
            };
            clauses.push(format!(
                "{} {off}{}",
                self.who(at),
                self.clause(n, at, &wait)
            ));
            let next = wait.on().into_iter().find(|h| !seen.contains(h));
            let Some(next) = next else { break };
            seen.push(next);
            at = next;
        }
        if at != from {
            let waits = self.wait_text(n, at).unwrap_or_default();
            clauses.push(format!("{} {waits}", self.who(at)));
        }
        format!("{}.", clauses.join("; "))
    }

    /// The circle: which steps repeat, who never ends, who waits meanwhile.
    fn round(&self) -> String {
        let Some(to) = self.loops_to else {
            return String::new();
        };
        let n = self.end();
        let moves: Vec<ContextId> = self
            .contexts()
            .filter(|&c| (to..n).any(|i| self.step(i).context == c))
            .collect();
        let left: Vec<ContextId> = self
            .contexts()
            .filter(|&c| (to..=n).all(|i| self.view(i).place(c) != 0))
            .collect();
        let verb = if left.len() == 1 { "ends" } else { "end" };
        let steps = match n - to {
            1 => format!("step {n} repeats"),
            _ => format!("steps {} to {n} repeat", to + 1),
        };
        let mut text = format!(
            "{steps} for ever ({}), everybody who can move does, and {} never {verb}.",
            plural(n - to, "step"),
            match left.is_empty() {
                true => "what was started".to_string(),
                false => list(left.iter().map(|&c| self.named(c))),
            }
        );
        for &c in left.iter().filter(|c| !moves.contains(c)) {
            if let Some(waits) = self.wait_text(n, c) {
                text += &format!("\nMeanwhile {} {waits}.", self.who(c));
            }
        }
        text
    }
}
