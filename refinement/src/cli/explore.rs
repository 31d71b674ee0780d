//! `explore`: a web page on the state space.

use super::error::CliError;
use super::exit_code::ExitCode;
use super::output;
use super::subject::Subject;
use crate::web::{self, Settings, SubjectName};
use clap::ValueEnum;
use shootdown_refinement::memory;
use shootdown_spec::config::Config;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The port that is tried first, and how many after it.
const PORTS: std::ops::Range<u16> = 3000..3020;

/// Default of `--graph-memory`.
const GRAPH_MEMORY: u32 = 512;

/// What is explored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Of {
    /// The specification.
    #[default]
    Spec,
    /// The real code, beside the specification
    Impl,
}

/// Most bytes that a search of the page may hold, where there are so many.
const SEARCH_BUDGET: u64 = 2 << 30;

/// Arguments of `explore`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A scenario file: its page, checked anew whenever it is loaded
    #[arg(value_name = "FILE", conflicts_with_all = ["Subject", "DesignArgs", "EnvironmentArgs", "subject", "graph_memory"])]
    file: Option<PathBuf>,
    /// Loopback address to listen on; port 0 takes any free one [default: 127.0.0.1:3000, or the next free port]
    #[arg(long, value_name = "ADDR:PORT", value_parser = loopback)]
    bind: Option<SocketAddr>,
    /// What is explored
    #[arg(long, value_enum, default_value_t)]
    subject: Of,
    /// Stop after this many seconds, not only on Ctrl-C
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Most memory in which explored graphs are kept, to say what can still be avoided
    #[arg(long, value_name = "MIB", default_value_t = GRAPH_MEMORY)]
    graph_memory: u32,
    #[command(flatten)]
    config: Subject,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "an address with a port, such as 127.0.0.1:3000".to_string())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("only loopback addresses are served: 127.0.0.1 or [::1]".into())
    }
}

impl Args {
    /// What `shootdown` without arguments does.
    pub fn default_args() -> Args {
        Args {
            file: None,
            bind: None,
            subject: Of::Spec,
            seconds: None,
            graph_memory: GRAPH_MEMORY,
            config: Subject::default(),
        }
    }
}

/// Serves until a signal ends it: that is how it ends, so the exit code is 0.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    if let Some(file) = &args.file {
        stop_after(args.seconds)?;
        return super::scenario::explore::run(file, &addresses(args.bind));
    }
    let config = args.config.config("v2.6.37", "aging")?;
    let subject = match args.subject {
        Of::Spec => SubjectName::Spec,
        Of::Impl => {
            // Says now what the page would say later.
            super::refine::refinement(config.clone())?;
            SubjectName::Impl
        }
    };
    stop_after(args.seconds)?;
    let about = super::check::header(&config);
    serve(config, subject, args, |address| {
        let text = format!(
            "exploring {about}\n  http://{address}/\n\n\
             The page has the verdict of every design in every environment and opens the shortest run of each\n\
             violation; \"See the deadlock step by step\" is one click away. Ctrl-C stops the server.\n"
        );
        // Nobody may be listening to stdout; the page is there all the same.
        if output::print(text).is_err() {
            output::complain!("exploring at http://{address}/");
        }
    })?;
    Ok(ExitCode::AsPromised)
}

fn serve(
    config: Config,
    subject: SubjectName,
    args: &Args,
    announce: impl FnOnce(SocketAddr),
) -> Result<(), CliError> {
    let stop = output::cancel_on_signals()?;
    let settings = Settings {
        config,
        subject,
        graph_budget: u64::from(args.graph_memory) << 20,
        search_budget: memory::share().map_or(SEARCH_BUDGET, |share| share.min(SEARCH_BUDGET)),
    };
    web::serve(settings, &addresses(args.bind), &stop, announce)
}

/// The address that was asked for, or else those that are tried one after the other.
pub fn addresses(asked: Option<SocketAddr>) -> Vec<SocketAddr> {
    match asked {
        Some(address) => vec![address],
        None => PORTS
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
            .collect(),
    }
}

/// Serves the page, opens it at a run, and comes back when a signal ends it.
///
/// # Errors
/// If no port is free.
pub fn open_at(config: Config, schedule: &str) -> Result<(), CliError> {
    let args = Args::default_args();
    let schedule: String = schedule.bytes().map(escaped).collect();
    serve(config, SubjectName::Spec, &args, |address| {
        announce(&format!(
            "http://{address}/#/run?subject=spec&schedule={schedule}"
        ));
    })
}

/// A byte of a query, as an address has it.
fn escaped(byte: u8) -> String {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    }
}

/// Says where the page is, and asks the desktop to open it. Where there is none, the address is enough.
pub fn announce(address: &str) {
    let opener = std::env::var_os("BROWSER").unwrap_or_else(|| "xdg-open".into());
    let opened = std::process::Command::new(opener)
        .arg(address)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    let hint = match opened {
        Ok(_) => "opened in the browser",
        Err(_) => "open it in a browser",
    };
    let text = format!("\nThe page is at this run, {hint}; Ctrl-C stops it:\n  {address}\n");
    if output::print(text).is_err() {
        output::complain!("{address}");
    }
}

/// Raises the flag of the signals after a time, if one is given.
fn stop_after(seconds: Option<u64>) -> Result<(), CliError> {
    seconds.map_or(Ok(()), |seconds| {
        output::cancel_after(std::time::Duration::from_secs(seconds))
    })
}
