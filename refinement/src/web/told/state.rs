//! One state, as the page shows it.

use super::step::op_name;
use crate::web::subject::{At, Subject};
use crate::web::view::cpu::{
    ContextView, CpuView, PendingView, TlbState, TlbView, WaitKind, WaitView,
};
use crate::web::view::memory::{EntryView, LockView, MmView, Who};
use crate::web::view::run::{FateName, StateView};
use crate::web::view::wait::{EdgeKind, EdgeView, WaitForView, node};
use shootdown_spec::config::Config;
use shootdown_spec::cpu::Cpu;
use shootdown_spec::id::{Context, CpuId, Level, LockId, MAX_LOCKS, MmId};
use shootdown_spec::model::Action;
use shootdown_spec::program::{Entry, Mode, Scope};
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::report;
use shootdown_spec::state::{State, Wait};

/// One state; fate and choices are for the caller to add.
pub(super) fn view(subject: &Subject, at: &At) -> StateView {
    let (config, state) = (subject.config(), at.state());
    let violated = PROPERTIES
        .iter()
        .filter(|p| p.is_violated(config, state))
        .map(|p| p.name)
        .collect();
    StateView {
        hash: at.hash(),
        cpus: state
            .each_cpu(config)
            .map(|(who, cpu)| cpu_view(subject, at, who, cpu))
            .collect(),
        locks: locks(config, state),
        mms: state
            .each_mm(config)
            .map(|(id, _)| mm_view(state, id))
            .collect(),
        pgd_list: state.list.iter().map(|mm| mm.to_string()).collect(),
        init_entry: state.list.init_entry,
        violated,
        wait_for: wait_for(config, state),
        finished: state.is_finished(config),
        fate: FateName::Unknown,
        choices: None,
    }
}

fn name(mm: MmId) -> Option<String> {
    mm.is_some().then(|| mm.to_string())
}

fn cpu_view(subject: &Subject, at: &At, who: CpuId, cpu: &Cpu) -> CpuView {
    let state = at.state();
    let levels = Level::ALL.into_iter().rev();
    CpuView {
        name: who.to_string(),
        irqs_on: cpu.irqs_on,
        in_irq: cpu.in_irq(),
        doing: doing(cpu),
        contexts: levels
            .filter(|&level| cpu.context(level).is_running())
            .map(|level| context_view(subject, at, Context { cpu: who, level }))
            .collect(),
        active_mm: name(cpu.active),
        lazy: cpu.lazy,
        loaded: cpu.loaded,
        budget: cpu.budget,
        tlb: tlb(state, cpu),
        pending: cpu
            .pending_ipis()
            .map(|ipi| PendingView {
                from: ipi.from.0,
                mm: ipi.mm.to_string(),
                scope: match ipi.scope {
                    Scope::Page => "page",
                    Scope::Mm => "mm",
                },
                why_not_taken: why_not_taken(cpu),
            })
            .collect(),
        acks_from: cpu.acks.iter().map(|c| c.0).collect(),
    }
}

/// Why a CPU does not take a pending IPI.
pub(super) fn why_not_taken(cpu: &Cpu) -> Option<&'static str> {
    if cpu.in_irq() {
        Some("an interrupt is running already")
    } else if !cpu.irqs_on {
        Some("interrupts are off (IF=0)")
    } else {
        None
    }
}

fn doing(cpu: &Cpu) -> String {
    let ctx = cpu.context(cpu.top());
    match (ctx.is_running(), cpu.in_irq(), ctx.mm.is_some()) {
        (true, false, true) => format!("{}({})", ctx.program, ctx.mm),
        (true, false, false) => format!("{}()", ctx.program),
        (true, true, true) => format!("[irq] {}({})", ctx.program, ctx.mm),
        (true, true, false) => format!("[irq] {}()", ctx.program),
        (false, ..) if !cpu.active.is_some() => "idle, no mm loaded".to_string(),
        (false, ..) if cpu.lazy => format!("idle, lazily on {}", cpu.active),
        (false, ..) => format!("in user mode on {}", cpu.active),
    }
}

fn context_view(subject: &Subject, at: &At, who: Context) -> ContextView {
    let (config, state) = (subject.config(), at.state());
    let ctx = who.of(&state.cpus);
    let line = config.program(ctx.program).line(ctx.pc);
    let executes = state.cpu(who.cpu).top() == who.level;
    let step = Action::Step { cpu: who.cpu };
    ContextView {
        level: who.level,
        program: ctx.program.name(),
        mm: name(ctx.mm),
        cursor: name(ctx.cursor),
        function: line.function,
        source: line.source,
        line: ctx.pc,
        op: op_name(&line.op),
        holds: ctx.held.iter().map(|lock| lock.to_string()).collect(),
        waits: wait_view(config, state, who),
        stuck: state.stuck(config).contains(who),
        operation: executes.then(|| subject.operation(at, &step)).flatten(),
    }
}

fn wait_view(config: &Config, state: &State, who: Context) -> Option<WaitView> {
    let ctx = who.of(&state.cpus);
    let (kind, on) = match state.blocked_on(config, who)? {
        Wait::Lock(lock) => (WaitKind::Lock, Some(lock.to_string())),
        Wait::Acks => (WaitKind::Acks, None),
        Wait::Split(mm) => (WaitKind::Split, Some(mm.to_string())),
        Wait::Interrupt => (WaitKind::Interrupt, None),
    };
    let own = report::wait(config, state, who);
    let text = match (kind, own) {
        (WaitKind::Interrupt, None) => "is interrupted".to_string(),
        // What interrupted code waits for itself counts for when the interrupt is over.
        (WaitKind::Interrupt, Some(own)) => format!("is interrupted; it {own}"),
        (_, own) => own.unwrap_or_default(),
    };
    let on = on.or_else(|| ctx.spins_for().map(|lock| lock.to_string()));
    Some(WaitView { kind, on, text })
}

fn tlb(state: &State, cpu: &Cpu) -> Vec<TlbView> {
    let Some(mm) = cpu.loaded_mm() else {
        return Vec::new();
    };
    let of = state.mm(mm);
    Entry::ALL
        .into_iter()
        .filter(|&entry| cpu.tlb.contains(entry))
        .map(|entry| TlbView {
            entry: entry.to_string(),
            mm: mm.to_string(),
            state: match (of.frame(entry).freed, of.translates(entry)) {
                (true, _) => TlbState::StaleFreed,
                (false, false) => TlbState::Stale,
                (false, true) => TlbState::Coherent,
            },
        })
        .collect()
}

/// The locks that exist in the configuration.
fn locks(config: &Config, state: &State) -> Vec<LockView> {
    let exists = |lock: &LockId| match lock {
        LockId::PgdLock => true,
        LockId::PageTableLock(mm) => mm.index() < config.slots(),
        LockId::SplitPtl(mm) => config.environment.split_ptlocks && mm.index() < config.slots(),
    };
    let all = (0..MAX_LOCKS).map(LockId::from_index).filter(exists);
    all.map(|id| {
        let lock = state.lock(id);
        let owner = lock.owner().map(|who| Who::new(who, Mode::Exclusive));
        let readers = lock.readers().map(|who| Who::new(who, Mode::Shared));
        LockView {
            name: id.to_string(),
            owners: owner.into_iter().chain(readers).collect(),
            waiters: lock
                .waiters()
                .map(|(who, mode)| Who::new(who, mode))
                .collect(),
        }
    })
    .collect()
}

fn mm_view(state: &State, id: MmId) -> MmView {
    let mm = state.mm(id);
    let entry = |entry: Entry| {
        let (bits, frame) = (mm.entry(entry), mm.frame(entry));
        EntryView {
            name: entry.to_string(),
            bits: format!("{bits:?}"),
            present: bits.present,
            accessed: bits.accessed,
            dirty: bits.dirty,
            splitting: bits.splitting,
            table: bits.table,
            frame_refs: frame.refs,
            frame_freed: frame.freed,
            frame_split: frame.split,
        }
    };
    MmView {
        name: id.to_string(),
        life: mm.life,
        cpumask: mm.cpumask.iter().map(|c| c.0).collect(),
        active: mm.active.iter().map(|c| c.0).collect(),
        kernel_entry: mm.kernel_entry,
        pending_flush: mm.pending,
        pinned: mm.pinned,
        entries: Entry::ALL.into_iter().map(entry).collect(),
    }
}

fn wait_for(config: &Config, state: &State) -> WaitForView {
    let graph = report::wait_graph(config, state);
    let mut view = WaitForView {
        edges: graph
            .edges
            .iter()
            .map(|(edge, label)| {
                let (kind, on) = EdgeKind::of(edge.why);
                EdgeView {
                    from: node(edge.from),
                    to: node(edge.on),
                    kind,
                    on,
                    label: label.clone(),
                    in_cycle: graph.cycle.contains(edge),
                }
            })
            .collect(),
        cycle: graph.cycle.iter().map(|edge| node(edge.from)).collect(),
        sentence: graph.sentence,
    };
    view.edges.extend(answered(config, state, &view.edges));
    view
}

/// Acknowledgements that are awaited and will come: who could not give one is in the graph already.
fn answered(config: &Config, state: &State, known: &[EdgeView]) -> Vec<EdgeView> {
    let mut edges = Vec::new();
    for (cpu, it) in state.each_cpu(config) {
        let waits = |level| {
            let who = Context { cpu, level };
            (state.blocked_on(config, who) == Some(Wait::Acks)).then(|| node(who))
        };
        let Some(from) = Level::ALL.into_iter().find_map(waits) else {
            continue;
        };
        for target in it.acks.iter() {
            let to = target.to_string();
            let of_it = |e: &EdgeView| e.to == to || e.to.starts_with(&format!("{to}."));
            if known.iter().any(|e| e.from == from && of_it(e)) {
                continue;
            }
            edges.push(EdgeView {
                label: format!("awaits the ack of {to}"),
                from: from.clone(),
                to,
                kind: EdgeKind::Ack,
                on: None,
                in_cycle: false,
            });
        }
    }
    edges
}
