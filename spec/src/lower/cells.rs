//! The cells of a configuration: only what it uses.

use super::Lowered;
use crate::id::MmId;
use crate::program::{Mode, Op, Reg};
use shootdown_ir::system::{Cell, CellId, CellRef, Overflow, Part, X};

/// Registers, in the order of [`Reg`].
pub(super) const REGS: [Reg; 11] = [
    Reg::Changed,
    Reg::NeedFlush,
    Reg::SentIpi,
    Reg::SeenPinned,
    Reg::Flushed,
    Reg::FlagsOuter,
    Reg::FlagsInner,
    Reg::SameMm,
    Reg::NoPrev,
    Reg::ChangedHuge,
    Reg::PgdLockInside,
];

/// Cells of a user entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryCells {
    pub(super) present: CellId,
    pub(super) accessed: CellId,
    pub(super) dirty: CellId,
    pub(super) splitting: CellId,
    pub(super) table: CellId,
    pub(super) refs: CellId,
    pub(super) freed: CellId,
    pub(super) split: CellId,
}

/// Cells of an mm slot.
#[derive(Clone, Debug)]
pub(super) struct MmCells {
    pub(super) life: CellId,
    pub(super) cpumask: Vec<CellId>,
    pub(super) active: Vec<CellId>,
    pub(super) named: CellId,
    pub(super) kernel_entry: CellId,
    pub(super) pinned: CellId,
    pub(super) pinning: CellId,
    pub(super) zapping: CellId,
    pub(super) splitting: CellId,
    pub(super) pending: CellId,
    pub(super) entries: [EntryCells; 2],
}

/// Cells of a CPU.
#[derive(Clone, Debug)]
pub(super) struct CpuCells {
    pub(super) irqs: CellId,
    pub(super) active: CellId,
    pub(super) lazy: CellId,
    pub(super) loaded: CellId,
    pub(super) tlb: [CellId; 2],
    pub(super) acks: Vec<CellId>,
    pub(super) inbox: Vec<CellId>,
    pub(super) budget: CellId,
}

/// All cells. Contexts are numbered as [`crate::id::Context::code`] does.
#[derive(Clone, Debug, Default)]
pub(super) struct Cells {
    pub(super) nowhere: CellId,
    pub(super) at: Vec<CellId>,
    pub(super) rank: Vec<CellId>,
    /// By context and register; `None` where no step touches it.
    pub(super) regs: Vec<[Option<CellId>; 11]>,
    pub(super) cpus: Vec<CpuCells>,
    pub(super) mms: Vec<MmCells>,
    pub(super) order: Vec<CellId>,
    pub(super) found: CellId,
    pub(super) init_entry: CellId,
    pub(super) synced: CellId,
    /// Owner of each lock, by [`super::lock::lock_number`].
    pub(super) owners: Vec<CellId>,
    /// Readers of `pgd_lock`, by context; empty unless somebody reads.
    pub(super) readers: Vec<CellId>,
    /// Constants by place of each level: the lock a context stands at (0: none).
    pub(super) lock_at: [Option<CellRow>; 2],
    /// The place after the grant.
    pub(super) granted: [Option<CellRow>; 2],
    /// Is the lock taken there shared?
    pub(super) shared_at: [Option<CellRow>; 2],
}

/// A row of cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellRow {
    pub(super) base: CellId,
    pub(super) len: u32,
}

impl CellRow {
    pub(super) fn at(self, index: X) -> X {
        CellRef::row(self.base, self.len, index).get()
    }
}

impl Lowered<'_> {
    fn cell(&mut self, name: String, hi: i64, init: i64) -> CellId {
        self.ranged(name, 0, hi, init)
    }

    fn ranged(&mut self, name: String, lo: i64, hi: i64, init: i64) -> CellId {
        let id = CellId(self.system.cells.len() as u32);
        self.system.cells.push(Cell {
            name,
            lo,
            hi,
            init,
            part: Part::Call,
            overflow: Overflow::Balance,
        });
        id
    }

    /// A table of constants: cells that take no bits.
    fn table(&mut self, name: &str, values: &[i64]) -> CellRow {
        let base = CellId(self.system.cells.len() as u32);
        for (i, &value) in values.iter().enumerate() {
            self.ranged(format!("{name}_{i}"), value, value, value);
        }
        CellRow {
            base,
            len: values.len() as u32,
        }
    }

    pub(super) fn none(&self) -> i64 {
        self.config.slots() as i64
    }

    /// An mm as a number: the number of slots stands for none.
    pub(super) fn mm_number(&self, mm: MmId) -> i64 {
        if mm.is_some() {
            i64::from(mm.0)
        } else {
            self.none()
        }
    }

    pub(super) fn allocate(&mut self) {
        let (cpus, slots) = (self.config.cpus(), self.config.slots());
        let none = self.none();
        let thp = self.config.environment.thp;
        let mms = self.config.environment.mms as usize;
        self.cells.nowhere = self.cell("nowhere".into(), 0, 0);
        let used = self.used_regs();
        for code in 0..2 * cpus {
            let (cpu, level) = (code / 2, code % 2);
            let what = ["task", "irq"][level];
            let count = self.places.count(level) as i64;
            let at = self.cell(format!("{what}_{cpu}_at"), count, 0);
            self.cells.at.push(at);
            let rank = self.cell(format!("{what}_{cpu}_rank"), 2 * cpus as i64, 0);
            self.cells.rank.push(rank);
            let mut regs = [None; 11];
            for reg in REGS {
                if used[level] >> reg as u16 & 1 == 1 {
                    let name = format!("{what}_{cpu}_{reg:?}").to_lowercase();
                    regs[reg as usize] = Some(self.cell(name, 1, 0));
                }
            }
            self.cells.regs.push(regs);
        }
        for cpu in 0..cpus {
            let n = |what: &str| format!("cpu{cpu}_{what}");
            let cells = CpuCells {
                irqs: self.cell(n("irqs_on"), 1, 1),
                active: self.cell(n("active_mm"), none, none),
                lazy: self.cell(n("lazy"), 1, 0),
                loaded: self.cell(n("loaded"), 1, 0),
                tlb: [self.cell(n("tlb_pte"), 1, 0), self.cell(n("tlb_pmd"), 1, 0)],
                acks: (0..cpus)
                    .map(|t| self.cell(n(&format!("awaits_{t}")), 1, 0))
                    .collect(),
                inbox: (0..cpus)
                    .map(|t| self.cell(n(&format!("ipi_from_{t}")), 2 * none, 0))
                    .collect(),
                budget: {
                    let ops = i64::from(self.config.environment.ops_per_cpu);
                    self.cell(n("budget"), ops, ops)
                },
            };
            self.cells.cpus.push(cells);
        }
        for mm in 0..slots {
            let alive = i64::from(mm < mms);
            let n = |what: &str| format!("mm{mm}_{what}");
            let mut entry = |which: &str, there: bool| {
                let there = alive * i64::from(there);
                let n = |what: &str| format!("mm{mm}_{which}_{what}");
                EntryCells {
                    present: self.cell(n("present"), 1, there),
                    accessed: self.cell(n("accessed"), 1, there),
                    dirty: self.cell(n("dirty"), 1, 0),
                    splitting: self.cell(n("splitting"), 1, 0),
                    table: self.cell(n("table"), 1, 0),
                    refs: self.cell(n("refs"), cpus as i64 + 1, there),
                    freed: self.cell(n("freed"), 1, 0),
                    split: self.cell(n("split"), 1, 0),
                }
            };
            let entries = [entry("pte", true), entry("pmd", thp)];
            let cells = MmCells {
                life: self.cell(n("life"), 4, 2 * alive),
                cpumask: (0..cpus)
                    .map(|c| self.cell(n(&format!("cpumask_{c}")), 1, 0))
                    .collect(),
                active: (0..cpus)
                    .map(|c| self.cell(n(&format!("active_{c}")), 1, 0))
                    .collect(),
                named: self.cell(n("named"), 2 * cpus as i64, 0),
                kernel_entry: self.cell(n("kernel_entry"), 1, 0),
                pinned: self.cell(n("pinned"), 1, 0),
                pinning: self.cell(n("pinning"), 1, 0),
                zapping: self.cell(n("zapping"), 1, 0),
                splitting: self.cell(n("splitters"), cpus as i64, 0),
                pending: self.cell(n("pending"), 2 * cpus as i64, 0),
                entries,
            };
            self.cells.mms.push(cells);
        }
        self.cells.order = (0..slots)
            .map(|i| {
                // Listed one after the other, each at the head.
                let listed = mms.checked_sub(i + 1).map_or(none, |mm| mm as i64);
                self.cell(format!("pgd_list_{i}"), none, listed)
            })
            .collect();
        self.cells.found = self.cell("pgd_list_found".into(), none, 0);
        self.cells.init_entry = self.cell("init_entry".into(), 1, 0);
        self.cells.synced = self.cell("synced".into(), 1, 0);
        self.allocate_locks();
        self.starting_placements();
        self.contexts();
    }

    fn allocate_locks(&mut self) {
        let (cpus, slots) = (self.config.cpus(), self.config.slots());
        for lock in 0..1 + 2 * slots {
            let owner = self.cell(format!("owner_{lock}"), 2 * cpus as i64, 0);
            self.cells.owners.push(owner);
        }
        let reads = self.config.reachable_programs().any(|p| {
            p.lines
                .iter()
                .any(|line| matches!(line.op, Op::Lock(_, Mode::Shared)))
        });
        if reads {
            for code in 0..2 * cpus {
                let reader = self.cell(format!("reads_pgd_lock_{code}"), 1, 0);
                self.cells.readers.push(reader);
            }
        }
        for (level, name) in ["task", "irq"].into_iter().enumerate() {
            let (mut lock_at, mut granted, mut shared) = (vec![0], vec![0], vec![0]);
            for (number, place) in self.places.of(level) {
                let (lock, next, is_shared) = self.lock_of(level, number, place);
                lock_at.push(lock);
                granted.push(next);
                shared.push(is_shared);
            }
            self.cells.lock_at[level] = Some(self.table(&format!("{name}_lock_at"), &lock_at));
            self.cells.granted[level] = Some(self.table(&format!("{name}_granted"), &granted));
            self.cells.shared_at[level] = Some(self.table(&format!("{name}_shared"), &shared));
        }
    }

    /// Registers that a step of the level's programs touches, as bits.
    fn used_regs(&self) -> [u16; 2] {
        let mut used = [0u16; 2];
        for level in [0, 1] {
            for (_, place) in self.places.of(level) {
                for line in &self.config.program(place.program).lines {
                    let mut add = |reg: Reg| used[level] |= 1 << reg as u16;
                    match line.op {
                        Op::IrqSave(f) | Op::IrqRestore(f) => add(super::step::flags(f)),
                        Op::Branch { reg, .. } => add(reg),
                        Op::ReadInitEntry { .. } | Op::ClonePgd => add(Reg::Changed),
                        Op::ReadPinned { .. } => add(Reg::SeenPinned),
                        Op::TestAndClearYoung { .. }
                        | Op::SetSplitting { .. }
                        | Op::ReadPending => add(Reg::NeedFlush),
                        Op::GetAndClear { entry, .. } => {
                            add(Reg::NeedFlush);
                            add(super::step::changed(entry));
                        }
                        Op::SendIpi(_) | Op::AwaitAcks => add(Reg::SentIpi),
                        Op::FlushRequested => add(Reg::Flushed),
                        Op::Lock(..) | Op::TryLock { .. } => add(Reg::PgdLockInside),
                        _ => {}
                    }
                    if place.program == crate::program::ProgramId::SwitchMm {
                        add(Reg::SameMm);
                        add(Reg::NoPrev);
                    }
                }
            }
        }
        used
    }

    /// One set of initial values for each placement of the CPUs.
    fn starting_placements(&mut self) {
        let cpus = self.config.cpus();
        for start in self.config.starts() {
            let mut values = Vec::new();
            for (cpu, &mm) in start[..cpus].iter().enumerate() {
                if !mm.is_some() {
                    continue;
                }
                let it = &self.cells.cpus[cpu];
                values.push((it.active, i64::from(mm.0)));
                values.push((it.loaded, 1));
                let its = &self.cells.mms[mm.index()];
                values.push((its.cpumask[cpu], 1));
                values.push((its.active[cpu], 1));
            }
            self.system.starts.push(values);
        }
    }
}
