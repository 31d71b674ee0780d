//! `new NAME`: a commented scenario to begin with.

use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use shootdown_refinement::scenario::load;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Arguments of `new`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What it is called; written to NAME.sd
    name: String,
}

/// Writes it; a file that is there already is left alone.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let mut path = PathBuf::from(&args.name);
    if path.extension().is_none_or(|e| e != load::EXTENSION) {
        path.as_mut_os_string().push(".");
        path.as_mut_os_string().push(load::EXTENSION);
    }
    let name = Path::new(&path).file_stem().unwrap_or_default();
    let name: String = name
        .to_string_lossy()
        .chars()
        .map(|c| match c {
            '-' | '_' => ' ',
            '"' | '\\' => '\'',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    let failed = |error| CliError::File {
        path: path.clone(),
        error,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(failed)?;
    file.write_all(shootdown_lang::new_template(&name).as_bytes())
        .map_err(failed)?;
    output::print(format!(
        "written: {0}\n  shootdown check {0}\n",
        path.display()
    ))?;
    Ok(ExitCode::AsPromised)
}
