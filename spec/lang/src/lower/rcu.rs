//! RCU callbacks and SRCU, made of what there is.

use shootdown_ir::{Binary, Expr as Ir, Kind, Op, Place, Set, SourceId};

use super::Lower;
use super::arguments::Arguments;
use super::fold;
use super::program::Here;
use super::scope::Target;
use super::value::Val;
use crate::calls::{Call, Does};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// An `srcu_struct`: the index that new readers use, and how many readers each index has (`struct srcu_array` of 3.4).
pub(super) const SRCU_CELLS: usize = 3;
/// The most readers of one index.
pub(super) const MOST_READERS: i64 = 31;

/// A function that `call_rcu()` runs.
pub(crate) struct Callback {
    head: usize,
    func: usize,
    /// What waits for the grace period.
    pub grace: SourceId,
    /// What runs the function.
    softirq: SourceId,
}

impl<'s> Lower<'_, 's> {
    pub(crate) fn rcu_call(
        &mut self,
        call: &'static Call,
        given: &Arguments,
        span: Span,
        dest: Option<&Target>,
    ) {
        let at = self.here().stmt;
        if call.does == Does::RcuBarrier {
            self.emit(
                Op::Sync {
                    sources: Vec::new(),
                    pending: true,
                    cancel: false,
                    sleeps: true,
                },
                at,
            );
            let here = self.here();
            let line = (here.id, here.lines.len().saturating_sub(1));
            self.barriers.push(line);
            return;
        }
        let Some(target) = given.target(0) else {
            return;
        };
        let Some(var) = self.objects[target.object].var else {
            return;
        };
        let set = |place, value| Set {
            when: None,
            place,
            value,
        };
        let load = |place: &Place| Ir::Load(place.clone());
        match call.does {
            Does::CallRcu => self.call_rcu(&target, given, span),
            Does::SrcuLock => {
                let index = load(&Place::at(var, fold::number(0)));
                let place = Place::at(
                    var,
                    fold::binary(Binary::Add, index.clone(), fold::number(1)),
                );
                let Some(dest) = dest else {
                    self.report(
                        Diagnostic::new(
                            &code::IGNORED_RESULT,
                            span,
                            "srcu_read_unlock() needs the index that srcu_read_lock() gives",
                        )
                        .help(format!(
                            "write `int idx = {};`",
                            self.out.file.one_line(span)
                        )),
                    );
                    return;
                };
                let mut sets = Vec::from_iter(self.set(dest, Val::int(index), span));
                let more = fold::binary(Binary::Add, load(&place), fold::number(1));
                sets.insert(0, set(place, more));
                self.update(sets, at);
            }
            Does::SrcuUnlock => {
                let index = fold::binary(Binary::Add, given.value(1), fold::number(1));
                let place = Place::at(var, index);
                let readers = load(&place);
                self.assert(
                    fold::binary(Binary::Gt, readers.clone(), fold::number(0)),
                    at,
                );
                let less = fold::binary(Binary::Sub, readers, fold::number(1));
                self.update(vec![set(place, less)], at);
            }
            Does::SynchronizeSrcu => {
                // Stragglers of the last time first; then new readers take the other index, and the old ones end.
                let index = Place::at(var, fold::number(0));
                let readers = |index: Ir| {
                    let at = fold::binary(Binary::Add, index, fold::number(1));
                    let count = Ir::Load(Place::at(var, at));
                    fold::binary(Binary::Eq, count, fold::number(0))
                };
                let other = fold::binary(Binary::Sub, fold::number(1), load(&index));
                let old = self.temporary("srcu_index", (0, 1), at);
                let flip = vec![Self::put(old, load(&index)), set(index, other.clone())];
                self.wait(readers(other), true, flip);
                self.wait(readers(Ir::var(old)), true, Vec::new());
            }
            _ => {}
        }
    }

    /// `call_rcu()`: a thread waits for the grace period (rcu_gp_kthread()), then the function runs in a softirq of this CPU
    /// (rcu_core()).
    fn call_rcu(&mut self, head: &Target, given: &Arguments, span: Span) {
        let (Some((func, _)), Some(var)) = (given.function(), self.objects[head.object].var) else {
            return;
        };
        let at = self.here().stmt;
        let grace = match (self.callbacks.iter()).find(|c| c.head == head.object && c.func == func)
        {
            Some(callback) => callback.grace,
            None => self.callback(head.object, var, func, span),
        };
        let queued = Ir::var(var);
        self.assert(fold::binary(Binary::Eq, queued, fold::number(0)), at);
        self.update(vec![Self::put(var, fold::number(1))], at);
        let cpu = self.this_cpu();
        self.emit(Op::Raise { source: grace, cpu }, at);
    }

    fn callback(
        &mut self,
        head: usize,
        queued: shootdown_ir::VarId,
        func: usize,
        span: Span,
    ) -> SourceId {
        let name = self.funcs[func].ast.name;
        let taken = self.p.sources.iter().any(|s| s.name == name.text);
        let shown = match taken {
            true => format!("{}_{}", name.text, self.objects[head].name),
            false => name.text.to_owned(),
        };
        let softirq = self.add_source(&shown, Kind::Softirq, name.span);
        let grace = self.add_source(&format!("rcu_gp_{shown}"), Kind::Work, span);
        // Known before its body is read: it may queue itself again.
        self.callbacks.push(Callback {
            head,
            func,
            grace,
            softirq,
        });
        let outer: Option<Here<'s>> = self.here.take();
        self.begin(softirq, Kind::Softirq, name.text);
        self.here().stmt = span;
        self.update(vec![Self::put(queued, fold::number(0))], span);
        self.inline_handler(func, span);
        self.end(span);
        self.begin(grace, Kind::Work, name.text);
        self.here().stmt = span;
        self.emit(Op::SynchronizeRcu, span);
        let cpu = self.this_cpu();
        let source = softirq;
        self.emit(Op::Raise { source, cpu }, span);
        self.end(span);
        self.here = outer;
        grace
    }

    /// What each `rcu_barrier()` waits for, now that all callbacks are known.
    pub(super) fn barriers(&mut self) {
        let all: Vec<SourceId> = (self.callbacks.iter())
            .flat_map(|c| [c.grace, c.softirq])
            .collect();
        for (source, pc) in std::mem::take(&mut self.barriers) {
            let program = &mut self.p.sources[source.0 as usize].program;
            if let Some(Op::Sync { sources, .. }) = program.get_mut(pc).map(|line| &mut line.op) {
                sources.clone_from(&all);
            }
        }
    }
}
