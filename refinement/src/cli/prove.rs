//! `prove`: the static order of one design in one environment, for any number of CPUs.

mod grid;
mod json;
mod text;

use super::Format;
use super::bounds::Bounds;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::output::{self, ProgressLine};
use super::subject::Subject;
use shootdown_spec::model::Protocol;
use shootdown_spec::order::{Order, Proof, Realisation, for_any_number, realise};

/// Arguments of `prove`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A scenario file in place of a design; `-` is stdin
    ///
    /// Any number of CPUs run the sources `on any`. Not proven is exit code 1, as for a design.
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["Subject", "DesignArgs", "EnvironmentArgs", "grid"])]
    file: Option<std::path::PathBuf>,
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    bounds: Bounds,
    /// Every named design in every named environment, cycles not searched for
    #[arg(long, conflicts_with_all = [
        "design", "pgd_lock", "walk_takes_ptl", "ptl", "flush", "env", "cpus", "mms", "ops_per_cpu",
        "split_ptlocks", "thp", "flush_backend", "xen_pin", "pgd_free_in_irq", "workload", "variant",
        "no_realise",
    ])]
    grid: bool,
    /// Do not search for a run into a cycle
    #[arg(long)]
    no_realise: bool,
    /// Text for people or JSON for programs
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What came of one configuration.
struct Proven {
    /// With the bounds asked for: a run into a cycle is searched for within them.
    protocol: Protocol,
    order: Order,
    /// None without a cycle, and where it was not to be searched for.
    realisation: Option<Realisation>,
}

/// Proves; anything but a proof is exit code 1. The bounds limit the search for a run into a
/// cycle, never the proof: a cut-off search does not change the exit code.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    if let Some(file) = &args.file {
        return super::scenario::prove::run(file, args.format);
    }
    if args.grid {
        return grid::run(args.format);
    }
    let config = args.subject.config("tracked", "everything")?;
    let order = Order::of(&for_any_number(&config)?);
    let protocol = Protocol::new(config);
    let wanted = order.proof() == Proof::Cyclic && !args.no_realise;
    let realisation = if wanted {
        let mut options = args.bounds.options(output::cancel_on_signals()?)?;
        let progress = ProgressLine::new("looking for a run into a cycle");
        options.progress = Some(progress.callback());
        let found = realise(&protocol, &order, &options);
        progress.finish();
        Some(found)
    } else {
        // Bounds that cannot be read are refused, used or not.
        args.bounds.options(Default::default())?;
        None
    };
    let proven = Proven {
        protocol,
        order,
        realisation,
    };
    match args.format {
        Format::Json => output::print_json(&json::ProveJson::new(&proven))?,
        Format::Text => output::print(text::text(&proven))?,
    }
    Ok(proven.exit_code())
}

impl Proven {
    fn exit_code(&self) -> ExitCode {
        let unexplained = |r: &Realisation| r.unexplained.is_some();
        if self.realisation.as_ref().is_some_and(unexplained) {
            ExitCode::Internal
        } else if self.order.proof() == Proof::Acyclic {
            ExitCode::AsPromised
        } else {
            ExitCode::NotAsExpected
        }
    }
}
