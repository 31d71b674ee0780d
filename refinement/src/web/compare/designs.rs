//! A run on another design: statement by statement, not turn by turn.
//!
//! An action says whose turn it is, not what it does, and designs differ in how many statements they need. So for each
//! statement of the left run the same CPU of the right one goes on until it has executed that statement too, statements
//! that only the right design has included; where it would not come to it, the left one stands alone. The runs part
//! where a CPU holds or waits for other locks than its counterpart; if that never happens, where its interrupt flag
//! is another.

use crate::web::subject::{At, Subject};
use crate::web::told::Played;
use crate::web::view::compare::{DivergesKind, DivergesView};
use crate::web::view::run::RefusedView;
use shootdown_spec::id::{Context, CpuId};
use shootdown_spec::model::Action;
use shootdown_spec::program::{Line, ProgramId};
use shootdown_spec::report;

/// How far ahead a statement is looked for: longer than anything a design puts before one.
const AHEAD: usize = 12;

/// How far the right run was led.
pub(super) struct Led {
    /// By step of the left run, the step of the right one that is it.
    pub(super) pairs: Vec<Option<usize>>,
    /// By step of the left run, how many steps the right one had done after it.
    reached: Vec<usize>,
}

/// Leads the right run along the left one.
pub(super) fn lead(left: &Played, right: &mut Played) -> Led {
    let mut led = Led {
        pairs: Vec::new(),
        reached: Vec::new(),
    };
    for (i, action) in left.actions.iter().enumerate() {
        let wanted = left.subject.protocol().line(left.states[i].state(), action);
        let steps = match wanted {
            Some(wanted) => until(&right.subject, right.last(), action.cpu(), wanted),
            None => Ok(Some(1)),
        };
        let taken = steps.and_then(|steps| {
            let Some(steps) = steps else { return Ok(false) };
            for _ in 0..steps {
                right.take(action)?;
            }
            Ok(true)
        });
        match taken {
            Ok(true) => led.pairs.push(Some(right.actions.len() - 1)),
            Ok(false) => led.pairs.push(None),
            Err(guard) => {
                right.refused = Some(RefusedView {
                    step: i + 1,
                    cpu: Some(action.cpu().0),
                    action: action.to_string(),
                    guard,
                });
                break;
            }
        }
        led.reached.push(right.actions.len());
    }
    led.pairs.resize(left.actions.len(), None);
    led
}

/// How many steps of the CPU it takes to execute a statement; `None` if it would not come to it.
///
/// # Errors
/// The guard, if the CPU cannot move at all.
fn until(
    subject: &Subject,
    from: &At,
    cpu: CpuId,
    wanted: (ProgramId, &Line),
) -> Result<Option<usize>, String> {
    let (mut at, step) = (*from, Action::Step { cpu });
    for n in 1..=AHEAD {
        let Some((program, line)) = subject.protocol().line(at.state(), &step) else {
            return Ok(None);
        };
        let found = program == wanted.0 && is_same(line, wanted.1);
        match subject.step(&at, &step) {
            Ok(_) if found => return Ok(Some(n)),
            Ok(moved) => at = moved.at,
            Err(guard) if n == 1 => return Err(guard),
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// The same statement, or the same step written otherwise: `spin_lock_irqsave` is `local_irq_save` and `spin_lock`.
fn is_same(a: &Line, b: &Line) -> bool {
    // Where it jumps to and whether readers share the lock is the design's.
    let key = |line: &Line| -> String {
        let text = format!("{:?}", line.op).replace("Shared", "Exclusive");
        text.chars().filter(|c| !c.is_ascii_digit()).collect()
    };
    key(a) == key(b)
}

/// Where the runs part.
pub(super) fn diverges(left: &Played, right: &Played, led: &Led) -> Option<DivergesView> {
    let refused = right.refused.as_ref().map(|r| r.step);
    let mut interrupts = None;
    for (i, &reached) in led.reached.iter().enumerate() {
        let who = left.actions[i].cpu();
        let (one, other) = (&left.states[i + 1], &right.states[reached]);
        let view = |kind, sentence| DivergesView {
            step: i + 1,
            cpu: who.0,
            kind,
            guard: None,
            sentence,
            refused,
        };
        let (has, has_not) = (standing(left, one, who), standing(right, other, who));
        if has != has_not {
            let before = led.reached[..i].last().copied().unwrap_or(0);
            let sentence = format!(
                "After step {} {who} {has} on the left. On the right it {has_not}{}.",
                i + 1,
                own_way(right, who, before, reached, led.pairs[i])
            );
            return Some(view(DivergesKind::Locks, sentence));
        }
        let irqs = |at: &At| at.state().cpu(who).irqs_on;
        if irqs(one) != irqs(other) && interrupts.is_none() {
            let word = |at| if irqs(at) { "on" } else { "off" };
            let sentence = format!(
                "After step {} {who} has interrupts {} on the left and {} on the right.",
                i + 1,
                word(one),
                word(other)
            );
            interrupts = Some(view(DivergesKind::Interrupts, sentence));
        }
    }
    let stopped = right.refused.as_ref().map(|r| DivergesView {
        step: r.step,
        cpu: r.cpu.unwrap_or(0),
        kind: DivergesKind::Refused,
        guard: Some(r.guard.clone()),
        sentence: format!("On the right step {} is not possible: {}.", r.step, r.guard),
        refused,
    });
    interrupts.or(stopped)
}

/// What the CPU holds and waits for, as a clause without its subject.
fn standing(played: &Played, at: &At, who: CpuId) -> String {
    let (config, state) = (played.config(), at.state());
    let cpu = state.cpu(who);
    let levels = shootdown_spec::id::Level::ALL;
    let held: Vec<String> = levels
        .iter()
        .flat_map(|&level| cpu.context(level).held.iter())
        .map(|lock| lock.to_string())
        .collect();
    let held = match held.as_slice() {
        [] => "holds no lock".to_string(),
        all => format!("holds {}", all.join(" and ")),
    };
    let top = Context {
        cpu: who,
        level: cpu.top(),
    };
    match report::wait(config, state, top) {
        Some(wait) => format!("{held} and {wait}"),
        None => held,
    }
}

/// The statements that only the right run executed on the way there.
fn own_way(
    right: &Played,
    who: CpuId,
    before: usize,
    reached: usize,
    pair: Option<usize>,
) -> String {
    let protocol = right.subject.protocol();
    let own: Vec<String> = (before..reached)
        .filter(|&n| Some(n) != pair && right.actions[n].cpu() == who)
        .filter_map(|n| protocol.line(right.states[n].state(), &right.actions[n]))
        .map(|(_, line)| format!("`{}`", line.source))
        .collect();
    if own.is_empty() {
        String::new()
    } else {
        format!(": first it did {}", own.join(", "))
    }
}
