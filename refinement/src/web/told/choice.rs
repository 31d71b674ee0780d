//! What could happen next at a state of a run, and for what could not the guard that is false.

use super::Played;
use crate::web::fates::Fates;
use crate::web::view::choice::ChoiceView;
use crate::web::view::run::FateName;
use crate::web::view::step::ActionKind;
use shootdown_spec::config::Config;
use shootdown_spec::cpu::Cpu;
use shootdown_spec::id::{CpuId, Level, MmId};
use shootdown_spec::mm::Life;
use shootdown_spec::model::Action;
use shootdown_spec::schedule::schedule;
use shootdown_spec::state::State;
use shootdown_spec::trace::Trace;

/// Choices at state `i`, CPU by CPU; with fates if the graph and the state's number in it are known.
pub(super) fn choices(played: &Played, i: usize, graph: Option<(&Fates, u32)>) -> Vec<ChoiceView> {
    let at = &played.states[i];
    let enabled = played.subject.actions(at);
    let (config, state) = (played.config(), at.state());
    let mut all = Vec::new();
    for (who, cpu) in state.each_cpu(config) {
        let own = |action: &&Action| action.cpu() == who;
        all.extend(enabled.iter().filter(own).copied());
        for action in impossible(config, state, who, cpu) {
            if !enabled.contains(&action) {
                all.push(action);
            }
        }
    }
    all.iter()
        .map(|action| {
            let position = enabled.iter().position(|a| a == action);
            let fate = graph
                .zip(position)
                .and_then(|((fates, number), nth)| fates.after(number, nth))
                .unwrap_or(FateName::Unknown);
            choice(played, i, action, fate)
        })
        .collect()
}

/// Actions whose guard is worth reading where it is false: the next step of what runs, an IPI that is pending, a
/// program that an idle CPU may not start, an mm that no interrupt may free now.
fn impossible(config: &Config, state: &State, who: CpuId, cpu: &Cpu) -> Vec<Action> {
    let mut actions = Vec::new();
    let idle = !cpu.context(Level::Task).is_running() && !cpu.in_irq();
    if idle {
        let starts = config.choices(who.index()).iter();
        let start = |&(program, mm)| Action::Start {
            cpu: who,
            program,
            mm,
        };
        // All of them fail alike once it has started all it may.
        let most = if cpu.budget == 0 { 1 } else { usize::MAX };
        actions.extend(starts.map(start).take(most));
    } else {
        actions.push(Action::Step { cpu: who });
    }
    actions.extend(cpu.pending_ipis().map(|ipi| Action::Ipi {
        cpu: who,
        from: ipi.from,
    }));
    if config.environment.pgd_free_in_irq {
        let alive = |mm: &MmId| state.mm(*mm).life == Life::Alive;
        let mms = (0..config.slots()).map(|mm| MmId(mm as u8)).filter(alive);
        actions.extend(mms.map(|mm| Action::IrqFree { cpu: who, mm }));
    }
    actions
}

fn choice(played: &Played, i: usize, action: &Action, fate: FateName) -> ChoiceView {
    let (subject, at) = (&played.subject, &played.states[i]);
    let state = at.state();
    let moved = subject.step(at, action);
    let line = subject.protocol().line(state, action);
    let operation = subject.operation(at, action);
    let label = match (action, line) {
        (Action::Step { .. }, Some((_, line))) if !line.source.is_empty() => {
            line.source.to_string()
        }
        (Action::Start { program, mm, .. }, _) if mm.is_some() => format!("{program}({mm})"),
        (Action::Start { program, .. }, _) => format!("{program}()"),
        (Action::Ipi { from, .. }, _) => format!("<flush IPI from {from}>"),
        (Action::IrqFree { mm, .. }, _) => format!("<interrupt: last mmdrop({mm})>"),
        (Action::Fill { cpu, entry }, _) => {
            format!("<TLB caches {}'s {entry}>", state.cpu(*cpu).active)
        }
        (Action::Step { .. }, _) => operation.clone().unwrap_or_else(|| action.to_string()),
    };
    let then = moved.as_ref().ok().map(|_| {
        let mut actions = played.actions[..i].to_vec();
        actions.push(*action);
        let run = Trace {
            start: played.start,
            actions,
            loops_to: None,
        };
        schedule(played.config(), &run)
    });
    ChoiceView {
        cpu: action.cpu().0,
        action: action.to_string(),
        kind: ActionKind::of(action),
        label,
        program: match action {
            Action::Start { program, .. } => Some(program.name()),
            _ => line.map(|(program, _)| program.name()),
        },
        function: line.map(|(_, line)| line.function),
        operation,
        enabled: moved.is_ok(),
        hash: moved.as_ref().ok().map(|m| m.at.hash()),
        guard: moved.err(),
        schedule: then,
        fate,
        taken: played.actions.get(i) == Some(action),
    }
}
