//! Completions and wait queues.

use shootdown_ir::{Binary, Expr as Ir, Op, Place, Set, Storage, Var, VarId};

use super::Lower;
use super::arguments::Arguments;
use super::fold;
use super::scope::Target;
use super::value::Val;
use crate::calls::{Call, Does};

/// A completion that `complete_all()` has set: it stays so.
const ALL_DONE: i64 = 255;

impl Lower<'_, '_> {
    pub(crate) fn wait_call(
        &mut self,
        call: &'static Call,
        given: &Arguments,
        dest: Option<&Target>,
    ) {
        let at = self.here().stmt;
        let number = fold::number;
        let completion = |lower: &Self| given.target(0).map(|target| lower.ir_place(&target));
        match call.does {
            Does::CompletionInit => {
                if let Some(place) = completion(self) {
                    self.update(
                        vec![Set {
                            when: None,
                            place,
                            value: number(0),
                        }],
                        at,
                    );
                }
            }
            Does::Complete(all) => {
                let Some(place) = completion(self) else {
                    return;
                };
                let done = Ir::Load(place.clone());
                let set = if all {
                    Set {
                        when: None,
                        place,
                        value: number(ALL_DONE),
                    }
                } else {
                    Set {
                        when: Some(fold::binary(Binary::Lt, done.clone(), number(ALL_DONE))),
                        place,
                        value: fold::binary(Binary::Add, done, number(1)),
                    }
                };
                self.update(vec![set], at);
            }
            Does::WaitCompletion(interruptible) => {
                let Some(place) = completion(self) else {
                    return;
                };
                let (until, taken) = (Self::is_done(&place), Self::take_done(&place));
                if interruptible {
                    self.maybe_interrupted(dest, -512, |lower| {
                        lower.wait(until, true, vec![taken])
                    });
                } else {
                    self.wait(until, true, vec![taken]);
                }
            }
            Does::WaitCompletionTimeout | Does::TryWaitCompletion => {
                let Some(place) = completion(self) else {
                    return;
                };
                if call.does == Does::WaitCompletionTimeout {
                    // Any time may pass here; then it is done or not.
                    self.emit(Op::Yield, at);
                }
                let mut sets = Vec::new();
                if let Some(dest) = dest {
                    sets.extend(self.set(dest, Val::bool(Self::is_done(&place)), at));
                }
                let mut taken = Self::take_done(&place);
                taken.when = Some(fold::binary(
                    Binary::And,
                    Self::is_done(&place),
                    Self::not_all(&place),
                ));
                sets.push(taken);
                self.update(sets, at);
            }
            Does::WaitEvent(interruptible) => {
                let (queue, condition) = match given.target(0) {
                    Some(queue) => (Some(queue), given.value(1)),
                    None => (None, given.value(0)),
                };
                if interruptible {
                    self.maybe_interrupted(dest, -512, |lower| {
                        lower.wait_event(queue.as_ref(), condition)
                    });
                } else {
                    self.wait_event(queue.as_ref(), condition);
                }
            }
            Does::WaitEventTimeout => {
                self.emit(Op::Yield, at);
                if let Some(dest) = dest {
                    self.assign(dest, Val::bool(given.value(1)), at, at);
                }
            }
            Does::WakeUp => {
                let queue = given
                    .target(0)
                    .and_then(|target| self.objects[target.object].queue);
                if let Some(queue) = queue {
                    self.emit(Op::Update(Vec::new()), at);
                    let here = self.here();
                    let wakeup = (here.id, here.lines.len().saturating_sub(1));
                    self.queues[queue].wakeups.push(wakeup);
                }
            }
            _ => {}
        }
    }

    fn is_done(place: &Place) -> Ir {
        fold::binary(Binary::Gt, Ir::Load(place.clone()), fold::number(0))
    }

    fn not_all(place: &Place) -> Ir {
        fold::binary(Binary::Lt, Ir::Load(place.clone()), fold::number(ALL_DONE))
    }

    fn take_done(place: &Place) -> Set {
        Set {
            when: Some(Self::not_all(place)),
            place: place.clone(),
            value: fold::binary(Binary::Sub, Ir::Load(place.clone()), fold::number(1)),
        }
    }

    /// `wait_event(queue, condition)` as the kernel has it: it checks, prepares, checks again and sleeps until a wake-up. A
    /// condition that becomes true without one is not noticed. Without a queue it is.
    fn wait_event(&mut self, queue: Option<&Target>, condition: Ir) {
        let at = self.here().stmt;
        let Some(number) = queue.and_then(|target| self.objects[target.object].queue) else {
            self.wait(condition, true, Vec::new());
            return;
        };
        if self.here().gather.is_some() {
            self.wait(condition, true, Vec::new());
            return;
        }
        let woken = self.woken(number);
        let on = self.here().on;
        let place = match on {
            Some(_) => Place::of(woken),
            None => Place::at(woken, self.this_cpu()),
        };
        let (prepare, sleep, done) = (self.label(), self.label(), self.label());
        self.emit(
            Op::Branch {
                cond: condition.clone(),
                otherwise: prepare,
            },
            at,
        );
        self.goto(done, at);
        self.place_label(prepare);
        self.update(
            vec![Set {
                when: None,
                place: place.clone(),
                value: fold::number(0),
            }],
            at,
        );
        self.emit(
            Op::Branch {
                cond: condition,
                otherwise: sleep,
            },
            at,
        );
        self.goto(done, at);
        self.place_label(sleep);
        self.emit(
            Op::Await {
                until: fold::binary(Binary::Ne, Ir::Load(place), fold::number(0)),
                sleeps: true,
                then: Vec::new(),
            },
            at,
        );
        self.goto(prepare, at);
        self.place_label(done);
    }

    /// The flag that says that this source, waiting on the queue, was woken.
    fn woken(&mut self, queue: usize) -> VarId {
        let (id, on) = {
            let here = self.here();
            (here.id, here.on)
        };
        if let Some(&(_, var)) = self.queues[queue]
            .waiters
            .iter()
            .find(|(source, _)| *source == id)
        {
            return var;
        }
        let var = VarId(u32::try_from(self.p.vars.len()).unwrap_or(u32::MAX));
        let name = format!("woken_{}", self.p.sources[id.0 as usize].name);
        let name = if self.queues[queue].waiters.is_empty() && queue == 0 {
            name
        } else {
            format!("{name}_{queue}")
        };
        self.p.vars.push(Var {
            name,
            storage: if on.is_some() {
                Storage::Global
            } else {
                Storage::PerCpu
            },
            len: None,
            lo: 0,
            hi: 1,
            declared_range: true,
            init: vec![0],
            is_mask: false,
            span: shootdown_ir::Span::default(),
        });
        self.queues[queue].waiters.push((id, var));
        var
    }
}
