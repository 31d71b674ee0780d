//! Functions on other CPUs.

use shootdown_ir::{
    Binary, Csd, Expr as Ir, Fires, IrqOp, Kind, Op, Place, Preempt, SourceId, Unary,
};

use super::Lower;
use super::arguments::Arguments;
use super::fold;
use super::scope::Target;
use crate::ast::On;
use crate::calls::{Sort, To};
use crate::code;
use crate::source::Span;

impl<'a, 's> Lower<'a, 's> {
    /// A function as the handler of an IPI.
    pub(crate) fn handler(&mut self, func: usize) -> SourceId {
        self.funcs[func].used = true;
        if let Some(id) = self.funcs[func].handler {
            return id;
        }
        let name = self.funcs[func].ast.name;
        let id = self.add_source(name.text, Kind::Ipi, name.span);
        self.p.sources[id.0 as usize].fires = Fires::Raised;
        self.funcs[func].handler = Some(id);
        self.handlers.push((func, id));
        id
    }

    /// Whether another thread could run on a CPU of this source: only then does it matter that preemption is off.
    pub(crate) fn shares_cpu(&mut self) -> bool {
        if self.p.preempt == Preempt::None {
            return false;
        }
        let (on, kind) = {
            let here = self.here();
            (here.on, here.kind)
        };
        if !matches!(kind, Kind::Task | Kind::Work) {
            return false;
        }
        let threads = |cpu: usize| {
            self.ast_sources()
                .filter(|source| matches!(source.kind.text, "task" | "work" | "stopper"))
                .filter(|source| match source.on {
                    None | Some(On::Any) => true,
                    Some(On::Cpu(on, _)) => on == cpu as i64,
                })
                .count()
                + usize::from(self.stop_calls)
        };
        match on {
            Some(cpu) => threads(cpu) > 1,
            None => (0..self.p.cpus).any(|cpu| threads(cpu) > 1),
        }
    }

    fn others(&self) -> Ir {
        fold::unary(
            Unary::Complement,
            fold::one_bit(self.this_cpu()),
            self.all(),
        )
    }

    pub(crate) fn send_ipi(&mut self, given: &Arguments) {
        let at = self.here().stmt;
        if let Some((func, _)) = given.function() {
            let handler = self.handler(func);
            self.emit(
                Op::SendIpi {
                    to: given.value(0),
                    handler,
                },
                at,
            );
        }
    }

    pub(crate) fn cross_call(&mut self, to: To, given: &Arguments, span: Span) {
        let at = self.here().stmt;
        let Some((func, _)) = given.function() else {
            return;
        };
        let wait = given.wait();
        self.funcs[func].used = true;
        let pinned = to != To::Csd && to != To::Many && self.shares_cpu();
        if pinned {
            self.emit(Op::PreemptDisable(true), at);
        }
        match to {
            To::Others => {
                let others = self.others();
                self.call_them(func, others.clone(), Csd::PerTarget);
                self.await_them(func, others, Csd::PerTarget, wait);
            }
            To::Each => {
                let others = self.others();
                self.call_them(func, others.clone(), Csd::PerTarget);
                self.call_here(func, span);
                self.await_them(func, others, Csd::PerTarget, wait);
            }
            To::Many => {
                let others = self.others();
                let set = fold::binary(Binary::BitAnd, given.value(0), others);
                let set = self.fixed_set(set, span);
                self.call_them(func, set.clone(), Csd::PerTarget);
                self.await_them(func, set, Csd::PerTarget, wait);
            }
            To::EachOf => {
                let set = self.fixed_set(given.value(0), span);
                let others = fold::binary(Binary::BitAnd, set.clone(), self.others());
                self.call_them(func, others.clone(), Csd::PerTarget);
                let this = self.this_cpu();
                self.if_then(fold::bit(set, this), |lower| lower.call_here(func, span));
                self.await_them(func, others, Csd::PerTarget, wait);
            }
            To::One => {
                let cpu = given.value(0);
                self.check_index(&cpu, self.p.cpus, span, "CPU");
                self.call_one(func, cpu, wait, span);
            }
            To::Any => {
                let set = given.value(0);
                let this = self.this_cpu();
                let inside = fold::bit(set.clone(), this.clone());
                let first = fold::unary(Unary::First, set, self.all());
                let cpu = match fold::constant(&inside) {
                    Some(0) => first,
                    Some(_) => this,
                    None => Ir::If(Box::new(inside), Box::new(this), Box::new(first)),
                };
                let cpu = self.fixed_cpu(cpu, span);
                self.call_one(func, cpu, wait, span);
            }
            To::Csd => {
                let cpu = given.value(0);
                self.check_index(&cpu, self.p.cpus, span, "CPU");
                if let Some(csd) = given.target(1) {
                    let place: Place = self.ir_place(&csd);
                    let set = fold::one_bit(cpu);
                    self.call_them(func, set, Csd::Object(place));
                }
            }
        }
        if pinned {
            self.emit(Op::PreemptDisable(false), at);
        }
    }

    /// One CPU; on this one the function is called directly, as generic_exec_single() has it.
    fn call_one(&mut self, func: usize, cpu: Ir, wait: bool, span: Span) {
        let at = self.here().stmt;
        let this = self.this_cpu();
        let csd = if wait { Csd::OnStack } else { Csd::PerCpu };
        let here = fold::binary(Binary::Eq, cpu.clone(), this.clone());
        let remote = |lower: &mut Self| {
            let set = fold::one_bit(cpu.clone());
            lower.call_them(func, set.clone(), csd.clone());
            lower.await_them(func, set, csd.clone(), wait);
        };
        // `1 - smp_processor_id()` on two CPUs is never this one.
        let never = fold::constant(&here) == Some(0)
            || (self.p.cpus == 2 && cpu == fold::binary(Binary::Sub, fold::number(1), this));
        if never {
            remote(self);
        } else if fold::constant(&here).is_some() {
            self.call_here(func, span);
        } else {
            let cpu = self.fixed_cpu(cpu.clone(), span);
            let here = fold::binary(Binary::Eq, cpu.clone(), self.this_cpu());
            let (other, end) = (self.label(), self.label());
            self.emit(
                Op::Branch {
                    cond: here,
                    otherwise: other,
                },
                at,
            );
            self.call_here(func, span);
            self.goto(end, at);
            self.place_label(other);
            let set = fold::one_bit(cpu);
            self.call_them(func, set.clone(), csd.clone());
            self.await_them(func, set, csd, wait);
            self.place_label(end);
        }
    }

    /// A value that stays what it is while the call goes on.
    fn fixed(&mut self, value: Ir, name: &str, sort: Sort, hi: i64, span: Span) -> Ir {
        let mut steady = true;
        value.each(&mut |e| {
            steady &= match e {
                Ir::Load(place) => matches!(
                    self.p.vars[place.var.0 as usize].storage,
                    shootdown_ir::Storage::Local(_)
                ),
                Ir::IrqsDisabled | Ir::InInterrupt | Ir::IsLocked(..) | Ir::IsActive(_) => false,
                _ => true,
            };
        });
        if steady {
            return value;
        }
        let at = self.here().stmt;
        let object = self.local(name, sort, (0, hi, false), None, span);
        self.objects[object].used = true;
        let target = Target {
            object,
            index: None,
        };
        let val = if sort == Sort::Mask {
            super::value::Val::mask(value)
        } else {
            super::value::Val::int(value)
        };
        self.assign(&target, val, at, span);
        Ir::Load(self.ir_place(&target))
    }

    fn fixed_set(&mut self, set: Ir, span: Span) -> Ir {
        let all = self.all();
        self.fixed(set, "targets", Sort::Mask, all, span)
    }

    fn fixed_cpu(&mut self, cpu: Ir, span: Span) -> Ir {
        let last = self.p.cpus as i64;
        self.fixed(cpu, "target", Sort::Int, last, span)
    }

    fn call_them(&mut self, func: usize, to: Ir, csd: Csd) {
        if fold::constant(&to) == Some(0) {
            return;
        }
        let at = self.here().stmt;
        let handler = self.handler(func);
        self.emit(Op::CrossCall { to, handler, csd }, at);
    }

    fn await_them(&mut self, func: usize, from: Ir, csd: Csd, wait: bool) {
        if !wait || fold::constant(&from) == Some(0) {
            return;
        }
        let at = self.here().stmt;
        let handler = self.handler(func);
        self.emit(Op::AwaitAcks { from, handler, csd }, at);
    }

    /// The function on this CPU, interrupts off.
    pub(crate) fn call_here(&mut self, func: usize, span: Span) {
        let at = self.here().stmt;
        if self.here().gather.is_some() {
            self.error(
                &code::NOT_ATOMIC,
                span,
                "a call on other CPUs is not one step",
            );
            return;
        }
        let flags = self.temporary("irq_flags", (0, 1), span);
        self.emit(Op::Irq(IrqOp::Save(Place::of(flags))), at);
        self.inline_handler(func, span);
        self.here().stmt = at;
        self.emit(Op::Irq(IrqOp::Restore(Place::of(flags))), at);
    }

    /// `if (cond) then`, on a condition of lowering's own.
    pub(crate) fn if_then(&mut self, cond: Ir, then: impl FnOnce(&mut Self)) {
        match fold::constant(&cond) {
            Some(0) => {}
            Some(_) => then(self),
            None => {
                let at = self.here().stmt;
                let end = self.label();
                self.emit(
                    Op::Branch {
                        cond,
                        otherwise: end,
                    },
                    at,
                );
                then(self);
                self.place_label(end);
            }
        }
    }
}
