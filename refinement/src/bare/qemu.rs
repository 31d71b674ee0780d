//! QEMU: whether it will do, and running it with each CPU on a core of its own.
//!
//! Two CPUs on one core take turns: the deadlock, which needs both at once, hardly ever comes then. So each of QEMU's
//! CPU threads is pinned, as soon as the machine says that it is up.

use super::BareError;
use super::port::{Message, Reader};
use super::reported::Reported;
use crate::leash::{self, Stderr};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The first version that updates ACCESSED and DIRTY as hardware does (f1a4fb5, "Use atomic operations for pte updates").
const OLDEST: (u32, u32) = (7, 2);

/// QEMU's version, if it will do.
///
/// # Errors
/// If it is not there, or will not.
pub fn version(program: &str, cancel: &AtomicBool) -> Result<String, BareError> {
    let mut command = leash::command(program);
    command.arg("--version");
    let read = |printed: std::io::PipeReader| {
        let mut said = Vec::new();
        let _ = printed.take(1 << 16).read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    };
    let missing = |error| BareError::NoQemu {
        program: program.into(),
        error,
    };
    let ended = leash::run(command, Stderr::Read, cancel, read).map_err(missing)?;
    if ended.cancelled {
        return Err(BareError::Cancelled);
    }
    // As a shell, for what cannot be run; the child has said why.
    if ended.status.code() == Some(127) {
        let said = ended.read.lines().next().unwrap_or("not found").to_string();
        return Err(missing(std::io::Error::other(said)));
    }
    let said = ended.read.lines().next().unwrap_or("nothing").trim();
    match parse(said) {
        Some((version, numbers)) if numbers >= OLDEST && ended.status.success() => Ok(version),
        _ => Err(BareError::OldQemu {
            program: program.into(),
            said: format!("`{said}`"),
        }),
    }
}

fn parse(said: &str) -> Option<(String, (u32, u32))> {
    let version = said.strip_prefix("QEMU emulator version ")?;
    let version = version.split_whitespace().next()?;
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().ok());
    Some((version.to_string(), (numbers.next()??, numbers.next()??)))
}

/// A machine to be run.
pub struct Machine<'m> {
    /// The program.
    pub program: &'m str,
    /// What it boots.
    pub image: &'m Path,
    /// How many CPUs.
    pub cpus: u8,
    /// The kernel's command line.
    pub line: &'m str,
    /// The file for the serial console.
    pub console: &'m Path,
}

/// How it ended.
pub struct Ran {
    /// QEMU's exit status.
    pub status: ExitStatus,
    /// Somebody asked to stop.
    pub cancelled: bool,
    /// It said nothing for too long.
    pub silent: bool,
    /// What QEMU itself had to say.
    pub complaint: String,
    /// The cores that its CPUs were pinned to.
    pub cores: Vec<usize>,
}

impl Machine<'_> {
    /// Runs it to its end, and hands on what it tells.
    ///
    /// # Errors
    /// If QEMU cannot be started.
    pub fn run(
        &self,
        reported: &Mutex<Reported>,
        cancel: &AtomicBool,
        silent_for: Duration,
    ) -> Result<Ran, BareError> {
        let mut command = leash::command(self.program);
        command
            .args(["-machine", "pc", "-cpu", "qemu64"])
            .args(["-accel", "tcg,thread=multi"])
            .args(["-smp", &self.cpus.to_string()])
            .args(["-m", "64", "-display", "none", "-nodefaults", "-no-reboot"])
            .args(["-name", "shootdown,debug-threads=on"])
            .args(["-chardev", "stdio,id=reported,signal=off"])
            .args(["-device", "isa-debugcon,iobase=0xe9,chardev=reported"])
            .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
            .arg("-serial")
            .arg(format!("file:{}", self.console.display()))
            .arg("-kernel")
            .arg(self.image)
            .args(["-append", self.line]);
        let (stop, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let silent = AtomicBool::new(false);
        let started = Instant::now();
        // When the reader began to wait, in milliseconds since the start, plus one; 0 while it does not.
        let waits = AtomicU64::new(0);
        let guard = || {
            while !over.load(Ordering::SeqCst) {
                let since = waits.load(Ordering::SeqCst).checked_sub(1);
                let now = started.elapsed().as_millis() as u64;
                let long =
                    since.is_some_and(|s| u128::from(now - s.min(now)) > silent_for.as_millis());
                silent.fetch_or(long, Ordering::SeqCst);
                if long || cancel.load(Ordering::Relaxed) {
                    stop.store(true, Ordering::SeqCst);
                }
                thread::sleep(Duration::from_millis(10));
            }
        };
        let mut cores = Vec::new();
        let mut complaint = String::new();
        let ended = thread::scope(|scope| {
            scope.spawn(guard);
            let ended = leash::run_known(command, Stderr::Read, &stop, |mut printed, qemu| {
                let mut reader = Reader::default();
                let mut buffer = [0; 1 << 16];
                loop {
                    waits.store(started.elapsed().as_millis() as u64 + 1, Ordering::SeqCst);
                    let n = printed.read(&mut buffer).unwrap_or(0);
                    waits.store(0, Ordering::SeqCst);
                    let mut reported = reported.lock().unwrap_or_else(PoisonError::into_inner);
                    reader.read(&buffer[..n], |message| match message {
                        Message::Complaint(text) => {
                            complaint.push_str(&text);
                            complaint.push('\n');
                        }
                        Message::Fact(fact) => {
                            if fact.name == "boot" {
                                cores = pin(qemu, self.cpus);
                            }
                            reported.fact(&fact);
                        }
                        Message::Record(record) => reported.record(record),
                    });
                    if !reported.write() {
                        stop.store(true, Ordering::SeqCst);
                    }
                    if n == 0 {
                        break;
                    }
                }
            });
            over.store(true, Ordering::SeqCst);
            ended
        });
        let ended = ended.map_err(|error| BareError::NoQemu {
            program: self.program.into(),
            error,
        })?;
        Ok(Ran {
            status: ended.status,
            cancelled: cancel.load(Ordering::Relaxed),
            silent: silent.into_inner(),
            complaint,
            cores,
        })
    }
}

/// The cores that this process may use.
pub fn usable_cores() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU).filter(|n| set.is_set(*n)).collect()
}

/// Puts each CPU's thread on a core; CPUs without one share. The cores, by CPU; none if that cannot be done.
fn pin(qemu: Pid, cpus: u8) -> Vec<usize> {
    let usable = usable_cores();
    let threads = fs::read_dir(format!("/proc/{}/task", qemu.as_raw_nonzero()));
    let mut cores = vec![None; cpus.into()];
    for thread in threads.into_iter().flatten().flatten() {
        // `CPU 1/TCG`, by debug-threads=on.
        let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        let number = name
            .strip_prefix("CPU ")
            .and_then(|n| n.split('/').next()?.parse().ok());
        let Some(n) = number.filter(|n: &usize| *n < cores.len() && !usable.is_empty()) else {
            continue;
        };
        let core = usable[n % usable.len()];
        let mut set = CpuSet::new();
        set.set(core);
        let id = thread.file_name().to_string_lossy().parse().ok();
        if sched_setaffinity(id.and_then(Pid::from_raw), &set).is_ok() && id.is_some() {
            cores[n] = Some(core);
        }
    }
    cores.into_iter().collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_nothing_else() {
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)";
        assert_eq!(parse(debian), Some(("7.2.22".into(), (7, 2))));
        assert_eq!(
            parse("QEMU emulator version 10.0.2"),
            Some(("10.0.2".into(), (10, 0)))
        );
        assert!(parse("QEMU emulator version 6.2.0").is_some_and(|(_, n)| n < OLDEST));
        assert!(parse("QEMU emulator version 10.0.2").is_some_and(|(_, n)| n >= OLDEST));
        for other in ["", "QEMU", "bash 5.2", "QEMU emulator version x.y"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
