//! Follows the events of a trace, one after the other, and hands each rule what concerns it.
//!
//! What prints no event is inferred from what a context does next:
//!
//! | not in the trace | inferred from |
//! |---|---|
//! | a lock of a class that prints no `lock_acquired` is held | the context's next lock event or request: it did not wait |
//! | the request, where a kernel has no csd events (before 6.5) | `tlb_flush` with reason 4, or an IPI from where it is waited for |
//! | an acknowledgement, where it has none | the end of `call_function*`, or interrupts that are on |
//! | the wait for acknowledgements is over | the context's next lock event, or its next flush; interrupts on top of it are no sign |
//! | interrupts are off | the FLAGS column of the line, which is read from the processor |

mod locks;
mod requests;
mod without_csd;

use super::class::Classes;
use super::context::{Contexts, Held, Key, Mode};
use super::event::Event;
use super::line::{Level, Line};
use super::machine::{Machine, Noted};
use super::order;
use super::place::{Address, Place};
use super::strict::Strict;
use super::upstream;
use serde::Serialize;
use std::collections::HashMap;

/// Requests that are remembered until they are answered. A kernel has one for each pair of CPUs.
const REQUESTS: usize = 1 << 20;

/// How far a chain of holders is followed.
const CHAIN: usize = 8;

/// What was seen that does not fit, or only half of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Oddities {
    /// Releases of locks that were never taken, on CPUs without a gap before: held when the trace began.
    pub held_at_start: Noted,
    /// The same after a gap.
    pub held_over_gap: Noted,
    /// Requests whose sender went on although no answer was seen, of a CPU that was.
    pub unanswered: Noted,
    /// The same, but events of that CPU are missing.
    pub out_of_sight: Noted,
    /// Answers on another CPU than the one that was asked.
    pub wrong_cpu: Noted,
    /// Answers to awaited requests that were not seen to be made.
    pub unasked: Noted,
    /// Acknowledgements awaited with interrupts off.
    pub awaited_with_irqs_off: Noted,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Seen {
    /// Awaited requests.
    pub requests: u64,
    /// Requests of other functions: nobody may await them.
    pub other_requests: u64,
    /// `tlb_flush` with reason 4, "remote ipi send".
    pub flushes_sent: u64,
    /// `lock_acquire`.
    pub acquires: u64,
    /// `lock_acquired`.
    pub acquired: u64,
    /// `lock_contended`.
    pub contended: u64,
    /// `irq_disable`.
    pub irq_disables: u64,
    /// Events of the csd group: with one of them, what is not queued is not requested.
    #[serde(skip)]
    pub csd: u64,
    /// `tlb_flush` of any reason; with reason 1, on behalf of another CPU.
    #[serde(skip)]
    pub tlb: [u64; 2],
    /// `ipi_send_*`.
    #[serde(skip)]
    pub ipis: u64,
    /// `call_function*`.
    #[serde(skip)]
    pub calls: u64,
    /// `contention_*`.
    #[serde(skip)]
    pub contentions: u64,
    /// Lines that say whether interrupts are off, and `irq_*` events.
    #[serde(skip)]
    pub irq_states: u64,
    /// Flushes and calls of which only `tlb_flush` or the IPI is there.
    #[serde(skip_serializing_if = "is_zero")]
    pub told: u64,
    /// Readers that are no locks.
    #[serde(skip)]
    pub no_locks: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The state.
#[derive(Debug, Default)]
pub struct Watch {
    /// Lock classes.
    pub classes: Classes,
    /// CPUs.
    pub machine: Machine,
    /// What runs there.
    pub contexts: Contexts,
    /// Requests that are not answered yet, and who made them.
    requests: HashMap<Address, Key>,
    /// The strict rule.
    pub strict: Strict,
    /// The upstream rule.
    pub upstream: upstream::Collect,
    /// The order graph.
    pub order: order::Collect,
    /// What does not fit.
    pub oddities: Oddities,
    /// Counts.
    pub seen: Seen,
    /// What a stack that comes next belongs to: the context, its CPU, and the line.
    stack_of: Option<(Key, u16, u64)>,
}

/// A line with what is known about it.
#[derive(Clone, Copy)]
struct Here {
    place: Place,
    key: Key,
    irqs_off: bool,
}

impl Watch {
    /// An event.
    pub fn event(&mut self, number: u64, line: &Line<'_>, event: &Event<'_>) {
        let place = Place {
            line: number,
            cpu: line.cpu,
            task: line.task,
            time: line.time,
        };
        let irqs_off = self.machine.line(line, place);
        let level = self
            .machine
            .get(line.cpu)
            .map_or(Level::Task, |cpu| cpu.level);
        let here = Here {
            place,
            key: Key::of(line.cpu, level, line.task.pid),
            irqs_off: irqs_off == Some(true),
        };
        let bh_off = line.flags.is_some_and(|flags| flags.bh_off);
        self.order.tells_bh |= bh_off;
        self.seen.irq_states += u64::from(irqs_off.is_some());
        if line.event.starts_with(b"csd_") {
            self.csd();
        }
        if *event != Event::Stack {
            self.stack_of = Some((here.key, line.cpu, number));
        }
        match *event {
            Event::Irqs {
                off,
                caller,
                parent,
            } => {
                self.seen.irq_disables += u64::from(off);
                self.seen.irq_states += 1;
                self.machine.irqs(off, place, caller, parent);
                if !off {
                    self.open(here.key, bh_off);
                }
            }
            Event::Acquire {
                lock,
                trylock,
                read,
            } => {
                let mode = if read { Mode::Shared } else { Mode::Exclusive };
                self.acquire(here, lock, trylock, mode);
            }
            Event::Contended(lock) => self.contended(here, lock),
            Event::Acquired(lock) => self.acquired(here, lock),
            Event::Release(lock) => self.release(here, lock),
            Event::FlushBegins => {
                self.seen.flushes_sent += 1;
                self.seen.tlb[0] += 1;
                self.went_on(here, None);
                if self.seen.csd == 0 {
                    self.told(here);
                }
                self.contexts.at(here.key, place).begins_flush = true;
            }
            Event::Flushed { remote } => {
                self.seen.tlb[0] += 1;
                self.seen.tlb[1] += u64::from(remote);
            }
            Event::NoLock => {
                self.seen.no_locks += 1;
                self.went_on(here, None);
            }
            Event::Contention {
                begins,
                lock,
                spins,
            } => self.contention(here, begins, lock, spins),
            Event::CallFunction { begins } => {
                self.seen.calls += 1;
                if !begins && self.seen.csd == 0 {
                    self.worked_off(place);
                }
            }
            Event::QueueUnnamed { cpu, callsite, csd } => {
                let flushes = self.contexts.get(here.key).is_some_and(|c| c.begins_flush);
                if flushes {
                    self.queue(here, cpu, callsite, 0, csd);
                } else {
                    self.seen.other_requests += 1;
                    self.requests.remove(&csd);
                }
            }
            Event::Stack => {}
            Event::Queue {
                cpu,
                callsite,
                function,
                csd,
            } => self.queue(here, cpu, callsite, function, csd),
            Event::QueueOther { csd } => {
                self.seen.other_requests += 1;
                self.requests.remove(&csd);
            }
            Event::Sent {
                to,
                callsite,
                awaited,
            } => {
                self.seen.ipis += 1;
                if self.seen.csd == 0 {
                    self.sent_alone(here, to, callsite, awaited);
                }
                let context = self.contexts.get_mut(here.key);
                if let Some(awaiting) = context.and_then(|c| c.awaiting.as_mut()) {
                    awaiting.sent.get_or_insert(place);
                }
            }
            Event::Answer { csd, awaited } => self.answer(place, csd, awaited),
            Event::Stutter | Event::Unknown => {}
        }
        if irqs_off == Some(false) {
            self.open(here.key, bh_off);
        }
    }

    /// A function of the stack that the last event was printed with.
    pub fn frame(&mut self, frame: &[u8]) {
        let Some((key, cpu, line)) = self.stack_of else {
            return;
        };
        let frame = String::from_utf8_lossy(&frame[..frame.len().min(128)]);
        // A stack that is longer than the room for it is padded with zeros.
        if frame.is_empty() || matches!(&*frame, "0" | "0x0") {
            return;
        }
        self.machine.frame(cpu, line, &frame);
        if let Some(context) = self.contexts.get_mut(key) {
            context.frame(line, &frame);
        }
    }

    /// Events of a CPU are lost: what it held, tried and awaited is not known any more.
    pub fn lost(&mut self, cpu: u16, line: u64, events: Option<u64>) {
        self.machine.lost(cpu, line, events);
        for context in self.contexts.forget(cpu) {
            for held in &context.held {
                self.strict.released(held, None);
            }
        }
        for (_, context) in self.contexts.iter_mut() {
            let awaited = context.awaiting.iter_mut().flat_map(|a| &mut a.requests);
            let under = context
                .held
                .iter_mut()
                .flat_map(|h| h.flushes.get_mut(&cpu));
            let under = under.map(|flushes| &mut flushes.last);
            for request in awaited.chain(under).filter(|r| r.target == cpu) {
                request.out_of_sight |= request.answered.is_none();
            }
        }
        let contexts = &self.contexts;
        self.requests.retain(|_, key| contexts.get(*key).is_some());
    }

    /// What the context holds, it holds with interrupts on.
    fn open(&mut self, key: Key, bh_off: bool) {
        if key.level() >= Level::Hardirq {
            return;
        }
        let Some(context) = self.contexts.get_mut(key) else {
            return;
        };
        // Softirqs interrupt tasks, and no other softirq.
        let bh = !bh_off && key.level() == Level::Task;
        for held in &mut context.held {
            if !held.open[0] || (bh && !held.open[1]) {
                held.open = [true, bh || held.open[1]];
                let lock = held.lock;
                self.order
                    .open(lock.class, held.mode, lock.address, held.since, bh);
            }
        }
    }

    /// The context does something that it could not do while it waits: it does not.
    fn went_on(&mut self, here: Here, except: Option<Address>) {
        self.resolve(here, except);
        let context = self.contexts.at(here.key, here.place);
        context.begins_flush = false;
        let Some(awaiting) = context.awaiting.take() else {
            return;
        };
        for request in awaiting.requests.iter().filter(|r| r.answered.is_none()) {
            if request.out_of_sight {
                self.oddities.out_of_sight.add(request.queued);
            } else {
                self.oddities.unanswered.add(request.queued);
            }
        }
    }

    /// Attempts at locks that print no `lock_acquired` had succeeded.
    fn resolve(&mut self, here: Here, except: Option<Address>) {
        let context = self.contexts.at(here.key, here.place);
        let classes = &self.classes;
        let held = &mut context.held;
        context.attempts.retain(|attempt| {
            let pending = classes.get(attempt.lock.class).prints_acquired
                || except == Some(attempt.lock.address);
            if !pending {
                held.push(Held::new(attempt.lock, attempt.mode, attempt.place));
                self.upstream.took(attempt.lock.address, here.place);
            }
            pending
        });
    }

    /// The trace ends: what is held now is not seen to be released.
    pub fn end(&mut self) {
        let Self {
            contexts, strict, ..
        } = self;
        for (_, context) in contexts.iter() {
            for held in &context.held {
                strict.released(held, None);
            }
        }
    }
}
