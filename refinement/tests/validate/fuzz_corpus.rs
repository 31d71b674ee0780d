//! What the fuzz targets do, over the corpus that is kept: CI runs this, `cargo fuzz` goes on from there.

use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
pub mod targets;

fn each(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    assert!(files.len() >= 5, "{} is nearly empty", folder.display());
    for file in files {
        run(&std::fs::read(&file).unwrap());
    }
}

#[test]
fn no_kept_trace_makes_the_reader_panic() {
    each("trace", targets::trace);
}

#[test]
fn no_kept_schedule_makes_the_reader_panic() {
    each("schedule", targets::schedule);
}

#[test]
fn no_kept_ftrace_makes_the_reader_panic() {
    each("ftrace", targets::ftrace);
}
