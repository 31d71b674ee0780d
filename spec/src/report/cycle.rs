//! Who waits for whom, as sentences: the cycle that makes a deadlock, and single waits.

use crate::config::Config;
use crate::id::{Context, Level};
use crate::program::Op;
use crate::state::{Edge, State, Why};

/// What a context waits for, as a clause without its subject: `spins for ..., held by ...`.
pub(super) fn wait(config: &Config, state: &State, who: Context) -> Option<String> {
    let edges: Vec<Edge> = state.waits_for(config, who).collect();
    let ctx = who.of(&state.cpus);
    if let Some(lock) = ctx.spins_for() {
        let ahead: Vec<String> = edges
            .iter()
            .filter(|e| e.why == Why::QueuedBehind(lock))
            .map(|e| e.on.to_string())
            .collect();
        let holders = state.lock(lock).holders().map(|h| holder(who, h));
        let mut text = format!("spins for {lock}, held by {}", super::list(holders));
        if !ahead.is_empty() {
            text += &format!(", queued behind {}", super::list(ahead));
        }
        return Some(text);
    }
    let cpu = state.cpu(who.cpu);
    match cpu.next_op(config, who.level)? {
        Op::AwaitAcks if !cpu.acks.is_empty() => {
            let out = cpu.acks.iter().map(|c| c.to_string());
            Some(format!("awaits the ack of {}", super::list(out)))
        }
        Op::AwaitNotSplitting if state.mm(ctx.mm).entries[1].splitting => {
            Some(format!("waits until {}'s pmd is split", ctx.mm))
        }
        _ => None,
    }
}

fn holder(who: Context, holder: Context) -> String {
    if holder.cpu == who.cpu && holder.level < who.level {
        "the very code it interrupted".to_string()
    } else if holder == who {
        "itself".to_string()
    } else {
        holder.to_string()
    }
}

/// A shortest cycle of waits over edges that `allowed` lets through.
pub(super) fn shortest(
    config: &Config,
    state: &State,
    allowed: impl Fn(&Edge) -> bool,
) -> Option<Vec<Edge>> {
    let mut starts: Vec<Context> = state.each_context(config).map(|(c, _)| c).collect();
    // A CPU that awaits acknowledgements opens the sentence: that is where the story starts.
    starts.sort_by_key(|c| (!state.cpu(c.cpu).awaits_acks(config, c.level), c.code()));
    let cycles = starts
        .into_iter()
        .filter_map(|start| path(config, state, start, |c| c == start, &allowed));
    cycles.min_by_key(Vec::len)
}

/// A shortest path of at least one wait from `from` to a context that is a `goal`.
pub(super) fn path(
    config: &Config,
    state: &State,
    from: Context,
    goal: impl Fn(Context) -> bool,
    allowed: impl Fn(&Edge) -> bool,
) -> Option<Vec<Edge>> {
    let mut seen = vec![from];
    let mut paths: Vec<Vec<Edge>> = vec![Vec::new()];
    while !paths.is_empty() {
        let mut longer = Vec::new();
        for path in &paths {
            let end = path.last().map_or(from, |e: &Edge| e.on);
            for edge in state.waits_for(config, end).filter(|e| allowed(e)) {
                let mut path = path.clone();
                path.push(edge);
                if goal(edge.on) {
                    return Some(path);
                }
                if !seen.contains(&edge.on) {
                    seen.push(edge.on);
                    longer.push(path);
                }
            }
        }
        paths = longer;
    }
    None
}

/// A cycle, or a path, read out: one clause for each context, what it withholds from the one
/// before and what it waits for itself.
pub(super) fn sentence(state: &State, edges: &[Edge], cyclic: bool) -> String {
    let clauses: Vec<String> = edges
        .iter()
        .enumerate()
        .map(|(i, edge)| {
            let before = match i {
                0 if cyclic => edges.last(),
                0 => None,
                _ => Some(&edges[i - 1]),
            };
            clause(state, before, edge)
        })
        .collect();
    format!("{}.", clauses.join("; "))
}

fn clause(state: &State, before: Option<&Edge>, edge: &Edge) -> String {
    let who = subject(state, edge.from);
    let waits = waits(state, edge);
    match before.and_then(|b| withholds(state, b)) {
        Some(withholds) => format!("{who} {withholds} and {waits}"),
        None => format!("{who} {waits}"),
    }
}

/// `CPU0`, or `the interrupt on CPU0 (pgd_free of mm1)`.
pub(super) fn subject(state: &State, who: Context) -> String {
    match who.level {
        Level::Task => who.cpu.to_string(),
        Level::Irq => {
            let ctx = who.of(&state.cpus);
            format!(
                "the interrupt on {} ({} of {})",
                who.cpu, ctx.program, ctx.mm
            )
        }
    }
}

/// What the context at the end of an edge keeps the other from.
fn withholds(state: &State, edge: &Edge) -> Option<String> {
    match edge.why {
        Why::Lock(lock) => Some(format!("holds {lock}")),
        Why::QueuedBehind(lock) => Some(format!("is ahead of {} for {lock}", edge.from.cpu)),
        Why::Ack if !state.cpu(edge.on.cpu).irqs_on && edge.on.level == Level::Task => {
            Some("has interrupts off".to_string())
        }
        Why::Ack => None,
        Why::LostAck(_) | Why::Interrupted => None,
        Why::Split(mm) => Some(format!("splits {mm}'s pmd")),
    }
}

/// What the context at the beginning of an edge waits for.
pub(super) fn waits(state: &State, edge: &Edge) -> String {
    match edge.why {
        Why::Lock(lock) => format!("spins for {lock}, held by {}", holder(edge.from, edge.on)),
        Why::QueuedBehind(lock) => format!("spins for {lock}, queued behind {}", edge.on),
        Why::Ack => format!("awaits {}'s ack", edge.on.cpu),
        Why::LostAck(cpu) => format!(
            "awaits {cpu}'s ack, which will never come: {cpu} has returned from the interrupt \
             without acknowledging"
        ),
        Why::Interrupted => {
            let ctx = edge.on.of(&state.cpus);
            format!("is interrupted by {} of {}", ctx.program, ctx.mm)
        }
        Why::Split(mm) => format!("waits until {} has split {mm}'s pmd", edge.on),
    }
}

/// The deadlock of a state: its cycle, and the contexts that wait for it.
pub(super) fn deadlock(config: &Config, state: &State) -> Option<String> {
    let stuck = state.stuck(config);
    if stuck.is_empty() {
        return None;
    }
    let among = |e: &Edge| stuck.contains(e.from) && stuck.contains(e.on);
    let lost = |e: &Edge| matches!(e.why, Why::LostAck(_));
    let mut told: Vec<Context> = Vec::new();
    let mut text = match shortest(config, state, |e| among(e) && !lost(e)) {
        Some(cycle) => {
            told.extend(cycle.iter().map(|e| e.from));
            sentence(state, &cycle, true)
        }
        None => String::new(),
    };
    for who in stuck.iter().filter(|w| !told.contains(w)) {
        let edges: Vec<Edge> = state.waits_for(config, who).collect();
        // Of several things it waits for, the one that is stuck itself is to blame.
        let blame = edges
            .iter()
            .find(|e| stuck.contains(e.on))
            .or(edges.first());
        let Some(edge) = blame else { continue };
        let mut more = clause(state, None, edge);
        if edge.why == Why::Ack && !stuck.contains(edge.on) {
            more += &format!(
                ", but {} has interrupts off for good: nothing runs there that would turn them on",
                edge.on.cpu
            );
        }
        text += &if text.is_empty() {
            format!("{more}.")
        } else {
            format!(" Also stuck: {more}.")
        };
    }
    Some(text)
}
