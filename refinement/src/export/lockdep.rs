//! A small lockdep: what the kernel's lock validator would have noticed in a run, if it knew the wait for an
//! acknowledgement.
//!
//! As lockdep does, it looks at lock *classes* and at every acquisition before the lock is spun for, keeps how each
//! class was used (in interrupts, with interrupts on) and which class was taken while which was held, and stops at the
//! first thing that could go wrong. It checks in lockdep's order: the usage of the lock itself, then of what it
//! depends on, then cycles, then interrupt-safe locks that depend on unsafe ones.
//!
//! One thing is not lockdep's: the kernel does not tell it that a flush waits for other CPUs, which is why it was
//! silent in 2011. Here a CPU *withholds* a pseudo lock `ipi_ack(CPUn)` as long as its interrupts are off, and a
//! sender *syncs* with it. Turning interrupts off waits for nobody, so that is a trylock.
//!
//! # Limitations
//! Waits for the end of a split have no node. Reader recursion is judged joint by joint: two readers of one lock do not
//! exclude each other; lockdep is finer. No program of the model nests two locks of one class, so there is no report of
//! recursive locking.

use super::run::{Attempt, Run};
use shootdown_spec::id::{Context, CpuId, Level, LockId};
use shootdown_spec::order;
use shootdown_spec::order::Step;
use shootdown_spec::program::Mode;
use std::collections::{BTreeMap, VecDeque};

/// What lockdep calls a class, and the pseudo lock that it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Locks that play the same part.
    Lock(order::Class),
    /// The acknowledgements of a CPU.
    Ack(CpuId),
}

/// Where and when something was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The step.
    pub n: usize,
    /// By whom.
    pub who: Context,
    /// The line; none where an interrupt was taken.
    pub at: Option<Step>,
    /// The line that the interrupt interrupted, if it is one and interrupted something.
    pub over: Option<Step>,
}

/// An acquisition, from the attempt on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// The class.
    pub class: Class,
    /// The lock itself, if it is one.
    pub lock: Option<LockId>,
    /// As a reader.
    pub shared: bool,
    /// It could not have waited.
    pub trylock: bool,
    /// Where.
    pub place: Place,
}

/// A way a class was used, as far as interrupts are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bit {
    /// `IN-HARDIRQ-W`.
    InHardirqW,
    /// `IN-HARDIRQ-R`.
    InHardirqR,
    /// `HARDIRQ-ON-W`.
    HardirqOnW,
    /// `HARDIRQ-ON-R`.
    HardirqOnR,
}

impl Bit {
    /// As lockdep prints it.
    pub fn name(self) -> &'static str {
        match self {
            Bit::InHardirqW => "IN-HARDIRQ-W",
            Bit::InHardirqR => "IN-HARDIRQ-R",
            Bit::HardirqOnW => "HARDIRQ-ON-W",
            Bit::HardirqOnR => "HARDIRQ-ON-R",
        }
    }

    /// The uses that contradict this one, in the order in which lockdep asks.
    fn excludes(self) -> &'static [Bit] {
        match self {
            Bit::InHardirqW => &[Bit::HardirqOnW, Bit::HardirqOnR],
            Bit::InHardirqR => &[Bit::HardirqOnW],
            Bit::HardirqOnW => &[Bit::InHardirqW, Bit::InHardirqR],
            Bit::HardirqOnR => &[Bit::InHardirqW],
        }
    }

    fn is_in_hardirq(self) -> bool {
        matches!(self, Bit::InHardirqW | Bit::InHardirqR)
    }
}

/// How a class was used so far, with the first place of each use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The uses.
    pub bits: BTreeMap<Bit, Place>,
    /// How often it was taken.
    pub ops: u64,
}

/// A dependency: `to` was asked for while `from` was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// What was held.
    pub from: Class,
    /// As a reader.
    pub from_shared: bool,
    /// What was asked for.
    pub to: Class,
    /// As a reader.
    pub to_shared: bool,
    /// Where.
    pub place: Place,
}

/// What could go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The lock held depends on the lock asked for.
    Circular {
        /// The lock held.
        holding: Acquired,
        /// From the lock asked for to the lock held.
        chain: Vec<Link>,
    },
    /// One class is used in an interrupt and with interrupts on.
    Inconsistent {
        /// The use of old, and where.
        old: (Bit, Place),
        /// The use now.
        new: Bit,
    },
    /// A use of the lock now contradicts a use of a lock it depends on, or that depends on it.
    Inversion {
        /// The other lock was taken under this one; otherwise this one under the other.
        forwards: bool,
        /// From the interrupt-safe lock to the unsafe one.
        chain: Vec<Link>,
    },
    /// A lock that interrupts take would begin to depend on one that is held with interrupts on.
    SafeUnsafe {
        /// The lock held.
        holding: Acquired,
        /// The interrupt-safe lock, and where it became that.
        safe: Box<(Class, Place)>,
        /// The unsafe lock, and where it became that.
        not_safe: Box<(Class, Place)>,
        /// From the safe lock to the lock held.
        before: Vec<Link>,
        /// From the lock asked for to the unsafe lock.
        after: Vec<Link>,
    },
}

/// The first thing that could go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What.
    pub kind: Kind,
    /// The acquisition at which it was noticed.
    pub by: Acquired,
    /// What the task holds then, the interrupted code's locks first.
    pub held: Vec<Acquired>,
    /// How every class was used until then, this use included.
    pub usage: BTreeMap<Class, Usage>,
    /// Whether interrupts were on.
    pub irqs_on: bool,
    /// The last steps that turned interrupts on and off on that CPU, 0 for the start.
    pub last_on_off: (usize, usize),
}

impl Report {
    /// Does it take the pseudo lock to see it? Then the kernel's lockdep is silent.
    pub fn needs_acks(&self) -> bool {
        let chain = match &self.kind {
            Kind::Circular { chain, .. } | Kind::Inversion { chain, .. } => chain.clone(),
            Kind::SafeUnsafe { before, after, .. } => before.iter().chain(after).copied().collect(),
            Kind::Inconsistent { .. } => Vec::new(),
        };
        let is_ack = |c: Class| matches!(c, Class::Ack(_));
        is_ack(self.by.class) || chain.iter().any(|l| is_ack(l.from) || is_ack(l.to))
    }
}

/// Watches a run; the first thing that could go wrong, if anything could.
pub fn watch(run: &Run) -> Option<Report> {
    let mut lockdep = Lockdep::default();
    (1..run.states.len()).find_map(|n| lockdep.step(run, n))
}

#[derive(Default)]
struct Lockdep {
    usage: BTreeMap<Class, Usage>,
    links: Vec<Link>,
    /// By [`Context::code`].
    held: [Vec<Acquired>; 8],
    /// Per CPU, the last steps that turned interrupts on and off.
    last_on_off: [(usize, usize); 4],
}

impl Lockdep {
    fn step(&mut self, run: &Run, n: usize) -> Option<Report> {
        let who = run.actor(n);
        let (was, is) = (run.states[n - 1].cpu(who.cpu), run.states[n].cpu(who.cpu));
        let place = Place {
            n,
            who,
            at: run.line(n),
            over: match who.level {
                Level::Task => None,
                Level::Irq => run.stands_at(
                    n,
                    Context {
                        level: Level::Task,
                        ..who
                    },
                ),
            },
        };
        let own_ack = Acquired {
            class: Class::Ack(who.cpu),
            lock: None,
            shared: false,
            trylock: true,
            place,
        };
        for attempt in run.locks.iter().filter(|a| a.released == Some(n)) {
            self.held[usize::from(attempt.who.code())].retain(|h| h.lock != Some(attempt.lock));
        }
        let asked: Vec<Acquired> = run
            .locks
            .iter()
            .filter(|a| a.asked == n)
            .map(|a| acquired(a, place))
            .collect();
        for acquired in asked {
            if let Some(report) = self.acquire(acquired, was.irqs_on) {
                return Some(report);
            }
        }
        for ipi in run.ipis.iter().filter(|i| i.sent == n) {
            let Some((waiter, at)) = ipi.awaited else {
                continue;
            };
            let sync = Acquired {
                class: Class::Ack(ipi.to),
                trylock: false,
                place: Place {
                    who: waiter,
                    at: Some(at),
                    ..place
                },
                ..own_ack
            };
            if let Some(report) = self.sync(sync, is.irqs_on) {
                return Some(report);
            }
        }
        if was.irqs_on && !is.irqs_on {
            self.last_on_off[who.cpu.index()].1 = n;
            self.held[usize::from(who.code())].push(own_ack);
        }
        if !was.irqs_on && is.irqs_on {
            self.last_on_off[who.cpu.index()].0 = n;
            for level in Level::ALL {
                let code = Context { level, ..who }.code();
                self.held[usize::from(code)].retain(|h| h.class != Class::Ack(who.cpu));
            }
            // As trace_hardirqs_on does: what is held is held with interrupts on now.
            let task = Context {
                level: Level::Task,
                ..who
            };
            for held in self.held[usize::from(task.code())].clone() {
                let held = Acquired { place, ..held };
                if let Some(kind) = self.mark(&held, true) {
                    return Some(self.report(kind, held, true));
                }
            }
        }
        None
    }

    fn acquire(&mut self, acquired: Acquired, irqs_on: bool) -> Option<Report> {
        self.usage.entry(acquired.class).or_default().ops += 1;
        if let Some(kind) = self.mark(&acquired, irqs_on) {
            return Some(self.report(kind, acquired, irqs_on));
        }
        let report = match acquired.trylock {
            true => None,
            false => self.depend(acquired, irqs_on),
        };
        self.held[usize::from(acquired.place.who.code())].push(acquired);
        report
    }

    /// As `lock_sync`: taken and let go at once.
    fn sync(&mut self, acquired: Acquired, irqs_on: bool) -> Option<Report> {
        self.usage.entry(acquired.class).or_default().ops += 1;
        self.depend(acquired, irqs_on)
    }

    /// `check_prevs_add`: what is held, back to the last lock that could have waited itself.
    fn depend(&mut self, next: Acquired, irqs_on: bool) -> Option<Report> {
        let held = self.held[usize::from(next.place.who.code())].clone();
        for prev in held.iter().rev() {
            let joint = |chain: &[Link]| {
                let (Some(first), Some(last)) = (chain.first(), chain.last()) else {
                    return false;
                };
                !(next.shared && first.from_shared || last.to_shared && prev.shared)
            };
            let circle = self.path(next.class, prev.class);
            if let Some(chain) = circle.filter(|c| joint(c)) {
                let holding = *prev;
                return Some(self.report(Kind::Circular { holding, chain }, next, irqs_on));
            }
            if let Some(kind) = self.safe_unsafe(prev, &next) {
                return Some(self.report(kind, next, irqs_on));
            }
            let link = Link {
                from: prev.class,
                from_shared: prev.shared,
                to: next.class,
                to_shared: next.shared,
                place: next.place,
            };
            let known = |l: &Link| {
                (l.from, l.from_shared, l.to, l.to_shared)
                    == (link.from, link.from_shared, link.to, link.to_shared)
            };
            if !self.links.iter().any(known) {
                self.links.push(link);
            }
            if !prev.trylock {
                break;
            }
        }
        None
    }

    /// `mark_lock`: a new use of the class, and whether it contradicts an old one.
    fn mark(&mut self, acquired: &Acquired, irqs_on: bool) -> Option<Kind> {
        if !matches!(acquired.class, Class::Lock(_)) {
            return None;
        }
        let in_irq = acquired.place.who.level == Level::Irq;
        if in_irq && acquired.trylock {
            return None;
        }
        let new = match (in_irq, irqs_on, acquired.shared) {
            (true, _, false) => Bit::InHardirqW,
            (true, _, true) => Bit::InHardirqR,
            (false, true, false) => Bit::HardirqOnW,
            (false, true, true) => Bit::HardirqOnR,
            (false, false, _) => return None,
        };
        let usage = self.usage.entry(acquired.class).or_default();
        if usage.bits.contains_key(&new) {
            return None;
        }
        usage.bits.insert(new, acquired.place);
        for bit in new.excludes() {
            if let Some(place) = usage.bits.get(bit) {
                let old = (*bit, *place);
                return Some(Kind::Inconsistent { old, new });
            }
        }
        let forwards = new.is_in_hardirq();
        let others: Vec<Class> = self.usage.keys().copied().collect();
        for other in others.into_iter().filter(|c| *c != acquired.class) {
            let used = |bit: &Bit| self.usage[&other].bits.contains_key(bit);
            if !new.excludes().iter().any(used) {
                continue;
            }
            let chain = match forwards {
                true => self.path(acquired.class, other),
                false => self.path(other, acquired.class),
            };
            if let Some(chain) = chain {
                return Some(Kind::Inversion { forwards, chain });
            }
        }
        None
    }

    /// `check_irq_usage`: would an interrupt-safe lock come to depend on an unsafe one?
    fn safe_unsafe(&self, prev: &Acquired, next: &Acquired) -> Option<Kind> {
        let ending = |class: Class, wanted: fn(Bit) -> bool| -> Vec<(Bit, Place)> {
            let bits = self.usage.get(&class).map(|u| &u.bits);
            let bits = bits.into_iter().flatten();
            bits.map(|(b, p)| (*b, *p))
                .filter(|(b, _)| wanted(*b))
                .collect()
        };
        for safe in self.usage.keys() {
            let Some(before) = self.way(*safe, prev.class) else {
                continue;
            };
            for not_safe in self.usage.keys() {
                let Some(after) = self.way(next.class, *not_safe) else {
                    continue;
                };
                for (used, safe_at) in ending(*safe, Bit::is_in_hardirq) {
                    for (on, unsafe_at) in ending(*not_safe, |b| !b.is_in_hardirq()) {
                        if used.excludes().contains(&on) {
                            return Some(Kind::SafeUnsafe {
                                holding: *prev,
                                safe: Box::new((*safe, safe_at)),
                                not_safe: Box::new((*not_safe, unsafe_at)),
                                before,
                                after,
                            });
                        }
                    }
                }
            }
        }
        None
    }

    fn report(&self, kind: Kind, by: Acquired, irqs_on: bool) -> Report {
        let who = by.place.who;
        let levels = Level::ALL.into_iter().filter(|l| *l <= who.level);
        let held = levels
            .flat_map(|level| self.held[usize::from(Context { level, ..who }.code())].clone());
        Report {
            kind,
            by,
            held: held.collect(),
            usage: self.usage.clone(),
            irqs_on,
            last_on_off: self.last_on_off[who.cpu.index()],
        }
    }

    /// As [`Lockdep::path`], the empty one included.
    fn way(&self, from: Class, to: Class) -> Option<Vec<Link>> {
        if from == to {
            return Some(Vec::new());
        }
        self.path(from, to)
    }

    /// A shortest chain of at least one dependency.
    fn path(&self, from: Class, to: Class) -> Option<Vec<Link>> {
        let mut seen = vec![false; self.links.len()];
        let mut queue: VecDeque<Vec<usize>> = VecDeque::new();
        for i in (0..self.links.len()).filter(|&i| self.links[i].from == from) {
            seen[i] = true;
            queue.push_back(vec![i]);
        }
        while let Some(path) = queue.pop_front() {
            let last = self.links[*path.last().expect("never empty")];
            if last.to == to {
                return Some(path.into_iter().map(|i| self.links[i]).collect());
            }
            for (i, link) in self.links.iter().enumerate() {
                let joins = link.from == last.to && !(link.from_shared && last.to_shared);
                if joins && !seen[i] {
                    seen[i] = true;
                    queue.push_back(path.iter().copied().chain([i]).collect());
                }
            }
        }
        None
    }
}

fn acquired(attempt: &Attempt, place: Place) -> Acquired {
    Acquired {
        class: Class::Lock(attempt.lock.into()),
        lock: Some(attempt.lock),
        shared: attempt.mode == Mode::Shared,
        trylock: attempt.tried,
        place,
    }
}
