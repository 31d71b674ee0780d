//! Lock words as queues: who holds a lock, who waits for it, and who is served next.

use crate::id::{CpuId, MmId};
use crate::kernel::Loc;
use crate::sim::SimState;
use crate::sim::state::index;

/// The readers of an rwlock, as context bits.
pub(super) const RW_READERS: u32 = 0xff;
/// Where its writer is.
pub(super) const RW_WRITER_SHIFT: u32 = 8;

/// A context of a CPU as lock queues know it: never 0.
pub(super) fn context(cpu: CpuId, in_irq: bool) -> u32 {
    u32::from(cpu.0) * 2 + u32::from(in_irq) + 1
}

/// The inverse of [`context`]: the CPU, and whether it is its interrupt.
pub(super) fn context_id(context: u32) -> (CpuId, bool) {
    (CpuId(((context - 1) / 2) as u8), (context - 1) % 2 == 1)
}

/// The contexts in a lock's queue, the holder first: `(cpu, in interrupt)`.
pub(super) fn queue(word: u32) -> impl Iterator<Item = (CpuId, bool)> {
    (0..8)
        .map(move |i| word >> (4 * i) & 0xf)
        .take_while(|&c| c != 0)
        .map(context_id)
}

/// Who waits for `pgd_lock` as an rwlock, the next one first: context, and whether for writing.
///
/// Readers get in past waiting writers while the lock is held for reading, as in 2.6.38; waiters are served in
/// order of arrival, which the real lock does not promise.
pub(super) fn rw_queue(queue: u64) -> impl Iterator<Item = (u32, bool)> {
    (0..8)
        .map(move |i| (queue >> (8 * i)) as u32 & 0x1f)
        .take_while(|&e| e != 0)
        .map(|e| (e & 0xf, e & 0x10 != 0))
}

impl SimState {
    pub(super) fn rw_free(&self, lock: Loc, write: bool) -> bool {
        let word = self.words[index(lock)];
        word >> RW_WRITER_SHIFT == 0 && (!write || word == 0)
    }

    pub(super) fn rw_grant(&mut self, lock: Loc, who: u32, write: bool) {
        self.words[index(lock)] |= if write {
            who << RW_WRITER_SHIFT
        } else {
            1 << (who - 1)
        };
    }

    /// Serves those who wait, first come first served, as far as they can share the lock.
    pub(super) fn rw_serve(&mut self, lock: Loc) {
        while let Some((who, write)) = rw_queue(self.rw_queue).next()
            && self.rw_free(lock, write)
        {
            self.rw_queue >>= 8;
            self.rw_grant(lock, who, write);
        }
    }

    /// Whether a context of this CPU holds a lock.
    pub(super) fn holds_any(&self, cpu: CpuId, in_irq: bool) -> bool {
        let me = context(cpu, in_irq);
        let mms = (0..self.env.mms).map(MmId);
        let locks = mms
            .flat_map(|mm| [Loc::PageTableLock(mm), Loc::PteLock(mm)])
            .chain([Loc::PgdLock]);
        let rw = self.words[index(Loc::PgdRwLock)];
        locks.into_iter().any(|l| self.words[index(l)] & 0xf == me)
            || rw & RW_READERS & 1 << (me - 1) != 0
            || rw >> RW_WRITER_SHIFT == me
    }

    /// The contexts in a spinlock's queue, the holder first: the CPU, and whether in its interrupt.
    pub fn spinlock_queue(&self, lock: Loc) -> impl Iterator<Item = (CpuId, bool)> {
        queue(self.words[index(lock)])
    }

    /// The writer of `pgd_lock` as an rwlock.
    pub fn rwlock_writer(&self) -> Option<(CpuId, bool)> {
        queue(self.words[index(Loc::PgdRwLock)] >> RW_WRITER_SHIFT).next()
    }

    /// Its readers, by CPU.
    pub fn rwlock_readers(&self) -> impl Iterator<Item = (CpuId, bool)> {
        let readers = self.words[index(Loc::PgdRwLock)] & RW_READERS;
        (1..=8)
            .filter(move |c| readers >> (c - 1) & 1 == 1)
            .map(context_id)
    }

    /// Who waits for it, the next one first, and whether for writing.
    pub fn rwlock_waiters(&self) -> impl Iterator<Item = ((CpuId, bool), bool)> {
        rw_queue(self.rw_queue).map(|(who, write)| (context_id(who), write))
    }
}
