//! CPUs.
//!
//! | implementation (`sim::CpuState`) | specification (`cpu::Cpu`) |
//! |---|---|
//! | `irqs_on` | `irqs_on` |
//! | `in_irq: FlushTlb(from)` | irq context runs `flush_tlb_interrupt`, `sender` = from |
//! | `in_irq: PgdFree(mm)` | irq context runs `pgd_free(mm)` |
//! | `running` | task context's program and mm |
//! | `tlb_state.active_mm` | `active` |
//! | `tlb_state.lazy`, `tlb_state.loaded` | `lazy`, `loaded` |
//! | `CodeState::budget` | `budget` |

use shootdown_impl::irq::Vector;
use shootdown_spec::id::{Level, MmId};
use shootdown_spec::program::ProgramId;

use super::agree::{Disagreement, Sides, same};
use super::id::{cpu_to_spec, mm_to_spec};
use super::program;

pub(super) fn agree(sides: Sides<'_>) -> Result<(), Disagreement> {
    let machine = &sides.code.machine;
    for cpu in machine.cpu_ids() {
        let (code, spec) = (&machine.cpus[cpu.index()], sides.spec.cpu(cpu_to_spec(cpu)));
        let of = |what: &str| format!("{}.{what}", cpu_to_spec(cpu));
        same(code.irqs_on, spec.irqs_on, || of("irqs_on"))?;
        same(mm_to_spec(code.tlb_state.active_mm), spec.active, || {
            of("active_mm")
        })?;
        same(code.tlb_state.lazy, spec.lazy, || of("lazy"))?;
        same(code.tlb_state.loaded, spec.loaded, || of("loaded"))?;
        same(sides.code.budget[cpu.index()], spec.budget, || of("budget"))?;

        let irq = spec.context(Level::Irq);
        let handler = match code.in_irq {
            None => (ProgramId::None, None, MmId::NONE),
            Some(Vector::FlushTlb(from)) => (
                ProgramId::FlushTlbInterrupt,
                Some(cpu_to_spec(from)),
                MmId::NONE,
            ),
            Some(Vector::PgdFree(mm)) => (ProgramId::PgdFree, None, mm_to_spec(Some(mm))),
        };
        let flushing = irq.program == ProgramId::FlushTlbInterrupt;
        let freed = if irq.program == ProgramId::PgdFree {
            irq.mm
        } else {
            MmId::NONE
        };
        same(
            handler,
            (irq.program, flushing.then_some(irq.sender), freed),
            || of("interrupt"),
        )?;

        let task = spec.context(Level::Task);
        let running = code.running.map_or((ProgramId::None, MmId::NONE), |o| {
            let own = program::program(o).is_some_and(program::acts_on_active_mm);
            // The operation does not say on which mm it began; the program does.
            let mm = if own { task.mm } else { mm_to_spec(o.names()) };
            (program::program(o).unwrap_or(ProgramId::None), mm)
        });
        same(running, (task.program, task.mm), || of("program"))?;
    }
    Ok(())
}
