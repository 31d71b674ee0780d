//! A graph for Graphviz: who waits for whom at the end of a run. Red: those who can never move again.

use shootdown_ir::report::Story;
use shootdown_ir::waits::Wait;
use std::fmt::Write as _;

/// The wait-for graph of the last state.
pub fn waits(story: &Story<'_>) -> String {
    let n = story.end();
    let mut text = String::from(
        "digraph waits {\n  rankdir=LR;\n  node [shape=box, fontname=\"monospace\"];\n  edge [fontname=\"monospace\", fontsize=10];\n",
    );
    let title = match story.property() {
        Some(property) => format!("{}: {property} is violated", story.protocol().name),
        None => story.protocol().name.clone(),
    };
    let _ = writeln!(text, "  label={};\n", quoted(&title));
    for context in story.contexts() {
        let wait = story.wait(n, context);
        let Some((_, line)) = story.stands_at(n, context) else {
            if wait.is_some() {
                let label = format!("{}\npending", story.named(context));
                let _ = writeln!(
                    text,
                    "  c{} [label={}, style=dashed];",
                    context.0,
                    quoted(&label)
                );
            }
            continue;
        };
        let mut label = story.named(context);
        if line.span.line > 0 {
            label += &format!("\nline {}", line.span.line);
        }
        let held = story.held(n, context);
        if !held.is_empty() {
            label += &format!("\nholds {}", held.join(", "));
        }
        let colour = match story.stuck() >> context.0 & 1 {
            1 => ", color=red",
            _ => "",
        };
        let _ = writeln!(text, "  c{} [label={}{colour}];", context.0, quoted(&label));
    }
    text.push('\n');
    for context in story.contexts() {
        let Some(wait) = story.wait(n, context) else {
            continue;
        };
        let label = match &wait {
            Wait::Lock { lock, element, .. } => story.lock_name(*lock, *element),
            Wait::Acks { .. } => "return of the call".to_string(),
            Wait::CallData { .. } => "its call data".to_string(),
            Wait::Condition { .. } => story
                .stands_at(n, context)
                .map_or(String::new(), |(_, line)| line.text.statement.clone()),
            Wait::Quiet { .. } => "its end".to_string(),
            Wait::Readers { .. } => "rcu_read_unlock()".to_string(),
            Wait::Drain { .. } => "its stores".to_string(),
            Wait::Interrupted { .. } => "interrupted".to_string(),
            Wait::Scheduled { .. } => "the CPU".to_string(),
            Wait::Blocked { .. } => "not taken".to_string(),
        };
        for on in wait.on() {
            let both = story.stuck() >> context.0 & story.stuck() >> on.0 & 1 == 1;
            let colour = if both { ", color=red" } else { "" };
            let _ = writeln!(
                text,
                "  c{} -> c{} [label={}{colour}];",
                context.0,
                on.0,
                quoted(&label)
            );
        }
    }
    text + "}\n"
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n"))
}
