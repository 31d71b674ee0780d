//! `flush_tlb_page`, `flush_tlb_mm`, `native_flush_tlb_others` and `smp_invalidate_interrupt`
//! (`arch/x86/mm/tlb.c`, 2.6.38).
//!
//! Sender: takes no lock of its own (`tlbstate_lock` is left out, one slot per sender instead); needs interrupts on
//! and nothing held, because it waits until every CPU in `mm_cpumask(mm)` has answered, without a time-out.
//! Handler: interrupts off, takes no lock; flushes first, then acknowledges.

use crate::cpu::{Cpu, Cx, MayAwaitAcks, NoLock};
use crate::door::Door;
use crate::environment::FlushBackend;
use crate::event::{Event, Flushed};
use crate::id::{CpuId, CpuMask, MmId};
use crate::ipi::{Request, acknowledge, read_request};
use crate::irq::InIrq;
use crate::machine::Machine;
use crate::path::lazy_tlb::leave_loaded_mm;
use crate::tlb::Scope;

/// `flush_tlb_page`: no CPU has the translation of the 4 KiB page cached when it returns.
pub fn flush_tlb_page<M: Machine, C: MayAwaitAcks>(cpu: &mut Cpu<'_, M, C>, mm: MmId) {
    flush(
        cpu,
        Request {
            mm,
            scope: Scope::Page,
        },
    );
}

/// `flush_tlb_mm` (and `flush_tlb_range`, which on x86 is the same): nor any other translation of the mm.
pub fn flush_tlb_mm<M: Machine, C: MayAwaitAcks>(cpu: &mut Cpu<'_, M, C>, mm: MmId) {
    flush(
        cpu,
        Request {
            mm,
            scope: Scope::All,
        },
    );
}

fn flush<M: Machine, C: MayAwaitAcks>(cpu: &mut Cpu<'_, M, C>, request: Request) {
    let m = cpu.m();
    let Request { mm, scope } = request;
    let cpumask = &m.kernel().mms[mm.index()].cpumask;
    if m.env().flush_backend == FlushBackend::Hypercall {
        m.hypercall_flush(cpumask, mm, scope);
        m.observe(Event::HypercallFlush { mm, scope });
        return;
    }
    flush_local(m, request);
    let targets = CpuMask::from_word(m.load(cpumask)).without(m.this_cpu());
    m.observe(Event::MaskRead { mm, targets });
    if !targets.is_empty() {
        cpu.send_and_await_acks(request, targets);
    }
}

/// The sender's own TLB: `local_flush_tlb`, or `leave_mm` if it only borrows the mm.
fn flush_local<M: Machine>(m: Door<'_, M>, Request { mm, scope }: Request) {
    let state = m.tlb_state();
    if state.active_mm != Some(mm) || !state.loaded {
        return;
    }
    if state.lazy {
        leave_loaded_mm(m, mm);
    } else {
        m.flush_tlb_local(scope);
        m.observe(Event::FlushLocal { mm, scope });
    }
}

/// `smp_invalidate_interrupt`: the flush IPI of `from` has arrived.
pub fn flush_tlb_interrupt<M: Machine>(cpu: &mut Cpu<'_, M, Cx<InIrq, NoLock>>, from: CpuId) {
    let m = cpu.m();
    let Request { mm, scope } = read_request(m, from);
    let state = m.tlb_state();
    let result = if state.active_mm != Some(mm) || !state.loaded {
        Flushed::NotLoaded
    } else if state.lazy {
        m.leave_mm(&m.kernel().mms[mm.index()].cpumask);
        Flushed::LeftMm
    } else {
        m.flush_tlb_local(scope);
        Flushed::Flushed
    };
    m.observe(Event::FlushHandled {
        from,
        mm,
        scope,
        result,
    });
    // After the flush, never before: the sender frees the page as soon as it has all answers. Also if the mm did not
    // match: the sender waits for us all the same.
    acknowledge(m, from);
}
