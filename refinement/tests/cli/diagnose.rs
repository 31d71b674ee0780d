//! `diagnose` on the command line: a scenario of every hang, and what `check` says of it.

use crate::shootdown;
use std::fs;
use std::path::{Path, PathBuf};

/// The logs that the reader's own tests judge.
fn logs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("trace/tests");
    let entries = fs::read_dir(folder.join("cases")).expect("it is there");
    let mut logs: Vec<PathBuf> = entries.map(|e| e.expect("listed").path()).collect();
    logs.push(folder.join("ftrace/16_hang_console_dump_kswapd.txt.gz"));
    logs.sort();
    logs
}

/// What `check` says of the scenario of a log, if one is written.
fn checked(log: &Path, folder: &Path) -> Option<String> {
    let name = log.file_stem().expect("a file").to_string_lossy();
    let scenario = folder.join(format!("{name}.sd"));
    let diagnosed = shootdown()
        .args(["diagnose", "--scenario"])
        .args([&scenario, log])
        .output()
        .expect("it runs");
    let hang = diagnosed.status.code() == Some(1);
    assert_eq!(
        hang,
        scenario.exists(),
        "{name}: a scenario of a cycle, and of nothing else"
    );
    if !hang {
        let said = String::from_utf8_lossy(&diagnosed.stderr).into_owned();
        assert!(
            said.starts_with("no scenario was written: "),
            "{name}: {said}"
        );
        return None;
    }
    let checked = shootdown()
        .arg("check")
        .arg(&scenario)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&checked.stdout).into_owned()
        + &String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(0), "{name}:\n{said}");
    Some(said)
}

#[test]
fn the_scenario_of_every_cycle_deadlocks_when_it_is_checked() {
    let folder = tempfile::tempdir().expect("there is room");
    let logs = logs();
    let (first, second) = logs.split_at(logs.len() / 2);
    let deadlocks = |logs: &[PathBuf]| {
        let each = logs
            .iter()
            .filter_map(|log| Some((log, checked(log, folder.path())?)));
        each.map(|(log, said)| {
            assert!(said.contains("DEADLOCK:"), "{}:\n{said}", log.display());
            assert!(
                said.contains("as expected: no_deadlock is violated"),
                "{said}"
            );
        })
        .count()
    };
    let written = std::thread::scope(|scope| {
        let other = scope.spawn(|| deadlocks(second));
        deadlocks(first) + other.join().expect("it ends")
    });
    assert!(written >= 35, "{written} of {}", logs.len());
}
