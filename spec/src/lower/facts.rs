//! The facts of [`crate::property::observe`] on a packed state: the same 64 bits.
//!
//! What a place alone tells is a table; who waits for whom is asked only where somebody spins, awaits or waits a split out.

use super::{Lowered, Place};
use crate::id::{MAX_CPUS, MmId};
use crate::program::{Entry, LockRef, Of, Op, ProgramId, Reg};
use crate::property::{FIRST_IDLE_BIT, FIRST_INTERRUPTED_BIT, FIRST_WITNESS_BIT};
use crate::variant::Variant;
use shootdown_ir::levels::Observe;
use shootdown_ir::machine::{Bits, Machine, Slot};
use shootdown_ir::packed::{Condition, Packed};
use shootdown_ir::remembered::Remembered;
use shootdown_ir::system::{CellId, ContextId, X};

const W: usize = FIRST_WITNESS_BIT;

/// What a place tells.
const PGD_LOCK_HELD: u32 = 1;
const PTL_HELD: u32 = 2;
const AWAITS: u32 = 4;
const CHANGING: u32 = 8;
const AT_PGD_LOCK: u32 = 16;
const HANDLER: u32 = 32;

/// Marks of a CPU besides the flags of its places: it has work left, waits, or has facts that depend on more.
const UNFINISHED: u64 = 1 << 32;
const WAITS: u64 = 1 << 33;
const ALSO: u64 = 1 << 34;

/// What a thread remembers: of each CPU, and of the mms.
#[derive(Debug, Default)]
pub struct Memory {
    cpus: [Remembered<2>; MAX_CPUS],
    mms: Remembered<1>,
}

/// What is to be looked at where a context stands at a place.
#[derive(Debug, Default)]
struct Spot {
    /// Flags of this module.
    flags: u32,
    /// Facts that the place alone tells.
    facts: u64,
    /// Facts with a condition.
    also: Vec<(u64, Condition)>,
    /// The program, as an index.
    program: u8,
    /// 1 + the mm whose split is waited out there.
    awaits_split: u8,
    /// 1 + the mm that is split by the program.
    splits: u8,
    /// The sender whose request the handler serves.
    sender: u8,
    /// The lock that is taken there: 0 none.
    lock: u8,
}

#[derive(Debug)]
struct CpuSlots {
    task: Slot,
    irq: Slot,
    irqs_on: Slot,
    active: Slot,
    loaded: Slot,
    tlb: [Slot; 2],
    acks: Vec<Slot>,
    any_ack: Bits,
    inbox: Vec<Slot>,
    any_inbox: Bits,
    budget: Slot,
    has_choices: bool,
    rank: [Slot; 2],
    inside: [Option<Slot>; 2],
    /// All of these but the translations, and what is to be asked of the CPU alone.
    own: Bits,
}

#[derive(Debug)]
struct MmSlots {
    life: Slot,
    kernel_entry: Slot,
    present: [Slot; 2],
    splitting: Slot,
    freed: [Slot; 2],
    /// Can it be born in the run?
    unborn: bool,
}

/// Observes packed states of one configuration.
#[derive(Debug)]
pub struct Facts {
    cpus: Vec<CpuSlots>,
    mms: Vec<MmSlots>,
    /// By context.
    spots: Vec<Vec<Spot>>,
    order: Vec<Slot>,
    synced: Slot,
    owners: Vec<Slot>,
    readers: Vec<Slot>,
    idle_goals: u64,
    rank: super::rank::Weights,
    /// By step: it is known to lower the rank.
    lowers_rank: Vec<bool>,
    /// The bits that the facts about mms depend on.
    mm_cells: Bits,
}

impl Facts {
    /// Prepares the tables.
    pub fn new(lowered: &Lowered<'_>, packed: &Packed<'_>) -> Facts {
        let machine = packed.machine();
        let slot = |cell: CellId| machine.slot(cell);
        let config = lowered.config;
        let cells = &lowered.cells;
        let cpus = (0..config.cpus())
            .map(|c| {
                let it = &cells.cpus[c];
                let inside = |code: usize| cells.regs[code][Reg::PgdLockInside as usize];
                let insides = [inside(2 * c), inside(2 * c + 1)];
                let levels = [2 * c, 2 * c + 1];
                let own = [it.irqs, it.budget]
                    .into_iter()
                    .chain(levels.map(|code| cells.at[code]))
                    .chain(levels.map(|code| cells.rank[code]))
                    .chain(it.acks.iter().chain(&it.inbox).copied())
                    .chain(insides.into_iter().flatten());
                CpuSlots {
                    task: slot(cells.at[2 * c]),
                    irq: slot(cells.at[2 * c + 1]),
                    irqs_on: slot(it.irqs),
                    active: slot(it.active),
                    loaded: slot(it.loaded),
                    tlb: it.tlb.map(slot),
                    acks: it.acks.iter().map(|&a| slot(a)).collect(),
                    any_ack: machine.bits(it.acks.iter().copied()),
                    inbox: it.inbox.iter().map(|&a| slot(a)).collect(),
                    any_inbox: machine.bits(it.inbox.iter().copied()),
                    budget: slot(it.budget),
                    has_choices: !config.choices(c).is_empty(),
                    rank: [slot(cells.rank[2 * c]), slot(cells.rank[2 * c + 1])],
                    inside: insides.map(|cell| cell.map(slot)),
                    own: machine.bits(own),
                }
            })
            .collect();
        let mms = cells
            .mms
            .iter()
            .enumerate()
            .map(|(m, it)| MmSlots {
                life: slot(it.life),
                kernel_entry: slot(it.kernel_entry),
                present: it.entries.map(|e| slot(e.present)),
                splitting: slot(it.entries[1].splitting),
                freed: it.entries.map(|e| slot(e.freed)),
                unborn: m >= config.environment.mms as usize,
            })
            .collect();
        let spots = (0..2 * config.cpus())
            .map(|code| lowered.spots(packed, code / 2, code % 2))
            .collect();
        let rank = super::rank::Weights::new(lowered, machine);
        let of_cpus = cells.cpus.iter();
        let mut mm_cells: Vec<CellId> = of_cpus
            .flat_map(|it| [it.loaded, it.active, it.tlb[0], it.tlb[1]])
            .collect();
        for it in &cells.mms {
            mm_cells.extend([it.life, it.kernel_entry]);
            mm_cells.extend(it.entries.iter().flat_map(|e| [e.present, e.freed]));
        }
        mm_cells.extend(cells.order.iter().chain([&cells.synced]));
        Facts {
            cpus,
            mms,
            spots,
            order: cells.order.iter().map(|&o| slot(o)).collect(),
            synced: slot(cells.synced),
            owners: cells.owners.iter().map(|&o| slot(o)).collect(),
            readers: cells.readers.iter().map(|&r| slot(r)).collect(),
            idle_goals: ((1 << config.cpus()) - 1) << FIRST_IDLE_BIT,
            lowers_rank: rank.lowered_by(machine.system()),
            rank,
            mm_cells: machine.bits(mm_cells),
        }
    }

    fn spot(&self, words: &[u64], cpu: usize, level: usize) -> &Spot {
        let slot = match level {
            0 => &self.cpus[cpu].task,
            _ => &self.cpus[cpu].irq,
        };
        &self.spots[2 * cpu + level][slot.get(words) as usize]
    }

    fn awaits(&self, words: &[u64], cpu: usize) -> bool {
        self.cpus[cpu].any_ack.any(words)
    }

    /// Who waits for whom: deadlock, lock cycle and the upstream rule.
    #[inline(never)]
    fn waits(&self, words: &[u64]) -> u64 {
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

    /// Facts of what runs on a CPU, and marks; all that its own cells alone tell.
    fn of_cpu(&self, words: &[u64], cpu: usize) -> [u64; 2] {
        let it = &self.cpus[cpu];
        let (task, irq) = (self.spot(words, cpu, 0), self.spot(words, cpu, 1));
        let in_irq = it.irq.get(words) != 0;
        let runs = it.task.get(words) != 0;
        let irqs_on = it.irqs_on.get(words) != 0;
        let mut facts = 0;
        if !irqs_on && it.any_inbox.any(words) {
            facts |= 1 << (W + 3);
        }
        if !runs && !in_irq {
            let finished = it.budget.get(words) == 0 || !it.has_choices;
            facts |= 1 << (FIRST_IDLE_BIT + cpu);
            return [facts, if finished { 0 } else { UNFINISHED }];
        }
        let mut marks = UNFINISHED | u64::from(task.flags | irq.flags);
        facts |= task.facts | irq.facts;
        if !task.also.is_empty() || !irq.also.is_empty() {
            marks |= ALSO;
        }
        let awaiting = self.awaits(words, cpu);
        let held = PGD_LOCK_HELD | PTL_HELD;
        let task_awaits = task.flags & AWAITS != 0 && awaiting;
        let irq_awaits = irq.flags & AWAITS != 0 && awaiting;
        if task_awaits && task.flags & held != 0
            || irq_awaits && (task.flags | irq.flags) & held != 0
        {
            facts |= 1 << 2;
        }
        let top_awaits = if in_irq { irq_awaits } else { task_awaits };
        if top_awaits {
            facts |= 3 << (W + 1);
            facts |= u64::from(!irqs_on) << 3;
        }
        let mut waits = task_awaits || irq_awaits;
        for (level, spot) in [task, irq].into_iter().enumerate() {
            let spins = it.rank[level].get(words) != 0;
            let inside = it.inside[level].is_some_and(|i| i.get(words) != 0);
            let asks = spins && spot.flags & AT_PGD_LOCK != 0 && spot.flags & PTL_HELD != 0;
            facts |= u64::from(asks || inside) << 6;
            facts |= u64::from(spins) << W;
            waits |= spins || spot.awaits_split != 0;
        }
        if waits {
            marks |= WAITS;
        }
        if in_irq && runs {
            facts |= 1 << (W + 16) | 1 << (FIRST_INTERRUPTED_BIT + task.program as usize);
        }
        [facts, marks]
    }

    /// Facts of a place that depend on more than the CPU's own cells.
    fn also(&self, words: &[u64], cpu: usize) -> u64 {
        let (task, irq) = (self.spot(words, cpu, 0), self.spot(words, cpu, 1));
        let mut facts = 0;
        for (fact, condition) in task.also.iter().chain(&irq.also) {
            if condition.is(words) {
                facts |= fact;
            }
        }
        facts
    }

    fn of_mms(&self, words: &[u64], changing: bool) -> u64 {
        let mut facts = 0;
        let synced = self.synced.get(words) != 0;
        facts |= u64::from(synced) << (W + 8);
        let mut listed = 0u8;
        for order in &self.order {
            let mm = order.get(words) as usize;
            listed |= u8::from(mm < self.mms.len()) << mm.min(7);
        }
        let mut cached = [0u8; 8];
        for it in &self.cpus {
            if it.loaded.get(words) != 0 {
                let tlb = it.tlb[0].get(words) | it.tlb[1].get(words) << 1;
                cached[it.active.get(words) as usize & 7] |= tlb as u8;
            }
        }
        for (m, it) in self.mms.iter().enumerate() {
            let life = it.life.get(words);
            let (alive, freed) = (life == 2, life == 4);
            facts |= u64::from(freed) << (W + 6);
            facts |= u64::from(it.unborn && alive) << (W + 7);
            let gone = it.freed[0].get(words) | it.freed[1].get(words) << 1;
            facts |= u64::from(gone != 0) << (W + 11);
            facts |= u64::from(gone as u8 & cached[m] != 0) << 10;
            let absent = !(it.present[0].get(words) | it.present[1].get(words) << 1) as u8;
            facts |= u64::from(absent & cached[m] & 3 != 0) << (W + 9);
            let on = listed >> m & 1 == 1;
            facts |= u64::from(on && freed || !changing && on != alive) << 7;
            facts |= u64::from(on && synced && it.kernel_entry.get(words) == 0) << 8;
        }
        facts
    }
}

impl Observe for Facts {
    type Memory = Memory;

    fn facts(&self, words: &[u64], memory: &mut Memory) -> u64 {
        let (mut facts, mut marks) = (0, 0);
        for (cpu, it) in self.cpus.iter().enumerate() {
            let [its_facts, its_marks] =
                memory.cpus[cpu].get(&it.own, words, false, || self.of_cpu(words, cpu));
            facts |= its_facts;
            marks |= its_marks;
            if its_marks & ALSO != 0 {
                facts |= self.also(words, cpu);
            }
        }
        facts |= u64::from(marks & UNFINISHED == 0) << (W + 17);
        let any = marks as u32;
        if any & PGD_LOCK_HELD != 0 && any & PTL_HELD != 0 {
            facts |= 1 << (W + 4);
        }
        let changing = any & CHANGING != 0;
        let [of_mms] = memory.mms.get(&self.mm_cells, words, changing, || {
            [self.of_mms(words, changing)]
        });
        facts |= of_mms;
        if marks & WAITS != 0 {
            facts |= self.waits(words);
        }
        facts
    }

    fn rank(&self, words: &[u64]) -> u64 {
        self.rank.of(words)
    }

    fn lowers_rank(&self, step: u32) -> bool {
        self.lowers_rank[step as usize]
    }

    fn has_work_left(&self, facts: u64) -> bool {
        facts & self.idle_goals != self.idle_goals
    }
}

impl Lowered<'_> {
    /// What to look at, by place, for one context.
    fn spots(&self, packed: &Packed<'_>, cpu: usize, level: usize) -> Vec<Spot> {
        let context = ContextId((2 * cpu + level) as u32);
        let mut spots = vec![Spot::default()];
        for (number, place) in self.places.of(level) {
            let mut spot = self.spot_of(place);
            self.conditions(cpu, level, place, &mut |bit, x| {
                let condition = packed.condition_at(&x, context, number);
                if !condition.is_never() {
                    spot.also.push((1 << bit, condition));
                }
            });
            spots.push(spot);
        }
        spots
    }

    /// What the place alone tells.
    fn spot_of(&self, place: Place) -> Spot {
        let op = self.config.program(place.program).line(place.pc).op;
        let held = self.places.held(place);
        let mut spot = Spot {
            program: place.program as u8,
            ..Spot::default()
        };
        let mut flag = |flag: u32, on: bool| spot.flags |= if on { flag } else { 0 };
        flag(PGD_LOCK_HELD, held.contains(&LockRef::PgdLock));
        flag(PTL_HELD, held.iter().any(|l| *l != LockRef::PgdLock));
        flag(AWAITS, op == Op::AwaitAcks);
        flag(HANDLER, place.program == ProgramId::FlushTlbInterrupt);
        flag(AT_PGD_LOCK, matches!(op, Op::Lock(LockRef::PgdLock, _)));
        let changing = matches!(place.program, ProgramId::PgdAlloc | ProgramId::PgdFree);
        flag(CHANGING, changing);
        if op == Op::AwaitNotSplitting {
            spot.awaits_split = place.mm.0 + 1;
        }
        if place.program == ProgramId::SplitHugePage {
            spot.splits = place.mm.0 + 1;
        }
        if let Some((sender, _)) = place.request {
            spot.sender = sender;
        }
        if let Op::Lock(lock, _) = op {
            spot.lock = self.lock_number_of(lock, place) as u8;
        }
        let unmaps = matches!(
            place.program,
            ProgramId::ZapPageRange | ProgramId::MadviseDontneed | ProgramId::TryToUnmapOne
        );
        let mut fact = |bit: usize, on: bool| spot.facts |= u64::from(on) << bit;
        fact(
            W + 5,
            place.program == ProgramId::VmallocSyncAll && place.cursor.is_some(),
        );
        fact(W + 10, unmaps && op == Op::Return);
        fact(W + 12, matches!(op, Op::GetPage(_)));
        spot
    }

    /// Facts that depend on more than the place.
    fn conditions(&self, cpu: usize, level: usize, place: Place, add: &mut impl FnMut(usize, X)) {
        let op = self.config.program(place.program).line(place.pc).op;
        let reg = |reg: Reg| match self.cells.regs[2 * cpu + level][reg as usize] {
            Some(cell) => cell.get().is(1),
            None => X::FALSE,
        };
        let cached = |mm: MmId, entry: Entry| {
            X::any(self.cells.cpus.iter().map(|it| {
                X::all([
                    it.loaded.get().is(1),
                    it.active.get().is(self.mm_number(mm)),
                    it.tlb[entry as usize].get().is(1),
                ])
            }))
        };
        let translates = |mm: MmId, entry: Entry| {
            let it = self.cells.mms[mm.index()].entries[entry as usize];
            it.present.get().is(1).and(it.table.get().is(0))
        };
        let listed = |mm: MmId| {
            X::any(
                self.cells
                    .order
                    .iter()
                    .map(|o| o.get().is(self.mm_number(mm))),
            )
        };
        if place.program == ProgramId::VmallocSyncAll && place.cursor.is_some() {
            let life = self.cells.mms[place.cursor.index()].life;
            add(7, listed(place.cursor).not().or(life.get().is(4)));
        }
        match op {
            Op::Return => match place.program {
                ProgramId::VmallocSyncAll => {
                    let missing = (0..self.config.slots() as u8).map(MmId).map(|mm| {
                        let entry = self.cells.mms[mm.index()].kernel_entry;
                        listed(mm).and(entry.get().is(0))
                    });
                    add(8, X::any(missing));
                }
                ProgramId::ZapPageRange | ProgramId::MadviseDontneed => {
                    let mut stale = cached(place.mm, Entry::Pte);
                    if self.config.variants.has(Variant::ZapCoversHuge)
                        && self.config.environment.thp
                    {
                        let huge = translates(place.mm, Entry::Huge).not();
                        stale = stale.or(huge.and(cached(place.mm, Entry::Huge)));
                    }
                    add(9, stale);
                }
                ProgramId::TryToUnmapOne => {
                    add(9, reg(Reg::Changed).and(cached(place.mm, Entry::Pte)));
                }
                _ => {}
            },
            Op::GetPage(entry) => {
                let it = self.cells.mms[place.mm.index()].entries[entry as usize];
                let splitting = it.splitting.get().is(1);
                add(W + 13, translates(place.mm, entry).not().or(splitting));
                let split = match entry {
                    Entry::Pte => X::FALSE,
                    Entry::Huge => it.split.get().is(1),
                };
                add(11, it.freed.get().is(1).or(split));
            }
            Op::WriteKernelEntry { of } => {
                let mm = match of {
                    Of::Target => place.mm,
                    Of::Cursor => place.cursor,
                };
                add(W + 14, reg(Reg::SeenPinned));
                if mm.is_some() {
                    let pinned = self.cells.mms[mm.index()].pinned;
                    add(12, reg(Reg::SeenPinned).not().and(pinned.get().is(1)));
                }
            }
            Op::Ack => {
                let it = &self.cells.cpus[cpu];
                let mine = it.active.get().is(self.mm_number(place.mm));
                let loaded = it.loaded.get().is(1).and(mine);
                add(W + 15, loaded.clone());
                add(13, reg(Reg::Flushed).not().and(loaded));
            }
            _ => {}
        }
    }

    /// The machine that the system's states are packed for.
    pub fn machine(&self) -> Machine<'_> {
        Machine::new(&self.system)
    }
}
