//! Who waits for whom: deadlock, lock cycle and the upstream rule.

use super::{AWAITS, Facts, HANDLER};

impl Facts {
    /// The facts about waiting.
    #[inline(never)]
    pub(super) fn waits(&self, words: &[u64]) -> u64 {
        let cpus = self.cpus.len();
        // By context: everything waited for, and what locks and interrupts alone make of it.
        let (mut on, mut over_locks) = ([0u8; 8], [0u8; 8]);
        let (mut blocked, mut spinning, mut awaits, mut deaf) = (0u8, 0u8, 0u8, 0u8);
        let mut queue = [0u8; 8];
        let runs = |cpu: usize, level: usize| match level {
            0 => self.cpus[cpu].task.get(words) != 0,
            _ => self.cpus[cpu].irq.get(words) != 0,
        };
        for (k, lock) in queue.iter_mut().enumerate().take(2 * cpus) {
            if self.cpus[k / 2].rank[k % 2].get(words) != 0 {
                spinning |= 1 << k;
                *lock = self.spot(words, k / 2, k % 2).lock;
            }
        }
        for cpu in 0..cpus {
            let it = &self.cpus[cpu];
            let irq = runs(cpu, 1);
            if !runs(cpu, 0) && it.irqs_on.get(words) == 0 && !irq {
                deaf |= 1 << (2 * cpu);
            }
            for level in 0..2 {
                if !runs(cpu, level) {
                    continue;
                }
                let k = 2 * cpu + level;
                let spot = self.spot(words, cpu, level);
                let interrupted = level == 0 && irq;
                if interrupted {
                    blocked |= 1 << k;
                    on[k] |= 2 << (2 * cpu);
                    over_locks[k] |= 2 << (2 * cpu);
                }
                // What its stores will change is not known before they are in memory; then it is asked again.
                if self.on_their_way.get(cpu).is_some_and(|it| it.any(words)) {
                    continue;
                }
                if spinning >> k & 1 == 1 {
                    blocked |= 1 << k;
                    let who = self.ahead(words, k, &queue);
                    on[k] |= who;
                    over_locks[k] |= who;
                } else if spot.flags & AWAITS != 0 && self.awaits(words, cpu) {
                    blocked |= 1 << k;
                    awaits |= 1 << k;
                    on[k] |= self.not_acknowledged(words, cpu, k);
                } else if spot.awaits_split != 0 {
                    let mm = spot.awaits_split;
                    if self.mms[mm as usize - 1].splitting.get(words) != 0 {
                        blocked |= 1 << k;
                        for other in 0..cpus {
                            if self.spot(words, other, 0).splits == mm {
                                on[k] |= 1 << (2 * other);
                            }
                        }
                    }
                }
            }
        }
        let mut facts = 0;
        let mut stuck = blocked;
        loop {
            let mut rest = stuck;
            for (k, on) in on.iter().enumerate().take(2 * cpus) {
                if stuck >> k & 1 == 1 && on & (stuck | deaf) == 0 {
                    rest &= !(1 << k);
                }
            }
            if rest == stuck {
                break;
            }
            stuck = rest;
        }
        if stuck != 0 {
            facts |= 1;
        }
        if spinning == 0 {
            return facts;
        }
        let mut reach = over_locks;
        for _ in 0..2 * cpus {
            for k in 0..2 * cpus {
                let mut all = reach[k];
                for (j, far) in reach.iter().enumerate().take(2 * cpus) {
                    if reach[k] >> j & 1 == 1 {
                        all |= far;
                    }
                }
                reach[k] = all;
            }
        }
        for k in (0..2 * cpus).filter(|k| spinning >> k & 1 == 1) {
            if reach[k] >> k & 1 == 1 {
                facts |= 1 << 1;
            }
            let top = (k % 2 == 1) == runs(k / 2, 1);
            let off = self.cpus[k / 2].irqs_on.get(words) == 0;
            if top && off && reach[k] & awaits != 0 {
                facts |= 1 << 4;
            }
        }
        facts
    }

    /// Holders of the lock that context `k` spins for, and whoever queues ahead of it.
    fn ahead(&self, words: &[u64], k: usize, queue: &[u8; 8]) -> u8 {
        let lock = queue[k];
        // A rank without a lock: only an edited protocol has it.
        let Some(owner) = (lock as usize).checked_sub(1) else {
            return 0;
        };
        let mut who = match self.owners[owner].get(words) {
            0 => 0,
            owner => 1u8 << (owner - 1),
        };
        if lock == 1 {
            for (code, reader) in self.readers.iter().enumerate() {
                who |= (reader.get(words) as u8) << code;
            }
        }
        let mine = self.cpus[k / 2].rank[k % 2].get(words);
        for (j, other) in queue.iter().enumerate().take(2 * self.cpus.len()) {
            let rank = self.cpus[j / 2].rank[j % 2].get(words);
            if *other == lock && rank != 0 && rank < mine {
                who |= 1 << j;
            }
        }
        who
    }

    /// Contexts that keep the acknowledgements from coming that context `k` on `cpu` awaits.
    fn not_acknowledged(&self, words: &[u64], cpu: usize, k: usize) -> u8 {
        let mut on = 0;
        for (target, ack) in self.cpus[cpu].acks.iter().enumerate() {
            if ack.get(words) == 0 {
                continue;
            }
            let it = &self.cpus[target];
            let irq = it.irq.get(words) != 0;
            let spot = self.spot(words, target, 1);
            if it.inbox[cpu].get(words) != 0 {
                if it.irqs_on.get(words) == 0 || irq {
                    on |= 1 << (2 * target + usize::from(irq));
                }
            } else if irq && spot.flags & HANDLER != 0 && spot.sender as usize == cpu {
                on |= 2 << (2 * target);
            } else {
                on |= 1 << k;
            }
        }
        on
    }
}
