//! INT, TERM and HUP: every command that runs for longer than a second prints what is finished and exits with 3, and
//! whatever it started is gone.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const SIGNALS: [&str; 3] = ["INT", "TERM", "HUP"];

/// Waiting longer than this is in vain.
const FOR_EVER: Duration = Duration::from_secs(60);

/// A process that is told to stop and takes longer has not heard.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A search of some minutes at least.
const LARGE: &str = "--cpus 3 --mms 2 --ops-per-cpu 2";

/// A folder with a spin, a compiler and a verifier that all work, but for the verifier, which never ends and has a child
/// of its own; and with room for temporary files.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("there is room");
        for name in ["bin", "tmp"] {
            fs::create_dir(folder.path().join(name)).expect("it is new");
        }
        let place = Place { folder };
        place.program("spin", "exit 0");
        let pids = place.path("pids");
        // The verifier: it and its child say who they are and then sleep.
        let verifier = format!(
            "#!/bin/sh\n/bin/sleep 1000 &\necho $! >>{0}\necho $$ >>{0}\nexec /bin/sleep 1000\n",
            pids.display()
        );
        fs::write(place.path("verifier"), verifier).expect("there is room");
        let compiler = format!(
            "case \"$*\" in *pan.c*) /bin/cp {} pan; /bin/chmod +x pan;; esac",
            place.path("verifier").display()
        );
        place.program("gcc", &compiler);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("there is room");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    /// Starts it, as a terminal would: in a process group of its own.
    fn start(&self, arguments: &str, stdin: Stdio) -> Running {
        self.start_with(arguments.split_whitespace().map(str::to_string), stdin)
    }

    fn start_with(&self, arguments: impl Iterator<Item = String>, stdin: Stdio) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shootdown"));
        for name in ["COLUMNS", "RUST_LOG", "NO_COLOR"] {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("PATH", self.path("bin"))
            .env("TMPDIR", self.path("tmp"))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let child = command.spawn().expect("it runs");
        Running { child }
    }

    /// The processes that said who they are.
    fn pids(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.path("pids")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    fn left_in_tmp(&self) -> usize {
        fs::read_dir(self.path("tmp")).expect("it is there").count()
    }
}

struct Running {
    child: Child,
}

struct Ended {
    status: ExitStatus,
    out: String,
    err: String,
}

impl Running {
    /// Waits until it catches signals: then it is past its arguments.
    fn catches_signals(&self) {
        let status = format!("/proc/{}/status", self.child.id());
        let catches = || {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let mask = text.lines().find_map(|l| l.strip_prefix("SigCgt:"));
            let mask = mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
            // HUP is signal 1, INT 2, TERM 15.
            mask.is_some_and(|mask| [1, 2, 15].iter().all(|s| mask >> (s - 1) & 1 == 1))
        };
        wait_until("it catches signals", catches);
    }

    fn kill(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill")
            .args([&format!("-{signal}"), &pid])
            .status();
        assert!(killed.expect("there is a kill").success());
    }

    fn ends(mut self) -> Ended {
        let read = |pipe: Option<&mut dyn Read>| {
            let mut text = String::new();
            if let Some(pipe) = pipe {
                let _ = pipe.read_to_string(&mut text);
            }
            text
        };
        let (mut stdout, mut stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let err = thread::spawn(move || read(stderr.as_mut().map(|p| p as &mut dyn Read)));
        let out = read(stdout.as_mut().map(|p| p as &mut dyn Read));
        let status = self.child.wait().expect("it is ours");
        let err = err.join().expect("it only reads");
        Ended { status, out, err }
    }
}

#[track_caller]
fn wait_until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < FOR_EVER, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Does a process still run? One that nobody has waited for does not.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.trim().starts_with('Z'))
}

fn in_parallel<T: Sync>(all: &[T], check: impl Fn(&T) + Sync) {
    let (next, check) = (std::sync::atomic::AtomicUsize::new(0), &check);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(one) =
                    all.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    check(one);
                }
            });
        }
    });
}

/// What each command says when it was cut off: on stdout, or stderr where there is nothing to print.
fn commands() -> Vec<(String, &'static str)> {
    let say = |command: &str, says| (command.replace("LARGE", LARGE), says);
    vec![
        say("check LARGE", "INCOMPLETE"),
        say("check LARGE --format json", "\"complete\": false"),
        say("matrix", "not run"),
        say("prove --design v2.6.38 --pgd-free-in-irq on LARGE", ""),
        say("refine LARGE", "INCOMPLETE"),
        say("refine LARGE --preemptions 4", "INCOMPLETE"),
        say("refine --random 1 --runs 1000000000", "CUT OFF"),
        say("refine --matrix", ""),
        say("report --stress-seconds 0", "INCOMPLETE"),
        say(
            "export markdown --design tracked LARGE",
            "the search was cut off",
        ),
        say("mutants", ""),
        say("stress --seconds 600", "INCOMPLETE, interrupted"),
        say(
            "stress --seconds 600 --record trace",
            "INCOMPLETE, interrupted",
        ),
        say("validate -", "a signal ended the reading"),
        say("validate --ftrace -", "a signal ended the reading"),
        say("second-opinion --design v2.6.36", ""),
        say("second-opinion --faults", "INCOMPLETE"),
        say("second-opinion --benchmark", "INCOMPLETE"),
    ]
}

#[test]
fn whatever_runs_long_ends_at_once_with_what_is_known() {
    let all: Vec<(String, &str, &str)> = commands()
        .into_iter()
        .flat_map(|(command, says)| SIGNALS.map(|signal| (command.clone(), says, signal)))
        .collect();
    in_parallel(&all, |(command, says, signal)| {
        let place = Place::new();
        let running = place.start(command, Stdio::piped());
        running.catches_signals();
        // Into the middle of something.
        thread::sleep(Duration::from_millis(150));
        let sent = Instant::now();
        running.kill(signal);
        let Ended { status, out, err } = running.ends();
        let took = sent.elapsed();
        let told =
            format!("{command}, {signal}: {status}, {took:?}\nstdout:\n{out}\nstderr:\n{err}");
        // Not proven is 1, whether or not a run into the cycle was found.
        let code = if command.starts_with("prove") { 1 } else { 3 };
        assert_eq!(status.code(), Some(code), "{told}");
        assert!(took < AT_ONCE, "{told}");
        assert!(out.contains(says) || err.contains(says), "{told}");
        assert!(!err.contains("panicked"), "{told}");
        assert_eq!(place.left_in_tmp(), 0, "{told}");
        for pid in place.pids() {
            wait_until("its children are gone", || !runs(pid));
        }
    });
}

/// The first cell is small, the second is not.
const CELLS: &str = "refine --matrix --threads 1 -v --only v2.6.37_--env_nosplit_--w \
                     --only tracked_--env_irq-free_--w";

#[test]
fn a_cell_that_was_cut_off_is_incomplete_and_the_cells_before_it_are_printed() {
    in_parallel(&SIGNALS, |signal| {
        let place = Place::new();
        let mut running = place.start_with(
            CELLS.split_whitespace().map(|a| a.replace('_', " ")),
            Stdio::null(),
        );
        let mut stderr = BufReader::new(running.child.stderr.take().expect("it is a pipe"));
        let mut line = String::new();
        while !line.contains("compared") {
            line.clear();
            let read = stderr.read_line(&mut line).expect("it is text");
            assert_ne!(read, 0, "{signal}: it ended by itself");
        }
        // Into the middle of the second.
        thread::sleep(Duration::from_millis(150));
        running.kill(signal);
        // Nobody may wait for room in the pipe.
        let rest = thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
        let Ended { status, out, .. } = running.ends();
        rest.join().expect("it only reads").expect("it is a pipe");
        assert_eq!(status.code(), Some(3), "{signal}: {out}");
        let verdicts: Vec<&str> = out
            .lines()
            .filter_map(|l| l.trim().strip_prefix("refines: ")?.split(';').next())
            .collect();
        assert_eq!(
            verdicts,
            ["holds, agrees", "incomplete, incomplete"],
            "{out}"
        );
        for wrong in ["DIFFERS", "UNEXPLAINED", "NO REFINEMENT"] {
            assert!(!out.contains(wrong), "{signal}: {out}");
        }
    });
}

#[test]
fn a_second_opinion_ends_when_its_time_is_over() {
    in_parallel(&["", "--faults"], |more| {
        let place = Place::new();
        let flags = format!("second-opinion --timeout 2s --jobs 2 {more}");
        let flags = match *more {
            "" => flags + " --design v2.6.36",
            _ => flags.replace("--jobs 2", ""),
        };
        let ended = place.start(&flags, Stdio::null()).ends();
        let told = format!("{flags}: {}\n{}\n{}", ended.status, ended.out, ended.err);
        assert_eq!(ended.status.code(), Some(3), "{told}");
        assert!(ended.out.contains("INCOMPLETE"), "{told}");
        assert_eq!(place.left_in_tmp(), 0, "{told}");
        for pid in place.pids() {
            wait_until("its children are gone", || !runs(pid));
        }
    });
}

#[test]
fn the_verifier_and_what_it_started_end_with_whoever_asked() {
    in_parallel(&["INT", "TERM", "HUP", "KILL"], |signal| {
        let place = Place::new();
        let running = place.start(
            "second-opinion --design v2.6.36 --max-states 2000 --jobs 1",
            Stdio::null(),
        );
        wait_until("the verifier runs", || place.pids().len() >= 2);
        let pids = place.pids();
        assert!(pids.iter().all(|&pid| runs(pid)), "{signal}");
        running.kill(signal);
        let ended = running.ends();
        let (child, verifier) = (pids[0], pids[1]);
        wait_until("the verifier is gone", || !runs(verifier));
        if *signal == "KILL" {
            assert_eq!(ended.status.signal(), Some(9));
            // Only the kernel was there to end it, and it knows the verifier alone.
            let _ = Command::new("kill")
                .args(["-KILL", &child.to_string()])
                .status();
        } else {
            assert_eq!(ended.status.code(), Some(3), "{signal}: {}", ended.err);
            wait_until("so is its child", || !runs(child));
            assert_eq!(place.left_in_tmp(), 0, "{signal}");
        }
    });
}

#[test]
fn a_recording_ends_with_a_whole_line_whatever_ends_it() {
    in_parallel(&SIGNALS, |signal| {
        let place = Place::new();
        let running = place.start("stress --seconds 600 --record trace", Stdio::null());
        let growing = place.path("trace.part");
        let length = |path: &Path| fs::metadata(path).map_or(0, |m| m.len());
        wait_until("it records", || length(&growing) > 1 << 16);
        running.kill(signal);
        let ended = running.ends();
        assert_eq!(ended.status.code(), Some(3), "{signal}");
        let text = fs::read_to_string(place.path("trace")).expect("it has its name");
        let last = text.lines().next_back().unwrap_or_default();
        assert!(
            text.ends_with('\n') && last.starts_with(r#"{"end":"#),
            "{signal}: {last}"
        );
    });
}

#[test]
fn the_server_ends_as_it_should() {
    in_parallel(&SIGNALS, |signal| {
        let place = Place::new();
        let running = place.start("explore --bind 127.0.0.1:0", Stdio::null());
        running.catches_signals();
        running.kill(signal);
        assert_eq!(running.ends().status.code(), Some(0), "{signal}");
    });
}

#[test]
fn a_terminal_that_was_hung_up_does_not_end_what_ignores_that() {
    let place = Place::new();
    let mut shell = Command::new("/bin/sh");
    let script = "trap '' HUP; exec \"$0\" stress --seconds 1";
    shell.args(["-c", script, env!("CARGO_BIN_EXE_shootdown")]);
    shell
        .current_dir(place.folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let running = Running {
        child: shell.spawn().expect("it runs"),
    };
    thread::sleep(Duration::from_millis(300));
    running.kill("HUP");
    let ended = running.ends();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.out);
}

#[test]
fn signals_in_quick_succession_are_one_request() {
    // As `timeout` sends them: to the process, and to its group.
    let place = Place::new();
    let running = place.start(&format!("check {LARGE}"), Stdio::null());
    running.catches_signals();
    thread::sleep(Duration::from_millis(100));
    running.kill("TERM");
    running.kill("TERM");
    let ended = running.ends();
    assert_eq!(ended.status.code(), Some(3));
    assert!(ended.out.contains("INCOMPLETE"), "{}", ended.err);
}

/// `check --open` prints the address of the run that it printed, serves until a signal, and then has the verdict's code.
#[test]
fn check_opens_the_page_at_its_run_and_ends_with_its_verdict() {
    let place = Place::new();
    let arguments = "check --design v2.6.37 --env nosplit+thp --workload aging --open";
    let mut running = place.start(arguments, Stdio::null());
    let mut stdout = BufReader::new(running.child.stdout.take().expect("it is a pipe"));
    let mut text = String::new();
    while !text.contains("http://") {
        let read = stdout.read_line(&mut text).expect("it is text");
        assert_ne!(read, 0, "it ended by itself: {text}");
    }
    assert!(text.starts_with("DEADLOCK: CPU"), "{text}");
    let address = text.split("http://").nth(1).expect("it was looked for");
    let (host, link) = address.trim().split_once('/').expect("an address");
    assert!(
        link.starts_with("#/run?subject=spec&schedule=v2.6.37%3Bcpus%3D2"),
        "{link}"
    );
    std::net::TcpStream::connect(host).expect("somebody listens there");
    running.kill("INT");
    assert_eq!(running.ends().status.code(), Some(1));
}
