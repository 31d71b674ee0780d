//! `explore FILE`: the page of a scenario, checked anew whenever it is loaded.

use super::{limits, options};
use crate::cli::bounds::Bounds;
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::output;
use crate::web;
use shootdown_refinement::scenario::{LoadError, Scenario, check, page};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Serves until it is told to stop.
pub fn run(file: &Path, bind: &[SocketAddr]) -> Result<ExitCode, CliError> {
    // A wrong file is better told now than in a browser.
    Scenario::read(file)?;
    let (options, stop) = options(&Bounds::default())?;
    let path: PathBuf = file.to_path_buf();
    let render = move || {
        let scenario = match Scenario::read(&path) {
            Ok(scenario) => scenario,
            Err(error) => {
                let message = match &error {
                    LoadError::Text(found) => found.render(false),
                    other => other.to_string(),
                };
                return page::unread(&path.display().to_string(), &message);
            }
        };
        let machine = scenario.machine();
        page::page(&check(&scenario, &machine, limits(&options, 1)), None)
    };
    web::serve_page(render, bind, &stop, |address| {
        let _ = output::print(format!(
            "exploring {}\n  http://{address}/\n\nEdit the file and load the page again: it is checked anew. Ctrl-C stops the server.\n",
            file.display()
        ));
    })?;
    Ok(ExitCode::AsPromised)
}
