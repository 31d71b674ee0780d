//! The flags that bound a run.

use super::error::CliError;
use super::output;
use shootdown_refinement::memory;
use shootdown_spec::search::Options;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How far a run may go.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Bounds")]
pub struct Bounds {
    /// Stop at this many distinct states (suffixes k, M, G)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_states: Option<String>,
    /// Stop before the search holds more than this (suffixes KiB, MiB, GiB) [default: three quarters of what the
    /// machine, the control group and `ulimit -v` have left]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    max_memory: Option<String>,
    /// Stop after this time (suffixes s, m, h)
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    timeout: Option<String>,
    /// Worker threads; more than four a core are not started [default: all cores]
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<NonZeroUsize>,
}

impl Bounds {
    /// Was any flag given?
    pub fn is_given(&self) -> bool {
        let text = [&self.max_states, &self.max_memory, &self.timeout];
        text.iter().any(|flag| flag.is_some()) || self.threads.is_some()
    }

    /// Which bound on memory ended a search.
    pub fn memory(&self, bound: Option<u64>) -> String {
        match (bound, &self.max_memory) {
            (Some(bytes), Some(_)) => format!(
                "the bound was {}: `--max-memory` sets another",
                output::bytes(bytes)
            ),
            (Some(bytes), None) => format!(
                "the bound was {}, three quarters of what the machine, the control group and `ulimit -v` had left: \
                 `--max-memory` sets another",
                output::bytes(bytes)
            ),
            (None, _) => "the system had no more".to_string(),
        }
    }

    /// The search's options.
    pub fn options(&self, cancel: Arc<AtomicBool>) -> Result<Options, CliError> {
        let mut options = Options {
            cancel,
            ..Options::default()
        };
        if let Some(threads) = self.threads {
            options.threads = threads.min(useful());
        }
        let states = [("k", 1e3), ("M", 1e6), ("G", 1e9), ("", 1.0)];
        options.max_states = number(
            "--max-states",
            &self.max_states,
            &states,
            "a count such as 5M",
        )?
        .map(whole(
            "--max-states",
            &self.max_states,
            "a count such as 5M",
        ))
        .transpose()?;
        options.max_memory = size("--max-memory", &self.max_memory)?.or_else(memory::share);
        options.timeout = time("--timeout", &self.timeout)?;
        Ok(options)
    }
}

/// More threads than this is a mistake.
const MOST_THREADS: usize = 1024;

/// More threads than this only wait for each other at the end of every level.
fn useful() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    cores.saturating_mul(const { NonZeroUsize::new(4).expect("4 is not 0") })
}

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let n: Option<NonZeroUsize> = text.parse().ok();
    n.filter(|n| n.get() <= MOST_THREADS)
        .ok_or_else(|| format!("a number from 1 to {MOST_THREADS}"))
}

/// Reads a size in bytes with one of the suffixes KiB, MiB, GiB.
pub fn size(flag: &'static str, text: &Option<String>) -> Result<Option<u64>, CliError> {
    let sizes = [
        ("KiB", 1024.0),
        ("MiB", 1048576.0),
        ("GiB", 1073741824.0),
        ("", 1.0),
    ];
    let wanted = "a size such as 4GiB";
    let bytes = number(flag, text, &sizes, wanted)?;
    // 1.5GiB is as good as 1536MiB.
    let bytes = bytes.map(|n| if n >= 1.0 { n.floor() } else { n });
    bytes.map(whole(flag, text, wanted)).transpose()
}

/// Reads a time with one of the suffixes s, m, h.
pub fn time(flag: &'static str, text: &Option<String>) -> Result<Option<Duration>, CliError> {
    let times = [("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)];
    let seconds = number(flag, text, &times, "a time such as 90s or 5m")?;
    Ok(seconds.map(Duration::from_secs_f64))
}

/// A number of things: there is no half a state, and nothing stops at none.
fn whole<'a>(
    flag: &'static str,
    text: &'a Option<String>,
    wanted: &'static str,
) -> impl Fn(f64) -> Result<u64, CliError> + 'a {
    move |n| match n >= 1.0 {
        true if n.fract() == 0.0 => Ok(n as u64),
        _ => Err(CliError::Number {
            flag,
            text: text.clone().unwrap_or_default(),
            wanted,
        }),
    }
}

/// Reads a positive number with one of the suffixes.
fn number(
    flag: &'static str,
    text: &Option<String>,
    suffixes: &[(&str, f64)],
    wanted: &'static str,
) -> Result<Option<f64>, CliError> {
    let Some(text) = text else { return Ok(None) };
    let value = suffixes.iter().find_map(|(suffix, factor)| {
        let digits = text.trim().strip_suffix(suffix)?.trim();
        digits.parse::<f64>().ok().map(|n| n * factor)
    });
    match value {
        Some(n) if n > 0.0 && n < 1e15 => Ok(Some(n)),
        _ => Err(CliError::Number {
            flag,
            text: text.clone(),
            wanted,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(text: &str) -> Option<u64> {
        let bounds = Bounds {
            max_states: Some(text.into()),
            ..Bounds::default()
        };
        bounds.options(Arc::default()).ok()?.max_states
    }

    #[test]
    fn suffixes_multiply() {
        assert_eq!(states("5M"), Some(5_000_000));
        assert_eq!(states("12k"), Some(12_000));
        assert_eq!(states("0.5k"), Some(500));
        assert_eq!(states("7"), Some(7));
    }

    #[test]
    fn without_a_bound_on_memory_there_is_one() {
        let options = Bounds::default()
            .options(Arc::default())
            .expect("no bounds");
        assert_eq!(options.max_memory.is_some(), memory::share().is_some());
    }

    #[test]
    fn no_more_threads_are_started_than_there_is_work_for() {
        let started = |n| {
            let bounds = Bounds {
                threads: NonZeroUsize::new(n),
                ..Bounds::default()
            };
            let options = bounds.options(Arc::default()).expect("a number of threads");
            options.threads.get()
        };
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        assert_eq!((started(1), started(1024)), (1, (4 * cores).min(1024)));
    }

    #[test]
    fn nonsense_is_refused() {
        let nonsense = [
            "", "M", "-1", "0", "0.5", "1.5", "1e-300", "1e300", "5 apples", "NaN", "inf",
        ];
        for text in nonsense {
            assert_eq!(states(text), None, "{text:?}");
        }
    }
}
