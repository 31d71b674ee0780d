//! The kernel code keeps to the door: what the types cannot say is read from the sources.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(dir);
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "rs"));
    files
        .into_iter()
        .map(|p| (p.clone(), fs::read_to_string(p).unwrap()))
        .collect()
}

/// The files of the core, without the machines.
fn core() -> Vec<(PathBuf, String)> {
    let mut files = sources("");
    files.extend(sources("path"));
    assert!(files.len() > 30);
    files
}

fn files_with(what: &str) -> Vec<String> {
    let name = |p: &Path| p.file_name().unwrap().to_str().unwrap().to_string();
    let mut found: Vec<String> = core()
        .iter()
        .filter(|(_, text)| text.contains(what))
        .map(|(p, _)| name(p))
        .collect();
    found.sort();
    found
}

#[test]
fn no_kernel_code_looks_into_a_word() {
    assert_eq!(files_with(".atomic()"), [""; 0]);
    // Machines do, so the name is the right one to look for.
    assert!(
        sources("host")
            .iter()
            .any(|(_, text)| text.contains(".atomic()"))
    );
}

#[test]
fn only_the_token_that_may_awaits_acknowledgements() {
    // The trait, the wrapper with seeded faults, and the one caller, whose token is bounded by `MayAwaitAcks`.
    assert_eq!(
        files_with("await_zero("),
        ["fault.rs", "ipi.rs", "machine.rs"]
    );
}

#[test]
fn tokens_are_made_only_where_contexts_begin() {
    // The definition, and the entry of an interrupt; everything else narrows what it was given.
    assert_eq!(files_with("Cpu::forge("), ["cpu.rs", "irq.rs"]);
    // Narrowing to a wider context is the escape hatch; entering a system call hands the whole CPU on by value.
    let to_task = files_with("Cpu<'c, M, Task> {");
    assert_eq!(to_task, ["cpu.rs", "flush.rs"]);
    assert_eq!(files_with("pretend_nothing_is_held"), ["flush.rs"]);
}

#[test]
fn the_paths_allocate_nothing_and_use_no_std() {
    for (path, text) in sources("path") {
        for word in ["std::", "alloc::", "Vec<", "Box<", "String"] {
            assert!(!text.contains(word), "{} mentions {word}", path.display());
        }
    }
}

#[test]
fn every_path_opens_with_its_source_its_locks_and_its_interrupt_state() {
    for (path, text) in sources("path") {
        let opening: String = text.lines().take_while(|l| l.starts_with("//!")).collect();
        assert!(
            opening.contains("Locks:") || opening.contains("takes no lock"),
            "{}: locks",
            path.display()
        );
        assert!(
            opening.contains("nterrupts"),
            "{}: interrupts",
            path.display()
        );
        let sourced = opening.contains("2.6.3")
            || opening.contains("Not kernel code")
            || opening.contains("831d52bc153");
        assert!(sourced, "{}: source", path.display());
    }
}
