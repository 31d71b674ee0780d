//! Counterexamples of the corpus as people read them, and their strings.

#[path = "pages/fresh.rs"]
mod page;

use page::fresh;
use shootdown_ir::check::{Verdict, check};
use shootdown_ir::compile::compile;
use shootdown_ir::explore::Bounds;
use shootdown_ir::machine::Machine;
use shootdown_ir::report::{Story, TextOptions};
use std::path::{Path, PathBuf};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

/// Reads and checks a file of the corpus, and hands the counterexample of every violated property to `told`.
fn each_story(file: &str, mut told: impl FnMut(&str, &Story<'_>)) {
    let text = std::fs::read_to_string(corpus().join(file)).expect("it is in the corpus");
    let checked =
        shootdown_lang::parse(&text, file).unwrap_or_else(|d| panic!("{}", d.render(false)));
    let system = compile(&checked.protocol).expect("it compiles");
    let machine = Machine::new(&system);
    let outcome = check(&checked.protocol, &machine, Bounds::default());
    for result in outcome
        .results
        .iter()
        .filter(|r| r.verdict == Verdict::Violated)
    {
        let story = Story::counterexample(&checked.protocol, &machine, &outcome, result);
        told(&result.name, &story.expect("what is violated has a run"));
    }
}

fn report(file: &str, property: &str, width: usize) -> String {
    let mut found = None;
    each_story(file, |name, story| {
        let options = TextOptions {
            width,
            ..TextOptions::default()
        };
        if name == property {
            found = Some(story.text(&options));
        }
    });
    found.unwrap_or_else(|| panic!("{file} does not violate {property}"))
}

macro_rules! reports {
    ($($test:ident $file:literal $property:literal $width:literal;)*) => {
        $(#[test]
        fn $test() {
            insta::assert_snapshot!(report(concat!($file, ".sd"), $property, $width));
        })*
    };
}

reports! {
    pgd_lock_2011_at_80_columns "pgd-lock-2011.before" "no_deadlock" 80;
    pgd_lock_2011_at_120_columns "pgd-lock-2011.before" "no_deadlock" 120;
    clockevents_mtrr_at_80_columns "clockevents-mtrr.before" "no_deadlock" 80;
    clockevents_mtrr_at_120_columns "clockevents-mtrr.before" "no_deadlock" 120;
    kvm_dirty_log_at_80_columns "kvm-dirty-log.before" "assertion" 80;
    kvm_dirty_log_at_120_columns "kvm-dirty-log.before" "assertion" 120;
    perf_pending_ipi_at_80_columns "perf-pending-ipi.before" "no_deadlock" 80;
    perf_pending_ipi_at_120_columns "perf-pending-ipi.before" "no_deadlock" 120;
    riscv_patch_text_at_80_columns "riscv-patch-text.before" "no_deadlock" 80;
    riscv_patch_text_at_120_columns "riscv-patch-text.before" "no_deadlock" 120;
}

#[test]
fn every_printed_run_replays_to_the_state_it_was_printed_of() {
    let mut runs = 0;
    for entry in std::fs::read_dir(corpus()).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if path.extension().is_none_or(|e| e != "sd") {
            continue;
        }
        let file = path
            .file_name()
            .expect("a file has a name")
            .to_string_lossy();
        each_story(&file, |name, story| {
            let string = story.schedule();
            let (again, refused) = Story::replay(story.protocol(), story.machine(), &string)
                .unwrap_or_else(|e| panic!("{file}, {name}: {e}"));
            assert_eq!(refused, None, "{file}, {name}");
            assert_eq!(
                again.state(again.end()),
                story.state(story.end()),
                "{file}, {name}"
            );
            assert_eq!(story.records().len(), story.len(), "{file}, {name}");
            assert!(
                story.explain().is_some_and(|(_, text)| !text.is_empty()),
                "{file}, {name}"
            );
            runs += 1;
        });
    }
    assert!(runs > 40, "only {runs} runs were told");
}

#[test]
fn the_page_on_memory_quotes_a_run() {
    let text = report("waitqueue-active.before.sd", "no_deadlock", 100);
    let from = text.find("    line  CPU0").expect("the columns");
    let to = text.find("\n\nAfter step").expect("their end");
    fresh(
        "reports",
        "memory.md",
        "run",
        &format!("```\n{}\n```\n", &text[from..to]),
    );
}

#[test]
fn who_may_still_be_called_is_not_said_to_be_missing() {
    let text = "scenario \"x\"; cpus 2;
bool kicked, s;
void kick(void *i) { kicked = true; }
task a on CPU0 { s = 1; while (!kicked) cpu_relax(); }
task b on CPU1 { while (!s) cpu_relax(); assert(0); smp_call_function_single(0, kick, NULL, 0); }
";
    let checked = shootdown_lang::parse(text, "x.sd").expect("it reads");
    let system = compile(&checked.protocol).expect("it compiles");
    let machine = Machine::new(&system);
    let outcome = check(&checked.protocol, &machine, Bounds::default());
    let failed = outcome.result("assertion").expect("there is one");
    let story = Story::counterexample(&checked.protocol, &machine, &outcome, failed);
    let wide = TextOptions {
        width: 200,
        ..TextOptions::default()
    };
    let told = story.expect("it fails").text(&wide);
    assert!(told.contains("nobody that runs could end it"), "{told}");
    assert!(!told.contains("nobody is left"), "{told}");
}
