//! What the fuzz targets call: each must come back, whatever the bytes.
//!
//! One more reader is one more function here, a file of two lines in `fuzz_targets/`, its `[[bin]]` in `Cargo.toml`, some
//! files in `corpus/`, and a test over them in `tests/validate/fuzz_corpus.rs`, which CI runs.

/// A trace: a verdict or a place, and no other outcome.
pub fn trace(bytes: &[u8]) {
    use shootdown_refinement::validate::{Options, validate};
    let options = Options {
        order: true,
        ..Options::default()
    };
    if let Err(error) = validate(bytes, &options) {
        assert!(error.line > 0 && error.column > 0, "{error}");
    }
}

/// A schedule string: one that is read is replayed as far as it goes.
pub fn schedule(bytes: &[u8]) {
    use shootdown_spec::schedule::Schedule;
    let text = String::from_utf8_lossy(bytes);
    if let Err(error) = Schedule::parse(&text) {
        assert!(error.column() > 0, "{error}");
    }
}

/// The text of an ftrace: a report, which can be printed, or a place.
pub fn ftrace(bytes: &[u8]) {
    use shootdown_trace::ftrace::{read, report::Rule, text};
    match read(bytes) {
        Ok(report) => assert!(!text::report(&report, &Rule::ALL, 80).is_empty()),
        Err(error) => assert!(error.line > 0 && error.column > 0, "{error}"),
    }
}
