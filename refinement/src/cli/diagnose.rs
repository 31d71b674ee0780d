//! `diagnose`: the console log of a hung machine.

use super::Format;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::output;
use serde::Serialize;
use shootdown_trace::console::conclude::Verdict;
use shootdown_trace::console::{Diagnosis, read, scenario, text};
use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  shootdown diagnose dmesg.txt               who waits for whom, and whether that is a cycle
  dmesg | shootdown diagnose -               the same, of this machine
  shootdown diagnose --format json log.xz    for programs; gzip, xz and zstd are undone
  shootdown diagnose --scenario my.sd log    also write the hang as a scenario, to go on from

Exit codes: 1 a cycle, or a cycle if one fact holds; 0 no cycle, for a reason in the log; 3 not decidable: what to get
is printed; 2 unreadable. Of several logs the worst counts. docs/diagnose.md has what is never claimed.";

/// Arguments of `diagnose`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Logs: dmesg, serial console, netconsole, pstore, journald, mails, crash, gdb, QEMU; `-` is stdin
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// Write the hang of the first log that has one as a scenario
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Text for people or JSON for programs
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    logs: Vec<Log<'a>>,
}

#[derive(Serialize)]
struct Log<'a> {
    name: &'a str,
    #[serde(flatten)]
    diagnosis: &'a Diagnosis,
}

/// Reads each log and tells what follows.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let mut all: Vec<(String, Diagnosis)> = Vec::new();
    for path in &args.logs {
        let name = if path.as_os_str() == "-" {
            "stdin".to_string()
        } else {
            path.display().to_string()
        };
        let diagnosis = read(open(path)?).map_err(|error| CliError::Log {
            source_name: name.clone(),
            error,
        })?;
        if args.format == Format::Text {
            let gap = if all.is_empty() { "" } else { "\n" };
            output::print(format!(
                "{gap}{name}: {}",
                text::report(&diagnosis, output::width())
            ))?;
        }
        all.push((name, diagnosis));
    }
    if args.format == Format::Json {
        let logs = all
            .iter()
            .map(|(name, diagnosis)| Log { name, diagnosis })
            .collect();
        output::print_json(&Json {
            schema: "shootdown/diagnose/1",
            logs,
        })?;
    }
    if let Some(path) = &args.scenario {
        write_scenario(path, &all)?;
    }
    Ok(worst(&all))
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, CliError> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(stdin())));
    }
    let file = File::open(path).map_err(|error| CliError::File {
        path: path.to_path_buf(),
        error,
    })?;
    Ok(Box::new(BufReader::with_capacity(1 << 18, file)))
}

/// The first hang that a scenario can be written of.
fn write_scenario(path: &Path, all: &[(String, Diagnosis)]) -> Result<(), CliError> {
    let mut why = "there is no log";
    for (name, diagnosis) in all {
        match scenario::scenario(diagnosis, name) {
            Ok(text) => {
                return std::fs::write(path, text).map_err(|error| CliError::File {
                    path: path.to_path_buf(),
                    error,
                });
            }
            Err(reason) => why = reason,
        }
    }
    eprintln!("no scenario was written: {why}");
    Ok(())
}

/// A cycle beats not decidable, which beats no cycle.
fn worst(all: &[(String, Diagnosis)]) -> ExitCode {
    let any = |f: fn(&Verdict) -> bool| all.iter().any(|(_, d)| f(&d.verdict));
    if any(|v| matches!(v, Verdict::Cycle { .. } | Verdict::CycleIf { .. })) {
        ExitCode::NotAsExpected
    } else if any(|v| matches!(v, Verdict::NotDecidable { .. }))
        || all.iter().any(|(_, d)| !d.incomplete.is_empty())
    {
        ExitCode::Incomplete
    } else {
        ExitCode::AsPromised
    }
}
