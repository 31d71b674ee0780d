//! Recorded runs against the protocol: what must be accepted, what must be rejected and where, and what is no trace.

#[path = "validate/bad_input.rs"]
mod bad_input;
#[path = "validate/command.rs"]
mod command;
#[path = "validate/edits.rs"]
mod edits;
#[path = "validate/evicted.rs"]
mod evicted;
#[path = "validate/fuzz_corpus.rs"]
mod fuzz_corpus;
#[path = "validate/kept.rs"]
mod kept;
#[path = "validate/mutate.rs"]
mod mutate;
#[path = "validate/mutated.rs"]
mod mutated;

use shootdown_refinement::validate::reader::ReadError;
use shootdown_refinement::validate::{Options, Report, validate};
use std::path::{Path, PathBuf};

fn traces() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces")
}

fn trace(name: &str) -> String {
    let path = traces().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn judge(text: &[u8]) -> Result<Report, ReadError> {
    let order = true;
    validate(
        text,
        &Options {
            order,
            ..Options::default()
        },
    )
}
