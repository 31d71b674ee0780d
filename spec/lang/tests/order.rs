//! The order proof on the corpus, against what `check` finds.

use shootdown_ir::check::{Verdict, check};
use shootdown_ir::compile::compile;
use shootdown_ir::explore::Bounds;
use shootdown_ir::machine::Machine;
use shootdown_ir::order::{Order, Proof};
use shootdown_lang::parse;

/// Files that are cyclic and do not deadlock: each has a rendezvous, and the graph does not know what the stage that was
/// reached says about the others.
const CRIES_WOLF: [&str; 8] = [
    "arm64-patch-counter.after.sd",
    "clockevents-mtrr.after.sd",
    "intel-rng.after.sd",
    "mtrr-tasklist.after.sd",
    "nuttx-cpu-pause.after.sd",
    "riscv-patch-text.after.sd",
    "serenity-smp-broadcast.after.sd",
    "stop-machine-irqs.after.sd",
];

/// Every file of the corpus: its name, does it deadlock, what is proven, do all cycles go through a condition?
fn corpus() -> Vec<(String, bool, Proof, bool)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|f| f.expect("it can be listed").path())
        .filter(|p| p.extension().is_some_and(|e| e == "sd"))
        .collect();
    paths.sort();
    let one = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).expect("it is a text");
        let name = path.file_name().expect("a file").to_string_lossy();
        let checked = parse(&text, &name).unwrap_or_else(|_| panic!("{name} is not read"));
        let p = &checked.protocol;
        let system = compile(p).expect("it compiles");
        let outcome = check(p, &Machine::new(&system), Bounds::default());
        let verdict = outcome.result("no_deadlock").map(|r| r.verdict);
        let order = Order::of(p);
        let conditions = order.cycles.iter().all(|c| {
            c.iter()
                .any(|l| l.waits_for.starts_with('`') && l.waits_for.contains('('))
        });
        (
            name.into_owned(),
            verdict == Some(Verdict::Violated),
            order.proof(),
            conditions,
        )
    };
    paths.iter().map(one).collect()
}

#[test]
fn nothing_that_deadlocks_is_proven_and_what_cries_wolf_is_known() {
    let corpus = corpus();
    assert!(corpus.len() >= 54, "{} files", corpus.len());
    let proven: Vec<&str> = corpus
        .iter()
        .filter(|(_, deadlocks, proof, _)| *deadlocks && *proof == Proof::Acyclic)
        .map(|(name, ..)| name.as_str())
        .collect();
    assert_eq!(proven, [""; 0], "deadlocks, and said to be acyclic");
    let wolf: Vec<&str> = corpus
        .iter()
        .filter(|(name, deadlocks, proof, _)| {
            !deadlocks
                && *proof == Proof::Cyclic
                && (name.ends_with(".before.sd") || name.ends_with(".after.sd"))
        })
        .map(|(name, ..)| name.as_str())
        .collect();
    assert_eq!(wolf, CRIES_WOLF);
    assert!(
        corpus
            .iter()
            .filter(|(name, ..)| CRIES_WOLF.contains(&name.as_str()))
            .all(|c| c.3),
        "each goes through a condition"
    );
}

#[test]
fn a_counted_reference_is_not_a_held_lock() {
    let refcount = corpus()
        .into_iter()
        .filter(|c| c.0.starts_with("text-poke-refcount"));
    let proofs: Vec<Proof> = refcount.map(|c| c.2).collect();
    assert_eq!(proofs, [Proof::Acyclic, Proof::Acyclic]);
}
