//! `explain CODE`: what a diagnostic or a property of a scenario means.

use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use shootdown_ir::report::PROPERTIES;
use shootdown_lang::CODES;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The code of a diagnostic, as in `error[CODE]`, or a property; without one, all of them
    code: Option<String>,
}

/// Explains.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let Some(code) = &args.code else {
        let mut text = String::new();
        for code in CODES {
            let first = code.explain.lines().next().unwrap_or_default();
            text += &format!("{:<24} {}  {first}\n", code.name, code.severity.word());
        }
        for property in PROPERTIES {
            text += &format!("{:<32} property  {}\n", property.name, property.promise);
        }
        output::print(text)?;
        return Ok(ExitCode::AsPromised);
    };
    // As it is printed, with what stands around it.
    let bare = code
        .trim_start_matches("error[")
        .trim_start_matches("warning[");
    let name = bare.trim_end_matches(']');
    if let Some(code) = CODES.iter().find(|c| c.name == name) {
        output::print(format!(
            "{}[{}]\n\n{}\n",
            code.severity.word(),
            code.name,
            code.explain
        ))?;
        return Ok(ExitCode::AsPromised);
    }
    if let Some(property) = PROPERTIES.iter().find(|p| p.name == name) {
        let text = format!(
            "{}\n\n{}.\nChecked {}.\n",
            property.name, property.promise, property.when
        );
        output::print(output::wrap(&text, output::width(), 0))?;
        return Ok(ExitCode::AsPromised);
    }
    let names = CODES
        .iter()
        .map(|c| c.name)
        .chain(PROPERTIES.iter().map(|p| p.name));
    Err(CliError::unknown("code or property", name, names))
}
