//! What the fuzz targets call: each must come back, whatever the bytes.

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
