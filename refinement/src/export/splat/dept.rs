//! DEPT's form (Byungchul Park's dependency tracker, out of tree): contexts that start to withhold an event, wait for
//! another, and so never reach their own. It has a place for a wait that is not for a lock, so no pseudo lock is needed.

use super::frame::{frame, kernel, name};
use super::{csd, fill, heading};
use crate::export::lockdep::Class;
use crate::export::run::Run;
use shootdown_spec::id::{Context, Level, LockId};
use shootdown_spec::state::{Edge, Why};
use std::fmt::Write as _;

const RULE: &str = "===================================================";
const LINE: &str = "---------------------------------------------------";

/// A context of the cycle.
struct Link {
    /// What it withholds from the one before, and where it began to.
    starts: (String, String),
    /// An interrupt waits on top of the code that withholds.
    interrupt: bool,
    /// What it waits for, and where.
    waits: (String, String),
    /// What it never reaches.
    event: String,
}

/// The cycle that the run ends in; `None` if it does not end in one.
pub fn write(run: &Run) -> Option<String> {
    let cycle: Vec<Edge> = run.cycle();
    let waits: Vec<&Edge> = cycle.iter().filter(|e| e.why != Why::Interrupted).collect();
    if waits.is_empty() {
        return None;
    }
    let links: Vec<Link> = (0..waits.len())
        .map(|i| {
            let before = waits[(i + waits.len() - 1) % waits.len()];
            link(run, before, waits[i])
        })
        .collect();
    let about = "DEPT tracks waits and events, so the wait for acknowledgements needs no pseudo lock. The contexts are \
                 those of the state that the run ends in.";
    let mut text = heading(run, about);
    let _ = write!(
        text,
        "\n{RULE}\nDEPT: Circular dependency has been detected.\n{} Not tainted\n{LINE}\nsummary\n{LINE}\n",
        kernel(run)
    );
    text += if links.len() == 1 {
        "*** AA DEADLOCK ***\n\n"
    } else {
        "*** DEADLOCK ***\n\n"
    };
    for (i, link) in links.iter().enumerate() {
        text += &diagram(i, link);
        text.push('\n');
    }
    text +=
        "[S]: start of the event context\n[W]: the wait blocked\n[E]: the event not reachable\n";
    for (i, link) in links.iter().enumerate() {
        let letter = letter(i);
        let _ = write!(text, "{LINE}\ncontext {letter}'s detail\n{LINE}\n");
        text += &diagram(i, link);
        let _ = write!(text, "\n[S] {}:\n{}\n", link.starts.0, link.starts.1);
        let _ = write!(text, "\n[W] {}:\n{}\n", link.waits.0, link.waits.1);
        let _ = write!(text, "\n[E] {}:\n(N/A)\n", link.event);
    }
    let _ = write!(text, "{LINE}\ninformation that might be helpful\n{LINE}\n");
    for (who, ctx) in run.last().each_context(&run.protocol.config) {
        let held: Vec<String> = ctx.held.iter().map(|l| l.to_string()).collect();
        let irqs = if run.last().cpu(who.cpu).irqs_on {
            1
        } else {
            0
        };
        let held = if held.is_empty() {
            "nothing".to_string()
        } else {
            held.join(", ")
        };
        let _ = writeln!(
            text,
            "{}",
            fill(&format!("{who}: {}, IF={irqs}, holds {held}", ctx.program))
        );
    }
    Some(text + &csd(run))
}

fn letter(i: usize) -> char {
    char::from(b'A' + u8::try_from(i).unwrap_or(25).min(25))
}

fn diagram(i: usize, link: &Link) -> String {
    let (interrupt, indent) = match link.interrupt {
        true => ("    <hardirq interrupt>\n", "    "),
        false => ("", ""),
    };
    format!(
        "context {}\n    [S] {}\n{interrupt}    {indent}[W] {}\n    [E] {}\n",
        letter(i),
        link.starts.0,
        link.waits.0,
        link.event
    )
}

fn link(run: &Run, before: &Edge, edge: &Edge) -> Link {
    let withholder = before.on;
    let (starts, event) = withheld(run, before);
    Link {
        starts,
        event,
        interrupt: withholder != edge.from && edge.from.level == Level::Irq,
        waits: waited(run, edge),
    }
}

fn class_of(lock: LockId) -> String {
    name(Class::Lock(lock.into()), false)
}

/// What the context at the end of an edge keeps the other from: since where, and with what it would stop to.
fn withheld(run: &Run, edge: &Edge) -> ((String, String), String) {
    let who = edge.on;
    match edge.why {
        Why::Lock(lock) | Why::QueuedBehind(lock) => {
            let class = class_of(lock);
            let attempt = run
                .locks
                .iter()
                .rev()
                .find(|a| a.lock == lock && a.who == who);
            let place = attempt.map(|a| frame(run, &a.at));
            let verb = if matches!(edge.why, Why::Lock(_)) {
                "lock"
            } else {
                "queue"
            };
            (
                (format!("{verb}({class}:0)"), located(place)),
                format!("unlock({class}:0)"),
            )
        }
        Why::Ack => {
            let off = (1..run.states.len()).rev().find(|&n| {
                let cpu = |i: usize| run.states[i].cpu(who.cpu).irqs_on;
                run.actor(n).cpu == who.cpu && cpu(n - 1) && !cpu(n)
            });
            let place = off.and_then(|n| run.line(n)).map(|step| frame(run, &step));
            let verb = if who.level == Level::Irq {
                "irq_enter"
            } else {
                "local_irq_disable"
            };
            let ack = name(Class::Ack(who.cpu), false);
            (
                (format!("{verb}({ack}:0)"), located(place)),
                format!("ack({ack}:0)"),
            )
        }
        Why::Split(mm) => (
            (format!("set_splitting({mm}.pmd:0)"), located(None)),
            format!("pmd_populate({mm}.pmd:0)"),
        ),
        Why::Interrupted | Why::LostAck(_) => ((String::new(), located(None)), String::new()),
    }
}

fn waited(run: &Run, edge: &Edge) -> (String, String) {
    let what = match edge.why {
        Why::Lock(lock) | Why::QueuedBehind(lock) => format!("lock({}:0)", class_of(lock)),
        Why::Ack => format!("wait({}:0)", name(Class::Ack(edge.on.cpu), false)),
        Why::Split(mm) => format!("wait_split_huge_page({mm}.pmd:0)"),
        Why::Interrupted | Why::LostAck(_) => String::new(),
    };
    let place = run.stands_at(run.states.len() - 1, edge.from);
    let mut text = located(place.map(|step| frame(run, &step)));
    let below = Context {
        level: Level::Task,
        ..edge.from
    };
    if edge.from.level == Level::Irq
        && let Some(step) = run.stands_at(run.states.len() - 1, below)
    {
        text += &format!("\n      <interrupt> {}", frame(run, &step));
    }
    (what, text)
}

fn located(place: Option<String>) -> String {
    match place {
        Some(frame) => format!("[<model>] {frame}"),
        None => "(N/A)".to_string(),
    }
}
