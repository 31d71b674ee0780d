//! The state a run ends in: per CPU what it runs, holds and waits for, and what is pending.

use super::{Page, Run, cycle};
use crate::cpu::Cpu;
use crate::id::{Context, CpuId, Level};
use crate::program::{Entry, Scope};
use crate::state::State;

pub(super) fn write(page: &mut Page, run: &Run<'_>) {
    let (config, state) = (&run.protocol.config, run.last());
    page.line(&format!("After step {}:", run.trace.actions.len()));
    for (who, cpu) in state.each_cpu(config) {
        let name = who.to_string();
        for (i, line) in describe(run, who, cpu).into_iter().enumerate() {
            page.field(if i == 0 { &name } else { "" }, &line);
        }
    }
    page.blank();
}

fn describe(run: &Run<'_>, who: CpuId, cpu: &Cpu) -> Vec<String> {
    let (config, state) = (&run.protocol.config, run.last());
    let flag = if cpu.irqs_on { "IF=1" } else { "IF=0" };
    let mut lines = vec![format!("{flag}, {}", runs(run, who, cpu))];
    for level in Level::ALL {
        let held: Vec<String> = cpu
            .context(level)
            .held
            .iter()
            .map(|l| l.to_string())
            .collect();
        if !held.is_empty() {
            let by = match level {
                Level::Task if cpu.in_irq() => " (the interrupted code)",
                Level::Irq => " (the interrupt)",
                Level::Task => "",
            };
            lines.push(format!("holds {}{by}", super::list(held)));
        }
    }
    for level in Level::ALL {
        let context = Context { cpu: who, level };
        if let Some(wait) = cycle::wait(config, state, context) {
            let by = match level {
                Level::Task if cpu.in_irq() => " (the interrupted code)",
                _ => "",
            };
            lines.push(format!("{wait}{by}"));
        }
    }
    for ipi in cpu.pending_ipis() {
        let what = match ipi.scope {
            Scope::Page => "its pte",
            Scope::Mm => "all of it",
        };
        let why = if cpu.in_irq() {
            "not taken: an interrupt is running already"
        } else if !cpu.irqs_on {
            "not taken: interrupts are off"
        } else {
            "about to be taken"
        };
        lines.push(format!(
            "flush IPI from {} pending ({}, {what}), {why}",
            ipi.from, ipi.mm
        ));
    }
    lines.extend(tlb(state, cpu));
    lines
}

/// What the CPU executes, the interrupt first.
fn runs(run: &Run<'_>, who: CpuId, cpu: &Cpu) -> String {
    let config = &run.protocol.config;
    let one = |level: Level| {
        let ctx = cpu.context(level);
        let line = config.program(ctx.program).line(ctx.pc);
        let on = if ctx.mm.is_some() {
            format!("({})", ctx.mm)
        } else {
            "()".to_string()
        };
        let blocked = run.last().blocked_on(config, Context { cpu: who, level });
        let next = if blocked.is_none() {
            format!(", next: {}", line.source)
        } else {
            String::new()
        };
        if ctx.program.name().starts_with(line.function) {
            format!("in {}{on}{next}", ctx.program)
        } else {
            format!("in {}() of {}{on}{next}", line.function, ctx.program)
        }
    };
    match (cpu.in_irq(), cpu.context(Level::Task).is_running()) {
        (true, true) => {
            format!(
                "[irq] {}; it interrupted {}",
                one(Level::Irq),
                one(Level::Task)
            )
        }
        (true, false) => format!("[irq] {}", one(Level::Irq)),
        (false, true) => one(Level::Task),
        (false, false) if !cpu.active.is_some() => "idle, no mm loaded".to_string(),
        (false, false) if cpu.lazy => format!("idle, lazily on {}", cpu.active),
        (false, false) => format!("in user mode on {}", cpu.active),
    }
}

/// The cached translations that matter: those the tables do not have any more, and frames gone.
fn tlb(state: &State, cpu: &Cpu) -> Option<String> {
    let mm = cpu.loaded_mm()?;
    let cached = Entry::ALL.into_iter().filter(|&e| cpu.tlb.contains(e));
    let texts: Vec<String> = cached
        .map(|entry| {
            let (of, frame) = (state.mm(mm), state.mm(mm).frame(entry));
            let stale = match (of.translates(entry), frame.freed) {
                (_, true) => " (stale: the frame is freed)",
                (false, false) => " (stale: the tables do not have it any more)",
                (true, false) => "",
            };
            format!("{mm}'s {entry}{stale}")
        })
        .collect();
    (!texts.is_empty()).then(|| format!("TLB has {}", super::list(texts)))
}
