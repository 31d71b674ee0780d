//! Where a step of a run stands in this tree: the file that writes the kernel path down, and the line.

use super::{Finding, Place, Severity};
use crate::export::Run;
use shootdown_spec::order::Step;
use shootdown_spec::property::Property;
use shootdown_spec::state::Why;

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        &[$((
            concat!("spec/src/", $name, ".rs"),
            include_str!(concat!("../../../spec/src/", $name, ".rs")),
        )),*]
    };
}

/// The files that write programs down.
const SOURCES: &[(&str, &str)] = sources![
    "path/flush_tlb_interrupt",
    "path/gup_fast",
    "path/lazy_tlb",
    "path/page_referenced_one",
    "path/pgd_alloc",
    "path/pgd_free",
    "path/split_huge_page",
    "path/switch_mm",
    "path/try_to_unmap_one",
    "path/user_access",
    "path/vmalloc_fault",
    "path/vmalloc_sync_all",
    "path/xen_pgd_pin",
    "path/zap_page_range",
    "select",
];

/// Where designs differ, and what several paths share.
const SELECT: &str = "spec/src/select.rs";

fn line_of(file: &str, wanted: &str) -> Option<u64> {
    let (_, text) = SOURCES.iter().find(|(name, _)| *name == file)?;
    let at = text.lines().position(|line| line.contains(wanted))?;
    Some(at as u64 + 1)
}

/// The file of the step's program, at the first line that has the statement. For a statement that several paths share,
/// that is where the program begins, and the statement's own line in `select.rs` comes second.
pub fn places(step: &Step) -> (Place, Option<Place>) {
    let file = step.file();
    let statement = format!("\"{}\"", step.source);
    let own = line_of(&file, &statement);
    let shared = || Place {
        file: SELECT.to_string(),
        line: line_of(SELECT, &statement),
    };
    let place = Place {
        line: own.or_else(|| line_of(&file, "fn ")),
        file,
    };
    let second = own.is_none().then(shared);
    (place, second)
}

/// A run that violates a property as a finding: at the statement where the first of those who hang stands, or that the
/// last step executed; the others' statements are related.
pub fn violation(run: &Run, property: &Property) -> Finding {
    let (config, state) = (&run.protocol.config, run.last());
    let end = run.states.len() - 1;
    let stuck = state.stuck(config);
    let mut told: Vec<(Step, String)> = Vec::new();
    for who in stuck.iter() {
        let Some(step) = run.stands_at(end, who) else {
            continue;
        };
        let waits: Vec<String> = state
            .waits_for(config, who)
            .map(|edge| match edge.why {
                Why::Lock(lock) => format!("spins for {lock}, held by {}", edge.on),
                Why::QueuedBehind(lock) => format!("is queued for {lock} behind {}", edge.on),
                Why::Ack => format!(
                    "awaits the ack of {}, which does not take the IPI",
                    edge.on.cpu
                ),
                Why::LostAck(cpu) => format!("awaits an ack of {cpu} that never comes"),
                Why::Interrupted => "is interrupted".to_string(),
                Why::Split(mm) => format!("waits until {mm}'s pmd is split"),
            })
            .collect();
        told.push((
            step,
            format!("{who}, in {}, {}", step.program, waits.join(" and ")),
        ));
    }
    if told.is_empty()
        && let Some((n, step)) = (1..=end).rev().find_map(|n| Some((n, run.line(n)?)))
    {
        let at = &run.steps[n - 1];
        told.push((step, format!("CPU{}, step {n}: {}", at.cpu, at.step)));
    }
    let steps = run.trace.actions.len();
    let hangs: Vec<&str> = told.iter().map(|(_, text)| text.as_str()).collect();
    let message = format!(
        "{} is violated after {steps} steps by {}: {}. shootdown replay '{}'",
        property.name,
        config.design,
        hangs.join("; "),
        run.schedule()
    );
    let mut all = told.iter().flat_map(|(step, text)| {
        let (place, second) = places(step);
        let second = second.map(|p| (p, format!("{}: {}", step.function, step.source)));
        [Some((place, text.clone())), second]
    });
    let place = all.next().flatten().map(|(place, _)| place);
    Finding {
        rule: property.name.to_string(),
        promise: property.promise.to_string(),
        level: Severity::Error,
        message,
        place,
        related: all.flatten().collect(),
    }
}
