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
fn no_path_names_a_design() {
    // Each takes its design as a parameter; one that named another could flush at that one's moments.
    for (path, text) in sources("path") {
        let named = [
            "V2_6_36", "V2_6_37", "V2_6_38", "Rwlock", "Woodman", "Deferred", "Tracked", "Combined",
        ];
        assert!(
            named.iter().all(|d| !text.contains(d)),
            "{}",
            path.display()
        );
    }
}

#[test]
fn no_path_has_a_key_to_the_door() {
    // Code without a key of its own cannot open the door, by the types; this says which code has one. The first
    // begins a context, the last is the escape hatch.
    let keys = files_with("pub(crate) struct Key(());");
    let of_the_core = [
        "cpu.rs",
        "ipi.rs",
        "irq.rs",
        "mm.rs",
        "operation.rs",
        "pgd_list.rs",
    ];
    assert_eq!(keys, of_the_core);
    let hatch = sources("flush");
    assert_eq!(hatch.len(), 1);
    assert!(hatch[0].1.contains("pub(crate) struct Key(());"));
    let (_, door) = core()
        .into_iter()
        .find(|(p, _)| p.ends_with("src/door.rs"))
        .unwrap();
    assert_eq!(
        door.matches("impl Keyholder for ").count(),
        keys.len() + hatch.len()
    );
    // Kernel code is generic over a machine, but never handed one.
    for (path, text) in sources("path") {
        for bare in ["&M,", "&M)", "&'m M", "Key"] {
            assert!(!text.contains(bare), "{} has {bare}", path.display());
        }
    }
}

#[test]
fn tokens_are_made_only_where_contexts_begin() {
    // The definition (boot, a system call) and the entry of an interrupt; everything else narrows what it was given.
    assert_eq!(files_with("Cpu::begin("), ["cpu.rs", "irq.rs"]);
    assert_eq!(files_with("pretend_nothing_is_held"), [""; 0]);
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
