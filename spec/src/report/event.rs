//! What one action of a run did, in kernel words, and whether a reader needs to see it.

use super::{Run, list};
use crate::environment::FlushBackend;
use crate::id::{Context, CpuId, Level, LockId};
use crate::model::Action;
use crate::program::{Line, LockRef, Op, Reg};
use crate::state::{State, Wait};

/// One action of a run.
pub(super) struct Event<'a> {
    /// Its number, from 1.
    pub n: usize,
    /// What it was.
    pub action: Action,
    /// The level that executed.
    pub level: Level,
    /// What is executed: a statement, or the start of something.
    pub what: String,
    /// The function that contains the statement.
    pub function: Option<&'static str>,
    /// What came of it, as a comment behind the statement.
    pub note: Option<String>,
    /// What it meant to other CPUs.
    pub elsewhere: Vec<(CpuId, String)>,
    /// The wait that the CPU is in after it: the statement it spins at, and what for.
    pub waits: Option<(&'a Line, String)>,
    /// It ends a wait whose statement was shown when the wait began.
    pub ends_wait: bool,
    /// Shown by default.
    pub matters: bool,
}

/// Every action of a run.
pub(super) fn events<'a>(run: &'a Run<'_>) -> Vec<Event<'a>> {
    (0..run.trace.actions.len())
        .map(|i| event(run, i))
        .collect()
}

fn event<'a>(run: &'a Run<'_>, i: usize) -> Event<'a> {
    let (before, after) = (&run.states[i], &run.states[i + 1]);
    let action = run.trace.actions[i];
    let who = action.cpu();
    let mut event = Event {
        n: i + 1,
        action,
        level: before.cpu(who).top(),
        what: String::new(),
        function: None,
        note: None,
        elsewhere: elsewhere(run, before, after, who),
        waits: waits(run, before, after, who),
        ends_wait: false,
        matters: true,
    };
    match action {
        Action::Start { program, mm, .. } if mm.is_some() => {
            event.what = format!("{program}({mm})")
        }
        Action::Start { program, .. } => event.what = format!("{program}()"),
        Action::Ipi { from, .. } => {
            event.level = Level::Irq;
            event.what = format!("<flush IPI from {from}>");
        }
        Action::IrqFree { mm, .. } => {
            event.level = Level::Irq;
            event.what = format!("<interrupt: last mmdrop({mm})>");
        }
        Action::Fill { entry, .. } => {
            event.what = format!("<TLB caches {}'s {entry}>", before.cpu(who).active);
            event.matters = fill_matters(run, i);
        }
        Action::Step { .. } => {
            if let Some((_, line)) = run.protocol.line(before, &action) {
                let context = Context {
                    cpu: who,
                    level: event.level,
                };
                event.what = line.source.to_string();
                event.function = Some(line.function);
                event.ends_wait = matches!(line.op, Op::AwaitAcks | Op::AwaitNotSplitting);
                event.note = note(run, before, after, context, line);
                event.matters = matters(run, before, after, context, line.op);
            }
        }
    }
    event
}

/// Does what follows depend on a fill? It does if the translation stays to the end, if it made
/// the entry young again, or if somebody flushes it.
fn fill_matters(run: &Run<'_>, i: usize) -> bool {
    let Action::Fill { cpu, entry } = run.trace.actions[i] else {
        return true;
    };
    let (before, after) = (&run.states[i], &run.states[i + 1]);
    let mm = after.cpu(cpu).active;
    let made_young = !before.mm(mm).entry(entry).accessed && after.mm(mm).entry(entry).accessed;
    let stays = run.states[i + 1..]
        .iter()
        .all(|s| s.cpu(cpu).tlb.contains(entry));
    made_young || stays
}

/// Is the step one of those that a reader must see to follow the run?
fn matters(run: &Run<'_>, before: &State, after: &State, who: Context, op: Op) -> bool {
    let property = run.property.map_or("", |p| p.name);
    match op {
        Op::Return => who.level == Level::Irq,
        Op::ForEachPgd { .. } => property == "pgd_list_integrity",
        Op::SetInitEntry | Op::ReadInitEntry { .. } => property == "kernel_entries_synced",
        Op::ReadKernelEntry { .. } => {
            run.protocol.config.environment.xen_pin || property == "kernel_entries_synced"
        }
        Op::ReadPinned { .. } => true,
        Op::CpumaskClearIfLazy => {
            let mask = |state: &State| state.mm(who.of(&before.cpus).mm).cpumask;
            mask(before) != mask(after)
        }
        Op::FlushLocal(_) => {
            let (was, is) = (before.cpu(who.cpu), after.cpu(who.cpu));
            was.tlb != is.tlb || was.loaded != is.loaded
        }
        _ => true,
    }
}

fn resolve(before: &State, who: Context, lock: LockRef) -> LockId {
    let ctx = who.of(&before.cpus);
    lock.resolve(ctx.mm, ctx.cursor)
}

/// What came of a step.
fn note(run: &Run<'_>, before: &State, after: &State, who: Context, line: &Line) -> Option<String> {
    let (was, is) = (who.of(&before.cpus), who.of(&after.cpus));
    let (cpu_was, cpu_is) = (before.cpu(who.cpu), after.cpu(who.cpu));
    let (mm_was, mm_is) = (
        was.mm.is_some().then(|| before.mm(was.mm)),
        was.mm.is_some().then(|| after.mm(was.mm)),
    );
    let entry_note = |yes: &str, no: &str| {
        let changed = mm_was.map(|m| m.entries) != mm_is.map(|m| m.entries);
        Some(if changed { yes } else { no }.to_string())
    };
    let dropped = || {
        if cpu_was.loaded_mm() != Some(was.mm) {
            format!("{} is not loaded here", was.mm)
        } else if !cpu_is.loaded {
            "lazy: leaves the mm".to_string()
        } else if cpu_was.tlb == cpu_is.tlb {
            "nothing cached".to_string()
        } else {
            let gone = crate::program::Entry::ALL;
            let gone = gone
                .into_iter()
                .filter(|&e| cpu_was.tlb.contains(e) && !cpu_is.tlb.contains(e));
            format!("drops {}'s {}", was.mm, list(gone))
        }
    };
    let mask = |mm: crate::id::MmId| {
        let cpus: Vec<String> = after
            .mm(mm)
            .cpumask
            .iter()
            .map(|c| c.0.to_string())
            .collect();
        format!("mm_cpumask({mm}) = {{{}}}", cpus.join(","))
    };
    match line.op {
        Op::IrqSave(_) if cpu_was.irqs_on => {
            let pending: Vec<CpuId> = cpu_is.pending_ipis().map(|ipi| ipi.from).collect();
            Some(if pending.is_empty() {
                "IF=0".to_string()
            } else {
                format!("IF=0, IPI of {} waits", list(pending))
            })
        }
        Op::IrqSave(_) => Some("IF is 0 already".to_string()),
        Op::IrqRestore(_) if cpu_is.irqs_on => Some("IF=1".to_string()),
        Op::IrqRestore(_) => Some("IF stays 0".to_string()),
        Op::Lock(l, _) | Op::TryLock { lock: l, .. } => {
            let id = resolve(before, who, l);
            let name = lock_name(run, id, line.source);
            let holders: Vec<String> = before
                .lock(id)
                .holders()
                .map(|h| {
                    if h.cpu == who.cpu {
                        "the code it interrupted".to_string()
                    } else {
                        h.cpu.to_string()
                    }
                })
                .collect();
            let verb = if is.spins_for() == Some(id) {
                "spins"
            } else if holders.is_empty()
                || is.held.contains(id) && before.lock(id).owner().is_none()
            {
                return (!name.is_empty()).then_some(name);
            } else if is.held.contains(id) {
                "taken all the same"
            } else {
                "not taken"
            };
            let behind: Vec<String> = before
                .lock(id)
                .waiters()
                .map(|(w, _)| w.cpu.to_string())
                .collect();
            let behind = if behind.is_empty() {
                String::new()
            } else {
                format!(" behind {}", list(behind))
            };
            let space = if name.is_empty() { "" } else { ", " };
            Some(format!(
                "{name}{space}held by {}: {verb}{behind}",
                list(holders)
            ))
        }
        Op::ForEachPgd { .. } if is.cursor.is_some() => Some(is.cursor.to_string()),
        Op::ForEachPgd { .. } => Some("end of the list".to_string()),
        Op::ReadInitEntry { .. } => Some(present(before.list.init_entry).to_string()),
        Op::ReadKernelEntry { of, .. } => {
            let mm = was.mm_of(of);
            Some(format!("{mm}: {}", present(before.mm(mm).kernel_entry)))
        }
        Op::ReadPinned { of } => {
            let mm = was.mm_of(of);
            let pinned = if before.mm(mm).pinned {
                "pinned"
            } else {
                "not pinned"
            };
            Some(format!("{mm}: {pinned}"))
        }
        Op::WriteKernelEntry { of } => {
            let mm = was.mm_of(of);
            Some(match (was.reg(Reg::SeenPinned), before.mm(mm).pinned) {
                (true, _) => format!("{mm}, through the hypervisor"),
                (false, true) => format!("{mm}, pinned: faults"),
                (false, false) => mm.to_string(),
            })
        }
        Op::ClonePgd => Some(format!(
            "{}: {}",
            was.mm,
            present(after.mm(was.mm).kernel_entry)
        )),
        Op::ListAdd | Op::ListDel | Op::FreeMm => Some(was.mm.to_string()),
        Op::TestAndClearYoung { .. } => entry_note("was young: must flush", "not young"),
        Op::GetAndClear { .. } => entry_note("was present", "not present: nothing to clear"),
        Op::SetSplitting { .. } => entry_note("SPLITTING set", "nothing to set"),
        Op::TestSplitting { .. } => {
            let splitting = before.mm(was.mm).entries[1].splitting;
            Some(if splitting { "splitting: wait" } else { "no" }.to_string())
        }
        Op::PmdNotPresent => Some("the pmd is not present".to_string()),
        Op::GupRead { entry, .. } => {
            let next = is
                .is_running()
                .then(|| run.protocol.config.program(is.program).line(is.pc).op);
            let got = next == Some(Op::GetPage(entry));
            Some(
                if got {
                    "present"
                } else {
                    "not there: slow path"
                }
                .to_string(),
            )
        }
        Op::GetPage(entry) | Op::PutPage(entry) => {
            let (was, is) = (mm_was?.frame(entry), mm_is?.frame(entry));
            Some(match (was.freed, is.freed) {
                (true, _) => "the frame is freed already".to_string(),
                (false, true) => "last reference: the frame is free".to_string(),
                (false, false) => format!("{} reference(s)", is.refs),
            })
        }
        Op::RaisePending | Op::DropPending => Some(format!("{} pending", mm_is?.pending)),
        Op::ReadPending => Some(format!("{}", mm_is?.pending)),
        Op::FlushLocal(_) | Op::FlushRequested => Some(dropped()),
        Op::SendIpi(_) if cpu_is.acks.is_empty() => Some("nobody else in mm_cpumask".to_string()),
        Op::SendIpi(_) => Some(format!("--> {}", list(cpu_is.acks.iter()))),
        Op::FlushHypercall(_) => {
            let cpus = before.mm(was.mm).cpumask.iter();
            Some(format!("flushes {}", list(cpus)))
        }
        Op::AwaitAcks => Some("all have acked".to_string()),
        Op::AwaitNotSplitting => Some("it is split".to_string()),
        Op::Ack => Some(format!("--> {}", was.sender)),
        Op::CpumaskSet | Op::CpumaskClearOwn | Op::CpumaskClearIfLazy | Op::LeaveMm => {
            Some(mask(was.mm))
        }
        Op::CpumaskClearPrev => Some(mask(was.cursor)),
        Op::LoadCr3 => Some(format!("{}, TLB emptied", was.mm)),
        Op::SetPinned(on) => {
            let now = if on { "read-only" } else { "writable" };
            Some(format!("{}'s pgd: {now}", was.mm))
        }
        Op::LoadSwapper => Some("TLB emptied".to_string()),
        Op::UserStore(entry) if cpu_was.tlb.contains(entry) => Some("through the TLB".to_string()),
        Op::Return if who.level == Level::Irq && cpu_is.irqs_on => Some("IF=1".to_string()),
        Op::Return if who.level == Level::Irq => Some("IF stays 0".to_string()),
        _ => None,
    }
}

fn present(yes: bool) -> &'static str {
    if yes { "entry present" } else { "no entry" }
}

/// What a statement leaves open about the lock it names.
fn lock_name(run: &Run<'_>, lock: LockId, source: &str) -> String {
    match lock {
        LockId::PgdLock => String::new(),
        LockId::PageTableLock(mm) if source.contains("page_table_lock") => {
            let only_one = run.protocol.config.slots() == 1;
            if only_one {
                String::new()
            } else {
                mm.to_string()
            }
        }
        _ => lock.to_string(),
    }
}

/// What a step meant to the other CPUs: locks granted, IPIs sent, acknowledgements.
fn elsewhere(run: &Run<'_>, before: &State, after: &State, who: CpuId) -> Vec<(CpuId, String)> {
    let config = &run.protocol.config;
    let mut notes = Vec::new();
    for (other, cpu) in after.each_cpu(config).filter(|(c, _)| *c != who) {
        let was = before.cpu(other);
        for level in Level::ALL {
            let (old, new) = (was.context(level), cpu.context(level));
            if let Some(lock) = old.spins_for()
                && new.held.contains(lock)
            {
                notes.push((other, format!("<-- gets {lock}")));
            }
        }
        if was.pending_ipi(who).is_none() && cpu.pending_ipi(who).is_some() {
            let pending = if cpu.in_irq() {
                ", pending: in an interrupt"
            } else if !cpu.irqs_on {
                ", pending: IF=0"
            } else {
                ""
            };
            notes.push((other, format!("<-- flush IPI from {who}{pending}")));
        }
        if was.acks.contains(who) && !cpu.acks.contains(who) {
            let left = if cpu.acks.is_empty() {
                "all have acked".to_string()
            } else {
                format!("still out: {}", list(cpu.acks.iter()))
            };
            notes.push((other, format!("<-- ack of {who}; {left}")));
        }
        if was.loaded_mm() == cpu.loaded_mm()
            && was.tlb != cpu.tlb
            && config.environment.flush_backend == FlushBackend::Hypercall
        {
            notes.push((other, "<-- TLB flushed by the hypervisor".to_string()));
        }
    }
    notes
}

/// The wait that the CPU's step ended in, if it is one without a step of its own.
fn waits<'a>(
    run: &'a Run<'_>,
    before: &State,
    after: &State,
    who: CpuId,
) -> Option<(&'a Line, String)> {
    let config = &run.protocol.config;
    let at = |state: &State| {
        let cpu = state.cpu(who);
        let context = Context {
            cpu: who,
            level: cpu.top(),
        };
        (
            context,
            cpu.context(context.level).pc,
            state.blocked_on(config, context),
        )
    };
    let (was, is) = (at(before), at(after));
    if was == is {
        return None;
    }
    let (context, pc, wait) = is;
    if !matches!(wait, Some(Wait::Acks | Wait::Split(_))) {
        return None;
    }
    // Back from an interrupt into the same wait.
    let resumed =
        after.cpu(who).context(context.level).pc == before.cpu(who).context(context.level).pc;
    if resumed {
        return None;
    }
    let line = config.program(context.of(&after.cpus).program).line(pc);
    Some((line, super::cycle::wait(config, after, context)?))
}
