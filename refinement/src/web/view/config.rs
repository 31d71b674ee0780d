//! What a run depends on.

use serde::Serialize;
use shootdown_spec::config::Config;
use shootdown_spec::design::{DESIGNS, Design};
use shootdown_spec::environment::Environment;
use shootdown_spec::schedule::schedule;
use shootdown_spec::trace::Trace;

/// A configuration.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigView {
    /// The design's name, or its axes.
    pub design: String,
    /// Where the design comes from, if it has a name.
    pub origin: Option<&'static str>,
    /// The design's axes.
    pub axes: Design,
    /// The environment's name, if it has one.
    pub environment_name: Option<&'static str>,
    /// The environment in words.
    pub environment_text: String,
    /// The environment's axes.
    pub environment: Environment,
    /// The workload's text form.
    pub workload: String,
    /// Deliberate deviations.
    pub variants: Vec<&'static str>,
    /// A schedule of this configuration without actions: what `find` and `fates` take.
    pub schedule: String,
}

impl ConfigView {
    /// Of a configuration.
    pub fn new(config: &Config) -> ConfigView {
        let named = DESIGNS.iter().find(|d| d.design == config.design);
        ConfigView {
            design: config.design.to_string(),
            origin: named.map(|d| d.origin),
            axes: config.design,
            environment_name: config.environment.name(),
            environment_text: config.environment.to_string(),
            environment: config.environment,
            workload: config.workload.text.clone(),
            variants: config.variants.iter().map(|v| v.name).collect(),
            schedule: bare_schedule(config),
        }
    }
}

/// The schedule of no action at all, placed as the first start has it.
pub fn bare_schedule(config: &Config) -> String {
    let nothing = Trace {
        start: config.starts()[0],
        actions: Vec::new(),
        loops_to: None,
    };
    schedule(config, &nothing)
}
