//! A run of a scenario, state by state.

use super::waiting::{held_up, wait_for};
use crate::web::view::scenario::{
    ScenarioContextView, ScenarioCpuView, ScenarioLockView, ScenarioPendingView, ScenarioRunView,
    ScenarioStateView, ScenarioStepView, SentView, WrongView,
};
use shootdown_ir::eval::Cells as _;
use shootdown_ir::report::{Ipi, Story};
use shootdown_ir::system::{CellId, ContextId, Part, What};
use shootdown_ir::{Kind, LockId};

/// The run as the page draws it.
pub(super) fn view(story: &Story<'_>) -> ScenarioRunView {
    let end = story.end();
    let sent = story.ipis();
    let variables = variables(story);
    let mut states: Vec<ScenarioStateView> = (0..=end)
        .map(|n| state(story, n, &sent, &variables))
        .collect();
    let mut violations = Vec::new();
    if let Some(property) = story.property() {
        states[end].violated.push(property.to_string());
        let (title, sentence) = story.explain().unwrap_or_default();
        violations.push(WrongView {
            state: end,
            until: end,
            property: property.to_string(),
            title,
            sentence,
        });
    }
    let schedule = story.schedule();
    ScenarioRunView {
        schema: "shootdown/scenario-run/1",
        replay: format!("shootdown replay '{schedule}' {}", story.protocol().file),
        schedule,
        steps: steps(story),
        states,
        ipis: sent.iter().map(|ipi| sent_view(story, ipi)).collect(),
        violations,
        loops_to: story.loops_to(),
        variables: variables.into_iter().map(|(_, name)| name).collect(),
    }
}

fn steps(story: &Story<'_>) -> Vec<ScenarioStepView> {
    let records = story.records().into_iter().enumerate();
    records
        .map(|(n, record)| {
            let step = story.step(n);
            ScenarioStepView {
                n: record.n,
                cpu: record.cpu,
                kind: match step.what {
                    What::Start | What::Drain => "start",
                    _ => "step",
                },
                level: level(story, step.context),
                program: record.source,
                function: record.function,
                source: record.statement,
                line: record.line,
                note: record.note,
                changes: record.changes,
                waits: record.waits,
                matters: true,
            }
        })
        .collect()
}

fn level(story: &Story<'_>, context: ContextId) -> &'static str {
    match story.is_thread(context) {
        true => "task",
        false => "irq",
    }
}

/// Variables that are not the same in every state.
fn variables(story: &Story<'_>) -> Vec<(CellId, String)> {
    let cells = &story.machine().system().cells;
    (0..cells.len() as u32)
        .map(CellId)
        .filter(|id| !matches!(cells[id.0 as usize].part, Part::Local(..)))
        .filter_map(|id| Some((id, story.variable(id)?)))
        .filter(|(id, _)| {
            let first = story.view(0).cell(*id);
            (1..=story.end()).any(|n| story.view(n).cell(*id) != first)
        })
        .collect()
}

fn state(
    story: &Story<'_>,
    n: usize,
    sent: &[Ipi],
    variables: &[(CellId, String)],
) -> ScenarioStateView {
    let view = story.view(n);
    ScenarioStateView {
        cpus: (0..story.protocol().cpus)
            .map(|c| cpu(story, n, c, sent))
            .collect(),
        locks: locks(story, n),
        values: variables
            .iter()
            .map(|(id, _)| story.value(*id, view.cell(*id)))
            .collect(),
        violated: Vec::new(),
        wait_for: wait_for(story, n),
    }
}

fn cpu(story: &Story<'_>, n: usize, cpu: usize, sent: &[Ipi]) -> ScenarioCpuView {
    let view = story.view(n);
    let cells = story.machine().system().cpu_cells[cpu];
    let mut counts = Vec::new();
    match view.cell(cells.preempt) {
        0 => {}
        count => counts.push(format!("preempt_count={count}")),
    }
    if view.cell(cells.bh) != 0 {
        counts.push("bottom halves off".to_string());
    }
    let top = story.waits().top(&view, cpu);
    let mut here: Vec<ContextId> = story
        .contexts()
        .filter(|&c| story.cpu_of(c) == cpu && story.stands_at(n, c).is_some())
        .collect();
    // What executes, then what it may have interrupted, then threads that sleep or wait for the CPU.
    here.sort_by_key(|&c| (Some(c) != top, story.is_thread(c)));
    ScenarioCpuView {
        name: format!("CPU{cpu}"),
        irqs_on: view.cell(cells.irqs) != 0,
        in_irq: here
            .first()
            .is_some_and(|&c| Some(c) == top && !story.is_thread(c)),
        counts,
        contexts: here
            .iter()
            .map(|&c| context(story, n, c, Some(c) == top))
            .collect(),
        pending: pending(story, n, cpu, sent),
    }
}

fn context(story: &Story<'_>, n: usize, context: ContextId, on_top: bool) -> ScenarioContextView {
    let line = story.stands_at(n, context).map(|(_, line)| line);
    let text = line.map(|l| &l.text);
    ScenarioContextView {
        level: level(story, context),
        program: source(story, context).name.clone(),
        function: text.map_or(String::new(), |t| t.function.clone()),
        source: text.map_or(String::new(), |t| t.statement.clone()),
        line: line.map_or(0, |l| l.span.line),
        holds: story.held(n, context),
        waits: held_up(story, n, context),
        stuck: n == story.end() && story.stuck() >> context.0 & 1 == 1,
        on_top,
    }
}

fn source<'a>(story: &Story<'a>, context: ContextId) -> &'a shootdown_ir::Source {
    let it = &story.machine().system().contexts[context.index()];
    story.protocol().source(it.source)
}

/// `IPI flush`, `work item reset`.
pub(super) fn what(story: &Story<'_>, context: ContextId) -> String {
    let source = source(story, context);
    match source.kind {
        Kind::Ipi => format!("IPI {}", source.name),
        kind => format!("{kind} {}", source.name),
    }
}

fn pending(story: &Story<'_>, n: usize, cpu: usize, sent: &[Ipi]) -> Vec<ScenarioPendingView> {
    let open = |ipi: &&Ipi| ipi.sent <= n && ipi.taken.is_none_or(|taken| taken > n);
    sent.iter()
        .filter(|ipi| story.cpu_of(ipi.handler) == cpu)
        .filter(open)
        .map(|ipi| ScenarioPendingView {
            from: story.who(ipi.from),
            what: what(story, ipi.handler),
            why_not_taken: why_not_taken(story, n, ipi.handler),
        })
        .collect()
}

fn why_not_taken(story: &Story<'_>, n: usize, handler: ContextId) -> Option<String> {
    let text = story.wait_text(n, handler)?;
    let text = text.trim_start_matches("is pending");
    let text = text
        .trim_start_matches([',', ' '])
        .trim_start_matches("not taken: ");
    (!text.is_empty()).then(|| text.to_string())
}

fn locks(story: &Story<'_>, n: usize) -> Vec<ScenarioLockView> {
    let view = story.view(n);
    let mut all = Vec::new();
    for l in 0..story.protocol().locks.len() {
        let id = LockId(l as u32);
        for element in 0..story.machine().system().objects.locks[l].len {
            let name = story.lock_name(id, element);
            let holders = story.waits().holders(&view, id, element);
            let waits = |c: &ContextId| {
                held_up(story, n, *c).is_some_and(|w| w.on.as_deref() == Some(name.as_str()))
            };
            all.push(ScenarioLockView {
                owners: holders.iter().map(|&c| story.who(c)).collect(),
                waiters: story
                    .contexts()
                    .filter(waits)
                    .map(|c| story.who(c))
                    .collect(),
                name,
            });
        }
    }
    all
}

fn sent_view(story: &Story<'_>, ipi: &Ipi) -> SentView {
    SentView {
        from: story.cpu_of(ipi.from),
        to: story.cpu_of(ipi.handler),
        what: what(story, ipi.handler),
        sent: ipi.sent,
        delivered: ipi.taken,
        acked: ipi.ended,
        why_pending: match ipi.taken {
            Some(_) => None,
            None => why_not_taken(story, story.end(), ipi.handler),
        },
    }
}
