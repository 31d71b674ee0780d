//! Locks: what is switched off with them, then the lock.

use shootdown_ir::{
    Binary, Expr as Ir, IrqOp, Lock, LockId, LockKind, LockRef, Mode, Op, Place, Set,
};

use super::Lower;
use super::arguments::Arguments;
use super::fold;
use super::program::Label;
use super::scope::Target;
use super::value::Val;
use crate::calls::{Call, Does, With};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// Sequence counts wrap at 16: a reader that sleeps through exactly eight writers is taken for one that saw none.
const COUNTS: i64 = 16;

impl Lower<'_, '_> {
    pub(crate) fn lock_call(
        &mut self,
        call: &'static Call,
        given: &Arguments,
        span: Span,
        dest: Option<&Target>,
    ) {
        let at = self.here().stmt;
        if let Does::Hotplug(write, take) = call.does {
            return self.hotplug_call(write, take, at);
        }
        let Some(target) = given.target(0) else {
            return;
        };
        let flags = given.target(1);
        match call.does {
            Does::Lock(mode, with) => self.take(&target, mode, with, flags.as_ref()),
            Does::Unlock(mode, with) => self.give(&target, mode, with, flags.as_ref(), span),
            Does::LockInterruptible(mode) => self.maybe_interrupted(dest, -4, |lower| {
                lower.take(&target, mode, With::Plain, None)
            }),
            Does::TryLock(mode, with) => {
                let no = self.label();
                self.try_take(&target, mode, with, flags.as_ref(), no, span);
                match dest {
                    Some(dest) => {
                        let end = self.label();
                        self.assign(dest, Val::bool(fold::number(1)), at, span);
                        self.goto(end, at);
                        self.place_label(no);
                        self.assign(dest, Val::bool(fold::number(0)), at, span);
                        self.place_label(end);
                    }
                    None => {
                        self.place_label(no);
                        self.report(
                            Diagnostic::new(
                                &code::IGNORED_RESULT,
                                span,
                                format!("{}() may fail, and its result is ignored", call.name),
                            )
                            .help(format!(
                                "write `if ({}) {{ ... }}`",
                                self.out.file.one_line(span)
                            )),
                        );
                    }
                }
            }
            Does::Downgrade => {
                if let Some(lock) = self.lock_ref(&target) {
                    self.emit(Op::Downgrade(lock), at);
                }
            }
            Does::AssertHeld => {
                if let Some(lock) = self.lock_ref(&target) {
                    self.assert(Ir::IsLocked(lock.lock, lock.index.map(Box::new)), at);
                }
            }
            Does::Down(false) => self.down(&target),
            Does::Down(true) => self.maybe_interrupted(dest, -4, |lower| lower.down(&target)),
            Does::DownTry => {
                let count = Ir::Load(self.ir_place(&target));
                let place = self.ir_place(&target);
                let mut sets = Vec::new();
                if let Some(dest) = dest {
                    let none = Val::bool(fold::binary(Binary::Eq, count.clone(), fold::number(0)));
                    sets.extend(self.set(dest, none, span));
                }
                sets.push(Set {
                    when: Some(fold::binary(Binary::Gt, count.clone(), fold::number(0))),
                    place,
                    value: fold::binary(Binary::Sub, count, fold::number(1)),
                });
                self.update(sets, at);
            }
            Does::Up => {
                let place = self.ir_place(&target);
                let more = fold::binary(Binary::Add, Ir::Load(place.clone()), fold::number(1));
                self.update(
                    vec![Set {
                        when: None,
                        place,
                        value: more,
                    }],
                    at,
                );
            }
            Does::SeqBegin => {
                let place = self.ir_place(&target);
                let even = fold::unary(
                    shootdown_ir::Unary::Not,
                    fold::bit(Ir::Load(place.clone()), fold::number(0)),
                    self.all(),
                );
                let mut then = Vec::new();
                if let Some(dest) = dest {
                    then.extend(self.set(dest, Val::int(Ir::Load(place)), span));
                }
                self.wait(even, false, then);
            }
            Does::SeqBeginRaw => {
                let place = self.ir_place(&target);
                let even = fold::binary(Binary::BitAnd, Ir::Load(place), fold::number(COUNTS - 2));
                if let Some(dest) = dest {
                    self.assign(dest, Val::int(even), at, span);
                }
            }
            Does::SeqWriteBegin | Does::SeqWriteEnd => self.count(&target),
            Does::SeqLock(with) => {
                self.take(&target, Mode::Exclusive, with, flags.as_ref());
                self.count(&target);
            }
            Does::SeqUnlock(with) => {
                self.count(&target);
                self.give(&target, Mode::Exclusive, with, flags.as_ref(), span);
            }
            Does::SeqLockExcl(with) => self.take(&target, Mode::Exclusive, with, flags.as_ref()),
            Does::SeqUnlockExcl(with) => {
                self.give(&target, Mode::Exclusive, with, flags.as_ref(), span)
            }
            _ => {}
        }
    }

    /// The count of a seqcount goes on.
    fn count(&mut self, target: &Target) {
        let at = self.here().stmt;
        let place = self.ir_place(target);
        let next = fold::binary(Binary::Add, Ir::Load(place.clone()), fold::number(1));
        let value = fold::binary(Binary::Rem, next, fold::number(COUNTS));
        self.update(
            vec![Set {
                when: None,
                place,
                value,
            }],
            at,
        );
    }

    fn take(&mut self, target: &Target, mode: Mode, with: With, flags: Option<&Target>) {
        let at = self.here().stmt;
        let Some(lock) = self.lock_ref(target) else {
            return;
        };
        self.switch_off(with, flags);
        self.emit(Op::Lock(lock, mode), at);
    }

    fn switch_off(&mut self, with: With, flags: Option<&Target>) {
        let at = self.here().stmt;
        match (with, flags) {
            (With::Bh, _) => self.emit(Op::BhDisable(true), at),
            (With::Irq, _) => self.emit(Op::Irq(IrqOp::Off), at),
            (With::Save, Some(flags)) => {
                let op = self.saves(flags);
                self.emit(Op::Irq(op), at);
            }
            _ => {}
        }
    }

    fn switch_on(&mut self, with: With, flags: Option<&Target>, span: Span) {
        let at = self.here().stmt;
        match (with, flags) {
            (With::Bh, _) => self.emit(Op::BhDisable(false), at),
            (With::Irq, _) => self.emit(Op::Irq(IrqOp::On), at),
            (With::Save, Some(flags)) => {
                let op = self.restores(flags, span);
                self.emit(Op::Irq(op), at);
            }
            _ => {}
        }
    }

    fn give(
        &mut self,
        target: &Target,
        mode: Mode,
        with: With,
        flags: Option<&Target>,
        span: Span,
    ) {
        let at = self.here().stmt;
        let Some(lock) = self.lock_ref(target) else {
            return;
        };
        self.emit(Op::Unlock(lock, mode), at);
        self.switch_on(with, flags, span);
    }

    /// A trylock: goes on if it is taken, else to `no`.
    pub(crate) fn try_take(
        &mut self,
        target: &Target,
        mode: Mode,
        with: With,
        flags: Option<&Target>,
        no: Label,
        span: Span,
    ) {
        let at = self.here().stmt;
        let Some(lock) = self.lock_ref(target) else {
            return;
        };
        if with == With::Plain {
            self.emit(
                Op::TryLock {
                    lock,
                    mode,
                    otherwise: no,
                },
                at,
            );
            return;
        }
        // What was switched off goes on again if the lock is not taken.
        let (failed, end) = (self.label(), self.label());
        self.switch_off(with, flags);
        self.emit(
            Op::TryLock {
                lock,
                mode,
                otherwise: failed,
            },
            at,
        );
        self.goto(end, at);
        self.place_label(failed);
        self.switch_on(with, flags, span);
        self.goto(no, at);
        self.place_label(end);
    }

    /// A wait that a signal may end before it begins: 0 to `dest`, or the error.
    pub(crate) fn maybe_interrupted(
        &mut self,
        dest: Option<&Target>,
        error: i64,
        wait: impl FnOnce(&mut Self),
    ) {
        let at = self.here().stmt;
        let (waits, signal, end) = (self.label(), self.label(), self.label());
        self.emit(Op::Choose(vec![waits, signal]), at);
        self.place_label(waits);
        wait(self);
        if let Some(dest) = dest {
            self.assign(dest, Val::int(fold::number(0)), at, at);
        }
        self.goto(end, at);
        self.place_label(signal);
        if let Some(dest) = dest {
            self.assign(dest, Val::int(fold::number(error)), at, at);
        }
        self.place_label(end);
    }

    fn down(&mut self, target: &Target) {
        let place = self.ir_place(target);
        let count = Ir::Load(place.clone());
        let less = Set {
            when: None,
            place,
            value: fold::binary(Binary::Sub, count.clone(), fold::number(1)),
        };
        self.wait(
            fold::binary(Binary::Gt, count, fold::number(0)),
            true,
            vec![less],
        );
    }

    /// A lock that the file does not declare.
    pub(crate) fn hidden_lock(&mut self, name: &str, kind: LockKind) -> LockId {
        let id = LockId(u32::try_from(self.p.locks.len()).unwrap_or(u32::MAX));
        self.p.locks.push(Lock {
            name: name.to_owned(),
            kind,
            len: None,
            per_cpu: false,
            span: shootdown_ir::Span::default(),
        });
        id
    }

    fn hotplug_call(&mut self, write: bool, take: bool, at: Span) {
        let lock = match self.hotplug {
            Some(lock) => lock,
            None => {
                let lock = self.hidden_lock("cpu_hotplug_lock", LockKind::RwSem);
                self.hotplug = Some(lock);
                lock
            }
        };
        let lock = LockRef { lock, index: None };
        let mode = if write { Mode::Exclusive } else { Mode::Shared };
        self.emit(
            if take {
                Op::Lock(lock, mode)
            } else {
                Op::Unlock(lock, mode)
            },
            at,
        );
    }

    /// Waits, or begins the step of the `atomic` block around with a wait.
    pub(crate) fn wait(&mut self, until: Ir, sleeps: bool, then: Vec<Set>) {
        let at = self.here().stmt;
        if let Some(gather) = &mut self.here().gather {
            if gather.sets.is_empty() && gather.guards.is_empty() && gather.wait.is_none() {
                gather.wait = Some((until, sleeps));
                gather.sets = then;
            } else {
                self.report(
                    Diagnostic::new(
                        &code::NOT_ATOMIC,
                        at,
                        "a wait can only be the first statement of `atomic { ... }`",
                    )
                    .help("move it out of the block, or to its start"),
                );
            }
            return;
        }
        self.emit(
            Op::Await {
                until,
                sleeps,
                then,
            },
            at,
        );
    }

    /// A place for one set of lowering's own.
    pub(crate) fn put(var: shootdown_ir::VarId, value: Ir) -> Set {
        Set {
            when: None,
            place: Place::of(var),
            value,
        }
    }
}
