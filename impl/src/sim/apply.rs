//! What operations mean: pure functions over the state of the machine.

use crate::id::{CpuId, CpuMask, FrameId, MmId};
use crate::irq::Vector;
use crate::kernel::{Loc, Table, Target};
use crate::page_table::Entry;
use crate::sim::door::layout;
use crate::sim::lock::{RW_WRITER_SHIFT, context, queue, rw_queue};
use crate::sim::op::Answer;
use crate::sim::state::index;
use crate::sim::{Cached, Op, SIM_CPUS, SimState, Violation};
use crate::tlb::{Access, AccessKind, Scope, Slot, TlbState};

impl SimState {
    /// Whether the operation that a CPU has announced can happen now.
    pub fn enabled(&self, cpu: CpuId, op: Op) -> bool {
        let me = context(cpu, self.in_irq(cpu));
        match op {
            Op::Idle => false,
            Op::TicketWait(l) => self.words[index(l)] & 0xf == me,
            Op::RwWait(_) => rw_queue(self.rw_queue).all(|(who, _)| who != me),
            Op::AwaitZero(l) => self.words[index(l)] == 0,
            _ => true,
        }
    }

    /// Lets an announced, enabled operation happen; its answer.
    pub fn apply(&mut self, cpu: CpuId, op: Op) -> u64 {
        let in_irq = self.in_irq(cpu);
        let me = context(cpu, in_irq);
        self.check_memory(cpu, op);
        match op {
            Op::Idle => 0,
            Op::Load(l) => self.word(l),
            Op::Store(l, v) | Op::HypervisorStore(l, v) => self.replace(l, v),
            Op::FetchOr(l, v) => self.replace(l, self.word(l) | v),
            Op::FetchAnd(l, v) => self.replace(l, self.word(l) & v),
            Op::FetchAdd(l, v) => {
                let old = self.word(l);
                if old == 0 && v == u64::MAX {
                    self.violated(Violation::Underflow { cpu, loc: l });
                }
                self.replace(l, old.wrapping_add(v) & u64::from(u32::MAX))
            }
            Op::TicketDraw(l) => {
                let word = &mut self.words[index(l)];
                let ahead = queue(*word).count() as u32;
                *word |= me << (4 * ahead);
                u64::from(ahead != 0)
            }
            Op::TicketWait(_) | Op::AwaitZero(_) => {
                if matches!(op, Op::AwaitZero(_)) {
                    self.strict_rule_broken |=
                        !self.cpus[cpu.index()].irqs_on || self.holds_any(cpu, in_irq);
                }
                0
            }
            Op::TicketRelease(l) => {
                if self.words[index(l)] & 0xf != me {
                    self.violated(Violation::NotHolder { cpu, loc: l });
                }
                self.words[index(l)] >>= 4;
                0
            }
            Op::ReadLock(l) | Op::WriteLock(l) => {
                let write = matches!(op, Op::WriteLock(_));
                let free = self.rw_free(l, write);
                if free {
                    self.rw_grant(l, me, write);
                } else {
                    let place = rw_queue(self.rw_queue).count();
                    self.rw_queue |= u64::from(me | u32::from(write) << 4) << (8 * place);
                }
                u64::from(!free)
            }
            Op::RwWait(_) => 0,
            Op::ReadUnlock(l) | Op::WriteUnlock(l) => {
                let write = matches!(op, Op::WriteUnlock(_));
                let held = if write {
                    me << RW_WRITER_SHIFT
                } else {
                    1 << (me - 1)
                };
                if self.words[index(l)] & held != held {
                    self.violated(Violation::NotHolder { cpu, loc: l });
                }
                self.words[index(l)] &= !held;
                self.rw_serve(l);
                0
            }
            Op::IrqSave => {
                let was = self.cpus[cpu.index()].irqs_on;
                self.cpus[cpu.index()].irqs_on = false;
                was.into()
            }
            Op::IrqRestore(on) => {
                self.cpus[cpu.index()].irqs_on = on;
                0
            }
            Op::SendIpi(to) => {
                let target = &mut self.cpus[to.index() % SIM_CPUS];
                target.ipis = target.ipis.with(cpu);
                0
            }
            Op::End(_) => {
                if !self.cpus[cpu.index()].irqs_on || self.holds_any(cpu, false) {
                    self.violated(Violation::LeftLocked { cpu });
                }
                self.cpus[cpu.index()].running = None;
                0
            }
            Op::Iret => {
                let c = &mut self.cpus[cpu.index()];
                c.in_irq = None;
                c.irqs_on = true;
                0
            }
            _ => self.apply_tlb(cpu, op),
        }
    }

    fn apply_tlb(&mut self, cpu: CpuId, op: Op) -> u64 {
        let i = cpu.index();
        match op {
            Op::TlbState => return self.cpus[i].tlb_state.encode(),
            Op::FlushTlb(scope) => self.flush(cpu, scope),
            Op::LoadCr3(mm) => {
                self.cpus[i].tlb_state = TlbState {
                    active_mm: Some(mm),
                    lazy: false,
                    loaded: true,
                };
                self.flush(cpu, Scope::All);
            }
            Op::SetLazy => self.cpus[i].tlb_state.lazy = true,
            Op::ClearLazy => self.cpus[i].tlb_state.lazy = false,
            Op::LeaveMm(mask) => {
                self.set(mask, self.word(mask) & !CpuMask::of(cpu).word());
                self.cpus[i].tlb_state.loaded = false;
                self.flush(cpu, Scope::All);
            }
            Op::HypercallFlush(mask, mm, scope) => {
                for target in CpuMask::from_word(self.word(mask)).iter() {
                    let state = self.cpus[target.index() % SIM_CPUS].tlb_state;
                    if state.active_mm == Some(mm) && state.loaded {
                        self.flush(target, scope);
                    }
                }
            }
            Op::UserAccess(slot, kind) => return self.user_access(cpu, slot, kind).encode(),
            _ => {}
        }
        0
    }

    fn flush(&mut self, cpu: CpuId, scope: Scope) {
        for slot in Slot::ALL {
            if scope.covers(slot) {
                self.cpus[cpu.index()].tlb[slot as usize] = None;
            }
        }
    }

    fn user_access(&mut self, cpu: CpuId, slot: Slot, kind: AccessKind) -> Access {
        self.check_walk(cpu, slot);
        let access = match self.cpus[cpu.index()].tlb[slot as usize] {
            Some(Cached { frame }) => {
                if kind == AccessKind::Store {
                    // The assist that sets DIRTY walks the tables again: if the entry still is that translation, it
                    // is young again too.
                    if let Some((loc, _)) = self.walk(cpu, slot).filter(|&(_, f)| f == frame) {
                        self.set(loc, self.word(loc) | Entry::ACCESSED | Entry::DIRTY);
                    }
                }
                Access::Hit(frame)
            }
            None => self
                .fill(cpu, slot, kind)
                .map_or(Access::Fault, Access::Filled),
        };
        if let Access::Hit(frame) | Access::Filled(frame) = access
            && self.word(Loc::FrameRefs(frame)) == 0
        {
            self.violated(Violation::FreedFrame { cpu, frame });
        }
        access
    }

    fn replace(&mut self, loc: Loc, value: u64) -> u64 {
        let old = self.word(loc);
        self.set(loc, value);
        old
    }

    /// The translations a CPU's hardware could cache now.
    pub fn fills(&self, cpu: CpuId) -> impl Iterator<Item = Slot> {
        let c = self.cpus[cpu.index()];
        Slot::ALL
            .into_iter()
            .filter(move |&slot| c.tlb[slot as usize].is_none() && self.walk(cpu, slot).is_some())
    }

    /// What a hardware walk would find.
    fn walk(&self, cpu: CpuId, slot: Slot) -> Option<(Loc, FrameId)> {
        let TlbState {
            active_mm: Some(mm),
            loaded: true,
            ..
        } = self.cpus[cpu.index()].tlb_state
        else {
            return None;
        };
        // The ptes of a split huge page are walked, and not cached: see the project's assumptions.
        let loc = self.leaf(mm, slot)?;
        match layout().target(Entry(self.word(loc)), slot) {
            Target::Frame(frame) if !matches!(loc, Loc::DepositedPte(_)) => Some((loc, frame)),
            _ => None,
        }
    }

    /// The entry in which a walk of a slot ends, every level followed; none if an entry on the way leads to no table.
    fn leaf(&self, mm: MmId, slot: Slot) -> Option<Loc> {
        let pmd = match slot {
            Slot::Pte => Loc::PtePmd(mm),
            Slot::Huge => Loc::UserEntry(mm, Slot::Huge),
        };
        match layout().target(Entry(self.word(pmd)), Slot::Huge) {
            Target::Nothing | Target::Frame(_) => Some(pmd),
            Target::Table(of, Table::Pte) => Some(Loc::UserEntry(of, Slot::Pte)),
            Target::Table(of, Table::Deposited) => Some(Loc::DepositedPte(of)),
            Target::Table(_, Table::Pgd | Table::Pmd) | Target::Wild => None,
        }
    }

    /// A walk of the own tables that ends in another mm's page, or that an entry leads astray, is noticed.
    fn check_walk(&mut self, cpu: CpuId, slot: Slot) {
        let TlbState {
            active_mm: Some(mm),
            loaded: true,
            ..
        } = self.cpus[cpu.index()].tlb_state
        else {
            return;
        };
        let level = |loc| match loc {
            Loc::UserEntry(_, Slot::Huge) => Slot::Huge,
            _ => Slot::Pte,
        };
        let leaf = self.leaf(mm, slot);
        let page = leaf.map(|loc| layout().target(Entry(self.word(loc)), level(loc)));
        let own = match page {
            Some(Target::Nothing) => true,
            Some(Target::Frame(frame)) => frame.0 / 2 == mm.0,
            Some(Target::Table(..) | Target::Wild) | None => false,
        };
        if !own {
            self.violated(Violation::ForeignPage { cpu, mm });
        }
    }

    /// The hardware walker caches a translation, and says so in the entry.
    pub fn fill(&mut self, cpu: CpuId, slot: Slot, kind: AccessKind) -> Option<FrameId> {
        let (loc, frame) = self.walk(cpu, slot)?;
        let dirty = if kind == AccessKind::Store {
            Entry::DIRTY
        } else {
            0
        };
        self.set(loc, self.word(loc) | Entry::ACCESSED | dirty);
        self.cpus[cpu.index()].tlb[slot as usize] = Some(Cached { frame });
        Some(frame)
    }

    /// Takes an interrupt: IF off, the IPI no longer pending.
    pub fn enter_interrupt(&mut self, cpu: CpuId, vector: Vector) {
        let c = &mut self.cpus[cpu.index()];
        c.in_irq = Some(vector);
        c.irqs_on = false;
        if let Vector::FlushTlb(from) = vector {
            c.ipis = c.ipis.without(from);
        }
    }
}
