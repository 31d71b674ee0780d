//! The implementation on bare metal: builds the image, runs QEMU, reads what the machine tells.
//!
//! The machine is `impl/bare`. [`image`] builds it from the checkout, [`qemu`] starts it and pins its CPUs, [`port`] reads
//! the debug port. The result of a run is that of `stress` ([`StressOutcome`]), and what only this machine knows
//! ([`Machine`]).
//!
//! QEMU never outlives this process ([`crate::leash`]).

pub mod image;
pub mod port;
pub mod qemu;
mod reported;

use shootdown_impl::environment::FlushBackend;
use shootdown_impl::fault::Fault;
use shootdown_impl::host::stress::{Disk, Recording, StressConfig, StressOutcome, Verdict};
use shootdown_impl::host::trace::{Header, IrqsOffBy, SCHEMA};
use shootdown_impl::id::CpuId;
use shootdown_impl::live::driver::{PROGRAMS, alive_at_start, placement};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use thiserror::Error;

use crate::leash::Folder;
use reported::Reported;

/// A machine that says nothing for so long is not coming back. It tells how far it is ten times a second, and its
/// watchdog reports a hang within ten seconds.
const SILENT: Duration = Duration::from_secs(60);

/// Why a run could not be made.
#[derive(Debug, Error)]
pub enum BareError {
    /// QEMU is not there.
    #[error(
        "cannot run `{program}`: {error}\n  QEMU for x86-64 is needed: `apt-get install qemu-system-x86`, or --qemu PATH"
    )]
    NoQemu {
        /// What was looked for.
        program: String,
        /// What the system said.
        error: io::Error,
    },
    /// It is another program, or older than 7.2.
    #[error(
        "`{program} --version` says {said}: QEMU 7.2 or later is needed\n  \
         earlier ones update ACCESSED and DIRTY in two steps, so that a store by another CPU is lost"
    )]
    OldQemu {
        /// What was run.
        program: String,
        /// What it said.
        said: String,
    },
    /// The image cannot be built here.
    #[error("{0}")]
    Image(String),
    /// The machine cannot be had for this.
    #[error("{0}")]
    Config(String),
    /// The trace file, the console's copy or a temporary folder cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// QEMU ended, or was ended, before the machine had reported its result.
    #[error("the machine ended before its time: {0}")]
    Died(String),
    /// Nobody waits for it any more, and there is nothing to say yet.
    #[error("cancelled before the machine was up")]
    Cancelled,
}

/// What to run it with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The QEMU program.
    pub qemu: String,
    /// An image that is built already.
    pub image: Option<PathBuf>,
    /// Where to keep what the machine prints on its console.
    pub console: Option<PathBuf>,
}

/// What only this machine knows of a run.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Machine {
    /// QEMU's version.
    pub qemu: String,
    /// The core that each CPU was pinned to.
    pub cores: Vec<usize>,
    /// Whether a CPU went on using a translation that was gone from the page table, until it was told to by IPI: without
    /// that a clean run says nothing about flushes. Absent with one CPU, or if the run did not come so far.
    pub stale_seen: Option<bool>,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// As `stress` has it.
    pub stress: StressOutcome,
    /// And what is new.
    pub machine: Machine,
    /// What it printed on its console.
    pub console: String,
}

/// Runs it until the time is over, something bad happens, or `cancel` is raised.
///
/// # Errors
/// If there is no QEMU, no image, no room, or the machine ends without saying what came of the run.
pub fn run(
    config: &StressConfig,
    options: &Options,
    cancel: &AtomicBool,
) -> Result<Outcome, BareError> {
    let line = command_line(config)?;
    let version = qemu::version(&options.qemu, cancel)?;
    let image = match &options.image {
        Some(image) => image.clone(),
        None => image::build(cancel)?,
    };
    let file = |path: &Path| {
        let path = path.to_path_buf();
        move |error| BareError::File { path, error }
    };
    let folder = Folder::new().map_err(file(&std::env::temp_dir()))?;
    let console = folder.path().join("console");
    if let Some(path) = &options.console {
        crate::file::try_out(path).map_err(file(path))?;
    }
    let disk = match &config.record {
        Some(path) => Some(Disk::create(path, &header(config)).map_err(file(path))?),
        None => None,
    };
    let started = Instant::now();
    let machine = qemu::Machine {
        program: &options.qemu,
        image: &image,
        cpus: config.env.cpus,
        line: &line,
        console: &console,
    };
    let reported = Mutex::new(Reported::new(disk, config.look_back));
    let ran = machine.run(&reported, cancel, SILENT)?;
    let reported = reported.into_inner().unwrap_or_else(|e| e.into_inner());
    let text = std::fs::read(&console).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).replace('\r', "");
    if let Some(path) = &options.console {
        crate::file::write_beside(path, &text).map_err(file(path))?;
    }
    let machine = Machine {
        qemu: version,
        cores: ran.cores,
        stale_seen: reported.stale_seen,
    };
    let cut = reported.disk_full();
    if !reported.ended && !ran.cancelled && !cut {
        let recording = reported.finish_trace(false);
        return Err(BareError::Died(epitaph(
            ran.status,
            ran.silent,
            &told_complaint(&ran.complaint, &text),
            recording.as_ref(),
        )));
    }
    if !reported.ended && !reported.begun && !cut {
        return Err(BareError::Cancelled);
    }
    let stress = outcome(config, reported, started.elapsed());
    Ok(Outcome {
        stress,
        machine,
        console: text,
    })
}

fn outcome(config: &StressConfig, reported: Reported, elapsed: Duration) -> StressOutcome {
    let hung = reported.hang();
    let clean = reported.ended && hung.is_none();
    let summary = reported.summary();
    let recording = reported.finish_trace(clean);
    let cut_short = recording.as_ref().is_some_and(|r| r.error.is_some());
    let verdict = match hung {
        Some(hang) => Verdict::Hung(hang),
        None if summary.violations > 0 => Verdict::Violated,
        None if !clean || cut_short => Verdict::Cancelled,
        None => Verdict::Clean,
    };
    let seconds = match summary.us {
        0 => elapsed.as_secs_f64(),
        us => us as f64 / 1e6,
    };
    let sensible = |n: &usize| {
        let named = config.programs.is_empty()
            || config.programs.iter().any(|name| name == PROGRAMS[*n].name);
        named && PROGRAMS[*n].is_sensible(&config.env) || summary.by_program[*n] > 0
    };
    StressOutcome {
        verdict,
        violations: summary.violations,
        first_violations: summary.first_violations,
        operations: summary.ops,
        by_program: (0..PROGRAMS.len())
            .filter(sensible)
            .map(|n| (PROGRAMS[n].name, summary.by_program[n]))
            .collect(),
        seconds,
        ipis: summary.ipis,
        ipi_latency_ns: summary.latency,
        recording,
    }
}

/// Why there is no result, from what there is.
fn epitaph(status: ExitStatus, silent: bool, said: &str, recording: Option<&Recording>) -> String {
    let mut text = match silent {
        true => format!("it has said nothing for {} s", SILENT.as_secs()),
        false => format!("QEMU ended with {status}"),
    };
    if !said.is_empty() {
        let _ = write!(
            text,
            "; the last it said:\n  {}",
            said.replace('\n', "\n  ")
        );
    }
    if let Some(recording) = recording {
        let (events, path) = (recording.events, recording.path.display());
        let _ = write!(text, "\n  the trace has its first {events} events: {path}");
    }
    text
}

/// The last lines of what QEMU complained of, or of the console.
fn told_complaint(complaint: &str, console: &str) -> String {
    let said = match complaint.trim() {
        "" => console,
        said => said,
    };
    let lines: Vec<&str> = said.lines().filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

/// The first line of the trace.
fn header(config: &StressConfig) -> Header {
    let alive = alive_at_start(&config.env);
    Header {
        schema: SCHEMA.into(),
        machine: "bare".into(),
        design: config.axes.name().map(Into::into),
        axes: config.axes,
        environment: config.env,
        irq_mode: IrqsOffBy::Cli,
        alive,
        placement: (0..config.env.cpus)
            .map(|cpu| Some(placement(CpuId(cpu), alive)))
            .collect(),
    }
}

/// What the image reads: `impl/bare/src/options.rs`.
fn command_line(config: &StressConfig) -> Result<String, BareError> {
    let (axes, env) = (&config.axes, &config.env);
    if env.flush_backend != FlushBackend::Ipi {
        return Err(BareError::Config(
            "bare metal has no hypervisor to make a hypercall to: --flush-backend ipi, and no --xen-pin".into(),
        ));
    }
    let fault = match config.fault {
        None => "none",
        Some(Fault::SkipFlush(_)) => "skip_flush",
        Some(Fault::FreeBeforeFlush) => "free_before_flush",
        Some(Fault::UnlistAfterFree) => {
            let no = "--fault unlist_after_free is a path that is written wrongly; here the paths are as they are";
            return Err(BareError::Config(no.into()));
        }
    };
    let mut programs = 0u32;
    for name in &config.programs {
        let n = PROGRAMS.iter().position(|p| p.name == name);
        let n = n.ok_or_else(|| BareError::Config(format!("there is no program `{name}`")))?;
        programs |= 1 << n;
    }
    let per_cpu = config
        .max_operations
        .map_or(0, |n| n.div_ceil(env.cpus.into()));
    Ok(format!(
        "pgd_lock={} walk_takes_ptl={} ptl={} flush={} cpus={} mms={} split_ptlocks={} thp={} pgd_free_in_irq={} \
         programs={programs} duration_ms={} per_cpu={per_cpu} seed={} record={} fault={fault}",
        axes.pgd_lock.name(),
        u8::from(axes.walk_takes_ptl),
        axes.ptl.name(),
        axes.flush.name(),
        env.cpus,
        env.mms,
        u8::from(env.split_ptlocks),
        u8::from(env.thp),
        u8::from(env.pgd_free_in_irq),
        config.duration.as_millis().max(1),
        config.seed,
        u8::from(config.record.is_some()),
    ))
}
