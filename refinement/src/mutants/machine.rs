//! Faults in the machine: the hardware does not do what the code relies on.

use shootdown_impl::fault::Fault as HostFault;
use shootdown_impl::id::{CpuId, MmId};
use shootdown_impl::kernel::Loc;
use shootdown_impl::machine::{IrqFlags, Word};
use shootdown_impl::spinlock::Ticket;
use shootdown_impl::tlb::Scope;
use shootdown_spec::variant::Variant;

use super::bent::{Bent, Fault, bent};
use super::{Mutant, Part, mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant(
        Part::Machine,
        "lost-ipi",
        "send_IPI_mask() interrupts nobody",
        |a| bent(a, &LostIpi),
        "none=try_to_unmap_one@mm0/mm0=idle",
    ),
    mutant(
        Part::Machine,
        "ipi-to-the-wrong-cpu",
        "send_IPI_mask() interrupts the CPU after the one it is meant for",
        |a| bent(a, &IpiToTheWrongCpu),
        "none=try_to_unmap_one@mm0/mm0=idle/none=idle",
    ),
    mutant(
        Part::Machine,
        "lost-ack",
        "cpumask_clear_cpu(cpu, f->flush_cpumask) does not reach memory",
        |a| bent(a, &LostAck),
        "mm0=page_referenced_one/mm0=idle",
    )
    .model(Variant::LostAck)
    .order(),
    mutant(
        Part::Machine,
        "tlb-flush-does-nothing",
        "local_flush_tlb() leaves translations cached",
        |a| bent(a, &NoFlush),
        "none=try_to_unmap_one@mm0/mm0=idle",
    )
    .stress(HostFault::SkipFlush(CpuId(1))),
    mutant(
        Part::Machine,
        "flush-drops-one-page-only",
        "the flush handler does invlpg where it was asked for a CR3 reload",
        |a| bent(a, &FlushPageOnly),
        "none=page_referenced_one_huge@mm0/mm0=idle",
    )
    .env("split+thp"),
    mutant(
        Part::Machine,
        "irq-restore-leaves-off",
        "local_irq_restore(flags) never turns interrupts on",
        |a| bent(a, &RestoreLeavesOff),
        "mm0=page_referenced_one/mm0=idle",
    ),
    mutant(
        Part::Machine,
        "irq-restore-turns-on",
        "local_irq_restore(flags) turns interrupts on whatever flags says",
        |a| bent(a, &RestoreTurnsOn),
        "none=vmalloc_sync_all/mm0=idle",
    ),
    mutant(
        Part::Machine,
        "irq-save-leaves-on",
        "local_irq_save(flags) reads the flag and does not clear it",
        |a| bent(a, &SaveLeavesOn),
        "mm0=gup_fast_pte/none=try_to_unmap_one@mm0",
    ),
    mutant(
        Part::Machine,
        "lost-cr3-load",
        "load_cr3(next->pgd) is not executed",
        |a| bent(a, &LostCr3),
        "mm0=switch_mm@mm1/none=idle",
    )
    .mms(2),
    mutant(
        Part::Machine,
        "lost-lazy-mark",
        "percpu_write(cpu_tlbstate.state, TLBSTATE_LAZY) is lost",
        |a| bent(a, &LostLazy),
        "mm0=enter_lazy_tlb/none=idle",
    ),
    mutant(
        Part::Machine,
        "and-without-lock-prefix",
        "ptep_test_and_clear_young() is a load and a store: the hardware walker's bits between them are lost",
        |a| bent(a, &AndInTwoSteps),
        "none=page_referenced_one@mm0/mm0=user_access_pte",
    ),
    mutant(
        Part::Machine,
        "or-without-lock-prefix",
        "cpumask_set_cpu() is a load and a store: another CPU's bit between them is lost",
        |a| bent(a, &OrInTwoSteps),
        "none=switch_mm@mm0/none=switch_mm@mm0",
    ),
    mutant(
        Part::Machine,
        "add-without-lock-prefix",
        "get_page() is a load and a store: another CPU's reference between them is lost",
        |a| bent(a, &AddInTwoSteps),
        "mm0=gup_fast_pte/mm0=gup_fast_pte",
    ),
    mutant(
        Part::Machine,
        "cpumask-set-dropped",
        "cpumask_set_cpu(cpu, mm_cpumask(next)) does not reach memory",
        |a| bent(a, &LostMaskBit),
        "none=switch_mm@mm0/none=idle",
    ),
    mutant(
        Part::Machine,
        "hypercall-flushes-nobody",
        "MMUEXT_TLB_FLUSH_MULTI flushes no vcpu",
        |a| bent(a, &HypercallFlushesNobody),
        "none=try_to_unmap_one@mm0/mm0=idle",
    )
    .env("hypercall"),
    mutant(
        Part::Machine,
        "hypervisor-store-is-a-plain-store",
        "xen_set_pgd() stores into the pinned page itself",
        |a| bent(a, &PlainStore),
        "none=xen_pgd_pin@mm0/none=vmalloc_sync_all",
    )
    .env("xen"),
    mutant(
        Part::Machine,
        "lock-does-not-wait",
        "__ticket_spin_lock() goes on before its ticket is served",
        |a| bent(a, &TicketNotAwaited),
        "mm0=page_referenced_one/mm0=page_referenced_one",
    )
    .model(Variant::BrokenSpinlock)
    .order(),
    mutant(
        Part::Machine,
        "leave-mm-keeps-its-bit",
        "leave_mm() loads swapper_pg_dir and forgets cpumask_clear_cpu()",
        |a| bent(a, &LeaveKeepsBit),
        "mm0=enter_lazy_tlb,leave_mm/none=idle",
    )
    .ops(2),
];

struct LostIpi;
impl Fault for LostIpi {
    fn send_ipi(&self, _: &Bent<'_>, _: CpuId) {}
}

struct IpiToTheWrongCpu;
impl Fault for IpiToTheWrongCpu {
    fn send_ipi(&self, at: &Bent<'_>, to: CpuId) {
        let cpus = at.machine.env().cpus;
        at.machine.send_ipi(CpuId((to.0 + 1) % cpus));
    }
}

struct LostAck;
impl Fault for LostAck {
    fn fetch_and(&self, at: &Bent<'_>, word: &Word, bits: u64) -> u64 {
        match at.loc(word) {
            Some(Loc::Acks(_)) => at.machine.load(word),
            _ => at.machine.fetch_and(word, bits),
        }
    }
}

struct NoFlush;
impl Fault for NoFlush {
    fn flush_tlb_local(&self, _: &Bent<'_>, _: Scope) {}
}

struct FlushPageOnly;
impl Fault for FlushPageOnly {
    fn flush_tlb_local(&self, at: &Bent<'_>, _: Scope) {
        at.machine.flush_tlb_local(Scope::Page);
    }
}

struct RestoreLeavesOff;
impl Fault for RestoreLeavesOff {
    fn local_irq_restore(&self, at: &Bent<'_>, _: IrqFlags) {
        at.machine.local_irq_restore(IrqFlags { enabled: false });
    }
}

struct RestoreTurnsOn;
impl Fault for RestoreTurnsOn {
    fn local_irq_restore(&self, at: &Bent<'_>, _: IrqFlags) {
        at.machine.local_irq_restore(IrqFlags { enabled: true });
    }
}

struct SaveLeavesOn;
impl Fault for SaveLeavesOn {
    fn local_irq_save(&self, at: &Bent<'_>) -> IrqFlags {
        let flags = at.machine.local_irq_save();
        at.machine.local_irq_restore(flags);
        flags
    }
}

struct LostCr3;
impl Fault for LostCr3 {
    fn load_cr3(&self, _: &Bent<'_>, _: MmId) {}
}

struct LostLazy;
impl Fault for LostLazy {
    fn set_lazy(&self, _: &Bent<'_>) {}
}

struct AndInTwoSteps;
impl Fault for AndInTwoSteps {
    fn fetch_and(&self, at: &Bent<'_>, word: &Word, bits: u64) -> u64 {
        let old = at.machine.load(word);
        at.machine.store(word, old & bits);
        old
    }
}

struct OrInTwoSteps;
impl Fault for OrInTwoSteps {
    fn fetch_or(&self, at: &Bent<'_>, word: &Word, bits: u64) -> u64 {
        let old = at.machine.load(word);
        at.machine.store(word, old | bits);
        old
    }
}

struct AddInTwoSteps;
impl Fault for AddInTwoSteps {
    fn fetch_add(&self, at: &Bent<'_>, word: &Word, delta: u64) -> u64 {
        let old = at.machine.load(word);
        at.machine
            .store(word, old.wrapping_add(delta) & u64::from(u32::MAX));
        old
    }
}

struct LostMaskBit;
impl Fault for LostMaskBit {
    fn fetch_or(&self, at: &Bent<'_>, word: &Word, bits: u64) -> u64 {
        match at.loc(word) {
            Some(Loc::Cpumask(_)) => at.machine.load(word),
            _ => at.machine.fetch_or(word, bits),
        }
    }
}

struct HypercallFlushesNobody;
impl Fault for HypercallFlushesNobody {
    fn hypercall_flush(&self, _: &Bent<'_>, _: &Word, _: MmId, _: Scope) {}
}

struct PlainStore;
impl Fault for PlainStore {
    fn hypervisor_store(&self, at: &Bent<'_>, word: &Word, value: u64) {
        at.machine.store(word, value);
    }
}

struct TicketNotAwaited;
impl Fault for TicketNotAwaited {
    fn ticket_wait(&self, _: &Bent<'_>, _: &Word, _: Ticket) {}
}

struct LeaveKeepsBit;
impl Fault for LeaveKeepsBit {
    fn leave_mm(&self, at: &Bent<'_>, mask: &Word) {
        at.machine.leave_mm(mask);
        // Back in: as if it had never been taken out.
        at.machine.fetch_or(mask, at.me());
    }
}
