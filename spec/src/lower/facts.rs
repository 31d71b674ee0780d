//! The facts of [`crate::property::observe`] on a packed state: the same 64 bits.
//!
//! What a place alone tells is a table; who waits for whom is asked only where somebody spins, awaits or waits a split out.

mod asked;
mod place;
mod waits;

use super::Lowered;
use crate::id::MAX_CPUS;
use crate::program::Reg;
use crate::property::{FIRST_IDLE_BIT, FIRST_INTERRUPTED_BIT, FIRST_WITNESS_BIT};
use shootdown_ir::keep;
use shootdown_ir::levels::Observe;
use shootdown_ir::machine::{Bits, Machine, Slot};
use shootdown_ir::packed::{Condition, Packed};
use shootdown_ir::remembered::Remembered;
use shootdown_ir::system::CellId;

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
    /// By CPU: non-zero while a store of it is on its way; empty where memory is sequentially consistent.
    on_their_way: Vec<Bits>,
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
            on_their_way: lowered
                .stores
                .iter()
                .map(|it| machine.bits(it.buffer.entries.iter().map(|(what, _)| *what)))
                .collect(),
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
                let [pte, pmd] = it.tlb.map(|tlb| u8::from(tlb.get(words) != 0));
                cached[it.active.get(words) as usize & 7] |= pte | pmd << 1;
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

    fn identity(&self) -> u64 {
        keep::identity(self)
    }

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
    /// The machine that the system's states are packed for.
    pub fn machine(&self) -> Machine<'_> {
        Machine::new(&self.system)
    }
}
