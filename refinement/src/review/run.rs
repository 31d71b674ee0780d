//! A counterexample that is quoted: read from its schedule and executed again, so that what is shown did happen.

use shootdown_spec::config::Config;
use shootdown_spec::model::Protocol;
use shootdown_spec::property::{Decided, Property};
use shootdown_spec::report::{self, TextOptions, steps};
use shootdown_spec::schedule::{Schedule, ScheduleError, schedule};
use shootdown_spec::trace::{Trace, TraceError};
use std::collections::HashMap;
use std::sync::Arc;
use thiserror::Error;

/// A run that violates a property, or that is shown beside one that does.
#[derive(Clone, Debug)]
pub struct Run {
    /// The property; empty if it violates none.
    pub property: &'static str,
    /// As one line, for `replay`.
    pub schedule: String,
    /// How many steps.
    pub steps: usize,
    /// Programs that take part, in order of appearance.
    pub programs: Vec<&'static str>,
    /// What makes two runs the same story: every step that matters, CPUs and mms renamed by appearance.
    pub shape: String,
    inner: Arc<(Protocol, Trace)>,
}

/// Why a run cannot be quoted.
#[derive(Debug, Error)]
pub enum RunError {
    /// The line cannot be read.
    #[error("the schedule `{0}`: {1}")]
    Schedule(String, ScheduleError),
    /// The run is not possible.
    #[error("the schedule `{0}` does not fit the protocol: {1}")]
    Refused(String, TraceError),
    /// It is possible, and violates nothing.
    #[error("the schedule `{0}` ends in a state that does not violate {1}")]
    Innocent(String, String),
    /// There is no such property.
    #[error("no property is called `{0}`")]
    Property(String),
}

impl Run {
    /// Reads the schedule, executes it, and looks whether the state it ends in violates the property.
    ///
    /// # Errors
    /// If it cannot be read, is not possible or violates nothing.
    pub fn of(line: &str, property: &str) -> Result<Run, RunError> {
        let (_, property) =
            Property::named(property).ok_or_else(|| RunError::Property(property.to_string()))?;
        let Schedule { config, trace } =
            Schedule::parse(line).map_err(|e| RunError::Schedule(line.to_string(), e))?;
        let protocol = Protocol::new(config);
        let refused = |e| RunError::Refused(line.to_string(), e);
        let states = trace.states(&protocol).map_err(refused)?;
        let last = states.last().expect("a run has its initial state");
        let violates = match property.decided {
            Decided::OnStates(_) => property.is_violated(&protocol.config, last),
            // A fair run that never gets rid of a program: it ends stuck, or closes a loop.
            Decided::OnGraph => {
                trace.loops_to.is_some() || !last.stuck(&protocol.config).is_empty()
            }
        };
        if !violates {
            return Err(RunError::Innocent(
                line.to_string(),
                property.name.to_string(),
            ));
        }
        let records = steps(&protocol, &trace, Some(property.name)).map_err(refused)?;
        let mut programs = Vec::new();
        let mut cpus = HashMap::new();
        let mut shape = String::new();
        for record in &records {
            let next = cpus.len();
            let cpu = *cpus.entry(record.cpu).or_insert(next);
            programs.extend(record.program.filter(|p| !programs.contains(p)));
            if record.matters {
                let step = record.step.replace(|c: char| c.is_ascii_digit(), "");
                shape += &format!("{cpu}:{}:{step};", record.program.unwrap_or("-"));
            }
        }
        Ok(Run {
            property: property.name,
            schedule: line.to_string(),
            steps: trace.actions.len(),
            programs,
            shape,
            inner: Arc::new((protocol, trace)),
        })
    }

    /// A run that is shown for what it does, not for what it violates.
    ///
    /// # Errors
    /// If it is not possible.
    pub fn plain(config: Config, trace: Trace) -> Result<Run, TraceError> {
        let protocol = Protocol::new(config);
        let records = steps(&protocol, &trace, None)?;
        let mut programs = Vec::new();
        for record in &records {
            programs.extend(record.program.filter(|p| !programs.contains(p)));
        }
        Ok(Run {
            property: "",
            schedule: schedule(&protocol.config, &trace),
            steps: trace.actions.len(),
            programs,
            shape: String::new(),
            inner: Arc::new((protocol, trace)),
        })
    }

    /// In columns, one for each CPU.
    pub fn text(&self, width: usize) -> String {
        let options = TextOptions {
            width,
            verbose: false,
            colour: false,
        };
        let property = Some(self.property).filter(|p| !p.is_empty());
        report::text(&self.inner.0, &self.inner.1, property, &options)
    }

    /// As a picture.
    pub fn svg(&self) -> String {
        report::svg(&self.inner.0, &self.inner.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "v2.6.37;cpus=2,mms=1;workload=aging;start=mm0,mm0;1:page_referenced_one_huge@mm0 1*4 0:vmalloc_sync_all 0*5;";

    #[test]
    fn the_seeds_run_is_executed_again() {
        let run = Run::of(SEED, "no_deadlock").expect("it deadlocks");
        assert_eq!(run.steps, 11);
        assert_eq!(
            run.programs,
            ["page_referenced_one_huge", "vmalloc_sync_all"]
        );
        assert!(run.text(80).contains("DEADLOCK"));
        assert!(run.svg().starts_with("<svg"));
    }

    #[test]
    fn a_run_that_shows_nothing_is_not_quoted() {
        let short = SEED.replace("0*5", "0*3");
        assert!(matches!(
            Run::of(&short, "no_deadlock"),
            Err(RunError::Innocent(..))
        ));
        let cured = SEED.replace("v2.6.37", "tracked");
        assert!(matches!(
            Run::of(&cured, "no_deadlock"),
            Err(RunError::Refused(..) | RunError::Innocent(..))
        ));
        assert!(matches!(
            Run::of("v2.6.37;", "no_deadlock"),
            Err(RunError::Schedule(..))
        ));
        assert!(matches!(
            Run::of(SEED, "no_such"),
            Err(RunError::Property(_))
        ));
    }

    #[test]
    fn renamed_cpus_are_the_same_story() {
        let other = SEED
            .replace("1:", "x:")
            .replace("1*4", "x*4")
            .replace("0:", "1:")
            .replace("0*5", "1*5");
        let other = other.replace("x:", "0:").replace("x*4", "0*4");
        let (a, b) = (Run::of(SEED, "no_deadlock"), Run::of(&other, "no_deadlock"));
        assert_eq!(a.expect("it is").shape, b.expect("it is too").shape);
    }
}
