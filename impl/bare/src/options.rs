//! What to run: the kernel's command line, `name=value` each.

use shootdown_impl::design::{Axes, FlushAxis, PgdLockAxis, PtlAxis};
use shootdown_impl::environment::Environment;

/// The command line.
#[derive(Clone, Copy)]
pub struct Options {
    /// The design.
    pub axes: Axes,
    /// CPUs, mms, split locks, THP, interrupts that free mms.
    pub env: Environment,
    /// Bits of `shootdown_impl::live::driver::PROGRAMS`; none: all that make sense.
    pub programs: u32,
    /// Milliseconds.
    pub duration_ms: u64,
    /// Operations of each CPU; 0: no limit.
    pub per_cpu: u64,
    /// Where the random choices start.
    pub seed: u64,
    /// Whether every event is recorded.
    pub record: bool,
    /// What is wrong with the machine.
    pub fault: Fault,
}

/// What goes wrong on purpose.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The last CPU acknowledges flushes without flushing.
    SkipFlush,
    /// Nobody waits for acknowledgements.
    FreeBeforeFlush,
}

impl Options {
    /// Reads them; what cannot be read, for a message.
    pub fn read(line: &str) -> Result<Self, &str> {
        let mut options = Self {
            axes: Axes::default(),
            env: Environment::default(),
            programs: 0,
            duration_ms: 1000,
            per_cpu: 0,
            seed: 1,
            record: false,
            fault: Fault::None,
        };
        for word in line.split_ascii_whitespace() {
            options.set(word).ok_or(word)?;
        }
        Ok(options)
    }

    fn set(&mut self, word: &str) -> Option<()> {
        let (name, value) = word.split_once('=')?;
        let number = || value.parse::<u64>().ok();
        let small = || value.parse::<u8>().ok();
        let (axes, env) = (&mut self.axes, &mut self.env);
        match name {
            "pgd_lock" => axes.pgd_lock = of(PgdLockAxis::ALL, |a| a.name(), value)?,
            "walk_takes_ptl" => axes.walk_takes_ptl = number()? != 0,
            "ptl" => axes.ptl = of(PtlAxis::ALL, |a| a.name(), value)?,
            "flush" => axes.flush = of(FlushAxis::ALL, |a| a.name(), value)?,
            "cpus" => env.cpus = small()?,
            "mms" => env.mms = small()?,
            "split_ptlocks" => env.split_ptlocks = number()? != 0,
            "thp" => env.thp = number()? != 0,
            "pgd_free_in_irq" => env.pgd_free_in_irq = number()? != 0,
            "programs" => self.programs = number()? as u32,
            "duration_ms" => self.duration_ms = number()?,
            "per_cpu" => self.per_cpu = number()?,
            "seed" => self.seed = number()?,
            "record" => self.record = number()? != 0,
            "fault" => {
                self.fault = match value {
                    "none" => Fault::None,
                    "skip_flush" => Fault::SkipFlush,
                    "free_before_flush" => Fault::FreeBeforeFlush,
                    _ => return None,
                };
            }
            _ => return None,
        }
        Some(())
    }
}

fn of<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, wanted: &str) -> Option<T> {
    all.iter().copied().find(|axis| name(*axis) == wanted)
}
