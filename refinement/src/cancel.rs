//! One way to stop, for every command: INT, TERM and HUP raise a flag.
//!
//! Work that takes longer than a moment looks at the flag and ends with what is finished; a recording ends with a whole
//! line, children are ended ([`crate::leash`]), and the command exits with 3. The search takes the flag as
//! `Options::cancel`, `stress` as its second argument.

use crate::leash;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// Raised when whatever runs should stop. Never lowered again.
pub type Cancel = Arc<AtomicBool>;

/// Exit code of a process that was told a second time.
const INCOMPLETE: i32 = 3;

/// Signals that come within this time are one request: `timeout` sends its signal twice, and the end of a terminal is
/// told by the kernel and by the shell.
const ONE_REQUEST: Duration = Duration::from_millis(500);

/// The flag that INT, TERM and HUP raise. A second signal ends the process at once, with exit code 3, its children with
/// it. HUP stays ignored where the parent process ignores it, as `nohup` does.
///
/// # Errors
/// If the system does not let the signals be caught.
pub fn on_signals() -> io::Result<Cancel> {
    static CANCEL: OnceLock<Cancel> = OnceLock::new();
    if let Some(cancel) = CANCEL.get() {
        return Ok(cancel.clone());
    }
    let cancel = CANCEL.get_or_init(Arc::default).clone();
    catch(cancel.clone())?;
    Ok(cancel)
}

/// Raises the same flag when so much time has passed.
///
/// # Errors
/// If the system does not let signals be caught, or has no thread to wait.
pub fn after(time: Duration) -> io::Result<Cancel> {
    let cancel = on_signals()?;
    let raised = cancel.clone();
    let wait = move || {
        thread::sleep(time);
        raised.store(true, Ordering::Relaxed);
    };
    thread::Builder::new()
        .name("time limit".into())
        .spawn(wait)?;
    Ok(cancel)
}

#[cfg(unix)]
fn catch(cancel: Cancel) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let wanted = [SIGINT, SIGTERM]
        .into_iter()
        .chain((!is_ignored(SIGHUP)).then_some(SIGHUP));
    let mut signals = signal_hook::iterator::Signals::new(wanted)?;
    let told = move || {
        let mut first: Option<Instant> = None;
        for _ in signals.forever() {
            match first {
                None => {
                    cancel.store(true, Ordering::Relaxed);
                    // The terminal may be what has gone.
                    let _ = writeln!(
                        io::stderr(),
                        "\nstopping; what is finished will be printed (Ctrl-C again: stop at once)"
                    );
                    first = Some(Instant::now());
                }
                Some(at) if at.elapsed() < ONE_REQUEST => {}
                Some(_) => {
                    leash::let_go();
                    std::process::exit(INCOMPLETE);
                }
            }
        }
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(told)
        .map(drop)
}

#[cfg(not(unix))]
fn catch(_: Cancel) -> io::Result<()> {
    Ok(())
}

/// Was the process started with this signal ignored? Where the system does not tell: no.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
