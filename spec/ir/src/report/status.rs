//! The state a run ends in: what each CPU runs, holds and waits for, what is pending, and the values that changed.

use super::page::Page;
use super::{Story, list};
use crate::eval::Cells;
use crate::protocol::Kind;
use crate::system::{CellId, ContextId};
use crate::waits::Wait;

/// The most variables that are listed.
const MOST_VALUES: usize = 12;

pub(super) fn write(page: &mut Page, story: &Story<'_>) {
    let n = story.end();
    page.line(&match n {
        0 => "At the start:".to_string(),
        n => format!("After step {n}:"),
    });
    for cpu in 0..story.protocol.cpus {
        let name = format!("CPU{cpu}");
        for (i, line) in describe(story, n, cpu).into_iter().enumerate() {
            page.field(if i == 0 { &name } else { "" }, &line);
        }
    }
    if let Some(values) = values(story, n) {
        page.field("values", &values);
    }
    page.blank();
}

fn describe(story: &Story<'_>, n: usize, cpu: usize) -> Vec<String> {
    let view = story.view(n);
    let system = story.machine.system();
    let cells = system.cpu_cells[cpu];
    let mut flags = vec![match view.cell(cells.irqs) {
        0 => "IF=0".to_string(),
        _ => "IF=1".to_string(),
    }];
    if view.cell(cells.preempt) != 0 {
        flags.push(format!("preempt_count={}", view.cell(cells.preempt)));
    }
    if view.cell(cells.bh) != 0 {
        flags.push("bottom halves off".to_string());
    }
    let flags = flags.join(", ");
    let mut lines = Vec::new();
    let here: Vec<ContextId> = story
        .contexts()
        .filter(|&c| story.cpu_of(c) == cpu)
        .collect();
    let top = story.waits.top(&view, cpu).filter(|&t| view.place(t) != 0);
    let stack = top.map_or_else(Vec::new, |t| story.stack(n, t));
    let mut running: Vec<ContextId> = stack.clone();
    running.extend(
        here.iter()
            .filter(|c| view.place(**c) != 0 && !stack.contains(c)),
    );
    let several = running.len() > 1;
    if running.is_empty() {
        lines.push(format!("{flags}, idle: {}", ended(story, &here)));
    }
    for (i, &context) in running.iter().enumerate() {
        let how = match (stack.iter().position(|&c| c == context), i) {
            (Some(0), 0) => String::new(),
            (Some(_), _) => "interrupted: ".to_string(),
            (None, _) if story.sleeps_at(n, context) => "asleep: ".to_string(),
            (None, _) => "not running: ".to_string(),
        };
        let place = place(story, n, context);
        let own = match i {
            0 => format!("{flags}, {how}{place}"),
            _ => format!("{how}{place}"),
        };
        lines.push(own);
        let tag = match several {
            true => format!("{}: ", story.source_of(context).name),
            false => String::new(),
        };
        if let Some(holds) = story.holds(n, context) {
            lines.push(format!("{tag}{holds}"));
        }
        match story.wait(n, context) {
            None | Some(Wait::Interrupted { .. }) => {}
            Some(wait) => lines.push(format!("{tag}{}", story.clause(n, context, &wait))),
        }
    }
    let all = story.ipis();
    for &context in &here {
        if !story.is_pending(n, context) {
            continue;
        }
        let from: Vec<String> = all
            .iter()
            .filter(|i| i.handler == context && i.taken.is_none())
            .map(|i| story.who(i.from))
            .collect();
        let from = match from.is_empty() {
            true => String::new(),
            false => format!(" from {}", list(from)),
        };
        let why = story
            .not_taken(n, context)
            .unwrap_or_else(|| "about to be taken".to_string());
        let what = match story.source_of(context).kind {
            Kind::Ipi => format!("IPI {}", story.source_of(context).name),
            _ => story.kind_and_name(context),
        };
        lines.push(format!("{what}{from} pending, {why}"));
    }
    lines
}

/// What has come to its end on an idle CPU.
fn ended(story: &Story<'_>, here: &[ContextId]) -> String {
    let tasks: Vec<String> = here
        .iter()
        .filter(|&&c| story.source_of(c).kind == Kind::Task)
        .map(|&c| format!("{}()", story.source_of(c).name))
        .collect();
    match tasks.is_empty() {
        true => "nothing runs".to_string(),
        false => format!(
            "{} {} ended",
            list(&tasks),
            if tasks.len() == 1 { "has" } else { "have" }
        ),
    }
}

/// Where a context stands: `in f() of task g, file:12`.
fn place(story: &Story<'_>, n: usize, context: ContextId) -> String {
    let source = story.source_of(context);
    let Some((_, line)) = story.stands_at(n, context) else {
        return format!("in {}", story.kind_and_name(context));
    };
    let of = story.kind_and_name(context);
    let mut text = match line.text.function.as_str() {
        "" => format!("in {of}"),
        function if function == source.name => format!("in {of}"),
        function => format!("in {function}() of {of}"),
    };
    let at = story.place(line.span.line);
    if !at.is_empty() {
        text += &format!(", {at}");
    }
    if story.wait(n, context).is_none() {
        text += &format!(", next: {}", super::wait::short(&line.text.statement));
    }
    text
}

/// Variables that are not as they were at the start, or that a wait or the violated condition reads.
fn values(story: &Story<'_>, n: usize) -> Option<String> {
    let view = story.view(n);
    let cells = &story.machine.system().cells;
    let mut shown = Vec::new();
    let mut more = 0;
    for (i, cell) in cells.iter().enumerate() {
        let id = CellId(i as u32);
        let value = view.cell(id);
        let local = matches!(cell.part, crate::system::Part::Local(..));
        if value == cell.init.clamp(cell.lo, cell.hi) || local {
            continue;
        }
        let Some(name) = story.variable(id) else {
            continue;
        };
        if shown.len() == MOST_VALUES {
            more += 1;
            continue;
        }
        shown.push(format!("{name} = {}", story.value(id, value)));
    }
    if shown.is_empty() {
        return None;
    }
    let mut text = shown.join(", ");
    if more > 0 {
        text += &format!(", and {more} more");
    }
    Some(text + "; the rest as at the start")
}
