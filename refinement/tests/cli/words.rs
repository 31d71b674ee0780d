//! The words that people act on, *holds*, *acyclic*, *CLEAN*, *clean* and *DEADLOCK*, are not said where they must not be.

use crate::{Ran, SEED, run, shootdown};

/// What `check` says of each property, by its name.
fn verdicts(out: &str) -> Vec<(&str, &str)> {
    let names = shootdown_spec::property::PROPERTIES.iter().map(|p| p.name);
    let line = |name| {
        out.lines().find_map(|l| {
            let mut words = l.split_whitespace();
            (words.next() == Some(name)).then(|| words.next())?
        })
    };
    names
        .map(|name| (name, line(name).unwrap_or_else(|| panic!("{name}: {out}"))))
        .collect()
}

fn says(out: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    out.split(|c| !is_letter(c)).any(|w| w == word)
}

#[test]
fn nothing_holds_that_was_not_explored_to_its_end() {
    for bound in ["--max-states 1", "--max-states 1000", "--timeout 0.001s"] {
        let ran = run(&format!("check {bound}")).exits(3);
        for (name, verdict) in verdicts(&ran.out) {
            assert!(
                ["incomplete", "VIOLATED"].contains(&verdict),
                "{bound}: {name} {verdict}"
            );
        }
        let json = run(&format!("check {bound} --format json")).exits(3);
        assert!(!says(&json.out, "holds"), "{}", json.out);
    }
}

#[test]
fn nothing_holds_that_is_violated_or_means_nothing() {
    // By hand: the deadlock of 2011 breaks the rules about waiting; nothing frees a page, so that no frame is misused.
    let ran = run("check --design v2.6.37 --env nosplit --workload aging").exits(1);
    let all = verdicts(&ran.out);
    let of = |verdict: &str| -> Vec<&str> {
        let of = all.iter().filter(|(_, v)| *v == verdict);
        of.map(|(name, _)| *name).collect()
    };
    for name in ["no_deadlock", "no_lock_held_across_ipi_wait", "progress"] {
        assert!(of("VIOLATED").contains(&name), "{}", ran.out);
    }
    for name in ["no_use_of_freed_frame", "no_stale_tlb_after_return"] {
        assert!(of("vacuous").contains(&name), "{}", ran.out);
    }
    assert!(of("holds").contains(&"mutual_exclusion"), "{}", ran.out);
}

#[test]
fn an_order_with_a_cycle_is_never_acyclic() {
    // With huge pages v2.6.37 hangs, with split locks alone it does not.
    let prove = "prove --design v2.6.37 --env split+thp --no-realise";
    let cyclic = run(prove).exits(1).prints(&["CYCLIC"]);
    let acyclic = run("prove --design v2.6.37 --env split")
        .exits(0)
        .prints(&["ACYCLIC"]);
    for word in ["ACYCLIC", "acyclic"] {
        assert!(!says(&cyclic.out, word), "{}", cyclic.out);
    }
    assert!(!says(&acyclic.out, "CYCLIC"), "{}", acyclic.out);
    let json = run(&format!("{prove} --format json")).exits(1);
    assert!(!says(&json.out, "acyclic"), "{}", json.out);
}

#[test]
fn a_deadlock_is_told_of_what_is_one_and_of_nothing_else() {
    run("check --design v2.6.37 --env nosplit --workload aging")
        .exits(1)
        .prints(&["DEADLOCK"]);
    for arguments in [
        // Rules are broken, and nothing hangs.
        "check --design v2.6.38 --env nosplit --workload aging",
        // Translations are stale, and nothing hangs.
        "check --design deferred --env nosplit --workload reclaim-vs-munmap",
        // Nothing is wrong.
        "check --design tracked --env nosplit --workload aging",
        // Not far enough to know.
        "check --design v2.6.37 --env nosplit --workload aging --max-states 10",
    ] {
        let ran = run(arguments);
        assert!(!says(&ran.out, "DEADLOCK"), "{arguments}: {}", ran.out);
    }
}

#[test]
fn a_run_that_does_not_end_in_the_deadlock_is_told_as_none() {
    let mut replay = shootdown();
    let whole: Ran = replay.args(["replay", SEED]).output().unwrap().into();
    let _ = whole.exits(1).prints(&["DEADLOCK"]);
    // One step before it: CPU0 has not asked for the lock yet.
    let before = SEED.replace("0*5;", "0*4;");
    let mut replay = shootdown();
    let short: Ran = replay.args(["replay", &before]).output().unwrap().into();
    assert!(!says(&short.out, "DEADLOCK"), "{}", short.out);
}

fn recording(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/trace/tests/ftrace");
    format!("{folder}/{name}.txt.gz")
}

/// The text of a recording.
fn text(name: &str) -> Vec<u8> {
    use std::io::Read as _;
    let packed = std::fs::read(recording(name)).expect("it is kept");
    let mut text = Vec::new();
    let mut unpack = flate2::read::MultiGzDecoder::new(packed.as_slice());
    unpack.read_to_end(&mut text).expect("it was packed");
    text
}

fn judge(text: Vec<u8>) -> Ran {
    let mut command = shootdown();
    command
        .args(["validate", "--ftrace", "-"])
        .write_stdin(text);
    command.output().expect("it runs").into()
}

#[test]
fn a_trace_that_hangs_lacks_events_or_shows_no_lock_is_never_clean() {
    let clean = judge(text("03_thp_aging_reclaim"))
        .exits(0)
        .prints(&["CLEAN"]);
    assert!(!says(&clean.out, "DEADLOCK"), "{}", clean.out);
    let hung = judge(text("16_hang_console_dump_kswapd"))
        .exits(1)
        .prints(&["DEADLOCK"]);
    let lost = judge(text("10_fork_trace_pipe_lost"));
    // Cut off in the middle of a line, and without any event of a lock.
    let whole = text("03_thp_aging_reclaim");
    let cut = judge(whole[..whole.len() / 2].to_vec());
    let blind: Vec<&[u8]> = whole
        .split_inclusive(|&b| b == b'\n')
        .filter(|line| !line.windows(6).any(|w| w == b": lock"))
        .collect();
    let blind = judge(blind.concat());
    for ran in [&hung, &lost, &cut, &blind] {
        assert!(!says(&ran.out, "CLEAN"), "{}", ran.out);
    }
    for ran in [lost, cut, blind] {
        let ran = ran.exits(3);
        assert!(!says(&ran.out, "DEADLOCK"), "{}", ran.out);
    }
}

#[test]
fn real_threads_that_hang_are_never_clean_and_those_that_run_are_never_a_deadlock() {
    let hung = run("stress --design v2.6.37 --thp on --cpus 2 --seconds 60")
        .exits(1)
        .prints(&["DEADLOCK"]);
    assert!(!says(&hung.out, "clean"), "{}", hung.out);
    let ran = run("stress --cpus 2 --seconds 0.3")
        .exits(0)
        .prints(&["clean"]);
    assert!(!says(&ran.out, "DEADLOCK"), "{}", ran.out);
}
