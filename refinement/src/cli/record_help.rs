//! `record-help`: how to record a trace on the machine that hangs.

use super::error::CliError;
use super::exit_code::ExitCode;
use super::output;
use clap::ValueEnum;
use shootdown_trace::ftrace::record::{Kernel, Way, help, script};

const EXAMPLES: &str = "\
Examples:
  shootdown record-help                                   for the kernel that runs here
  shootdown record-help --kernel 4.18 --with trace-cmd    for RHEL 8, by trace-cmd
  shootdown record-help --kernel 5.15 --script            the bpftrace script alone

docs/ftrace.md has what the events mean.";

/// Arguments of `record-help`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The kernel to record on, as `uname -r` prints it; this machine's without it
    #[arg(long, value_name = "VERSION")]
    kernel: Option<Kernel>,
    /// Only these ways
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "WAY",
        conflicts_with = "script"
    )]
    with: Vec<With>,
    /// Print the bpftrace script alone, for kernels without lockdep
    #[arg(long)]
    script: bool,
}

/// A way to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum With {
    /// The console of a machine that hangs hard
    Console,
    /// The files in /sys/kernel/tracing
    Tracefs,
    /// trace-cmd
    TraceCmd,
    /// bpftrace, for kernels without lockdep
    Bpftrace,
}

/// Prints the commands.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let here = || {
        std::fs::read_to_string("/proc/sys/kernel/osrelease")
            .ok()?
            .parse()
            .ok()
    };
    let newest = Kernel {
        major: 6,
        minor: 12,
    };
    let kernel = args.kernel.or_else(here).unwrap_or(newest);
    if args.script {
        output::print(script(kernel))?;
        return Ok(ExitCode::AsPromised);
    }
    let all = [With::Console, With::Tracefs, With::TraceCmd, With::Bpftrace];
    let asked = if args.with.is_empty() {
        &all[..]
    } else {
        &args.with[..]
    };
    let ways: Vec<Way> = asked
        .iter()
        .map(|with| match with {
            With::Console => Way::Console,
            With::Tracefs => Way::Tracefs,
            With::TraceCmd => Way::TraceCmd,
            With::Bpftrace => Way::Bpftrace,
        })
        .collect();
    output::print(help(kernel, &ways))?;
    Ok(ExitCode::AsPromised)
}
