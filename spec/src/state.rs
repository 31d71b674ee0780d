//! The state of the whole machine, and who waits for whom in it.
//!
//! This is the flat picture that properties, reports and the refinement look at, whichever host
//! ([`crate::model`] or [`crate::actor`]) produced it.

use crate::config::{Config, Start};
use crate::cpu::{Cpu, Ctx};
use crate::id::{Context, CpuId, Level, LockId, MAX_CPUS, MAX_LOCKS, MAX_MMS, MmId};
use crate::mm::Mm;
use crate::pgd_list::PgdList;
use crate::program::{Op, ProgramId};
use crate::spinlock::Lock;
use std::fmt;
use std::hash::{Hash, Hasher};
use zerocopy::{Immutable, IntoBytes};

/// Everything that is, in a few hundred bytes. CPUs and mms beyond the configured number stay
/// as they were at the start.
#[derive(Clone, Copy, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
pub struct State {
    /// The CPUs.
    pub cpus: [Cpu; MAX_CPUS],
    /// The locks, by [`LockId::index`].
    pub locks: [Lock; MAX_LOCKS],
    /// The mm slots.
    pub mms: [Mm; MAX_MMS],
    /// `pgd_list` and init_mm's kernel entry.
    pub list: PgdList,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(self.as_bytes());
    }
}

impl State {
    /// The state at the start, CPUs placed as `start` says.
    pub fn initial(config: &Config, start: &Start) -> State {
        let mut state = State {
            cpus: [Cpu::initial(MmId::NONE, 0); MAX_CPUS],
            locks: [Lock::default(); MAX_LOCKS],
            mms: [Mm::UNBORN; MAX_MMS],
            list: PgdList::default(),
        };
        for i in 0..config.environment.mms as usize {
            state.mms[i] = Mm::initial(config.environment.thp);
            state.list.add(MmId(i as u8));
        }
        for (i, &active) in start[..config.cpus()].iter().enumerate() {
            state.cpus[i] = Cpu::initial(active, config.environment.ops_per_cpu);
            if active.is_some() {
                let mm = &mut state.mms[active.index()];
                mm.active.insert(CpuId(i as u8));
                mm.cpumask.insert(CpuId(i as u8));
            }
        }
        state
    }

    /// The CPU.
    pub fn cpu(&self, cpu: CpuId) -> &Cpu {
        &self.cpus[cpu.index()]
    }

    /// The lock.
    pub fn lock(&self, lock: LockId) -> &Lock {
        &self.locks[lock.index()]
    }

    /// The mm.
    pub fn mm(&self, mm: MmId) -> &Mm {
        &self.mms[mm.index()]
    }

    /// The configured CPUs with their numbers.
    pub fn each_cpu<'a>(&'a self, config: &Config) -> impl Iterator<Item = (CpuId, &'a Cpu)> {
        self.cpus[..config.cpus()]
            .iter()
            .enumerate()
            .map(|(i, c)| (CpuId(i as u8), c))
    }

    /// Every context that runs something.
    pub fn each_context<'a>(&'a self, config: &Config) -> impl Iterator<Item = (Context, &'a Ctx)> {
        self.each_cpu(config).flat_map(|(cpu, c)| {
            Level::ALL
                .into_iter()
                .map(move |level| (Context { cpu, level }, c.context(level)))
                .filter(|(_, ctx)| ctx.is_running())
        })
    }

    /// The configured mm slots with their numbers.
    pub fn each_mm<'a>(&'a self, config: &Config) -> impl Iterator<Item = (MmId, &'a Mm)> {
        self.mms[..config.slots()]
            .iter()
            .enumerate()
            .map(|(i, m)| (MmId(i as u8), m))
    }

    /// What keeps a context from its next step, if anything does. Only a level that executes
    /// now can be asked for; an interrupted one waits for its interrupt.
    #[inline]
    pub fn blocked_on(&self, config: &Config, context: Context) -> Option<Wait> {
        let cpu = self.cpu(context.cpu);
        if context.level == Level::Task && cpu.in_irq() {
            return Some(Wait::Interrupt);
        }
        let ctx = cpu.context(context.level);
        if let Some(lock) = ctx.spins_for() {
            return Some(Wait::Lock(lock));
        }
        match cpu.next_op(config, context.level)? {
            Op::AwaitAcks if !cpu.acks.is_empty() => Some(Wait::Acks),
            Op::AwaitNotSplitting if self.mm(ctx.mm).entries[1].splitting => {
                Some(Wait::Split(ctx.mm))
            }
            _ => None,
        }
    }

    /// Has every CPU done its work? (Nothing runs and nothing more may be started.)
    pub fn is_finished(&self, config: &Config) -> bool {
        self.each_context(config).next().is_none()
            && self
                .each_cpu(config)
                .all(|(who, c)| c.budget == 0 || config.choices(who.index()).is_empty())
    }

    /// Contexts that can never move again, whatever anybody does: the greatest set in which
    /// every member waits for another member.
    ///
    /// A context waits for the holders of a lock and for those that queue ahead of it; for the
    /// CPUs whose acknowledgements are out, unless they can still take the IPI; for the
    /// interrupt above it; for the context that splits the pmd it waits out. That programs release what
    /// they take is taken for granted here and decided by `progress`.
    pub fn stuck(&self, config: &Config) -> Stuck {
        // An idle CPU with interrupts off never acknowledges anything, whatever it may still
        // start: programs restore the flag they found.
        let mut deaf = Stuck(0);
        for (cpu, c) in self.each_cpu(config) {
            if !c.context(Level::Task).is_running() && !c.irqs_on && !c.in_irq() {
                deaf.0 |= 1
                    << Context {
                        cpu,
                        level: Level::Task,
                    }
                    .code();
            }
        }
        let mut stuck = Stuck(0);
        for (context, _) in self.each_context(config) {
            if self.blocked_on(config, context).is_some() {
                stuck.0 |= 1 << context.code();
            }
        }
        loop {
            let before = stuck;
            for context in before.iter() {
                if !self.needs_one_of(config, context, Stuck(before.0 | deaf.0)) {
                    stuck.0 &= !(1 << context.code());
                }
            }
            if stuck == before {
                return stuck;
            }
        }
    }

    /// Is at least one thing that the context needs held back by a context in `stuck`?
    fn needs_one_of(&self, config: &Config, context: Context, stuck: Stuck) -> bool {
        self.waits_for(config, context)
            .any(|edge| stuck.contains(edge.on))
    }

    /// Everything the context waits for, one edge per context that must act first.
    pub fn waits_for<'a>(
        &'a self,
        config: &'a Config,
        context: Context,
    ) -> Box<dyn Iterator<Item = Edge> + 'a> {
        let edge = move |on, why| Edge {
            from: context,
            on,
            why,
        };
        match self.blocked_on(config, context) {
            None => Box::new(std::iter::empty()),
            Some(Wait::Interrupt) => {
                let on = Context {
                    cpu: context.cpu,
                    level: Level::Irq,
                };
                // An interrupt that is not blocked will end; the interrupted code's own wait
                // counts as well, for when it does.
                let own = self.own_wait(config, context);
                Box::new(std::iter::once(edge(on, Why::Interrupted)).chain(own))
            }
            Some(_) => self.own_wait(config, context),
        }
    }

    #[inline]
    fn own_wait<'a>(
        &'a self,
        config: &'a Config,
        context: Context,
    ) -> Box<dyn Iterator<Item = Edge> + 'a> {
        let edge = move |on, why| Edge {
            from: context,
            on,
            why,
        };
        let ctx = context.of(&self.cpus);
        if let Some(id) = ctx.spins_for() {
            let lock = self.lock(id);
            let ahead = lock
                .waiters()
                .take_while(move |(who, _)| *who != context)
                .map(move |(who, _)| edge(who, Why::QueuedBehind(id)));
            return Box::new(
                lock.holders()
                    .map(move |who| edge(who, Why::Lock(id)))
                    .chain(ahead),
            );
        }
        let cpu = self.cpu(context.cpu);
        match cpu.next_op(config, context.level) {
            Some(Op::AwaitAcks) => Box::new(cpu.acks.iter().filter_map(move |target| {
                let t = self.cpu(target);
                let irq = t.context(Level::Irq);
                if t.pending_ipi(context.cpu).is_some() {
                    // With interrupts on it takes the IPI at once; without, whatever executes
                    // there has to move first.
                    (!t.takes_interrupts()).then(|| {
                        edge(
                            Context {
                                cpu: target,
                                level: t.top(),
                            },
                            Why::Ack,
                        )
                    })
                } else if irq.program == ProgramId::FlushTlbInterrupt && irq.sender == context.cpu {
                    Some(edge(
                        Context {
                            cpu: target,
                            level: Level::Irq,
                        },
                        Why::Ack,
                    ))
                } else {
                    Some(edge(context, Why::LostAck(target)))
                }
            })),
            Some(Op::AwaitNotSplitting) if self.mm(ctx.mm).entries[1].splitting => {
                let mm = ctx.mm;
                let splits = move |c: &Ctx| c.program == ProgramId::SplitHugePage && c.mm == mm;
                let splitters = self.each_context(config).filter(move |(_, c)| splits(c));
                Box::new(splitters.map(move |(who, _)| edge(who, Why::Split(mm))))
            }
            _ => Box::new(std::iter::empty()),
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("State");
        for (i, cpu) in self.cpus.iter().enumerate() {
            if *cpu != Cpu::initial(MmId::NONE, 0) {
                s.field(&format!("CPU{i}"), cpu);
            }
        }
        for (i, lock) in self.locks.iter().enumerate().filter(|(_, l)| !l.is_free()) {
            let holders: Vec<_> = lock.holders().map(|c| c.to_string()).collect();
            let waiters: Vec<_> = lock.waiters().map(|(c, _)| c.to_string()).collect();
            let text = format!("held by {holders:?}, awaited by {waiters:?}");
            s.field(&LockId::from_index(i).to_string(), &format_args!("{text}"));
        }
        for (i, mm) in self
            .mms
            .iter()
            .enumerate()
            .filter(|(_, m)| **m != Mm::UNBORN)
        {
            s.field(&format!("mm{i}"), mm);
        }
        let listed: Vec<_> = self.list.iter().map(|m| m.to_string()).collect();
        s.field("pgd_list", &listed)
            .field("init_entry", &self.list.init_entry)
            .finish()
    }
}

/// What a context waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A lock it spins for.
    Lock(LockId),
    /// Acknowledgements of its flush.
    Acks,
    /// A split of this mm's huge pmd.
    Split(MmId),
    /// The interrupt that interrupted it.
    Interrupt,
}

/// Why a context waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The other holds this lock.
    Lock(LockId),
    /// The other is ahead in this lock's queue.
    QueuedBehind(LockId),
    /// The other's CPU has not acknowledged and cannot take the IPI while the other executes.
    Ack,
    /// Nobody: this CPU answered its interrupt without acknowledging.
    LostAck(CpuId),
    /// The other is the interrupt above it.
    Interrupted,
    /// The other splits this mm's huge pmd.
    Split(MmId),
}

/// One edge of the wait-for graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Who waits.
    pub from: Context,
    /// For whom.
    pub on: Context,
    /// Why.
    pub why: Why,
}

/// A set of contexts that can never move again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stuck(u8);

impl Stuck {
    /// Is the context in the set?
    pub fn contains(self, context: Context) -> bool {
        self.0 >> context.code() & 1 == 1
    }

    /// True when nobody is stuck.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One bit per context, by [`Context::code`].
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Members, CPU0 first.
    pub fn iter(self) -> impl Iterator<Item = Context> {
        (0..8)
            .filter(move |c| self.0 >> c & 1 == 1)
            .map(Context::from_code)
    }
}
