//! Faults put in on purpose, to prove that the run-time checks are alive.
//!
//! Each wraps the machine or replaces one path; kernel code itself has no switches.

use crate::cpu::Cpu;
use crate::design::{Design, DesignVisitor, with_design};
use crate::event::Event;
use crate::forward_machine;
use crate::id::{CpuId, MmId};
use crate::irq::Vector;
use crate::kernel::Loc;
use crate::machine::{Machine, Word};
use crate::mm::Life;
use crate::operation::{Code, Operation};
use crate::tlb::Scope;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Fault {
    /// This CPU acknowledges flushes without flushing. Caught as a stale translation or a freed frame used.
    SkipFlush(CpuId),
    /// Nobody waits for acknowledgements, so frames are freed before the flush. Caught as a freed frame used or a
    /// stale translation.
    FreeBeforeFlush,
    /// `pgd_free` frees first and unlists then. Caught as a freed pgd under a walker.
    UnlistAfterFree,
}

/// Code with a fault.
#[derive(Clone, Copy, Debug)]
pub struct Faulty<C> {
    /// The code.
    pub code: C,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Code whose design is known as a value, so that a path of it can be replaced.
pub trait HasDesign {
    /// The design.
    fn axes(&self) -> crate::design::Axes;
}
impl HasDesign for crate::design::Axes {
    fn axes(&self) -> Self {
        *self
    }
}

impl<C: Code + HasDesign> Code for Faulty<C> {
    fn operation<M: Machine>(&self, machine: &M, operation: Operation) {
        match (self.fault, operation) {
            (Fault::UnlistAfterFree, Operation::PgdFree(mm)) => {
                machine.begin(operation);
                unlist_after_free(self.code.axes(), machine, mm);
                machine.end(operation);
            }
            _ => self.code.operation(
                &FaultyMachine {
                    inner: machine,
                    fault: self.fault,
                },
                operation,
            ),
        }
    }
    fn interrupt<M: Machine>(&self, machine: &M, vector: Vector) {
        self.code.interrupt(
            &FaultyMachine {
                inner: machine,
                fault: self.fault,
            },
            vector,
        );
    }
}

fn unlist_after_free<M: Machine>(axes: crate::design::Axes, machine: &M, mm: MmId) {
    struct Wrong<'m, M>(&'m M, MmId);
    impl<M: Machine> DesignVisitor for Wrong<'_, M> {
        type Output = ();
        fn visit<D: Design>(self) {
            let Self(m, mm) = self;
            m.store(m.kernel().word(Loc::Life(mm)), Life::Freed as u64);
            m.observe(Event::MmFreed { mm });
            Cpu::boot(m, |cpu| {
                cpu.with_pgd_lock_to_change::<D::PgdLock, _>(|pgd_list, _| pgd_list.list_del(mm));
            });
        }
    }
    with_design(axes, Wrong(machine, mm));
}

struct FaultyMachine<'m, M> {
    inner: &'m M,
    fault: Fault,
}

impl<M: Machine> Machine for FaultyMachine<'_, M> {
    forward_machine!(inner: kernel env this_cpu load load_stable store fetch_or fetch_and fetch_add hypervisor_store
        ticket_draw ticket_wait ticket_release read_lock read_unlock write_lock write_unlock
        local_irq_save local_irq_restore send_ipi
        tlb_state load_cr3 set_lazy clear_lazy leave_mm hypercall_flush user_access begin end observe);

    fn flush_tlb_local(&self, scope: Scope) {
        if self.fault != Fault::SkipFlush(self.inner.this_cpu()) {
            self.inner.flush_tlb_local(scope);
        }
    }

    fn await_zero(&self, word: &Word) {
        if self.fault != Fault::FreeBeforeFlush {
            self.inner.await_zero(word);
        }
    }
}
