//! `check --checkpoint` and `--resume`: whatever ends a search, what it found is not lost; and what is not of this search, or
//! not whole, is not taken for it.

use crate::{Ran, run};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Some tens of thousands of states; nothing is violated.
const CELL: &str = "check --design tracked --env nosplit --workload everything --threads 2";

/// Two CPUs and three, which is large.
const LARGE: &str = "check --cpus 3 --mms 2 --ops-per-cpu 2";

fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("there is room");
    let name = folder.path().join("kept").display().to_string();
    (folder, name)
}

/// What a run found, without the time and the memory it took.
fn found(ran: &Ran) -> Value {
    let mut json: Value =
        serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}\n{}\n{}", ran.out, ran.err));
    let it = json.as_object_mut().expect("an object");
    for key in ["elapsed_ms", "peak_memory_bytes", "bytes_per_state"] {
        it.remove(key);
    }
    json
}

fn start(arguments: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shootdown"));
    command.args(arguments.split_whitespace());
    let quiet = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    quiet.spawn().expect("it runs")
}

/// Is it gone before this time is over?
fn is_gone(child: &mut Child, within: Duration) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < within {
        if child.try_wait().expect("it is ours").is_some() {
            return true;
        }
        thread::sleep(Duration::from_millis(2));
    }
    false
}

/// Kills a search with SIGKILL at random moments, again and again, and lets the last one come to its end.
fn killed_and_resumed(cell: &str, kills: usize, most: Duration) {
    let whole = run(&format!("{cell} --format json"));
    let (_folder, kept) = folder();
    let mut random = u64::from(std::process::id()) << 32 | 0x9e37_79b9;
    let mut hits = 0;
    let mut moments = Vec::new();
    for _ in 0..kills {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let moment = most.mul_f64((random >> 40) as f64 / (1u64 << 24) as f64);
        moments.push(moment);
        // Killed before the first one was written, it has nothing to go on from.
        let flag = match Path::new(&kept).join("checkpoint").exists() {
            true => "--resume",
            false => "--checkpoint",
        };
        let mut child = start(&format!("{cell} {flag} {kept} --checkpoint-every 0.02s"));
        // On a busy machine the first one takes its time.
        let begun = Instant::now();
        while flag == "--checkpoint"
            && !Path::new(&kept).join("checkpoint").exists()
            && begun.elapsed() < Duration::from_secs(60)
        {
            thread::sleep(Duration::from_millis(2));
        }
        if !is_gone(&mut child, moment) {
            child.kill().expect("it is ours");
            hits += 1;
        }
        let ended = child.wait_with_output().expect("it is ours");
        let err = String::from_utf8_lossy(&ended.stderr);
        assert!(!err.contains("error:"), "{moments:?}: {err}");
    }
    assert!(hits >= 3, "only {hits} of {kills} were hit: {moments:?}");
    let resumed = run(&format!("{cell} --format json --resume {kept}"));
    assert_eq!(resumed.code, whole.code, "{moments:?}: {}", resumed.err);
    assert_eq!(found(&resumed), found(&whole), "{moments:?}");
    // It is finished now, and says the same again at once.
    let again = run(&format!("{cell} --format json --resume {kept}"));
    assert!(again.err.contains("is finished"), "{}", again.err);
    assert_eq!(found(&again), found(&whole));
    let left = fs::read_dir(&kept).expect("it is there").count();
    assert_eq!(left, 1, "the checkpoint alone");
}

#[test]
fn killed_at_twenty_moments_it_finds_what_it_would_have_found() {
    killed_and_resumed(CELL, 20, Duration::from_millis(300));
}

#[test]
#[ignore = "minutes: for CI, in release"]
fn a_large_search_killed_at_twenty_moments_finds_what_it_would_have_found() {
    let large = "check --design v2.6.37 --env irq-free --workload everything";
    killed_and_resumed(large, 20, Duration::from_secs(2));
}

#[test]
fn a_scenario_is_gone_on_with_too() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../spec/corpus/pgd-lock-2011.before.sd"
    );
    let whole = run(&format!("check {file} --format json"));
    let (_folder, kept) = folder();
    let states = |n: usize| format!("check {file} --format json --max-states {n}");
    run(&format!("{} --checkpoint {kept}", states(5)));
    for n in [6, 9, 10] {
        run(&format!(
            "{} --resume {kept} --checkpoint-every 0.001s",
            states(n)
        ))
        .exits(3);
    }
    let resumed = run(&format!("check {file} --format json --resume {kept}"));
    assert_eq!(resumed.code, whole.code);
    assert_eq!(found(&resumed), found(&whole));
    // A design is none.
    run(&format!("{CELL} --resume {kept}"))
        .exits(2)
        .complains(&["of another search", "the scenario `", "tracked |"]);
    let other = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../spec/corpus/pgd-lock-2011.after.sd"
    );
    run(&format!("check {other} --resume {kept}")).exits(2);
}

#[test]
fn a_signal_and_a_bound_keep_what_is_known() {
    let whole = run(&format!("{CELL} --format json")).exits(0);
    let (_folder, kept) = folder();
    let cut = run(&format!(
        "{CELL} --checkpoint {kept} --max-memory 600KiB --format json"
    ))
    .exits(3);
    let states = |ran: &Ran| found(ran)["states"]["unique"].as_u64();
    // Goes on where it was, and no further without more memory.
    let again = run(&format!(
        "{CELL} --resume {kept} --max-memory 600KiB --format json"
    ))
    .exits(3);
    assert!(
        states(&again) > Some(0) && states(&again) <= states(&cut),
        "{}",
        again.out
    );
    let child = start(&format!(
        "{CELL} --resume {kept} --timeout 1h --checkpoint-every 1h"
    ));
    thread::sleep(Duration::from_millis(250));
    let pid = child.id().to_string();
    // It may be at its end by now.
    let _ = Command::new("kill").args(["-TERM", &pid]).status();
    let ended: Ran = child.wait_with_output().expect("it is ours").into();
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
    let resumed = run(&format!("{CELL} --format json --resume {kept}")).exits(0);
    assert_eq!(found(&resumed), found(&whole));
}

#[test]
fn a_full_disk_ends_no_search_and_takes_no_checkpoint_away() {
    let whole = run(&format!("{CELL} --format json")).exits(0);
    let limited = |blocks: u32, arguments: &str| -> Ran {
        let mut shell = Command::new("/bin/sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" {arguments}");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_shootdown")]);
        shell.output().expect("there is a shell").into()
    };
    // No room for the first one, and room for the first ones only: blocks have 512 bytes.
    for (blocks, left) in [(1, 0), (64, 1)] {
        let (_folder, kept) = folder();
        let arguments =
            format!("{CELL} --format json --checkpoint {kept} --checkpoint-every 0.01s");
        let ran = limited(blocks, &arguments).exits(0);
        assert_eq!(found(&ran), found(&whole));
        let says = [
            "warning: no checkpoint at",
            "File too large",
            "the search goes on",
        ];
        assert!(says.iter().all(|s| ran.err.contains(s)), "{}", ran.err);
        assert_eq!(fs::read_dir(&kept).expect("it is there").count(), left);
        if left > 0 {
            let resumed = run(&format!("{CELL} --format json --resume {kept}")).exits(0);
            assert_eq!(found(&resumed), found(&whole));
        }
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_known_before_the_work_or_only_read() {
    let (folder, kept) = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").expect("there is room");
    for bad in ["/proc/kept".to_string(), format!("{0}/a", file.display())] {
        run(&format!("{LARGE} --checkpoint {bad}"))
            .exits(2)
            .complains(&[&bad]);
    }
    let whole = run(&format!("{CELL} --format json")).exits(0);
    run(&format!("{CELL} --checkpoint {kept} --max-memory 600KiB")).exits(3);
    // Where the next one would be written nothing can be: not for root either.
    fs::create_dir(Path::new(&kept).join("checkpoint.part")).expect("there is room");
    let resumed = run(&format!("{CELL} --format json --resume {kept}")).exits(0);
    assert!(
        resumed.err.contains("warning: no checkpoints are kept"),
        "{}",
        resumed.err
    );
    assert_eq!(found(&resumed), found(&whole));
}

#[test]
fn what_is_not_of_this_search_or_not_whole_is_refused_in_words() {
    let (_folder, kept) = folder();
    run(&format!("{CELL} --resume {kept}"))
        .exits(2)
        .complains(&["no checkpoint is there", "--checkpoint"]);
    run(&format!("{CELL} --checkpoint {kept} --max-memory 600KiB")).exits(3);
    run(&format!("{CELL} --checkpoint {kept}"))
        .exits(2)
        .complains(&["a checkpoint is there already", "--resume"]);
    for other in [
        "--design v2.6.38",
        "--pgd-free-in-irq on",
        "--ops-per-cpu 2",
    ] {
        let other = format!("{CELL} {other} --resume {kept}").replacen("--design tracked", "", 1);
        run(&other)
            .exits(2)
            .complains(&["is of another search", "this is", "tracked | "]);
    }
    let path = Path::new(&kept).join("checkpoint");
    let good = fs::read(&path).expect("it is there");
    let end = good
        .windows(2)
        .position(|w| w == b"\n\n")
        .expect("lines first");
    let head = String::from_utf8(good[..end].to_vec()).expect("text");
    assert!(
        head.starts_with("shootdown checkpoint 1\nbuild: ") && head.contains("\nof: tracked | ")
    );
    let with =
        |from: &str, to: &str| [head.replacen(from, to, 1).as_bytes(), &good[end..]].concat();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    for (bytes, says) in [
        (Vec::new(), "no checkpoint of shootdown"),
        (b"{}".to_vec(), "no checkpoint of shootdown"),
        (with("checkpoint 1", "checkpoint 2"), "of another version"),
        (with("of: ", "of: deferred"), "damaged"),
        (good[..good.len() / 2].to_vec(), "damaged or not whole"),
        (good[..good.len() - 1].to_vec(), "damaged or not whole"),
        (good[..23].to_vec(), "damaged or not whole"),
        ([good.as_slice(), b"x"].concat(), "damaged or not whole"),
        (flipped(good.len() / 2), "damaged or not whole"),
        (flipped(good.len() - 1), "damaged or not whole"),
    ] {
        fs::write(&path, bytes).expect("there is room");
        run(&format!("{CELL} --resume {kept}"))
            .exits(2)
            .complains(&[says]);
    }
}

#[test]
fn two_searches_do_not_write_to_one_folder() {
    let (_folder, kept) = folder();
    let mut first = start(&format!(
        "{LARGE} --checkpoint {kept} --checkpoint-every 1h"
    ));
    let begun = Instant::now();
    while !Path::new(&kept).join("checkpoint").exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it keeps nothing"
        );
        thread::sleep(Duration::from_millis(5));
    }
    run(&format!("{LARGE} --resume {kept}"))
        .exits(2)
        .complains(&["another search keeps its checkpoints there"]);
    first.kill().expect("it is ours");
    first.wait().expect("it is ours");
}

#[test]
fn what_cannot_be_kept_is_refused_in_words() {
    let (_folder, kept) = folder();
    for (flags, says) in [
        ("--max-states 1k", "a bound on states"),
        ("--design v2.6.37 --variant trylock-retry", "trylock-retry"),
        ("--variant broken-spinlock", "broken-spinlock"),
    ] {
        run(&format!(
            "check --workload aging {flags} --checkpoint {kept}"
        ))
        .exits(2)
        .complains(&["cannot be swept, kept", says]);
        let _ = fs::remove_dir_all(&kept);
    }
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/corpus");
    run(&format!("check {corpus} --checkpoint {kept}"))
        .exits(2)
        .complains(&["one search at a time"]);
}

#[test]
fn bounds_of_nothing_are_refused() {
    for flag in [
        "--checkpoint-every 0 --checkpoint x",
        "--checkpoint-every -1 --checkpoint x",
        "--max-memory 0",
        "--max-states 0",
        "--timeout 0",
        "--threads 0",
    ] {
        let name = flag.split(' ').next().expect("a flag");
        run(&format!("check {flag}")).exits(2).complains(&[name]);
    }
    run("check --checkpoint-every 5s")
        .exits(2)
        .complains(&["--checkpoint-every", "--checkpoint DIR"]);
}
