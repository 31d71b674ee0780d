//! Which operations need no scheduling point of their own.
//!
//! The code does in several operations what the protocol calls one step: `list_add` is five, the request of a flush is
//! published with two stores and one IPI per target. Exploring a switch between all of them would multiply the states
//! and show nothing new, by Lipton's argument (*Reduction*, CACM 18:12, 1975): an operation that commutes with
//! whatever any other context can do meanwhile (a *mover*) may be taken together with the one before it.
//!
//! | operation | commutes because | guard that is checked |
//! |---|---|---|
//! | read of `cpu_tlbstate` | private to the CPU | none needed |
//! | link of `pgd_list`, read | its writers hold `pgd_lock` exclusively | this context holds `pgd_lock` |
//! | link of `pgd_list`, write | its users hold `pgd_lock` | this context holds it exclusively |
//! | own request, own acknowledgement word, write | read only by handlers of this CPU's IPI | none is pending or owes an answer |
//! | sender's request, read by the handler | written only while nobody owes an answer | this CPU has not acknowledged |
//! | sending an IPI | sets one bit that nobody else sets, and is never refused (a left mover) | none needed |
//! | the end of a wait for a lock that is owned by now | nobody can take it away, and nobody can see it | this context owns it |
//! | kernel entry of an mm that is not born yet, write | not listed, not loaded | `pgd_alloc` of it runs here |
//!
//! Guards are looked at in every state, so a mutant that drops a lock loses the reduction, not the bug. The other half
//! of the argument, that nobody touches a guarded word without the guard, is checked as well
//! ([`super::state::Noticed::Unguarded`]). An operation that is a step of the protocol always keeps its own
//! scheduling point ([`crate::map::event::is_step`]), so that code and protocol are compared at equal granularity.
//! `refine --every-operation` explores without any of this; the tests compare the verdicts.

use shootdown_impl::id::CpuId;
use shootdown_impl::irq::Vector;
use shootdown_impl::kernel::Loc;
use shootdown_impl::mm::Life;
use shootdown_impl::operation::Operation;
use shootdown_impl::sim::{Op, SimState};
use shootdown_spec::id::Level;

/// Whether the context holds `pgd_lock`: exclusively, or at all.
pub fn holds_pgd_lock(machine: &SimState, me: (CpuId, bool), exclusively: bool) -> bool {
    machine.spinlock_queue(Loc::PgdLock).next() == Some(me)
        || machine.rwlock_writer() == Some(me)
        || !exclusively && machine.rwlock_readers().any(|reader| reader == me)
}

/// Whether a link of `pgd_list` is touched by who may not.
pub fn unguarded(machine: &SimState, cpu: CpuId, level: Level, op: Op) -> Option<Loc> {
    let (loc, exclusively) = match op {
        Op::Load(loc) => (loc, false),
        Op::Store(loc, _) | Op::FetchOr(loc, _) | Op::FetchAnd(loc, _) | Op::FetchAdd(loc, _) => {
            (loc, true)
        }
        _ => return None,
    };
    let link = matches!(loc, Loc::ListNext(_) | Loc::ListPrev(_));
    let me = (cpu, level == Level::Irq);
    (link && !holds_pgd_lock(machine, me, exclusively)).then_some(loc)
}

/// Whether the announced operation commutes with everything that could happen elsewhere before it.
pub fn is_mover(machine: &SimState, cpu: CpuId, level: Level, op: Op) -> bool {
    let me = (cpu, level == Level::Irq);
    match op {
        Op::TlbState | Op::SendIpi(_) => true,
        Op::TicketWait(_) | Op::RwWait(_) => machine.enabled(cpu, op),
        Op::Load(Loc::ListNext(_) | Loc::ListPrev(_)) => holds_pgd_lock(machine, me, false),
        Op::Store(Loc::ListNext(_) | Loc::ListPrev(_), _) => holds_pgd_lock(machine, me, true),
        Op::Store(Loc::Request(of) | Loc::Acks(of), _) => {
            // A CPU that has answered already does not look again (or is noticed).
            of == cpu
                && machine.word(Loc::Acks(cpu)) == 0
                && machine
                    .cpu_ids()
                    .all(|other| !machine.cpus[other.index()].ipis.contains(cpu))
        }
        Op::Load(Loc::Request(from)) => {
            let owes = machine.word(Loc::Acks(from)) >> cpu.0 & 1 == 1;
            owes && machine.cpus[cpu.index()].in_irq == Some(Vector::FlushTlb(from))
        }
        Op::Store(Loc::KernelEntry(mm), _) => {
            machine.life(mm) == Life::Fresh
                && machine.cpus[cpu.index()].running == Some(Operation::PgdAlloc(mm))
        }
        _ => false,
    }
}
