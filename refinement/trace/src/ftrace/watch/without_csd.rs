//! What a kernel without csd events (before 6.5), or without lockdep, tells of waits.
//!
//! `tlb_flush` with reason 4 says that others are asked, not who. `ipi_send_cpu` and `ipi_send_cpumask` (6.4 on) say who is
//! asked, and only their callsite whether that is waited for. As soon as there is a csd event, none of this counts: then
//! what is not queued is not requested.

use super::super::context::{Attempt, Awaiting, Lock, Mode, Request, Told};
use super::super::event::ONLY_TOLD;
use super::super::line::MOST_CPUS;
use super::super::order::Waiter;
use super::super::place::{Address, Place, printable};
use super::{Here, Watch};

impl Watch {
    /// A csd event: the first one takes back what was told without them.
    pub(super) fn csd(&mut self) {
        self.seen.csd += 1;
        if self.seen.csd > 1 || self.seen.told == 0 {
            return;
        }
        self.seen.told = 0;
        self.order.forget_told();
        self.upstream.forget_told();
        self.strict.forget_told();
        for (_, context) in self.contexts.iter_mut() {
            context.held.iter_mut().for_each(|held| held.told = 0);
            context.awaiting = None;
        }
    }

    /// A flush begins, and its requests will not be seen.
    pub(super) fn told(&mut self, here: Here) {
        self.seen.told += 1;
        let off = self
            .machine
            .get(here.place.cpu)
            .and_then(|cpu| cpu.off.clone());
        let context = self.contexts.at(here.key, here.place);
        let waiter = Waiter {
            context,
            level: here.key.level(),
            irqs_off: here.irqs_off,
            off: off.as_ref(),
            place: here.place,
        };
        self.order.flushes(&waiter);
        for held in &mut context.held {
            held.told += 1;
            self.upstream
                .told_across(held.lock.class, held.lock.address);
        }
        let stack = Vec::new();
        context.awaiting = Some(Awaiting {
            told: Some(Told {
                place: here.place,
                stack,
            }),
            ..Awaiting::default()
        });
    }

    /// An IPI whose request was not seen to be queued.
    pub(super) fn sent_alone(&mut self, here: Here, to: &str, callsite: &str, awaited: bool) {
        let begun = |a: &Awaiting| a.told.is_some() && a.requests.is_empty();
        let flush = self
            .contexts
            .get(here.key)
            .and_then(|c| c.awaiting.as_ref())
            .is_some_and(begun);
        let targets = targets(to);
        if targets.is_empty() || !(flush || awaited) {
            return;
        }
        if !flush {
            self.went_on(here, None);
            self.told(here);
        }
        let function = ONLY_TOLD[usize::from(!flush)];
        let requests = targets
            .into_iter()
            .filter(|cpu| *cpu != here.place.cpu)
            .map(|target| Request {
                csd: None,
                target,
                function,
                queued: here.place,
                callsite: printable(callsite),
                answered: None,
                out_of_sight: self.machine.get(target).is_none(),
                stack: Vec::new(),
            });
        let requests: Vec<Request> = requests.collect();
        if let Some(awaiting) = self.contexts.at(here.key, here.place).awaiting.as_mut() {
            awaiting.requests = requests;
        }
    }

    /// A CPU is through with its requests.
    pub(super) fn worked_off(&mut self, place: Place) {
        for (_, context) in self.contexts.iter_mut() {
            let requests = context.awaiting.iter_mut().flat_map(|a| &mut a.requests);
            for request in requests.filter(|r| r.csd.is_none() && r.target == place.cpu) {
                request.answered.get_or_insert(place);
            }
        }
    }

    /// `contention_begin` and `contention_end`. Beside lock events they say nothing new.
    pub(super) fn contention(&mut self, here: Here, begins: bool, lock: Address, spins: bool) {
        self.seen.contentions += 1;
        if self.seen.acquires > 0 {
            return;
        }
        self.went_on(here, None);
        let class = self
            .classes
            .id(if spins { "a lock" } else { "a sleeping lock" });
        let off = self
            .machine
            .get(here.place.cpu)
            .and_then(|cpu| cpu.off.clone());
        let context = self.contexts.at(here.key, here.place);
        context.contended = begins.then(|| Attempt {
            lock: Lock {
                address: lock,
                class,
            },
            mode: Mode::Exclusive,
            place: here.place,
            irqs_off: here.irqs_off,
            off: off.filter(|_| here.irqs_off),
            contended: Some(here.place),
            stack: Vec::new(),
        });
        if begins && here.irqs_off {
            self.upstream.attempt(class);
        }
    }
}

/// `3`, `0-1,3`, and the kernel's mask: `00000000,00000006`. Empty if it is none of these.
fn targets(to: &str) -> Vec<u16> {
    let cpu = |text: &str| {
        text.trim()
            .parse::<u16>()
            .ok()
            .filter(|cpu| u64::from(*cpu) < MOST_CPUS)
    };
    let words: Vec<&str> = to.split(',').collect();
    let hex = |word: &&str| word.len() == 8 && word.bytes().all(|b| b.is_ascii_hexdigit());
    if !to.is_empty() && words.iter().all(hex) {
        let words = words.iter().rev().enumerate();
        let bits = words.flat_map(|(n, word)| {
            let bits = u32::from_str_radix(word, 16).unwrap_or(0);
            (0..32_u32)
                .filter(move |bit| bits >> bit & 1 == 1)
                .map(move |bit| (n as u64) * 32 + u64::from(bit))
        });
        return bits
            .filter(|cpu| *cpu < MOST_CPUS)
            .map(|cpu| cpu as u16)
            .collect();
    }
    let mut cpus = Vec::new();
    for word in words {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        match (cpu(first), cpu(last)) {
            (Some(first), Some(last)) => cpus.extend(first..=last),
            _ => return Vec::new(),
        }
    }
    cpus
}

#[cfg(test)]
mod tests {
    use super::targets;

    #[test]
    fn cpus_are_a_number_a_list_or_a_mask() {
        assert_eq!(targets("3"), [3]);
        assert_eq!(targets("0-1,3"), [0, 1, 3]);
        assert_eq!(targets("00000001,00000006"), [1, 2, 32]);
        // `trace-cmd report -R` prints where the mask is, not what it is.
        assert!(targets("524320").is_empty() && targets("").is_empty() && targets("x").is_empty());
    }
}
