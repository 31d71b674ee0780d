//! Which calls are full barriers on x86, beyond what their instructions say.

use super::{Call, Change, Does};
use shootdown_ir::Access;

impl Call {
    /// How it meets memory on x86, called by this name: locked, or with plain loads and stores. What locks and
    /// interrupts do is said by their instructions.
    #[must_use]
    pub fn access(&self, name: &str) -> Access {
        let locked = match self.does {
            Does::Change(Change::Read, _) => false,
            // Without a lock prefix: this CPU's, or what the caller keeps others away from.
            Does::Change(..) if name.starts_with("__") || name.ends_with("_local") => false,
            Does::Change(..) => {
                !self.name.starts_with("this_cpu_")
                    && !matches!(
                        self.name,
                        "atomic_set" | "WRITE_ONCE" | "smp_store_release" | "rcu_assign_pointer"
                    )
            }
            // The bit is per CPU and not locked; cond_resched() looks whether somebody else has to run, and seldom finds it.
            Does::Raise => !self.name.starts_with("raise_softirq"),
            Does::Yield => self.name != "cond_resched",
            Does::Barrier
            | Does::Down(_)
            | Does::DownTry
            | Does::Up
            | Does::Complete(_)
            | Does::WaitCompletion(_)
            | Does::WaitCompletionTimeout
            | Does::TryWaitCompletion
            | Does::WaitEvent(_)
            | Does::WaitEventTimeout
            | Does::WakeUp
            | Does::Call(_)
            | Does::SendIpi
            | Does::StopMachine(_)
            | Does::StopOne(_)
            | Does::Cancel
            | Does::Sync(..)
            | Does::FlushAll
            | Does::Mask(..)
            | Does::SynchronizeRcu
            | Does::CallRcu
            | Does::RcuBarrier
            | Does::SrcuLock
            | Does::SrcuUnlock
            | Does::SynchronizeSrcu => true,
            Does::Nothing
            | Does::Value(_)
            | Does::Lock(..)
            | Does::LockInterruptible(_)
            | Does::TryLock(..)
            | Does::Unlock(..)
            | Does::Downgrade
            | Does::SeqBegin
            | Does::SeqBeginRaw
            | Does::SeqWriteBegin
            | Does::SeqWriteEnd
            | Does::SeqLock(_)
            | Does::SeqUnlock(_)
            | Does::SeqLockExcl(_)
            | Does::SeqUnlockExcl(_)
            | Does::Hotplug(..)
            | Does::AssertHeld
            | Does::CompletionInit
            | Does::IrqSave
            | Does::IrqRestore
            | Does::IrqOff(_)
            | Does::BhOff(_)
            | Does::PreemptOff(_)
            | Does::GetCpu
            | Does::Rcu(_)
            | Does::RcuBh(_)
            | Does::RcuSched(_)
            | Does::MightSleep
            | Does::Bug
            | Does::AssertIrqs(_)
            | Does::MaskOp(_) => false,
        };
        match locked {
            true => Access::Locked,
            false => Access::Plain,
        }
    }
}
