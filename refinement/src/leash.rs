//! Other programs that run for this one: they never outlive it, and neither do their files.
//!
//! A child is started in a process group of its own, so that what it starts itself ends with it and Ctrl-C on the
//! terminal reaches this process alone. When the work is cancelled the group is killed. When this process is killed the
//! kernel kills the child (`PR_SET_PDEATHSIG`, see prctl(2)).
//!
//! The kernel must be told by the child itself, between fork and exec. To do that without `unsafe`, the child is this
//! very program, which tells the kernel and then becomes the other one: [`become_leashed`] stands first in `main`.

mod folder;

pub use folder::Folder;

use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::io::{self, PipeReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What the first argument of a child is before it becomes another program.
const LEASH: &str = "--leash";

/// How soon a cancelled child is noticed.
const SOON: Duration = Duration::from_millis(20);

/// How long a child may take to end after it was heard out.
const PATIENCE: Duration = Duration::from_secs(5);

/// Groups of children that run, for [`let_go`].
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program to be run for this one, in a group of its own and without stdin.
///
/// The thread that spawns it must outlive it: the kernel takes the thread for the parent.
pub fn command(program: &str) -> Command {
    // Whatever has become of the file, this names what runs.
    let mut command = Command::new("/proc/self/exe");
    let parent = std::process::id().to_string();
    command.args([LEASH, &parent, program]);
    command.process_group(0).stdin(Stdio::null());
    command
}

/// In a child of [`command`]: becomes the other program, and does not return. In any other process: nothing.
pub fn become_leashed() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != LEASH) {
        return;
    }
    let error = match leashed(arguments) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    eprintln!("{error}");
    // As a shell does for what it cannot run.
    std::process::exit(127);
}

fn leashed(mut arguments: impl Iterator<Item = OsString>) -> io::Result<std::convert::Infallible> {
    let missing = || io::Error::other("not for use by hand");
    let parent = arguments.next().ok_or_else(missing)?;
    let program = arguments.next().ok_or_else(missing)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before that.
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if now.is_none_or(|now| *now != *parent) {
        return Err(io::Error::other("the process that started this is gone"));
    }
    Err(Command::new(program).args(arguments).exec())
}

/// What came of a child.
#[derive(Debug)]
pub struct Ended<T> {
    /// What `read` made of what it printed.
    pub read: T,
    /// How it ended.
    pub status: ExitStatus,
    /// It was killed because the work was cancelled.
    pub cancelled: bool,
}

/// What a child's stderr is to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stderr {
    /// Nothing.
    Dropped,
    /// As good as its stdout.
    Read,
}

/// Runs a [`command`] to its end, while `read` takes what it prints; kills it, with all it started, when `cancel` is
/// raised. A child that goes on after `read` has heard enough is killed as well.
///
/// # Errors
/// If it cannot be started.
pub fn run<T>(
    command: Command,
    stderr: Stderr,
    cancel: &AtomicBool,
    read: impl FnOnce(PipeReader) -> T,
) -> io::Result<Ended<T>> {
    run_known(command, stderr, cancel, |printed, _| read(printed))
}

/// As [`run`], for a `read` that wants to know which process it is.
///
/// # Errors
/// If it cannot be started.
pub fn run_known<T>(
    mut command: Command,
    stderr: Stderr,
    cancel: &AtomicBool,
    read: impl FnOnce(PipeReader, Pid) -> T,
) -> io::Result<Ended<T>> {
    let (printed, writer) = io::pipe()?;
    match stderr {
        Stderr::Dropped => command.stderr(Stdio::null()),
        Stderr::Read => command.stderr(writer.try_clone()?),
    };
    let mut child = command.stdout(writer).spawn()?;
    // It holds the pipe open.
    drop(command);
    let group = Pid::from_child(&child);
    lock(&GROUPS).push(group);
    let kill = || {
        let _ = kill_process_group(group, Signal::KILL);
    };
    let (over, cancelled) = (AtomicBool::new(false), AtomicBool::new(false));
    let watch = || {
        while !over.load(Ordering::SeqCst) {
            if cancel.load(Ordering::Relaxed) {
                cancelled.store(true, Ordering::SeqCst);
                return kill();
            }
            thread::park_timeout(SOON);
        }
    };
    let (read, status) = thread::scope(|scope| {
        let watching = scope.spawn(watch);
        let read = read(printed, group);
        let heard = Instant::now();
        while heard.elapsed() < PATIENCE && matches!(child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(1));
        }
        // Before it is waited for: until then nobody else can have its number.
        if matches!(child.try_wait(), Ok(None)) {
            kill();
        }
        over.store(true, Ordering::SeqCst);
        watching.thread().unpark();
        (read, child.wait())
    });
    lock(&GROUPS).retain(|g| *g != group);
    Ok(Ended {
        read,
        status: status?,
        cancelled: cancelled.into_inner(),
    })
}

/// Ends all children and removes all folders: this process is about to end without unwinding.
pub fn let_go() {
    for group in lock(&GROUPS).iter() {
        let _ = kill_process_group(*group, Signal::KILL);
    }
    folder::remove_all();
}
