//! The door as a stream of announced operations.

use crate::environment::Environment;
use crate::event::{Event, Lock};
use crate::id::{CpuId, MmId};
use crate::kernel::{Kernel, Loc};
use crate::locate::locate;
use crate::machine::{IrqFlags, Machine, Word};
use crate::operation::Operation;
use crate::sim::Op;
use crate::sim::op::Answer;
use crate::spinlock::{Draw, Ticket};
use crate::tlb::{Access, AccessKind, Scope, Slot, TlbState};

/// Where announced operations go. A coroutine's yielder, or whatever answers from memory.
pub trait Port {
    /// Announces the operation, returns when it has happened, with its answer.
    fn call(&self, op: Op) -> u64;
    /// The value of a word that does not change while the code can reach it. Not a step.
    fn stable(&self, loc: Loc) -> u64;
    /// Is told what the last operation meant. Not a step.
    fn event(&self, event: Event);
}

impl<P: Port + ?Sized> Port for &P {
    fn call(&self, op: Op) -> u64 {
        (**self).call(op)
    }
    fn stable(&self, loc: Loc) -> u64 {
        (**self).stable(loc)
    }
    fn event(&self, event: Event) {
        (**self).event(event);
    }
}

/// A CPU of the simulated machine.
pub struct SimCpu<P> {
    /// Where its operations go.
    pub port: P,
    /// Which CPU it is.
    pub cpu: CpuId,
    /// What the kernel was built with.
    pub env: Environment,
}

static LAYOUT: Kernel = Kernel::new();

/// The structures whose addresses name words on this machine. Their contents are not used: values live in
/// [`crate::sim::SimState`].
pub fn layout() -> &'static Kernel {
    &LAYOUT
}

fn name(word: &Word) -> Loc {
    locate(&LAYOUT, word).expect(
        "kernel code reached a word that has no name: every shared word is in `kernel::Loc`",
    )
}

impl<P: Port> SimCpu<P> {
    /// The lock was not free: reports the wait, as `spin_lock` does for tickets, and waits to be served.
    fn rw_wait(&self, lock: &Word, how: Lock) {
        self.port.event(Event::LockWait { lock: how });
        self.port.call(Op::RwWait(name(lock)));
    }
}

impl<P: Port> Machine for SimCpu<P> {
    fn kernel(&self) -> &Kernel {
        &LAYOUT
    }
    fn env(&self) -> &Environment {
        &self.env
    }
    fn this_cpu(&self) -> CpuId {
        self.cpu
    }

    fn load(&self, word: &Word) -> u64 {
        self.port.call(Op::Load(name(word)))
    }
    fn load_stable(&self, word: &Word) -> u64 {
        self.port.stable(name(word))
    }
    fn store(&self, word: &Word, value: u64) {
        self.port.call(Op::Store(name(word), value));
    }
    fn fetch_or(&self, word: &Word, bits: u64) -> u64 {
        self.port.call(Op::FetchOr(name(word), bits))
    }
    fn fetch_and(&self, word: &Word, bits: u64) -> u64 {
        self.port.call(Op::FetchAnd(name(word), bits))
    }
    fn fetch_add(&self, word: &Word, delta: u64) -> u64 {
        self.port.call(Op::FetchAdd(name(word), delta))
    }
    fn hypervisor_store(&self, word: &Word, value: u64) {
        self.port.call(Op::HypervisorStore(name(word), value));
    }

    fn ticket_draw(&self, lock: &Word) -> Draw {
        // The place in the queue is the machine's business: a number would make states differ that do not.
        if self.port.call(Op::TicketDraw(name(lock))) == 0 {
            Draw::Served
        } else {
            Draw::Behind(Ticket(0))
        }
    }
    fn ticket_wait(&self, lock: &Word, _: Ticket) {
        self.port.call(Op::TicketWait(name(lock)));
    }
    fn ticket_release(&self, lock: &Word) {
        self.port.call(Op::TicketRelease(name(lock)));
    }
    fn read_lock(&self, lock: &Word) {
        if self.port.call(Op::ReadLock(name(lock))) != 0 {
            self.rw_wait(lock, Lock::PgdRead);
        }
    }
    fn read_unlock(&self, lock: &Word) {
        self.port.call(Op::ReadUnlock(name(lock)));
    }
    fn write_lock(&self, lock: &Word) {
        if self.port.call(Op::WriteLock(name(lock))) != 0 {
            self.rw_wait(lock, Lock::PgdWrite);
        }
    }
    fn write_unlock(&self, lock: &Word) {
        self.port.call(Op::WriteUnlock(name(lock)));
    }
    fn await_zero(&self, word: &Word) {
        self.port.call(Op::AwaitZero(name(word)));
    }

    fn local_irq_save(&self) -> IrqFlags {
        let enabled = self.port.call(Op::IrqSave) == 1;
        self.port.event(Event::IrqSave { enabled });
        IrqFlags { enabled }
    }
    fn local_irq_restore(&self, flags: IrqFlags) {
        self.port.call(Op::IrqRestore(flags.enabled));
        self.port.event(Event::IrqRestore {
            enabled: flags.enabled,
        });
    }
    fn send_ipi(&self, to: CpuId) {
        self.port.call(Op::SendIpi(to));
    }

    fn tlb_state(&self) -> TlbState {
        TlbState::decode(self.port.call(Op::TlbState))
    }
    fn flush_tlb_local(&self, scope: Scope) {
        self.port.call(Op::FlushTlb(scope));
    }
    fn load_cr3(&self, mm: MmId) {
        self.port.call(Op::LoadCr3(mm));
    }
    fn set_lazy(&self) {
        self.port.call(Op::SetLazy);
    }
    fn clear_lazy(&self) {
        self.port.call(Op::ClearLazy);
    }
    fn leave_mm(&self, mask: &Word) {
        self.port.call(Op::LeaveMm(name(mask)));
    }
    fn hypercall_flush(&self, mask: &Word, mm: MmId, scope: Scope) {
        self.port.call(Op::HypercallFlush(name(mask), mm, scope));
    }
    fn user_access(&self, slot: Slot, kind: AccessKind) -> Access {
        Access::decode(self.port.call(Op::UserAccess(slot, kind)))
    }

    fn begin(&self, operation: Operation) {
        self.port.event(Event::Begin { operation });
    }
    fn end(&self, operation: Operation) {
        self.port.call(Op::End(operation));
        self.port.event(Event::End { operation });
    }
    fn observe(&self, event: Event) {
        self.port.event(event);
    }
}
