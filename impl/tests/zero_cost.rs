//! Tokens cost nothing: the compiler makes as many instructions of a path with tokens and guards as of the same path
//! written by hand against the bare door. Counted in the assembly of `examples/token_cost.rs`.

use std::path::Path;
use std::process::Command;

use shootdown_impl::cpu::{Cpu, Cx, NoLock, Pgd, Ptl, Task};
use shootdown_impl::irq::{InIrq, IrqsOff};

#[test]
fn a_token_is_one_reference_and_its_context_nothing() {
    assert_eq!(size_of::<Cpu<'_, u64, Task>>(), size_of::<&u64>());
    assert_eq!(
        size_of::<Cpu<'_, u64, Cx<IrqsOff, Ptl<Pgd<NoLock>>>>>(),
        size_of::<&u64>()
    );
    assert_eq!(size_of::<Cx<InIrq, Pgd<NoLock>>>(), 0);
}

/// The instructions of a function in an assembly listing, without labels and directives. A function that the
/// compiler found to be the same as another is only an alias for it.
fn instructions<'a>(listing: &'a str, function: &str) -> Vec<&'a str> {
    let alias = listing.lines().find_map(|l| {
        l.trim()
            .strip_prefix(".set")?
            .trim()
            .strip_prefix(function)?
            .strip_prefix(", ")
    });
    if let Some(target) = alias {
        return instructions(listing, target.trim());
    }
    listing
        .lines()
        .skip_while(|l| *l != format!("{function}:"))
        .skip(1)
        .take_while(|l| !l.starts_with(".Lfunc_end"))
        .map(str::trim)
        .filter(|l| {
            !l.is_empty() && !l.starts_with('.') && !l.starts_with('#') && !l.ends_with(':')
        })
        .collect()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_path_with_tokens_is_as_long_as_the_one_by_hand() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("token_cost");
    let built = Command::new(env!("CARGO"))
        .args([
            "rustc",
            "--quiet",
            "--release",
            "--example",
            "token_cost",
            "--target-dir",
        ])
        .arg(&target)
        .args([
            "--config",
            "profile.release.lto=false",
            "--config",
            "profile.release.debug=0",
        ])
        .args([
            "--",
            "--emit=asm",
            "-C",
            "codegen-units=1",
            "-C",
            "panic=abort",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success());
    let examples = std::fs::read_dir(target.join("release/examples")).unwrap();
    let listing = examples
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "s"))
        .map(|p| std::fs::read_to_string(p).unwrap())
        .unwrap();
    let (tokens, hand) = (
        instructions(&listing, "with_tokens"),
        instructions(&listing, "by_hand"),
    );
    assert!(hand.len() > 20, "the listing was not understood: {hand:?}");
    println!(
        "with tokens {} instructions, by hand {}",
        tokens.len(),
        hand.len()
    );
    assert!(
        tokens.len() <= hand.len(),
        "with tokens:\n{}\n\nby hand:\n{}",
        tokens.join("\n"),
        hand.join("\n")
    );
}
