//! Events of locks: tried, found taken, held, released.

use super::{CHAIN, Here, Watch};
use crate::ftrace::context::{Attempt, Held, Key, Lock, Mode};
use crate::ftrace::event;
use crate::ftrace::order::Waiter;
use crate::ftrace::upstream::OffWait;

impl Watch {
    pub(super) fn acquire(&mut self, here: Here, lock: event::Lock<'_>, trylock: bool, mode: Mode) {
        self.seen.acquires += 1;
        self.went_on(here, None);
        let class = self.classes.id(lock.name);
        let address = lock.address;
        let lock = Lock { address, class };
        if trylock {
            self.order.took(class, mode);
            let context = self.contexts.at(here.key, here.place);
            context.held.push(Held::new(lock, mode, here.place));
            return;
        }
        let off = self
            .machine
            .get(here.place.cpu)
            .and_then(|cpu| cpu.off.clone());
        let off = off.filter(|_| here.irqs_off);
        let context = self.contexts.at(here.key, here.place);
        let waiter = Waiter {
            context,
            level: here.key.level(),
            irqs_off: here.irqs_off,
            off: off.as_ref(),
            place: here.place,
        };
        self.order.takes(&waiter, class, mode, address);
        context.attempts.retain(|a| a.lock.address != address);
        context.attempts.push(Attempt {
            lock,
            mode,
            place: here.place,
            irqs_off: here.irqs_off,
            off,
            contended: None,
            stack: Vec::new(),
        });
        if here.irqs_off {
            self.upstream.attempt(class);
            // Without LOCK_STAT nothing says that an attempt failed.
            if self.seen.acquired == 0 && !self.contexts.holders(address, here.key).is_empty() {
                self.waits(here, lock);
            }
        }
    }

    pub(super) fn contended(&mut self, here: Here, lock: event::Lock<'_>) {
        self.seen.contended += 1;
        self.went_on(here, Some(lock.address));
        let class = self.classes.id(lock.name);
        // LOCK_STAT prints both or neither.
        self.classes.get_mut(class).prints_acquired = true;
        let address = lock.address;
        let lock = Lock { address, class };
        let context = self.contexts.at(here.key, here.place);
        let known = context
            .attempts
            .iter_mut()
            .find(|a| a.lock.address == address);
        match known {
            Some(attempt) if attempt.contended.is_some() => return,
            Some(attempt) => attempt.contended = Some(here.place),
            None => {}
        }
        if here.irqs_off {
            self.waits(here, lock);
        }
    }

    /// A wait with interrupts off begins.
    fn waits(&mut self, here: Here, lock: Lock) {
        let mut chain = vec![lock.class];
        let mut last = lock.address;
        let mut waiter = here.key;
        let holders = self.contexts.holders(lock.address, here.key);
        let held_since = holders.first().and_then(|holder| {
            let held = &self.contexts.get(*holder)?.held;
            held.iter()
                .find(|h| h.lock.address == last)
                .map(|h| h.since)
        });
        while chain.len() < CHAIN {
            let next = self.contexts.holders(last, waiter).first().copied();
            let Some((holder, context)) = next.and_then(|h| Some((h, self.contexts.get(h)?)))
            else {
                break;
            };
            let Some(attempt) = context.attempts.iter().find(|a| a.contended.is_some()) else {
                break;
            };
            chain.push(attempt.lock.class);
            (last, waiter) = (attempt.lock.address, holder);
        }
        let context = self.contexts.at(here.key, here.place);
        let attempt = context
            .attempts
            .iter_mut()
            .find(|a| a.lock.address == lock.address);
        let off = attempt.and_then(|attempt| {
            attempt.contended.get_or_insert(here.place);
            attempt.off.clone()
        });
        self.upstream.wait(
            chain,
            OffWait {
                place: here.place,
                lock: lock.address,
                off,
                held_since,
                got: None,
            },
        );
    }

    pub(super) fn acquired(&mut self, here: Here, lock: event::Lock<'_>) {
        self.seen.acquired += 1;
        self.went_on(here, Some(lock.address));
        let class = self.classes.id(lock.name);
        self.classes.get_mut(class).prints_acquired = true;
        let address = lock.address;
        let lock = Lock { address, class };
        self.upstream.took(address, here.place);
        let context = self.contexts.at(here.key, here.place);
        let tried = context
            .attempts
            .iter()
            .position(|a| a.lock.address == address);
        let mode = match tried {
            Some(at) => context.attempts.remove(at).mode,
            None => Mode::Exclusive,
        };
        match context.held.iter_mut().find(|h| h.lock.address == address) {
            // Taken for held already, before the class was known to print this.
            Some(held) if tried.is_none() => held.since = here.place,
            _ => context.held.push(Held::new(lock, mode, here.place)),
        }
    }

    pub(super) fn release(&mut self, here: Here, lock: event::Lock<'_>) {
        self.went_on(here, None);
        let address = lock.address;
        let mut take = |key: Key| {
            let context = self.contexts.get_mut(key)?;
            let at = context
                .held
                .iter()
                .rposition(|h| h.lock.address == address)?;
            Some(context.held.remove(at))
        };
        let mut held = take(here.key);
        if held.is_none() {
            let context = self.contexts.at(here.key, here.place);
            let tried = context
                .attempts
                .iter()
                .position(|a| a.lock.address == address);
            if let Some(at) = tried {
                // An attempt that was given up prints a release too.
                context.attempts.remove(at);
                return;
            }
            // A sleeping lock may be released by somebody else.
            let holder = self.contexts.holders(address, here.key).first().copied();
            held = holder.and_then(|key| {
                let context = self.contexts.get_mut(key)?;
                let at = context
                    .held
                    .iter()
                    .rposition(|h| h.lock.address == address)?;
                Some(context.held.remove(at))
            });
        }
        match held {
            Some(held) => self.strict.released(&held, Some(here.place)),
            None if self.machine.has_gap(here.place.cpu) => {
                self.oddities.held_over_gap.add(here.place);
            }
            None => self.oddities.held_at_start.add(here.place),
        }
    }
}
