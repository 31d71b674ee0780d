//! Running everything at once, for a while: the library behind `shootdown stress`.
//!
//! Each CPU is a thread that picks operations by chance, as the environment's rules allow (an mm in use is not freed,
//! one `munmap` per mm, and so on), and runs them at full speed. The calling thread watches. Whatever happens, all
//! threads are joined when [`run`] returns.

mod record;

pub use record::Disk;

use std::path::PathBuf;
use std::string::String;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::time::{Duration, Instant};
use std::vec::Vec;
use std::{format, thread};

use serde::Serialize;

use crate::design::Axes;
use crate::environment::Environment;
use crate::fault::{Fault, Faulty};
use crate::host::interrupt::SignalBlocked;
use crate::host::recorder::Recorder;
use crate::host::trace::{Header, SCHEMA};
use crate::host::watchdog::{HangReport, Watch};
use crate::host::{Host, HostCpu, HostViolation, IrqMode};
use crate::id::{CpuId, MmId};
use crate::live::driver::{self, Driver, Mix, NR_PROGRAMS, PROGRAMS};
use crate::live::latency::{LATENCY_BUCKETS, percentiles};
use crate::operation::Code;

/// What to run.
#[derive(Clone, Debug)]
pub struct StressConfig {
    /// The design.
    pub axes: Axes,
    /// CPUs, mms, split locks, THP, flush backend, Xen, `pgd_free` from interrupts.
    pub env: Environment,
    /// For how long.
    pub duration: Duration,
    /// At most this many operations in all; for tests and benchmarks.
    pub max_operations: Option<u64>,
    /// Programs by the protocol's names; empty means everything that makes sense in the environment.
    pub programs: Vec<String>,
    /// How interrupts are turned off.
    pub irq_mode: IrqMode,
    /// Where to write the trace.
    pub record: Option<PathBuf>,
    /// Where the random choices start.
    pub seed: u64,
    /// How long a circle of waits must stand still to be a hang.
    pub hang_after: Duration,
    /// How many of the last events per CPU a hang's report shows (0: keeps none, costs nothing).
    pub look_back: usize,
    /// A fault to put in, to see it caught.
    pub fault: Option<Fault>,
}

impl Default for StressConfig {
    fn default() -> Self {
        Self {
            axes: Axes::default(),
            env: Environment {
                mms: 4,
                ..Environment::default()
            },
            duration: Duration::from_secs(10),
            max_operations: None,
            programs: Vec::new(),
            irq_mode: IrqMode::Soft,
            record: None,
            seed: 1,
            hang_after: Duration::from_millis(300),
            look_back: 8,
            fault: None,
        }
    }
}

/// Why a run could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum StressError {
    /// More CPUs or mms than there is room for, or a program that does not exist or make sense here.
    Config(String),
    /// The trace file cannot be written.
    Record(PathBuf, std::io::Error),
    /// A thread could not be started.
    Thread(std::io::Error),
}

impl core::fmt::Display for StressError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Config(what) => f.write_str(what),
            Self::Record(path, error) => {
                write!(f, "cannot write the trace to {}: {error}", path.display())
            }
            Self::Thread(error) => write!(f, "cannot start a thread for a CPU: {error}"),
        }
    }
}
impl std::error::Error for StressError {}

/// How it ended.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The time is over, nothing bad happened.
    Clean,
    /// It hung.
    Hung(HangReport),
    /// A run-time check failed.
    Violated,
    /// Somebody asked to stop before the time was over.
    Cancelled,
}

/// What came of the trace.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Recording {
    /// Where it is: as asked for, or that and `.part` if it was cut short and there is an earlier one.
    pub path: PathBuf,
    /// How many events are in it.
    pub events: u64,
    /// Why it is shorter than the run, if it is: it ends with the last whole line that there was room for.
    pub error: Option<String>,
}

/// The result of a run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StressOutcome {
    /// How it ended.
    pub verdict: Verdict,
    /// How many run-time checks failed.
    pub violations: usize,
    /// The first of them.
    pub first_violations: Vec<HostViolation>,
    /// Operations finished, in all.
    pub operations: u64,
    /// By program.
    pub by_program: Vec<(&'static str, u64)>,
    /// How long it ran, in seconds.
    pub seconds: f64,
    /// Flush IPIs sent.
    pub ipis: u64,
    /// Time from the first IPI of a flush to its last acknowledgement: p50, p90, p99, p99.9, in nanoseconds
    /// (bucketed, within 25 %). `None` if there was no flush.
    pub ipi_latency_ns: Option<[u64; 4]>,
    /// The trace, if one was asked for.
    pub recording: Option<Recording>,
}

impl StressOutcome {
    /// Operations per second.
    pub fn operations_per_second(&self) -> f64 {
        self.operations as f64 / self.seconds.max(1e-9)
    }
}

/// Runs until the time is over, something bad happens, or `cancel` is set. All threads are joined when it returns.
pub fn run(
    config: &StressConfig,
    cancel: Option<&AtomicBool>,
) -> Result<StressOutcome, StressError> {
    match config.fault {
        None => run_code(config.axes, config, cancel),
        Some(fault) => run_code(
            Faulty {
                code: config.axes,
                fault,
            },
            config,
            cancel,
        ),
    }
}

/// The same, with other code than a design's.
pub fn run_code<C: Code>(
    code: C,
    config: &StressConfig,
    cancel: Option<&AtomicBool>,
) -> Result<StressOutcome, StressError> {
    let alive = driver::alive_at_start(&config.env);
    let host = Host::new(config.env, alive, config.irq_mode).map_err(StressError::Config)?;
    let mix = mix(&config.programs, &config.env).map_err(StressError::Config)?;
    let placement: Vec<Option<MmId>> = (0..config.env.cpus)
        .map(|cpu| Some(driver::placement(CpuId(cpu), alive)))
        .collect();
    for (cpu, mm) in placement.iter().enumerate() {
        if let Some(mm) = mm {
            host.place(CpuId(cpu as u8), *mm);
        }
    }
    let header = Header {
        schema: SCHEMA.into(),
        machine: "host".into(),
        design: config.axes.name().map(Into::into),
        axes: config.axes,
        environment: config.env,
        irq_mode: config.irq_mode.into(),
        alive,
        placement,
    };
    let disk = match &config.record {
        Some(path) => {
            Some(Disk::create(path, &header).map_err(|e| StressError::Record(path.clone(), e))?)
        }
        None => None,
    };
    let finish = AtomicBool::new(false);
    let session = Session {
        code: &code,
        config,
        cancel,
        host: &host,
        mix: &mix,
        finish: &finish,
    };
    match disk {
        Some(disk) => session.run_recorded(disk),
        None => session.run_unrecorded(),
    }
}

/// The mix of these programs, or of all that make sense here.
fn mix(names: &[String], env: &Environment) -> Result<Mix, String> {
    let mut wanted = 0;
    for name in names {
        match PROGRAMS.iter().position(|p| p.name == name) {
            None => {
                let known: Vec<&str> = PROGRAMS.iter().map(|p| p.name).collect();
                return Err(format!(
                    "there is no program `{name}`; the programs are {}",
                    known.join(", ")
                ));
            }
            Some(n) if !PROGRAMS[n].is_sensible(env) => {
                return Err(format!(
                    "`{name}` makes no sense in this environment (thp, xen_pin or mms)"
                ));
            }
            Some(n) => wanted |= 1 << n,
        }
    }
    Ok(Mix::new(wanted, env))
}

struct Session<'s, C> {
    code: &'s C,
    config: &'s StressConfig,
    cancel: Option<&'s AtomicBool>,
    host: &'s Host,
    mix: &'s Mix,
    /// No new operations.
    finish: &'s AtomicBool,
}

/// What a CPU's thread brings home.
struct Harvest {
    latencies: [u32; LATENCY_BUCKETS],
    by_program: [u64; NR_PROGRAMS],
}

/// How the watch ended.
struct Watched {
    hang: Option<HangReport>,
    cancelled: bool,
    elapsed: Duration,
    harvests: Vec<Harvest>,
}

impl<C: Code> Session<'_, C> {
    fn run_unrecorded(&self) -> Result<StressOutcome, StressError> {
        let recorder = match self.config.look_back {
            0 => Recorder::off(self.host),
            // Much more room than is looked at: writing the same few lines over and over is several times slower.
            n => Recorder::flight(self.host, n.max(1 << 12)),
        };
        let mut watched = self.cpus(&recorder)?;
        if let Some(hang) = &mut watched.hang {
            hang.last_events = recorder.last(self.config.look_back);
        }
        Ok(self.outcome(watched, None))
    }

    fn run_recorded(&self, disk: Disk) -> Result<StressOutcome, StressError> {
        let recorder = Recorder::streaming(self.host, 1 << 14);
        let (done, complete) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            let blocked = SignalBlocked::new().map_err(StressError::Config)?;
            let writer = thread::Builder::new()
                .name("trace writer".into())
                .spawn_scoped(scope, || {
                    disk.follow(
                        &recorder,
                        self.finish,
                        &done,
                        &complete,
                        self.config.look_back,
                    )
                });
            drop(blocked);
            let writer = writer.map_err(StressError::Thread)?;
            let watched = self.cpus(&recorder);
            complete.store(watched.as_ref().is_ok_and(|w| w.hang.is_none()), SeqCst);
            done.store(true, SeqCst);
            let (recording, last_events) = writer
                .join()
                .map_err(|_| StressError::Config("the trace writer panicked".into()))?;
            let mut watched = watched?;
            if let Some(hang) = &mut watched.hang {
                hang.last_events = last_events;
            }
            Ok(self.outcome(watched, Some(recording)))
        })
    }

    /// Runs the CPUs until they are done or hang.
    fn cpus(&self, observer: &Recorder<'_>) -> Result<Watched, StressError> {
        let cpus = self.host.env().cpus;
        let barrier = Barrier {
            ready: AtomicU8::new(0),
            done: AtomicU8::new(0),
            cpus,
        };
        thread::scope(|scope| {
            let blocked = SignalBlocked::new().map_err(StressError::Config)?;
            let mut threads = Vec::new();
            let mut failed = None;
            for cpu in (0..cpus).map(CpuId) {
                let barrier = &barrier;
                let spawned = thread::Builder::new()
                    .name(format!("{cpu}"))
                    .spawn_scoped(scope, move || self.one_cpu(cpu, observer, barrier));
                match spawned {
                    Ok(thread) => threads.push(thread),
                    Err(error) => failed = Some(error),
                }
            }
            drop(blocked);
            if failed.is_some() {
                // The others wait for a CPU that will never be ready.
                self.host.abort();
            }
            let started = Instant::now();
            let (hang, cancelled) = self.watch(started, &barrier, observer);
            let elapsed = started.elapsed();
            let harvests = threads.into_iter().filter_map(|t| t.join().ok()).collect();
            match failed {
                Some(error) => Err(StressError::Thread(error)),
                None => Ok(Watched {
                    hang,
                    cancelled,
                    elapsed,
                    harvests,
                }),
            }
        })
    }

    fn one_cpu(&self, id: CpuId, observer: &Recorder<'_>, barrier: &Barrier) -> Harvest {
        let cpu = HostCpu::new(self.host, id, self.code, observer);
        let mut driver = Driver::new(self.mix, self.config.seed, id, self.host.env());
        cpu.run(|cpu| {
            barrier.meet(&barrier.ready, self.host);
            let share = self
                .config
                .max_operations
                .map(|n| n.div_ceil(barrier.cpus.into()));
            while !self.finish.load(Relaxed)
                && !self.host.aborted()
                && share.is_none_or(|n| driver.done() < n)
            {
                driver.one(cpu);
            }
        });
        // Others may still wait for our acknowledgements: stay a CPU until all are through.
        cpu.run(|_| barrier.meet(&barrier.done, self.host));
        Harvest {
            latencies: cpu.latencies.each_ref().map(std::cell::Cell::get),
            by_program: driver.by_program,
        }
    }

    /// Watches until all CPUs are done or a hang is certain.
    fn watch(
        &self,
        started: Instant,
        barrier: &Barrier,
        observer: &Recorder<'_>,
    ) -> (Option<HangReport>, bool) {
        let mut watch = Watch::new(self.config.hang_after);
        let mut cancelled = false;
        while barrier.done.load(SeqCst) < barrier.cpus && !self.host.aborted() {
            thread::sleep(Duration::from_millis(2));
            cancelled |= self.cancel.is_some_and(|c| c.load(Relaxed));
            if cancelled
                || started.elapsed() >= self.config.duration
                || self.host.violations().0 > 0
            {
                self.finish.store(true, SeqCst);
            }
            if observer.is_behind() {
                watch.moved();
            }
            let picture = self.host.picture();
            if let Some(hang) = watch.look(&picture, started.elapsed()) {
                self.host.abort();
                let report = HangReport {
                    cpus: picture.cpus,
                    cycle: hang.cycle,
                    stuck_for_ms: hang.stuck_for.as_millis() as u64,
                    last_events: Vec::new(),
                };
                return (Some(report), cancelled);
            }
        }
        (None, cancelled)
    }

    fn outcome(&self, watched: Watched, recording: Option<Recording>) -> StressOutcome {
        let (violations, first_violations) = self.host.violations();
        let cut_short = recording.as_ref().is_some_and(|r| r.error.is_some());
        let verdict = match watched.hang {
            Some(hang) => Verdict::Hung(hang),
            None if violations > 0 => Verdict::Violated,
            None if watched.cancelled || cut_short => Verdict::Cancelled,
            None => Verdict::Clean,
        };
        let mut buckets = [0u64; LATENCY_BUCKETS];
        let mut ran = [0; NR_PROGRAMS];
        for harvest in &watched.harvests {
            buckets
                .iter_mut()
                .zip(harvest.latencies)
                .for_each(|(sum, n)| *sum += u64::from(n));
            ran.iter_mut()
                .zip(harvest.by_program)
                .for_each(|(sum, n)| *sum += n);
        }
        StressOutcome {
            verdict,
            violations,
            first_violations,
            operations: self.host.cpus.iter().map(|c| c.ops.load(SeqCst)).sum(),
            by_program: self
                .mix
                .programs()
                .map(|n| (PROGRAMS[n].name, ran[n]))
                .collect(),
            seconds: watched.elapsed.as_secs_f64(),
            ipis: self.host.cpus.iter().map(|c| c.ipis.load(SeqCst)).sum(),
            ipi_latency_ns: percentiles(&buckets),
            recording,
        }
    }
}

struct Barrier {
    ready: AtomicU8,
    done: AtomicU8,
    cpus: u8,
}

impl Barrier {
    /// Waits, taking interrupts, until all CPUs are here or the machine is taken down.
    fn meet(&self, counter: &AtomicU8, host: &Host) {
        counter.fetch_add(1, SeqCst);
        while counter.load(SeqCst) < self.cpus && !host.aborted() {
            thread::yield_now();
        }
    }
}
