//! The run that separates the candidates, led along on the other one.

use crate::web::{SubjectName, compared};
use shootdown_refinement::review::findings::{Beside, BesideRow, Cell, Findings};
use shootdown_refinement::review::run::Run;
use shootdown_refinement::review::word::Kind;
use shootdown_spec::schedule::Schedule;

/// The first run, deadlocks first, by which one candidate hangs or corrupts something where the other does not.
pub(super) fn beside(findings: &Findings) -> Option<Beside> {
    let [one, other] = findings.candidates.0;
    let mut found: Vec<(bool, &Cell, &str, &Run)> = Vec::new();
    for env in findings.environments() {
        for (bad, good) in [(one, other), (other, one)] {
            let (Some(bad), Some(good_cell)) = (findings.cell(bad, env), findings.cell(good, env))
            else {
                continue;
            };
            for judged in bad.violated() {
                let harm = Kind::of([judged.name.as_str()], true, "everything") == Kind::Violated;
                let safe = good_cell.outcome.as_ref().is_some_and(|o| o.complete)
                    && !good_cell.violates(&judged.name);
                if let Some(run) = judged.run.as_ref().filter(|_| harm && safe) {
                    found.push((judged.name != "no_deadlock", bad, good, run));
                }
            }
        }
    }
    let (_, cell, good, run) = found.into_iter().min_by_key(|(other, ..)| *other)?;
    led(cell, good, run)
}

fn led(cell: &Cell, good: &str, run: &Run) -> Option<Beside> {
    let schedule = Schedule::parse(&run.schedule).ok()?;
    let sides = compared(SubjectName::Spec, &schedule, good).ok()?;
    let step = |played: &crate::web::Played, n: usize| {
        let action = &played.actions[n];
        let line = played
            .subject
            .protocol()
            .line(played.states[n].state(), action);
        let text = line.map_or_else(|| action.to_string(), |(_, line)| line.source.to_string());
        (n + 1, text)
    };
    let mut rows = Vec::new();
    let mut reached = 0;
    let row = |left: Option<usize>, right: Option<usize>| {
        let action = match (left, right) {
            (Some(n), _) => &sides.left.actions[n],
            (None, n) => &sides.right.actions[n.unwrap_or(0)],
        };
        BesideRow {
            cpu: action.cpu().0,
            left: left.map(|n| step(&sides.left, n)),
            right: right.map(|n| step(&sides.right, n)),
        }
    };
    for (n, pair) in sides.pairs.iter().enumerate() {
        if let Some(pair) = *pair {
            rows.extend((reached..pair).map(|own| row(None, Some(own))));
            reached = pair + 1;
        }
        rows.push(row(Some(n), *pair));
    }
    rows.extend((reached..sides.right.actions.len()).map(|own| row(None, Some(own))));
    let right = Run::plain(sides.right.config().clone(), sides.right.trace()).ok()?;
    Some(Beside {
        bad: cell.design.clone(),
        good: good.to_string(),
        env: cell.env.clone(),
        left: run.clone(),
        right,
        rows,
        ends: sides.right_ends.sentence.clone(),
    })
}
