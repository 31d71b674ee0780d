//! The flags that `trace` and `validate` share.

use super::Rule;
use crate::cli::Format;
use crate::cli::bounds;
use crate::cli::ci::CiArgs;
use crate::cli::error::CliError;

/// By what a kernel's trace is judged.
#[derive(Debug, clap::Args)]
pub struct By {
    /// The rules that decide the exit code
    #[arg(long, value_enum, value_delimiter = ',', value_name = "RULE",
          default_values_t = [Rule::Hang, Rule::Upstream, Rule::Order])]
    pub rule: Vec<Rule>,
    /// Take lost and overwritten events for what they are: they are told, and the exit code is not 3 for them
    #[arg(long)]
    pub accept_gaps: bool,
}

/// How much is read, and who is told.
#[derive(Debug, clap::Args)]
pub struct Told {
    /// Read at most so much text (suffixes KiB, MiB, GiB)
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64GiB",
        allow_negative_numbers = true
    )]
    max_input: String,
    /// Machines.
    #[command(flatten)]
    pub ci: CiArgs,
    /// Text for people or JSON for programs
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

impl Told {
    /// Bytes of text that are read of a file at most, once it is known that results can be written.
    pub fn most(&self) -> Result<u64, CliError> {
        self.ci.try_out()?;
        Ok(bounds::size("--max-input", &Some(self.max_input.clone()))?.unwrap_or(u64::MAX))
    }
}
