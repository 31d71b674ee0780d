//! The image that QEMU boots, built from the checkout by the installed cargo.

use super::BareError;
use crate::leash::{self, Ended, Stderr};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Where this program was built from.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// The image, below the folder of what is built.
const IMAGE: &str = "x86_64-unknown-linux-gnu/release/shootdown-bare";

/// What would be used in the place of the image's own flags.
const OTHERS_FLAGS: [&str; 5] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
];

/// Builds it, or finds that nothing has changed since it was built. Needs no network and no other target than the
/// installed one.
///
/// # Errors
/// If the source, cargo or the target is not there, or it cannot be built.
pub fn build(cancel: &AtomicBool) -> Result<PathBuf, BareError> {
    let root = Path::new(CHECKOUT);
    let source = root.join("impl/bare");
    if !source.join("Cargo.toml").is_file() {
        return Err(BareError::Image(format!(
            "the source of the machine is not at {}, where this program was built\n  \
             --image FILE takes one that is built: `cargo build --release` in impl/bare of a checkout",
            source.display()
        )));
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let target = root.join("target/bare");
    let mut command = leash::command(&cargo);
    command.current_dir(&source);
    command.args(["build", "--release", "--locked", "--offline", "--quiet"]);
    command.arg("--target-dir").arg(&target);
    for name in OTHERS_FLAGS {
        command.env_remove(name);
    }
    let read = |mut printed: std::io::PipeReader| {
        let mut said = Vec::new();
        let _ = printed.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    };
    let Ended {
        read: said,
        status,
        cancelled,
    } = leash::run(command, Stderr::Read, cancel, read)
        .map_err(|error| BareError::Image(format!("cannot run `{cargo}`: {error}")))?;
    if cancelled {
        return Err(BareError::Cancelled);
    }
    if !status.success() {
        return Err(BareError::Image(format!(
            "`{cargo} build --release` in {} failed, {status}\n  {}\n  \
             --image FILE takes one that is built elsewhere",
            source.display(),
            said.trim_end().replace('\n', "\n  ")
        )));
    }
    Ok(target.join(IMAGE))
}
