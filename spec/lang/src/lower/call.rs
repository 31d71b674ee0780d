//! Calls: the table's entry, the arguments against it, and where each meaning is.

use shootdown_ir::{Binary, Expr as Ir, IrqOp, Memory, Op, Set};

use super::Lower;
use super::arguments::Arguments;
use super::fold;
use super::scope::{Entity, Found, Target};
use super::value::Val;
use crate::ast::{Expr, Name};
use crate::calls::{self, Call, Does, Sort};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::nearest::nearest;
use crate::parser::shorten;
use crate::source::Span;

impl<'a, 's> Lower<'a, 's> {
    /// The entry of a call, or an error with what to write instead.
    pub(crate) fn known_call(&mut self, name: Name<'s>) -> Option<&'static Call> {
        if let Some(call) = calls::find(name.text) {
            return Some(call);
        }
        let shown = shorten(name.text);
        if let Some(help) = calls::refused::find(name.text) {
            self.report(
                Diagnostic::new(
                    &code::UNSUPPORTED_CALL,
                    name.span,
                    format!("{shown}() is not supported"),
                )
                .help(help),
            );
            return None;
        }
        if let Some(found) = self.lookup(name.text) {
            let what = self.describe(&found);
            let help = match found {
                Found::Entity(Entity::Source(_)) => format!(
                    "a source is started, not called: raise_irq({shown}), schedule_work(&{shown}) ..."
                ),
                _ => "only functions can be called".to_owned(),
            };
            self.report(
                Diagnostic::new(
                    &code::WRONG_KIND,
                    name.span,
                    format!("`{shown}` is {what}, not a function"),
                )
                .help(help),
            );
            return None;
        }
        let mut names: Vec<&str> = calls::all().map(|call| call.name).collect();
        let own: Vec<&str> = self.funcs.iter().map(|func| func.ast.name.text).collect();
        names.extend(own);
        let near = nearest(name.text, names);
        self.report(
            Diagnostic::new(
                &code::UNKNOWN_CALL,
                name.span,
                format!("there is no call `{shown}`"),
            )
            .help(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "declare what it does to locks and interrupts: `void {shown}(void) {{ ... }}`"
                ),
            }),
        );
        None
    }

    /// A call for what it does; its result, if somebody wants it, goes to `dest`.
    pub(crate) fn effect(
        &mut self,
        call: &'static Call,
        name: Name<'s>,
        args: &[Expr<'s>],
        span: Span,
        dest: Option<&Target>,
    ) {
        let Some(given) = self.arguments(call, name, args, span) else {
            return;
        };
        let at = self.here().stmt;
        let outer = std::mem::replace(&mut self.access, call.access(name.text));
        self.effect_of(call, &given, at, span, dest);
        self.access = outer;
    }

    fn effect_of(
        &mut self,
        call: &'static Call,
        given: &Arguments,
        at: Span,
        span: Span,
        dest: Option<&Target>,
    ) {
        match call.does {
            Does::Nothing | Does::Value(_) => {}
            // A step only where there is something to wait for.
            Does::Barrier if self.p.memory == Memory::Tso => {
                self.emit(Op::Update(Vec::new()), at);
            }
            Does::Barrier => {}
            Does::Lock(..)
            | Does::LockInterruptible(_)
            | Does::TryLock(..)
            | Does::Unlock(..)
            | Does::Downgrade
            | Does::Down(_)
            | Does::DownTry
            | Does::Up
            | Does::SeqBegin
            | Does::SeqBeginRaw
            | Does::SeqWriteBegin
            | Does::SeqWriteEnd
            | Does::SeqLock(_)
            | Does::SeqUnlock(_)
            | Does::SeqLockExcl(_)
            | Does::SeqUnlockExcl(_)
            | Does::Hotplug(..)
            | Does::AssertHeld => self.lock_call(call, given, span, dest),
            Does::CompletionInit
            | Does::Complete(_)
            | Does::WaitCompletion(_)
            | Does::WaitCompletionTimeout
            | Does::TryWaitCompletion
            | Does::WaitEvent(_)
            | Does::WaitEventTimeout
            | Does::WakeUp => self.wait_call(call, given, dest),
            Does::Call(to) => self.cross_call(to, given, span),
            Does::SendIpi => self.send_ipi(given),
            Does::StopMachine(locked) => self.stop_machine(given, locked),
            Does::StopOne(wait) => self.stop_one(given, wait),
            Does::Raise | Does::Cancel | Does::Sync(..) | Does::FlushAll | Does::Mask(..) => {
                self.deferred_call(call, given, span)
            }
            Does::Change(change, gives) => self.change(change, gives, given, dest, span),
            Does::MaskOp(op) => self.mask_op(op, given, span),
            Does::IrqSave => {
                if let Some(flags) = given.target(0) {
                    let op = self.saves(&flags);
                    self.emit(Op::Irq(op), at);
                }
            }
            Does::IrqRestore => {
                if let Some(flags) = given.target(0) {
                    let op = self.restores(&flags, span);
                    self.emit(Op::Irq(op), at);
                }
            }
            Does::IrqOff(off) => self.emit(Op::Irq(if off { IrqOp::Off } else { IrqOp::On }), at),
            Does::BhOff(off) => self.emit(Op::BhDisable(off), at),
            Does::PreemptOff(off) => self.emit(Op::PreemptDisable(off), at),
            Does::GetCpu => {
                self.emit(Op::PreemptDisable(true), at);
                if let Some(dest) = dest {
                    let cpu = Val::int(self.this_cpu());
                    self.assign(dest, cpu, at, span);
                }
            }
            Does::Rcu(on) => self.emit(Op::RcuRead(on), at),
            Does::RcuBh(true) => {
                self.emit(Op::BhDisable(true), at);
                self.emit(Op::RcuRead(true), at);
            }
            Does::RcuBh(false) => {
                self.emit(Op::RcuRead(false), at);
                self.emit(Op::BhDisable(false), at);
            }
            Does::RcuSched(true) => {
                self.emit(Op::PreemptDisable(true), at);
                self.emit(Op::RcuRead(true), at);
            }
            Does::RcuSched(false) => {
                self.emit(Op::RcuRead(false), at);
                self.emit(Op::PreemptDisable(false), at);
            }
            Does::SynchronizeRcu => self.emit(Op::SynchronizeRcu, at),
            Does::CallRcu
            | Does::RcuBarrier
            | Does::SrcuLock
            | Does::SrcuUnlock
            | Does::SynchronizeSrcu => self.rcu_call(call, given, span, dest),
            Does::MightSleep => self.emit(Op::MightSleep, at),
            Does::Yield => self.emit(Op::Yield, at),
            Does::Bug => {
                let value = given.val(0);
                let bad = self.as_bool(value);
                self.assert(bad.clone().not(), at);
                if let Some(dest) = dest {
                    self.assign(dest, Val::bool(bad), at, span);
                }
            }
            Does::AssertIrqs(off) => {
                let cond = if off {
                    Ir::IrqsDisabled
                } else {
                    Ir::IrqsDisabled.not()
                };
                self.assert(cond, at);
            }
        }
    }

    /// An assertion; one in an `atomic` block is evaluated in its step.
    pub(crate) fn assert(&mut self, cond: Ir, at: Span) {
        if self.here().gather.is_some() {
            let held = self.temporary("asserted", (0, 1), at);
            // A branch that is not taken asserts nothing.
            self.p.vars[held.0 as usize].init = vec![1];
            let one = Set {
                when: None,
                place: shootdown_ir::Place::of(held),
                value: fold::truth(cond),
            };
            let gather = self.here().gather.as_mut().expect("checked above");
            gather.sets.insert(
                0,
                Set {
                    when: None,
                    place: shootdown_ir::Place::of(held),
                    value: fold::number(1),
                },
            );
            gather.asserts.push((Ir::var(held), at));
            self.update(vec![one], at);
            return;
        }
        self.emit(Op::Assert { cond }, at);
    }

    /// `place = value` as a step.
    pub(crate) fn assign(&mut self, target: &Target, value: Val, at: Span, span: Span) {
        if let Some(set) = self.set(target, value, span) {
            self.update(vec![set], at);
        }
    }

    /// `place = value` as a part of a step; `None` after an error.
    pub(crate) fn set(&mut self, target: &Target, value: Val, span: Span) -> Option<Set> {
        let object = &mut self.objects[target.object];
        object.used = true;
        let (sort, name) = (object.sort, shorten(&object.name));
        if object.constant || !sort.is_value() {
            let message = if object.constant {
                format!("`{name}` is constant")
            } else {
                format!("`{name}` is a {}: it cannot be assigned", sort.written())
            };
            self.error(&code::NOT_ASSIGNABLE, span, message);
            return None;
        }
        if object.len.is_some() && target.index.is_none() {
            self.report(
                Diagnostic::new(&code::NOT_ASSIGNABLE, span, format!("`{name}` is an array"))
                    .help(format!("assign its elements: `{name}[0] = ...`")),
            );
            return None;
        }
        let value = match sort {
            Sort::Bool => self.as_bool(value),
            Sort::Mask => self.as_mask(value, span),
            _ => value.e,
        };
        if let Some(constant) = fold::constant(&value) {
            self.fits(target, constant, span);
        }
        Some(Set {
            when: None,
            place: self.ir_place(target),
            value,
        })
    }

    /// The operator of `x op= y`.
    pub(crate) fn operator(op: &str) -> Option<Binary> {
        Some(match op {
            "+" => Binary::Add,
            "-" => Binary::Sub,
            "*" => Binary::Mul,
            "/" => Binary::Div,
            "%" => Binary::Rem,
            "&" => Binary::BitAnd,
            "|" => Binary::BitOr,
            "^" => Binary::BitXor,
            "<<" => Binary::Shl,
            ">>" => Binary::Shr,
            _ => return None,
        })
    }
}
