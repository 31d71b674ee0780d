//! Which sources and which compiler: for the review, so that somebody can build the same again.
//!
//! Only a release build asks git: anywhere else every commit would compile the whole package again.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SHOOTDOWN_COMMIT");
    let compiler = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    set("SHOOTDOWN_RUSTC", said(&compiler, &["--version"]));
    let release = env::var("PROFILE").is_ok_and(|p| p == "release");
    // A package of the sources has no git, but its maker may know.
    let given = env::var("SHOOTDOWN_COMMIT")
        .ok()
        .filter(|c| !c.trim().is_empty());
    set("SHOOTDOWN_COMMIT", given.or_else(|| release.then(commit)?));
}

fn commit() -> Option<String> {
    let head = said("git", &["rev-parse", "HEAD"])?;
    // The log of HEAD grows with every commit and checkout.
    let log = said("git", &["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    let clean = said("git", &["status", "--porcelain", "--untracked-files=no"]).is_none();
    Some(if clean {
        head
    } else {
        format!("{head} with changes")
    })
}

/// The first line of what a program says, if it says anything.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim().to_string();
    (output.status.success() && !line.is_empty()).then_some(line)
}

fn set(name: &str, value: Option<String>) {
    println!(
        "cargo::rustc-env={name}={}",
        value.as_deref().unwrap_or("unknown")
    );
}
