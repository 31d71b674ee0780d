//! Coming from user mode and going back: a flush that is owed must be paid first.
//!
//! After `struct mmu_gather` (`include/asm-generic/tlb.h`, 2.6.38). A system call is entered with the whole CPU, by
//! value, and only [`MmuGather::return_to_user`] or [`Syscall::return_to_user`] gives back the [`UserReturn`] that it
//! must end with. Gathering consumes the token, so while a flush is owed there is nothing to return with.

use core::marker::PhantomData;

use crate::cpu::{Cpu, Task};
use crate::design::Design;
use crate::event::Event;
use crate::flush::{Counter, Pending};
use crate::id::{FrameId, MmId};
use crate::machine::Machine;
use crate::mm::put_page;
use crate::path::flush_tlb::flush_tlb_mm;

/// A CPU in a system call.
pub struct Syscall<'c, M: Machine> {
    cpu: Cpu<'c, M, Task>,
}

/// The proof that the CPU went back to user mode.
#[must_use]
pub struct UserReturn(());

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
pub trait NothingOwed {}
impl NothingOwed for Settled {}

impl<'c, M: Machine> Syscall<'c, M> {
    /// Enters the kernel.
    pub fn enter(cpu: Cpu<'c, M, Task>) -> Self {
        Self { cpu }
    }

    /// The mm of the caller (`current->mm`).
    pub fn current_mm(&self) -> Option<MmId> {
        self.cpu.m().tlb_state().current_mm()
    }

    /// `tlb_gather_mmu`.
    pub fn tlb_gather_mmu<D: Design>(self, mm: MmId) -> MmuGather<'c, M, D, Settled> {
        MmuGather {
            cpu: self.cpu,
            mm,
            frame: None,
            flush: false,
            design: PhantomData,
        }
    }

    /// Goes back to user mode.
    pub fn return_to_user(self) -> UserReturn {
        self.cpu.m().observe(Event::ReturnToUser {});
        UserReturn(())
    }
}

/// `struct mmu_gather`: what has been unmapped and is not flushed yet.
pub struct MmuGather<'c, M: Machine, D: Design, S> {
    cpu: Cpu<'c, M, Task>,
    mm: MmId,
    /// What the removed entry mapped; its reference is ours until the flush.
    frame: Option<FrameId>,
    /// Whether a flush is due although nothing was removed here.
    flush: bool,
    design: PhantomData<fn() -> (D, S)>,
}

impl<'c, M: Machine, D: Design, S> MmuGather<'c, M, D, S> {
    /// `zap_pte_range`: under the pte's lock, removes what is there. Where flushes are counted, the count is read
    /// under the same lock before and raised with the removal.
    pub fn zap_pte_range(mut self) -> MmuGather<'c, M, D, FlushOwed> {
        let mut ptl = self.cpu.pte_lock::<D::PtLock>(self.mm);
        let others_owe = Pending::<D>::owed(&mut ptl);
        let frame = ptl.get_and_clear().frame();
        if frame.is_some() {
            Pending::<D>::raise(&mut ptl);
        }
        ptl.unlock();
        MmuGather {
            frame,
            flush: self.flush || others_owe,
            cpu: self.cpu,
            mm: self.mm,
            design: PhantomData,
        }
    }

    /// Goes back to user mode.
    pub fn return_to_user(self) -> UserReturn
    where
        S: NothingOwed,
    {
        Syscall { cpu: self.cpu }.return_to_user()
    }
}

impl<'c, M: Machine, D: Design> MmuGather<'c, M, D, FlushOwed> {
    /// `tlb_flush_mmu`: flushes if anything calls for it, then lets go of the frames.
    pub fn tlb_flush_mmu(mut self) -> MmuGather<'c, M, D, Settled> {
        let Self { mm, frame, .. } = self;
        if frame.is_some() || self.flush {
            flush_tlb_mm(&mut self.cpu, mm);
        }
        if let Some(frame) = frame {
            Pending::<D>::settle(&mut self.cpu, mm);
            put_page(self.cpu.m(), frame);
        }
        MmuGather {
            frame: None,
            flush: false,
            cpu: self.cpu,
            mm,
            design: PhantomData,
        }
    }
}
