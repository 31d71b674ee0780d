//! `stop_machine()` and its parts: a stopper on every CPU, in lock step.

use shootdown_ir::{
    Binary, Expr as Ir, Fires, IrqOp, Kind, LockKind, LockRef, Mode, Op, Place, SourceId, Storage,
    Var, VarId,
};

use super::Lower;
use super::arguments::Arguments;
use super::fold;
use super::program::Here;
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::parser::shorten;
use crate::source::Span;

impl<'a, 's> Lower<'a, 's> {
    fn counter(&mut self, name: &str) -> VarId {
        let var = VarId(u32::try_from(self.p.vars.len()).unwrap_or(u32::MAX));
        let same = self
            .p
            .vars
            .iter()
            .filter(|var| var.name.starts_with(name))
            .count();
        self.p.vars.push(Var {
            name: if same == 0 {
                name.to_owned()
            } else {
                format!("{name}_{same}")
            },
            storage: Storage::Global,
            len: None,
            lo: 0,
            hi: self.p.cpus as i64,
            declared_range: true,
            init: vec![0],
            is_mask: false,
            span: shootdown_ir::Span::default(),
        });
        var
    }

    /// A stopper's work that runs `program`, lowered now and apart from the source that queues it.
    fn stopper(
        &mut self,
        func: usize,
        span: Span,
        program: impl FnOnce(&mut Self),
    ) -> Option<SourceId> {
        let name = self.funcs[func].ast.name;
        if self.stopping.contains(&func) {
            let message = format!(
                "{}() stops the machine in order to run itself",
                shorten(name.text)
            );
            self.report(
                Diagnostic::new(&code::RECURSION, span, message).also(name.span, "declared here"),
            );
            return None;
        }
        let name = name.text;
        self.stopping.push(func);
        let outer: Option<Here<'s>> = self.here.take();
        let id = self.add_source(name, Kind::Stopper, span);
        self.p.sources[id.0 as usize].fires = Fires::Raised;
        self.begin(id, Kind::Stopper, name);
        self.here().stmt = span;
        program(self);
        self.end(span);
        self.here = outer;
        self.stopping.pop();
        Some(id)
    }

    /// The stopper threads' lock step (multi_cpu_stop() of kernel/stop_machine.c): everybody has come; everybody has turned
    /// interrupts off; the first CPU runs the function; everybody has seen that it is done; interrupts go on again.
    pub(crate) fn stop_machine(&mut self, given: &Arguments, locked: bool) {
        let Some((func, span)) = given.function() else {
            if let Some(source) = given.any_source() {
                self.stop_source(source, None, true);
            }
            return;
        };
        self.funcs[func].used = true;
        let at = self.here().stmt;
        let (arrived, quiet, done) = (
            self.counter("stop_arrived"),
            self.counter("stop_quiet"),
            self.counter("stop_done"),
        );
        let all = self.p.cpus as i64;
        let step = |lower: &mut Self, counter: VarId| {
            let more = fold::binary(Binary::Add, Ir::var(counter), fold::number(1));
            lower.update(vec![Self::put(counter, more)], at);
            lower.wait(
                fold::binary(Binary::Eq, Ir::var(counter), fold::number(all)),
                false,
                Vec::new(),
            );
        };
        let Some(work) = self.stopper(func, at, |lower| {
            step(lower, arrived);
            lower.emit(Op::Irq(IrqOp::Off), at);
            step(lower, quiet);
            let first = fold::binary(Binary::Eq, lower.this_cpu(), fold::number(0));
            lower.if_then(first, |lower| lower.inline_handler(func, span));
            lower.here().stmt = at;
            step(lower, done);
            lower.emit(Op::Irq(IrqOp::On), at);
        }) else {
            return;
        };
        // stop_cpus() has one caller at a time.
        let mutex = match self.stop_mutex {
            Some(mutex) => mutex,
            None => {
                let mutex = self.hidden_lock("stop_cpus_mutex", LockKind::Mutex);
                self.stop_mutex = Some(mutex);
                mutex
            }
        };
        let text = self.out.file.text.matches("stop_machine").count();
        let on_any = self.here().on.is_none();
        let contended = on_any || text > 1;
        if self.hotplug_written && !locked {
            self.hotplug_lock(true, at);
        }
        if contended {
            self.emit(
                Op::Lock(
                    LockRef {
                        lock: mutex,
                        index: None,
                    },
                    Mode::Exclusive,
                ),
                at,
            );
        }
        if contended || self.here().loops > 0 {
            let zero = [arrived, quiet, done].map(|counter| Self::put(counter, fold::number(0)));
            self.update(zero.to_vec(), at);
        }
        // Preemption is off: or the own stopper would start before all are queued.
        self.emit(Op::PreemptDisable(true), at);
        for cpu in 0..self.p.cpus {
            self.emit(
                Op::Raise {
                    source: work,
                    cpu: fold::number(cpu as i64),
                },
                at,
            );
        }
        self.emit(Op::PreemptDisable(false), at);
        self.emit(
            Op::Sync {
                sources: vec![work],
                pending: true,
                cancel: false,
                sleeps: true,
            },
            at,
        );
        if contended {
            self.emit(
                Op::Unlock(
                    LockRef {
                        lock: mutex,
                        index: None,
                    },
                    Mode::Exclusive,
                ),
                at,
            );
        }
        if self.hotplug_written && !locked {
            self.hotplug_lock(false, at);
        }
        let _ = Place::of(arrived);
    }

    fn hotplug_lock(&mut self, take: bool, at: Span) {
        let lock = match self.hotplug {
            Some(lock) => lock,
            None => {
                let lock = self.hidden_lock("cpu_hotplug_lock", LockKind::RwSem);
                self.hotplug = Some(lock);
                lock
            }
        };
        let lock = LockRef { lock, index: None };
        self.emit(
            if take {
                Op::Lock(lock, Mode::Shared)
            } else {
                Op::Unlock(lock, Mode::Shared)
            },
            at,
        );
    }

    /// `stop_one_cpu(cpu, f)`: the function in the stopper of one CPU.
    pub(crate) fn stop_one(&mut self, given: &Arguments, wait: bool) {
        let at = self.here().stmt;
        let cpu = given.value(0);
        self.check_index(&cpu, self.p.cpus, at, "CPU");
        let Some((func, span)) = given.function() else {
            if let Some(source) = given.any_source() {
                self.stop_source(source, Some(cpu), wait);
            }
            return;
        };
        self.funcs[func].used = true;
        let Some(work) = self.stopper(func, at, |lower| lower.inline_handler(func, span)) else {
            return;
        };
        self.emit(Op::Raise { source: work, cpu }, at);
        if wait {
            self.emit(
                Op::Sync {
                    sources: vec![work],
                    pending: true,
                    cancel: false,
                    sleeps: true,
                },
                at,
            );
        }
    }

    /// As above, with a `stopper` of the file in the place of a function.
    fn stop_source(&mut self, source: usize, cpu: Option<Ir>, wait: bool) {
        let at = self.here().stmt;
        self.sources[source].raised = true;
        let id = self.sources[source].id;
        let on = self.p.sources[id.0 as usize].on;
        let cpus: Vec<Ir> = match (cpu, on) {
            (Some(cpu), _) => vec![cpu],
            (None, Some(on)) => vec![fold::number(on as i64)],
            (None, None) => (0..self.p.cpus)
                .map(|cpu| fold::number(cpu as i64))
                .collect(),
        };
        let several = cpus.len() > 1;
        if several {
            self.emit(Op::PreemptDisable(true), at);
        }
        for cpu in cpus {
            self.emit(Op::Raise { source: id, cpu }, at);
        }
        if several {
            self.emit(Op::PreemptDisable(false), at);
        }
        if wait {
            self.emit(
                Op::Sync {
                    sources: vec![id],
                    pending: true,
                    cancel: false,
                    sleeps: true,
                },
                at,
            );
        }
    }
}
