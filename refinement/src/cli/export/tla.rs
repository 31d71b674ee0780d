//! `export tla`: a configuration as a TLA+ module with its configuration file, and the kept modules.

use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use crate::cli::subject::Subject;
use clap::ValueEnum;
use shootdown_spec::export::tla::{self, Question};
use std::path::{Path, PathBuf};

/// What TLC is to be asked, and where module and configuration file go.
#[derive(Debug, clap::Args)]
pub(super) struct TlaArgs {
    /// A scenario file in place of a design; `-` is stdin
    #[arg(value_name = "FILE", conflicts_with_all = ["Subject", "DesignArgs", "EnvironmentArgs", "ask", "symmetry", "docs", "check_docs"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    subject: Subject,
    /// Write the module to this file, which is named as the module must be, and its configuration
    /// beside it as FILE.cfg
    #[arg(short, long, value_name = "FILE.tla")]
    output: Option<PathBuf>,
    /// Print the configuration file instead of the module
    #[arg(long, conflicts_with = "output")]
    cfg: bool,
    /// What the configuration file asks: every property of states, or `progress`
    #[arg(long, value_enum, default_value_t)]
    ask: Ask,
    /// Whether states that differ in the names of CPUs are one [default: on where it is sound]
    #[arg(long, value_parser = ["on", "off"])]
    symmetry: Option<String>,
    /// Write the modules of the named designs that are kept under spec/tla in the tree at DIR
    #[arg(long, value_name = "DIR", conflicts_with_all = ["output", "cfg", "ask", "symmetry"])]
    docs: Option<PathBuf>,
    /// Fail if any of those is stale
    #[arg(long, value_name = "DIR", conflicts_with_all = ["output", "cfg", "ask", "symmetry", "docs"])]
    check_docs: Option<PathBuf>,
}

/// What a configuration file asks.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Ask {
    /// TypeOK and every property of states
    #[default]
    Safety,
    /// The temporal formula `progress`, under fairness; never with symmetry
    Progress,
}

/// Writes the kept modules.
fn write_kept(root: &Path) -> Result<ExitCode, CliError> {
    for (name, text) in tla::kept() {
        output::write_file(&root.join("spec/tla").join(name), text)?;
    }
    Ok(ExitCode::AsPromised)
}

/// Compares the kept modules with what would be written now.
fn check_kept(root: &Path) -> Result<ExitCode, CliError> {
    let mut code = ExitCode::AsPromised;
    for (name, text) in tla::kept() {
        let path = root.join("spec/tla").join(name);
        let kept = std::fs::read_to_string(&path);
        let kept = kept.map_err(|error| CliError::File {
            path: path.clone(),
            error,
        })?;
        if kept != text {
            output::complain!(
                "error: {} is stale\n  `cargo run --release -- export tla --docs .` regenerates it",
                path.display()
            );
            code = ExitCode::NotAsExpected;
        }
    }
    Ok(code)
}

/// Writes what was asked for.
pub(super) fn run(args: &TlaArgs) -> Result<ExitCode, CliError> {
    if let Some(file) = &args.file {
        return crate::cli::scenario::model::tla(file, &args.output, args.cfg);
    }
    match (&args.docs, &args.check_docs) {
        (Some(root), _) => return write_kept(root),
        (_, Some(root)) => return check_kept(root),
        _ => {}
    }
    let config = args.subject.config("tracked", "everything")?;
    let asked = args.symmetry.as_deref().map(|on| on == "on");
    let refused = |why: &dyn std::fmt::Display| CliError::Symmetry(format!("--symmetry on: {why}"));
    let question = match (args.ask, asked) {
        (Ask::Progress, Some(true)) => {
            return Err(refused(
                &"TLC's check of a temporal formula is unsound with it",
            ));
        }
        (Ask::Progress, _) => Question::Progress,
        (Ask::Safety, asked) => Question::Safety {
            symmetry: asked.unwrap_or_else(|| tla::symmetric(&config).is_ok()),
        },
    };
    let cfg = tla::cfg(&config, question).map_err(|why| refused(&why))?;
    let Some(path) = &args.output else {
        output::print(match args.cfg {
            true => cfg,
            false => tla::write(&config, &tla::module_name(&config)),
        })?;
        return Ok(ExitCode::AsPromised);
    };
    let stem = path.file_stem().and_then(|s| s.to_str());
    let name = stem
        .filter(|name| tla::is_module_name(name) && path.extension().is_some_and(|e| e == "tla"));
    let name = name.ok_or_else(|| CliError::ModuleName(path.clone()))?;
    output::write_file(path, tla::write(&config, name))?;
    output::write_file(&path.with_extension("cfg"), cfg)?;
    Ok(ExitCode::AsPromised)
}
