//! One execution context of a CPU: the program it runs, where it is, its local variables.

use super::Cpu;
use crate::id::{Context, CpuId, LockId, LockSet, MmId};
use crate::program::{Flags, Of, Pc, ProgramId, Reg, Scope};
use std::fmt;
use zerocopy::{Immutable, IntoBytes};

pub(super) const NO_LOCK: u8 = 0xff;

/// One execution context of a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Hash, IntoBytes, Immutable)]
#[repr(C)]
pub struct Ctx {
    /// What it runs; [`ProgramId::None`] when it runs nothing.
    pub program: ProgramId,
    /// The step it will execute next.
    pub pc: Pc,
    /// The mm the program names; in the flush handler, the mm of the request.
    pub mm: MmId,
    /// The pgd the walk stands on; in `switch_mm`, the mm switched away from.
    pub cursor: MmId,
    pub(super) regs: u16,
    /// Locks this context holds.
    pub held: LockSet,
    /// Index of the lock it spins for.
    pub(super) waits_for: u8,
    /// The flush handler's request: who sent it.
    pub sender: CpuId,
    /// The flush handler's request: how much.
    pub scope: Scope,
    pub(super) _pad: u8,
}

impl Ctx {
    /// A context that runs nothing.
    pub const IDLE: Ctx = Ctx {
        program: ProgramId::None,
        pc: 0,
        mm: MmId::NONE,
        cursor: MmId::NONE,
        regs: 0,
        held: LockSet(0),
        waits_for: NO_LOCK,
        sender: CpuId(0),
        scope: Scope::Page,
        _pad: 0,
    };

    /// Does it run a program?
    pub fn is_running(&self) -> bool {
        self.program != ProgramId::None
    }

    /// The lock it spins for, if it does.
    pub fn spins_for(&self) -> Option<LockId> {
        (self.waits_for != NO_LOCK).then(|| LockId::from_index(self.waits_for as usize))
    }

    /// A local variable.
    pub fn reg(&self, reg: Reg) -> bool {
        self.regs >> reg as u16 & 1 == 1
    }

    pub(super) fn set(&mut self, reg: Reg, value: bool) {
        self.regs = self.regs & !(1 << reg as u16) | (value as u16) << reg as u16;
    }

    /// Holds `pgd_lock` that it took while holding a page-table lock.
    pub fn took_pgd_lock_inside(&self) -> bool {
        self.reg(Reg::PgdLockInside)
    }

    /// The mm a step means.
    pub fn mm_of(&self, of: Of) -> MmId {
        match of {
            Of::Target => self.mm,
            Of::Cursor => self.cursor,
        }
    }
}

impl fmt::Debug for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_running() {
            return f.write_str("-");
        }
        write!(f, "{}+{}", self.program, self.pc)?;
        if self.mm.is_some() {
            write!(f, "({})", self.mm)?;
        }
        if self.cursor.is_some() {
            write!(f, " at {}", self.cursor)?;
        }
        for lock in self.held.iter() {
            write!(f, " holds {lock}")?;
        }
        if let Some(lock) = self.spins_for() {
            write!(f, " spins for {lock}")?;
        }
        Ok(())
    }
}

impl Context {
    /// The context's state within its CPU.
    pub fn of<'a>(&self, cpus: &'a [Cpu]) -> &'a Ctx {
        cpus[self.cpu.index()].context(self.level)
    }
}

/// The variable that `local_irq_save` keeps its flag in.
pub(super) fn flags_reg(flags: Flags) -> Reg {
    match flags {
        Flags::Outer => Reg::FlagsOuter,
        Flags::Inner => Reg::FlagsInner,
    }
}
