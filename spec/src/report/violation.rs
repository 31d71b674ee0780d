//! What is wrong in the state a run ends in, as a sentence: one function per property.

use super::{Run, cycle, list};
use crate::id::{Context, CpuId, Level, LockId, MAX_LOCKS, MmId};
use crate::mm::{Life, Mm};
use crate::model::Action;
use crate::program::{Entry, Op, ProgramId, Reg};
use crate::state::{Edge, State, Why};

/// Says what is wrong in the last state; `None` if it does not violate the property.
type Explain = fn(&Run<'_>) -> Option<String>;

/// Per property, the title of the sentence and the function that writes it.
const EXPLAIN: &[(&str, &str, Explain)] = &[
    ("no_deadlock", "DEADLOCK", deadlock),
    ("no_lock_cycle", "CYCLE OF LOCK WAITS", lock_cycle),
    (
        "no_lock_held_across_ipi_wait",
        "LOCK HELD ACROSS AN IPI WAIT",
        strict,
    ),
    (
        "irqs_on_while_waiting_for_ipi",
        "IPI WAIT WITH INTERRUPTS OFF",
        irqs_off_wait,
    ),
    (
        "no_irqs_off_wait_for_flush_lock",
        "UPSTREAM RULE BROKEN",
        upstream,
    ),
    (
        "mutual_exclusion",
        "MUTUAL EXCLUSION BROKEN",
        mutual_exclusion,
    ),
    ("lock_order", "LOCK ORDER BROKEN", lock_order),
    ("pgd_list_integrity", "PGD LIST CORRUPT", pgd_list),
    (
        "kernel_entries_synced",
        "KERNEL ENTRY MISSING",
        kernel_entries,
    ),
    ("no_stale_tlb_after_return", "STALE TRANSLATION", stale),
    ("no_use_of_freed_frame", "FREED FRAME IN USE", freed_frame),
    (
        "no_walker_on_reused_table",
        "WALKER ON A REUSED PAGE",
        reused,
    ),
    ("no_write_to_pinned_pgd", "STORE INTO A PINNED PGD", pinned),
    ("ack_after_flush", "EARLY ACKNOWLEDGEMENT", early_ack),
    ("progress", "NO PROGRESS", progress),
];

/// A title and a sentence about the property that is violated; without one, about a deadlock.
pub(super) fn explain(run: &Run<'_>) -> Option<(String, String)> {
    match (sentence(run), run.property) {
        (None, Some(property)) => Some((
            "NOT VIOLATED".to_string(),
            format!(
                "the last state of this run does not violate {}.",
                property.name
            ),
        )),
        (found, _) => found,
    }
}

/// The same, `None` if nothing is violated.
pub(super) fn sentence(run: &Run<'_>) -> Option<(String, String)> {
    let name = run.property.map_or("no_deadlock", |p| p.name);
    let (_, title, explain) = EXPLAIN.iter().find(|e| e.0 == name)?;
    Some((title.to_string(), explain(run)?))
}

/// Every context of the last state with the step it is about to execute.
fn about_to<'a>(run: &'a Run<'_>) -> impl Iterator<Item = (Context, &'a crate::cpu::Ctx, Op)> {
    let (config, state) = (&run.protocol.config, run.last());
    state.each_context(config).filter_map(move |(who, ctx)| {
        Some((who, ctx, state.cpu(who.cpu).next_op(config, who.level)?))
    })
}

/// `zap_page_range(mm0) on CPU1`.
fn named(ctx: &crate::cpu::Ctx, cpu: CpuId) -> String {
    if ctx.mm.is_some() {
        format!("{}({}) on {cpu}", ctx.program, ctx.mm)
    } else {
        format!("{}() on {cpu}", ctx.program)
    }
}

/// Who last made a change to an mm, as ` (by CPU0 in step 7)`; empty if nobody did.
fn by(run: &Run<'_>, mm: MmId, change: impl Fn(&Mm, &Mm) -> bool) -> String {
    let step = run
        .states
        .windows(2)
        .rposition(|w| change(w[0].mm(mm), w[1].mm(mm)));
    step.map(|i| format!(" (by {} in step {})", run.trace.actions[i].cpu(), i + 1))
        .unwrap_or_default()
}

/// CPUs whose TLB has the translation.
fn caching(run: &Run<'_>, mm: MmId, entry: Entry) -> Vec<CpuId> {
    let (config, state) = (&run.protocol.config, run.last());
    let has = |c: &crate::cpu::Cpu| c.loaded_mm() == Some(mm) && c.tlb.contains(entry);
    state
        .each_cpu(config)
        .filter(|(_, c)| has(c))
        .map(|(who, _)| who)
        .collect()
}

fn deadlock(run: &Run<'_>) -> Option<String> {
    cycle::deadlock(&run.protocol.config, run.last())
}

fn over_locks(edge: &Edge) -> bool {
    matches!(
        edge.why,
        Why::Lock(_) | Why::QueuedBehind(_) | Why::Interrupted
    )
}

fn lock_cycle(run: &Run<'_>) -> Option<String> {
    let (config, state) = (&run.protocol.config, run.last());
    let cycle = cycle::shortest(config, state, over_locks)?;
    Some(cycle::sentence(state, &cycle, true))
}

fn strict(run: &Run<'_>) -> Option<String> {
    let (config, state) = (&run.protocol.config, run.last());
    let mut texts = state.each_context(config).filter_map(|(who, ctx)| {
        let cpu = state.cpu(who.cpu);
        let below = cpu.context(Level::Task);
        let held = if who.level == Level::Irq {
            ctx.held.union(below.held)
        } else {
            ctx.held
        };
        (cpu.awaits_acks(config, who.level) && !held.is_empty()).then(|| {
            format!(
                "{} awaits the ack of {} while it holds {}.",
                cycle::subject(state, who),
                list(cpu.acks.iter()),
                list(held.iter())
            )
        })
    });
    texts.next()
}

fn irqs_off_wait(run: &Run<'_>) -> Option<String> {
    let (config, state) = (&run.protocol.config, run.last());
    let waits = |c: &crate::cpu::Cpu| !c.irqs_on && c.awaits_acks(config, c.top());
    let (who, cpu) = state.each_cpu(config).find(|(_, c)| waits(c))?;
    Some(format!(
        "{who} awaits the ack of {} with interrupts off: it cannot answer a flush IPI itself meanwhile.",
        list(cpu.acks.iter())
    ))
}

fn upstream(run: &Run<'_>) -> Option<String> {
    let (config, state) = (&run.protocol.config, run.last());
    let awaits = |c: Context| state.cpu(c.cpu).awaits_acks(config, c.level);
    let (who, path) = state
        .each_cpu(config)
        .filter(|(_, c)| !c.irqs_on)
        .find_map(|(cpu, c)| {
            let who = Context {
                cpu,
                level: c.top(),
            };
            who.of(&state.cpus).spins_for()?;
            Some((who, cycle::path(config, state, who, awaits, over_locks)?))
        })?;
    let end = path.last()?.on;
    // "CPU0 spins for ..." becomes "CPU0, interrupts off, spins for ...".
    let chain = cycle::sentence(state, &path, false);
    let who = cycle::subject(state, who);
    let rest = chain.strip_prefix(&who)?.trim_end_matches('.');
    Some(format!(
        "{who}, interrupts off,{rest}, which awaits the ack of {}.",
        list(state.cpu(end.cpu).acks.iter())
    ))
}

fn mutual_exclusion(run: &Run<'_>) -> Option<String> {
    let (config, state) = (&run.protocol.config, run.last());
    (0..MAX_LOCKS).map(LockId::from_index).find_map(|id| {
        let believers: Vec<Context> = state
            .each_context(config)
            .filter(|(_, c)| c.held.contains(id))
            .map(|(who, _)| who)
            .collect();
        let owners: Vec<Context> = state.lock(id).holders().collect();
        let all_own_it = believers.iter().all(|b| owners.contains(b));
        let one_writer = state.lock(id).owner().is_none() || owners.len() == 1;
        (!all_own_it || !one_writer)
            .then(|| format!("{} believe that they hold {id}.", list(&believers)))
    })
}

fn lock_order(run: &Run<'_>) -> Option<String> {
    let (config, state) = (&run.protocol.config, run.last());
    state.each_context(config).find_map(|(who, ctx)| {
        let inside: Vec<String> = ctx
            .held
            .iter()
            .filter(|l| l.is_page_table_lock())
            .map(|l| l.to_string())
            .collect();
        let verb = if ctx.took_pgd_lock_inside() {
            "has taken"
        } else if !inside.is_empty() && ctx.spins_for() == Some(LockId::PgdLock) {
            "spins for"
        } else {
            return None;
        };
        Some(format!(
            "{} {verb} pgd_lock inside {}; everybody else takes them the other way round.",
            cycle::subject(state, who),
            if inside.is_empty() {
                "a page-table lock".to_string()
            } else {
                list(inside)
            }
        ))
    })
}

fn pgd_list(run: &Run<'_>) -> Option<String> {
    let (config, state) = (&run.protocol.config, run.last());
    let gone = |mm: MmId| by(run, mm, |a, b| a.life != b.life);
    let astray = state.each_context(config).find_map(|(who, ctx)| {
        if ctx.program != ProgramId::VmallocSyncAll || !ctx.cursor.is_some() {
            return None;
        }
        let mm = ctx.cursor;
        let what = match (state.mm(mm).life == Life::Freed, state.list.contains(mm)) {
            (true, _) => format!("is freed{}", gone(mm)),
            (false, false) => format!("is not on pgd_list any more{}", unlisted_by(run, mm)),
            (false, true) => return None,
        };
        Some(format!(
            "the walk on {} stands on {mm}'s pgd, which {what}.",
            who.cpu
        ))
    });
    astray.or_else(|| {
        state
            .each_mm(config)
            .find_map(|(id, mm)| match (state.list.contains(id), mm.life) {
                (true, Life::Freed) => {
                    Some(format!("{id} is freed{} and still on pgd_list.", gone(id)))
                }
                (false, Life::Alive) => Some(format!(
                    "{id} is alive but not on pgd_list, and nobody is about to list it."
                )),
                (true, life) if life != Life::Alive => Some(format!(
                    "{id} is on pgd_list but not alive, and nobody is at work on it."
                )),
                _ => None,
            })
    })
}

fn unlisted_by(run: &Run<'_>, mm: MmId) -> String {
    let step = run
        .states
        .windows(2)
        .rposition(|w| w[0].list.contains(mm) && !w[1].list.contains(mm));
    step.map(|i| {
        format!(
            " (unlisted by {} in step {})",
            run.trace.actions[i].cpu(),
            i + 1
        )
    })
    .unwrap_or_default()
}

fn kernel_entries(run: &Run<'_>) -> Option<String> {
    let state = run.last();
    let mms: Vec<MmId> = state
        .list
        .iter()
        .filter(|mm| !state.mm(*mm).kernel_entry)
        .collect();
    let returning = about_to(run)
        .find(|(_, ctx, op)| ctx.program == ProgramId::VmallocSyncAll && *op == Op::Return);
    let when = match returning {
        Some((who, ..)) => format!("the walk on {} is about to return", who.cpu),
        None if state.list.synced => "a walk has returned".to_string(),
        None => return None,
    };
    let born = mms
        .first()
        .map(|mm| by(run, *mm, |a, b| a.life != b.life))
        .unwrap_or_default();
    let born = if born.is_empty() {
        born
    } else {
        format!("; it was born without one{born}")
    };
    (!mms.is_empty()).then(|| {
        format!(
            "{when}, yet {}'s pgd is listed and has no kernel entry{born}.",
            list(&mms)
        )
    })
}

fn stale(run: &Run<'_>) -> Option<String> {
    let returning = about_to(run).filter(|(.., op)| *op == Op::Return);
    returning.filter_map(|(who, ctx, _)| {
        let whole = matches!(ctx.program, ProgramId::ZapPageRange | ProgramId::MadviseDontneed);
        let unmapper = ctx.program == ProgramId::TryToUnmapOne && ctx.reg(Reg::Changed);
        if !whole && !unmapper {
            return None;
        }
        let entry = Entry::ALL.into_iter().find(|&e| {
            !caching(run, ctx.mm, e).is_empty() && (e == Entry::Pte || !run.last().mm(ctx.mm).translates(e))
        })?;
        let cleared = by(run, ctx.mm, |a, b| a.entry(entry).present && !b.entry(entry).present);
        Some(format!(
            "{} is about to return, but the TLB of {} still has {}'s {entry}, which was cleared{cleared}.{}",
            named(ctx, who.cpu),
            list(caching(run, ctx.mm, entry)),
            ctx.mm,
            owed(run, who, ctx.mm)
        ))
    }).next()
}

/// Who else owes a flush of the mm.
fn owed(run: &Run<'_>, not: Context, mm: MmId) -> String {
    let (config, state) = (&run.protocol.config, run.last());
    let owing = state
        .each_context(config)
        .filter(|(who, c)| *who != not && c.mm == mm && c.reg(Reg::NeedFlush))
        .map(|(who, c)| named(c, who.cpu));
    let owing: Vec<String> = owing.collect();
    if owing.is_empty() {
        String::new()
    } else {
        format!(" The flush is still to be finished by {}.", list(owing))
    }
}

fn freed_frame(run: &Run<'_>) -> Option<String> {
    let (config, state) = (&run.protocol.config, run.last());
    state.each_mm(config).find_map(|(id, mm)| {
        let entry = Entry::ALL.into_iter().find(|&e| mm.frame(e).freed && !caching(run, id, e).is_empty())?;
        let freed = by(run, id, |a, b| !a.frame(entry).freed && b.frame(entry).freed);
        Some(format!(
            "the frame behind {id}'s {entry} is freed{freed}, and {} can still read and write it through its TLB.",
            list(caching(run, id, entry))
        ))
    })
}

fn reused(run: &Run<'_>) -> Option<String> {
    about_to(run).find_map(|(who, ctx, op)| {
        let Op::GetPage(entry) = op else { return None };
        let frame = run.last().mm(ctx.mm).frame(entry);
        let what = if frame.freed {
            let freed = by(run, ctx.mm, |a, b| !a.frame(entry).freed && b.frame(entry).freed);
            format!("its frame was freed{freed}")
        } else if frame.split {
            let split = by(run, ctx.mm, |a, b| !a.frame(entry).split && b.frame(entry).split);
            format!("the compound page was split{split}")
        } else {
            return None;
        };
        Some(format!(
            "{} has read the {entry} and is about to take a reference on its page, but meanwhile {what}.",
            named(ctx, who.cpu)
        ))
    })
}

fn pinned(run: &Run<'_>) -> Option<String> {
    about_to(run).find_map(|(who, ctx, op)| {
        let Op::WriteKernelEntry { of } = op else { return None };
        let mm = ctx.mm_of(of);
        if ctx.reg(Reg::SeenPinned) || !run.last().mm(mm).pinned {
            return None;
        }
        let pinned = by(run, mm, |a, b| !a.pinned && b.pinned);
        Some(format!(
            "{} is about to store into {mm}'s pgd, which it has seen writable but which is pinned now{pinned}: \
             the store faults.",
            named(ctx, who.cpu)
        ))
    })
}

fn early_ack(run: &Run<'_>) -> Option<String> {
    let state = run.last();
    about_to(run).find_map(|(who, ctx, op)| {
        let early = op == Op::Ack
            && !ctx.reg(Reg::Flushed)
            && state.cpu(who.cpu).loaded_mm() == Some(ctx.mm);
        early.then(|| {
            format!(
                "{} is about to acknowledge {}'s flush of {}, which it has loaded and has not flushed yet.",
                who.cpu, ctx.sender, ctx.mm
            )
        })
    })
}

fn progress(run: &Run<'_>) -> Option<String> {
    let (config, state) = (&run.protocol.config, run.last());
    let unfinished = |states: &[State]| -> Vec<String> {
        state
            .each_context(config)
            .filter(|(who, ctx)| {
                states.iter().all(|s| {
                    let then = who.of(&s.cpus);
                    then.program == ctx.program && then.mm == ctx.mm
                })
            })
            .map(|(who, ctx)| named(ctx, who.cpu))
            .collect()
    };
    let Some(to) = run.trace.loops_to else {
        return deadlock(run).or_else(|| {
            let left = unfinished(&run.states[run.states.len() - 1..]);
            let waits = state
                .each_context(config)
                .filter_map(|(who, _)| {
                    let wait = cycle::wait(config, state, who)?;
                    Some(format!("; {} {wait}", cycle::subject(state, who)))
                })
                .collect::<String>();
            (!left.is_empty()).then(|| {
                format!(
                    "nothing can move any more, and {} has not finished{waits}.",
                    list(left)
                )
            })
        });
    };
    let (looped, actions) = (&run.states[to..], &run.trace.actions[to..]);
    let left = unfinished(looped);
    let verb = if left.len() == 1 {
        "finishes"
    } else {
        "finish"
    };
    let movers: Vec<CpuId> = state
        .each_cpu(config)
        .map(|(who, _)| who)
        .filter(|who| {
            actions
                .iter()
                .any(|a| a.cpu() == *who && !matches!(a, Action::Fill { .. }))
        })
        .collect();
    let still: Vec<String> = state
        .each_context(config)
        .filter(|(who, _)| !movers.contains(&who.cpu))
        .filter_map(|(who, _)| {
            let waits = cycle::wait(config, state, who)?;
            Some(format!("{} {waits}", cycle::subject(state, who)))
        })
        .collect();
    let mut text = format!(
        "steps {} to {} repeat for ever: {} never {verb}.",
        to + 1,
        run.trace.actions.len(),
        list(left)
    );
    if !still.is_empty() {
        text += &format!(" Meanwhile {}.", still.join("; "));
    }
    Some(text)
}
