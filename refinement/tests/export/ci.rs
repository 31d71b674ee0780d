//! Results for CI: where findings point to.

use super::{SEED, STALE, run};
use shootdown_refinement::ci::source::{places, violation};
use shootdown_spec::design::DESIGNS;
use shootdown_spec::environment::ENVIRONMENTS;
use shootdown_spec::order::Step;
use shootdown_spec::program::PROGRAMS;
use shootdown_spec::property::Property;
use shootdown_spec::workload::Workload;
use std::path::Path;

fn tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("it is in the tree")
}

/// Every statement of every program, in every design and environment: the line is there and has it.
#[test]
fn every_statement_has_a_line() {
    let mut seen = 0;
    for design in DESIGNS {
        for named in ENVIRONMENTS {
            let environment = named.environment;
            let workload = Workload::parse("everything", &environment).expect("it is one");
            let config = shootdown_spec::config::Config::new(
                design.design,
                environment,
                workload,
                shootdown_spec::variant::VariantSet::NONE,
            )
            .expect("it makes sense");
            for program in PROGRAMS
                .iter()
                .filter(|p| config.workload.uses(p.id))
                .map(|p| config.program(p.id))
            {
                for pc in 0..program.lines.len() as u8 {
                    let step = Step::of(program, pc);
                    if program.line(pc).op.is_control() {
                        continue;
                    }
                    let (place, second) = places(&step);
                    assert_eq!(place.file, step.file());
                    let at = second.unwrap_or(place);
                    let text =
                        std::fs::read_to_string(tree().join(&at.file)).expect("it is in the tree");
                    let line = at
                        .line
                        .unwrap_or_else(|| panic!("no line of {} has {step:?}", at.file));
                    let line = text
                        .lines()
                        .nth(line as usize - 1)
                        .expect("the file is as long");
                    assert!(line.contains(step.source), "{step:?}: {line}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 1000, "{seen}");
}

#[test]
fn the_seed_points_to_where_both_stand() {
    let (_, no_deadlock) = Property::named("no_deadlock").expect("it is one");
    let finding = violation(&run(SEED), no_deadlock);
    let place = finding.place.expect("it has one");
    assert_eq!(place.file, "spec/src/path/vmalloc_sync_all.rs");
    let related: Vec<&str> = finding
        .related
        .iter()
        .map(|(place, _)| place.file.as_str())
        .collect();
    // CPU1 awaits in what every flush shares.
    assert_eq!(
        related,
        ["spec/src/path/page_referenced_one.rs", "spec/src/select.rs"]
    );
    assert!(
        finding
            .message
            .contains("CPU0, in vmalloc_sync_all, spins for mm0.page_table_lock, held by CPU1")
    );
    assert!(finding.message.contains("shootdown replay 'v2.6.37;"));
}

#[test]
fn where_nobody_hangs_the_last_step_is_pointed_to() {
    let (_, stale) = Property::named("no_stale_tlb_after_return").expect("it is one");
    let finding = violation(&run(STALE), stale);
    assert_eq!(
        finding.place.expect("it has one").file,
        "spec/src/path/zap_page_range.rs"
    );
}
