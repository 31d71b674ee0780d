//! A run as the kernel would complain, headed as a counterexample: each context that hangs with the locks it holds, what it
//! waits for and the statement, in the look of lockdep's list of held locks, and the circle in the look of DEPT: what is
//! waited for, and the event that would end it.

use shootdown_ir::report::Story;
use std::fmt::Write as _;

const RULE: &str = "======================================================";

/// The report, or `None` if nobody hangs at the end of the run.
pub fn splat(story: &Story<'_>) -> Option<String> {
    let n = story.end();
    let stuck = story.stuck();
    let sentence = story.deadlock(n, stuck)?;
    let records = story.status(n);
    let hang: Vec<_> = records
        .iter()
        .filter(|c| c.stuck && !c.statement.is_empty())
        .collect();
    let mut text = format!(
        "{RULE}\nCOUNTEREXAMPLE of a model checker, not of a kernel\nscenario: {}\n{RULE}\n",
        story.protocol().name
    );
    for context in &hang {
        let _ = writeln!(
            text,
            "{}/CPU{} is stuck at {}:\n    {}",
            context.source,
            context.cpu,
            story.place(context.line),
            context.statement
        );
        match context.holds.len() {
            0 => text += "no locks held\n",
            held => {
                let s = if held == 1 { "" } else { "s" };
                let _ = writeln!(
                    text,
                    "{held} lock{s} held by {}/CPU{}:",
                    context.source, context.cpu
                );
                for (i, lock) in context.holds.iter().enumerate() {
                    let _ = writeln!(text, " #{i}: ({lock})");
                }
            }
        }
        if let Some(waits) = &context.waits {
            let _ = writeln!(text, "it {waits}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "*** DEADLOCK ***\n\n{sentence}\n");
    let cycle = story.cycle(n, stuck);
    for (i, &context) in cycle.iter().enumerate() {
        let next = cycle[(i + 1) % cycle.len()];
        let _ = writeln!(
            text,
            "context {}\n    [W] {}\n    [E] {}",
            (b'A' + (i % 26) as u8) as char,
            story.wait_text(n, context).unwrap_or_default(),
            story.named(next),
        );
    }
    let _ = writeln!(text, "---\n{}", story.replay_command());
    Some(text)
}
