//! Coming from user mode and going back: a flush that is owed must be paid first.
//!
//! After `struct mmu_gather` (`include/asm-generic/tlb.h`, 2.6.38). [`Cpu::syscall`] lends the whole CPU to a system
//! call, which has to end with the [`UserReturn`] of this very call: only [`MmuGather::return_to_user`] and
//! [`Syscall::return_to_user`] make one, and each takes the CPU for it. Gathering takes the CPU too, so while
//! a flush is owed there is nothing to return with, and code that forgets what is owed forgets the CPU with it.

use crate::cpu::{Brand, Cpu, Task, sealed::Sealed};
use crate::design::Design;
use crate::event::Event;
use crate::flush::{Counter, Pending};
use crate::id::{FrameId, MmId};
use crate::machine::Machine;
use crate::mm::put_page;
use crate::path::flush_tlb::flush_tlb_mm;

use core::marker::PhantomData;

/// A CPU in a system call; `'s` is the brand of the call.
pub struct Syscall<'s, M> {
    cpu: Cpu<'s, M, Task>,
}

/// The proof that the CPU went back to user mode, from the call of this brand.
#[must_use]
pub struct UserReturn<'s>(Brand<'s>);

/// Nothing is owed.
pub struct Settled;
/// Entries may have been removed whose translations are still cached somewhere.
pub struct FlushOwed;

/// It is safe to go back to user mode.
#[diagnostic::on_unimplemented(
    message = "a TLB flush is still owed: cannot return to user mode",
    label = "call `tlb_flush_mmu()` first",
    note = "user code could go on using the page that was just unmapped, on this or any other CPU"
)]
pub trait NothingOwed: Sealed {}
impl Sealed for Settled {}
impl NothingOwed for Settled {}

impl<M: Machine> Cpu<'_, M, Task> {
    /// Enters the kernel from user mode; over when `call` has returned there. If it unwinds instead, every mm is
    /// flushed on the way: nobody knows any more what was owed.
    pub fn syscall(&mut self, call: impl for<'s> FnOnce(Syscall<'s, M>) -> UserReturn<'s>) {
        let oops = Oops(self);
        let UserReturn(_) = call(Syscall {
            cpu: oops.0.reenter(),
        });
        core::mem::forget(oops);
    }
}

/// Dropped only by a system call that unwinds, wherever what it owed has gone. Frames and counts that were gathered are
/// lost with it; a frame that is never freed and a count that stays raised do no harm but to speed.
struct Oops<'c, 'id, M: Machine>(&'c mut Cpu<'id, M, Task>);

impl<M: Machine> Drop for Oops<'_, '_, M> {
    fn drop(&mut self) {
        for mm in (0..self.0.m().env().mms).map(MmId) {
            flush_tlb_mm(self.0, mm);
        }
    }
}

impl<'s, M: Machine> Syscall<'s, M> {
    /// The mm of the caller (`current->mm`).
    pub fn current_mm(&self) -> Option<MmId> {
        self.cpu.m().tlb_state().current_mm()
    }

    /// `tlb_gather_mmu`.
    pub fn tlb_gather_mmu<D: Design>(self, mm: MmId) -> MmuGather<'s, M, D, Settled> {
        MmuGather {
            cpu: self.cpu,
            mm,
            pages: [const { None }; FREE_PTE_NR],
            flush: false,
            state: PhantomData,
        }
    }

    /// Goes back to user mode.
    pub fn return_to_user(self) -> UserReturn<'s> {
        self.cpu.m().observe(Event::ReturnToUser {});
        UserReturn(PhantomData)
    }
}

/// How many pages are gathered before a flush (506 in 2.6.38).
const FREE_PTE_NR: usize = 4;

/// A page that an entry mapped: its reference is ours until the flush, and so is the count.
struct Gathered<D: Design> {
    frame: FrameId,
    raised: <Pending<D> as Counter>::Raised,
}

/// `struct mmu_gather`: what has been unmapped and is not flushed yet.
pub struct MmuGather<'s, M, D: Design, S> {
    cpu: Cpu<'s, M, Task>,
    mm: MmId,
    /// What the removed entries mapped.
    pages: [Option<Gathered<D>>; FREE_PTE_NR],
    /// Whether a flush is due although nothing was removed here.
    flush: bool,
    state: PhantomData<fn() -> S>,
}

impl<'s, M: Machine, D: Design, S> MmuGather<'s, M, D, S> {
    /// `zap_pte_range`: under the pte's lock, removes what is there, and adds it to what is owed already. Where
    /// flushes are counted, the count is read under the same lock before and raised with the removal.
    pub fn zap_pte_range(mut self) -> MmuGather<'s, M, D, FlushOwed> {
        // tlb->nr >= FREE_PTE_NR. 2.6.38 flushes under the lock then; 3.0 (force_flush) and we before taking it.
        if self.pages.iter().all(Option::is_some) {
            self.flush_and_free();
        }
        let mm = self.mm;
        let (page, others_owe) = self.cpu.with_pte_lock::<D::PtLock, _>(mm, |pte, _| {
            let others_owe = Pending::<D>::owed(pte.m(), mm);
            let frame = pte.get_and_clear().frame();
            let page = frame.map(|frame| Gathered::<D> {
                frame,
                raised: Pending::<D>::raise(pte.m(), mm),
            });
            (page, others_owe)
        });
        self.flush |= others_owe;
        if page.is_some()
            && let Some(free) = self.pages.iter_mut().find(|p| p.is_none())
        {
            *free = page;
        }
        self.now()
    }

    /// Goes back to user mode.
    pub fn return_to_user(self) -> UserReturn<'s>
    where
        S: NothingOwed,
    {
        Syscall { cpu: self.cpu }.return_to_user()
    }

    fn flush_and_free(&mut self) {
        if self.flush || self.pages.iter().any(Option::is_some) {
            flush_tlb_mm(&mut self.cpu, self.mm);
        }
        self.flush = false;
        for page in &mut self.pages {
            if let Some(Gathered { frame, raised }) = page.take() {
                Pending::<D>::settle(self.cpu.m(), raised);
                put_page(self.cpu.m(), frame);
            }
        }
    }

    fn now<T>(self) -> MmuGather<'s, M, D, T> {
        MmuGather {
            cpu: self.cpu,
            mm: self.mm,
            pages: self.pages,
            flush: self.flush,
            state: PhantomData,
        }
    }
}

impl<'s, M: Machine, D: Design> MmuGather<'s, M, D, FlushOwed> {
    /// `tlb_flush_mmu`: flushes if anything calls for it, then lets go of the frames.
    pub fn tlb_flush_mmu(mut self) -> MmuGather<'s, M, D, Settled> {
        self.flush_and_free();
        self.now()
    }
}
