//! `bare`: the implementation on bare metal under QEMU, until the time is over or something breaks.

use super::Format;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::output;
use super::stress::{self, FaultArg, RunArgs, StressJson};
use serde::Serialize;
use shootdown_impl::host::stress::Verdict;
use shootdown_impl::host::trace::IrqsOffBy;
use shootdown_refinement::bare::{self, Machine, Options, Outcome, qemu};
use std::fmt::Write as _;
use std::path::PathBuf;

const EXIT_CODES: &str = "\
x86-64 without an operating system: the kernel code's IPIs, cli and sti, CR3, invlpg and page
tables are the hardware's, as QEMU emulates it. The image is built from the checkout by cargo the
first time. docs/machines.md says what this machine can show that the others cannot.

Exit codes:
  0  the time is over (or every CPU has had its operations), and nothing bad happened
  1  it hung, or a run-time check failed
  2  usage, no QEMU or one older than 7.2, no image and none can be built, or a file cannot be written
  3  cut off: by a signal, or because the trace could not be written to its end (disk full); what is
     known is printed, and the trace has as many events as the message says
  4  internal error, or QEMU ended before its time";

/// Arguments of `bare`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n{EXIT_CODES}", crate::cli::examples::BARE))]
pub struct Args {
    #[command(flatten)]
    run: RunArgs,
    /// Put a fault in, to see it caught
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Run")]
    fault: Option<FaultArg>,
    /// Keep what the machine prints on its serial console: `shootdown diagnose FILE` reads it
    #[arg(long, value_name = "FILE", help_heading = "Machine")]
    console: Option<PathBuf>,
    /// The QEMU to run
    #[arg(
        long,
        value_name = "PROGRAM",
        default_value = "qemu-system-x86_64",
        help_heading = "Machine"
    )]
    qemu: String,
    /// An image that is built already [default: built from the checkout]
    #[arg(long, value_name = "FILE", help_heading = "Machine")]
    image: Option<PathBuf>,
}

/// What `bare --format json` prints.
#[derive(Serialize)]
struct BareJson<'a> {
    #[serde(flatten)]
    run: StressJson<'a>,
    machine: &'a Machine,
    console: &'a str,
}

/// Runs the machine; a hang or a failed check is exit code 1.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let plan = args.run.plan(args.fault)?;
    let cancel = output::cancel_on_signals()?;
    let (cpus, cores) = (plan.config.env.cpus, qemu::usable_cores().len());
    if cores < cpus.into() {
        output::complain!(
            "note: {cpus} CPUs share {cores} {}: what takes two CPUs at once is rarer than it would be",
            if cores == 1 { "core" } else { "cores" }
        );
    }
    let options = Options {
        qemu: args.qemu.clone(),
        image: args.image.clone(),
        console: args.console.clone(),
    };
    let progress = stress::progress(&plan);
    let outcome = bare::run(&plan.config, &options, &cancel);
    progress.finish_and_clear();
    let outcome = outcome?;
    match args.run.format {
        Format::Json => {
            let mut run = StressJson::new(&plan, &outcome.stress);
            run.schema = "shootdown/bare/1";
            run.irq_mode = IrqsOffBy::Cli;
            output::print_json(&BareJson {
                run,
                machine: &outcome.machine,
                console: &outcome.console,
            })?;
        }
        Format::Text => {
            let text = stress::text(&plan, &outcome.stress) + &machine(&outcome);
            output::print(text)?;
        }
    }
    Ok(stress::ended(&outcome.stress))
}

/// What only this machine knows, for people.
fn machine(outcome: &Outcome) -> String {
    let machine = &outcome.machine;
    let cores: Vec<String> = machine.cores.iter().map(usize::to_string).collect();
    let mut text = format!(
        "machine: QEMU {}, TCG; CPUs {}\n",
        machine.qemu,
        match cores.as_slice() {
            [] => "not pinned".into(),
            cores => format!("on cores {}", cores.join(", ")),
        }
    );
    let clean = outcome.stress.verdict == Verdict::Clean;
    let probe = match machine.stale_seen {
        Some(true) => {
            "stale translations: used until the flush IPI, as the machine saw before the run"
        }
        Some(false) if clean => {
            "stale translations: none seen before the run, so that clean says nothing about flushes"
        }
        Some(false) => "stale translations: none seen before the run",
        None if clean => {
            "stale translations: not looked for, that takes two CPUs; clean says nothing about flushes"
        }
        None => return text,
    };
    let _ = writeln!(text, "{probe}");
    text
}
