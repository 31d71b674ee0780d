//! One step of a run: what is executed, what came of it, and whether a reader needs to see it.

use super::Story;
use super::note::Note;
use crate::protocol::{Kind, Op};
use crate::system::{ContextId, What};

/// One step of a run.
pub(super) struct Event {
    /// Its number, from 1.
    pub n: usize,
    /// Who takes it.
    pub context: ContextId,
    /// Line of the file; 0: none.
    pub line: u32,
    /// The start of something, to be set off.
    pub is_head: bool,
    /// What is executed; empty if the statement stands above already.
    pub what: String,
    /// The function the statement is in, if it is not the source's own.
    pub function: String,
    /// What came of it.
    pub note: Option<Note>,
    /// What it means to other CPUs.
    pub elsewhere: Vec<(usize, String)>,
    /// The wait the context is in after it.
    pub waits: Option<WaitRow>,
    /// Shown by default.
    pub matters: bool,
}

/// A wait that begins.
pub(super) struct WaitRow {
    /// Line of the file.
    pub line: u32,
    /// The statement; empty if it is the one that was just executed.
    pub statement: String,
    pub function: String,
    pub note: String,
}

/// Every step of a run.
pub(super) fn events(story: &Story<'_>) -> Vec<Event> {
    let ipis = story.ipis();
    let mut last: Vec<Option<(usize, usize)>> = vec![None; story.contexts().count()];
    (0..story.len())
        .map(|n| event(story, n, &ipis, &mut last))
        .collect()
}

fn event(
    story: &Story<'_>,
    n: usize,
    ipis: &[super::Ipi],
    last: &mut [Option<(usize, usize)>],
) -> Event {
    let step = story.step(n);
    let context = step.context;
    let source = story.source_of(context);
    let mut event = Event {
        n: n + 1,
        context,
        line: source.span.line,
        is_head: false,
        what: String::new(),
        function: String::new(),
        note: None,
        elsewhere: elsewhere(story, n, ipis),
        waits: None,
        matters: true,
    };
    match (step.what, story.line_of(n)) {
        (What::Drain, _) => {
            event.line = 0;
            event.is_head = true;
            event.what = format!("<{}>", story.drained(n));
        }
        (What::Start, _) | (_, None) => {
            event.is_head = true;
            event.what = head(story, n, context);
            last[context.index()] = None;
        }
        (_, Some((_, line))) => {
            event.line = line.span.line;
            event.function = function(story, context, &line.text.function);
            let span = (line.span.start, line.span.end);
            let repeated = step.what == What::Granted
                || (span.1 > 0 && last[context.index()] == Some(span) && !is_jump_back(story, n));
            if !repeated {
                event.what = line.text.statement.clone();
            }
            event.note = story.note(n, repeated);
            last[context.index()] = Some(span);
            if step.what == What::End {
                event.what = "return".to_string();
                event.note = None;
                event.is_head = !story.is_thread(context);
                if event.is_head {
                    event.what = format!("</{}>", source.name);
                }
                event.matters = event.is_head || source.kind != Kind::Task;
                last[context.index()] = None;
            } else if matches!(line.op, Op::Choose(_)) {
                event.matters = false;
            }
        }
    }
    event.waits = wait_row(story, n + 1, context, &event);
    if event.waits.is_some() || !event.elsewhere.is_empty() {
        event.matters = true;
    }
    event
}

/// The same statement once more, in a loop, is a statement of its own.
fn is_jump_back(story: &Story<'_>, n: usize) -> bool {
    let context = story.step(n).context;
    let before = (0..n).rev().find(|&i| story.step(i).context == context);
    let at = |i: usize| story.line_of(i).map(|(pc, _)| pc);
    before.is_some_and(|b| at(b) >= at(n))
}

/// The function a statement is in, where it is not the source's own body.
pub(super) fn function(story: &Story<'_>, context: ContextId, function: &str) -> String {
    match function == story.source_of(context).name {
        true => String::new(),
        false => function.to_string(),
    }
}

/// How a start is announced: `<IPI f from CPU0>`.
fn head(story: &Story<'_>, n: usize, context: ContextId) -> String {
    let head = story.head(context);
    let Some(from) = story.sender(n) else {
        return head;
    };
    let from = match story.cpu_of(from) == story.cpu_of(context) {
        true => "this CPU".to_string(),
        false => format!("CPU{}", story.cpu_of(from)),
    };
    match (head.strip_suffix('>'), story.source_of(context).kind) {
        (Some(head), Kind::Ipi) => format!("{head} from {from}>"),
        _ => head,
    }
}

/// What arrives on other CPUs.
fn elsewhere(story: &Story<'_>, n: usize, ipis: &[super::Ipi]) -> Vec<(usize, String)> {
    let from = story.cpu_of(story.step(n).context);
    ipis.iter()
        .filter(|i| i.sent == n + 1)
        .map(|i| {
            let (cpu, source) = (story.cpu_of(i.handler), story.source_of(i.handler));
            let what = match source.kind {
                Kind::Ipi => format!("IPI {}", source.name),
                Kind::Work => format!("work {}", source.name),
                kind => format!("{kind} {}", source.name),
            };
            let by = match cpu == from {
                true => String::new(),
                false => format!(" from CPU{from}"),
            };
            let why = match (source.kind, story.not_taken(n + 1, i.handler)) {
                (Kind::Ipi, Some(why)) => format!(", {why}"),
                _ => String::new(),
            };
            (cpu, format!("<-- {what}{by}{why}"))
        })
        .collect()
}

/// The wait a context is in at state `n`, if one begins there.
fn wait_row(story: &Story<'_>, n: usize, context: ContextId, event: &Event) -> Option<WaitRow> {
    use crate::waits::Wait;
    let wait = story.wait(n, context)?;
    if matches!(
        wait,
        Wait::Interrupted { .. }
            | Wait::Scheduled { .. }
            | Wait::Blocked { .. }
            | Wait::Drain { .. }
    ) {
        return None;
    }
    let (_, line) = story.stands_at(n, context)?;
    let (before, _) = (event.n - 1, ());
    // Not a step of its own, and not the same wait going on.
    let same_line = story
        .stands_at(before, context)
        .is_some_and(|(_, l)| std::ptr::eq(l, line));
    Some(WaitRow {
        line: line.span.line,
        statement: match same_line || (event.what == line.text.statement && !event.is_head) {
            true => String::new(),
            false => line.text.statement.clone(),
        },
        function: function(story, context, &line.text.function),
        note: story.wait_note(n, context, &wait),
    })
}

/// Waits of contexts that never took a step after it began: to be shown at the end.
pub(super) fn silent_waits(story: &Story<'_>, shown: &[Event]) -> Vec<(ContextId, WaitRow)> {
    let n = story.end();
    story
        .contexts()
        .filter(|c| story.stuck() >> c.0 & 1 == 1)
        .filter(|&c| {
            let last = shown.iter().rev().find(|e| e.context == c);
            last.is_none_or(|e| e.waits.is_none())
        })
        .filter_map(|c| {
            use crate::waits::Wait;
            let wait = story.wait(n, c)?;
            if matches!(
                wait,
                Wait::Interrupted { .. }
                    | Wait::Scheduled { .. }
                    | Wait::Blocked { .. }
                    | Wait::Drain { .. }
            ) {
                return None;
            }
            let (_, line) = story.stands_at(n, c)?;
            Some((
                c,
                WaitRow {
                    line: line.span.line,
                    statement: line.text.statement.clone(),
                    function: function(story, c, &line.text.function),
                    note: story.wait_note(n, c, &wait),
                },
            ))
        })
        .collect()
}
