//! The corpus: every file reads without an error, and what it expects comes out.

use shootdown_ir::check::{Outcome, check};
use shootdown_ir::explore::Bounds;
use shootdown_ir::machine::Machine;
use shootdown_ir::{Expect, compile::compile};
use shootdown_lang::{Checked, parse};
use std::path::{Path, PathBuf};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sd"))
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> Result<Checked, String> {
    let text = std::fs::read_to_string(path).expect("a readable file");
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("?");
    parse(&text, name).map_err(|errors| errors.render(false))
}

fn checked(checked: &Checked) -> Outcome {
    let system =
        compile(&checked.protocol).unwrap_or_else(|error| panic!("{error} at {:?}", error.span));
    let machine = Machine::new(&system);
    check(
        &checked.protocol,
        &machine,
        Bounds {
            states: Some(300_000),
            ..Bounds::default()
        },
    )
}

#[test]
fn every_file_has_the_verdict_that_it_expects() {
    expected("../corpus");
}

/// Pairs of other classes of deadlocks, each before and after its fix, as short as can be.
#[test]
fn every_class_is_found_before_its_fix_and_not_after() {
    expected("tests/classes");
}

fn expected(folder: &str) {
    let mut wrong = Vec::new();
    for path in files(folder) {
        let scenario = match read(&path) {
            Ok(scenario) => scenario,
            Err(errors) => {
                wrong.push(errors);
                continue;
            }
        };
        let outcome = checked(&scenario);
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("?");
        let violated: Vec<&str> = outcome
            .violated()
            .map(|result| result.name.as_str())
            .collect();
        let as_expected = match &scenario.protocol.expect {
            Some(Expect::Ok) => violated.is_empty(),
            Some(Expect::Violated(property)) => violated.contains(&property.as_str()),
            None => false,
        };
        println!(
            "{name:48} {:6} states {:?} {:?}",
            outcome.graph.len(),
            violated,
            outcome.unreached
        );
        if !as_expected || outcome.cut().is_some() {
            wrong.push(format!(
                "{name}: violated {violated:?}, expected {:?}, cut {:?}",
                scenario.protocol.expect,
                outcome.cut()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A counter that nobody bounds ends the search: nothing is said about who would have gone on, and a deadlock of others is
/// still one.
#[test]
fn what_a_growing_counter_hides_is_incomplete_and_no_deadlock() {
    let endless = "scenario \"t\"; cpus 3; int ticks; spinlock_t a, b;
irq tick on CPU0 { ticks++; }
task t on CPU0 { cpu_relax(); }
";
    let verdict = |text: &str| {
        let read = parse(text, "t.sd").unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        let outcome = checked(&read);
        assert!(outcome.cut().is_some());
        outcome.result("no_deadlock").map(|r| r.verdict.name())
    };
    assert_eq!(verdict(endless), Some("incomplete"));
    let others =
        "task one on CPU1 { spin_lock(&a); spin_lock(&b); spin_unlock(&b); spin_unlock(&a); }
task two on CPU2 { spin_lock(&b); spin_lock(&a); spin_unlock(&a); spin_unlock(&b); }
";
    assert_eq!(verdict(&format!("{endless}{others}")), Some("violated"));
}
