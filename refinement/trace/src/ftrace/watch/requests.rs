//! Requests to other CPUs, and their answers.

use super::{Here, REQUESTS, Watch};
use crate::ftrace::context::{Awaiting, Flushes, Request};
use crate::ftrace::order::Waiter;
use crate::ftrace::place::{Address, Place, printable};

impl Watch {
    pub(super) fn queue(
        &mut self,
        here: Here,
        cpu: u16,
        callsite: &str,
        function: usize,
        csd: Address,
    ) {
        self.seen.requests += 1;
        self.resolve(here, None);
        let context = self.contexts.at(here.key, here.place);
        let same = |awaiting: &Awaiting| {
            awaiting.sent.is_none() && awaiting.requests.iter().all(|r| r.target != cpu)
        };
        if !context.awaiting.as_ref().is_some_and(same) {
            self.went_on(here, None);
        }
        if here.irqs_off {
            self.oddities.awaited_with_irqs_off.add(here.place);
        }
        let callsite = printable(callsite);
        let off = self
            .machine
            .get(here.place.cpu)
            .and_then(|cpu| cpu.off.clone());
        let request = Request {
            csd: Some(csd),
            target: cpu,
            function,
            queued: here.place,
            callsite: callsite.clone(),
            answered: None,
            out_of_sight: self.machine.get(cpu).is_none(),
            stack: Vec::new(),
        };
        let context = self.contexts.at(here.key, here.place);
        let waiter = Waiter {
            context,
            level: here.key.level(),
            irqs_off: here.irqs_off,
            off: off.as_ref(),
            place: here.place,
        };
        self.order.awaits(&waiter, cpu, csd, &callsite);
        for held in &mut context.held {
            self.upstream
                .held_across(held.lock.class, held.lock.address);
            let last = request.clone();
            held.flushes
                .entry(cpu)
                .and_modify(|flushes| flushes.next(last.clone()))
                .or_insert(Flushes {
                    answered: 0,
                    unanswered: 0,
                    last,
                });
        }
        let awaiting = context.awaiting.get_or_insert_default();
        awaiting.requests.push(request);
        if self.requests.len() < REQUESTS {
            self.requests.insert(csd, here.key);
        }
    }

    pub(super) fn answer(&mut self, place: Place, csd: Address, awaited: bool) {
        if csd == Address(0) || !awaited {
            return;
        }
        let Some(sender) = self.requests.get(&csd).copied() else {
            self.oddities.unasked.add(place);
            return;
        };
        let Some(context) = self.contexts.get_mut(sender) else {
            return;
        };
        let mine = |r: &&mut Request| r.csd == Some(csd) && r.answered.is_none();
        let in_wait = context.awaiting.iter_mut().flat_map(|a| &mut a.requests);
        let under = context.held.iter_mut().flat_map(|h| h.flushes.values_mut());
        let under = under.map(|flushes| &mut flushes.last);
        let mut right = true;
        for request in in_wait.chain(under).filter(mine) {
            if request.target == place.cpu {
                request.answered = Some(place);
            } else {
                right = false;
            }
        }
        if right {
            self.requests.remove(&csd);
        } else {
            self.oddities.wrong_cpu.add(place);
        }
    }
}

impl Flushes {
    /// Another request to the same target.
    fn next(&mut self, request: Request) {
        if self.last.answered.is_some() {
            self.answered += 1;
        } else {
            self.unanswered += 1;
        }
        self.last = request;
    }
}
