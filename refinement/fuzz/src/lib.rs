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

/// A schedule string, of the protocol or of the code: one that is read is replayed as far as it goes, and told.
pub fn schedule(bytes: &[u8]) {
    use shootdown_spec::schedule::Schedule;
    let text = String::from_utf8_lossy(bytes);
    let (of_code, text) = match text.trim().strip_prefix("code:") {
        Some(rest) => (true, rest),
        None => (false, text.trim()),
    };
    match Schedule::parse(text) {
        Err(error) => assert!(error.column() > 0, "{error}"),
        Ok(read) if of_code => replay_code(&read),
        Ok(read) => replay(&read),
    }
}

fn replay(read: &shootdown_spec::schedule::Schedule) {
    use shootdown_spec::model::Protocol;
    use shootdown_spec::report::{self, TextOptions};
    use shootdown_spec::trace::TraceError;
    let protocol = Protocol::new(read.config.clone());
    let mut run = read.trace.clone();
    match run.states(&protocol) {
        Ok(_) => {}
        Err(TraceError::Start) => return,
        Err(TraceError::Refused { step, .. }) => {
            run.actions.truncate(step - 1);
            run.loops_to = None;
        }
    }
    assert!(
        run.states(&protocol).is_ok(),
        "a prefix of what is possible"
    );
    assert!(!report::text(&protocol, &run, None, &TextOptions::default()).is_empty());
}

fn replay_code(read: &shootdown_spec::schedule::Schedule) {
    use shootdown_refinement::map;
    use shootdown_refinement::relation::joint::Refinement;
    if !read.config.variants.is_empty() || !read.config.starts().contains(&read.trace.start) {
        return;
    }
    let code = std::sync::Arc::new(map::config::axes(&read.config.design));
    let mut refinement = Refinement::new(read.config.clone(), code);
    let (misfit, _) = refinement.settled(|refinement| {
        let mut at = refinement.initial(&read.trace.start);
        for action in &read.trace.actions {
            if !refinement.code.is_enabled(&at.code, action) {
                break;
            }
            let (next, misfit) = refinement.step(&at, action);
            if misfit.is_some() {
                return misfit;
            }
            at = next;
        }
        None
    });
    // The code refines the protocol in every run, in those that nobody thought of, too.
    assert_eq!(misfit, None);
}

/// The text of an ftrace: a report, which can be printed, or a place.
pub fn ftrace(bytes: &[u8]) {
    use shootdown_trace::ftrace::{read, report::Rule, text};
    match read(bytes) {
        Ok(report) => assert!(!text::report(&report, &Rule::ALL, 80).is_empty()),
        Err(error) => assert!(error.line > 0 && error.column > 0, "{error}"),
    }
}

/// The console log of a machine: a diagnosis, which can be printed, or a place.
pub fn console(bytes: &[u8]) {
    use shootdown_trace::console::{read, text};
    match read(bytes) {
        Ok(diagnosis) => assert!(!text::report(&diagnosis, 80).is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
