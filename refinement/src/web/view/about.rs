//! `/api/about`: everything that is the same for every run.

use serde::Serialize;

/// `/api/about`.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    /// `shootdown/about/1`.
    pub schema: &'static str,
    /// Of the program.
    pub version: &'static str,
    /// What happened in 2011.
    pub story: Story,
    /// What `explore` was started with.
    pub default: Opening,
    /// Every named design, oldest first.
    pub designs: Vec<DesignAbout>,
    /// Every named environment.
    pub environments: Vec<EnvironmentAbout>,
    /// Every named workload.
    pub workloads: Vec<Named>,
    /// Every program, in the words of `shootdown list programs`.
    pub programs: Vec<Named>,
    /// Every property.
    pub properties: Vec<PropertyAbout>,
    /// Every deviation from the protocol.
    pub variants: Vec<VariantAbout>,
    /// The columns of the matrix, in order.
    pub columns: Vec<&'static str>,
}

/// What happened in 2011.
#[derive(Clone, Debug, Serialize)]
pub struct Story {
    /// Five lines.
    pub lines: [&'static str; 5],
    /// The shortest run into that deadlock, found when it was first asked for.
    pub schedule: Option<String>,
}

/// What `explore` was started with.
#[derive(Clone, Debug, Serialize)]
pub struct Opening {
    /// `spec` or `impl`.
    pub subject: super::run::SubjectName,
    /// A schedule without actions.
    pub schedule: String,
}

/// A name and what it stands for.
#[derive(Clone, Debug, Serialize)]
pub struct Named {
    /// The name.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
}

/// A design.
#[derive(Clone, Debug, Serialize)]
pub struct DesignAbout {
    /// Its name.
    pub name: &'static str,
    /// Kernel version, commit or mail it stands for.
    pub origin: &'static str,
    /// Its axes.
    pub axes: shootdown_spec::design::Design,
}

/// An environment.
#[derive(Clone, Debug, Serialize)]
pub struct EnvironmentAbout {
    /// Its name.
    pub name: &'static str,
    /// What kernel or machine it stands for.
    pub about: &'static str,
    /// Its axes.
    pub axes: shootdown_spec::environment::Environment,
}

/// A property.
#[derive(Clone, Debug, Serialize)]
pub struct PropertyAbout {
    /// Its name.
    pub name: &'static str,
    /// The name in tables.
    pub short: &'static str,
    /// What is promised.
    pub promise: &'static str,
    /// Who relies on it.
    pub relies: &'static str,
    /// What it does not cover.
    pub not_covered: &'static str,
    /// Decided on the explored graph, not on single states.
    pub on_graph: bool,
}

/// A deviation from the protocol.
#[derive(Clone, Debug, Serialize)]
pub struct VariantAbout {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// The property that it must violate somewhere, or why it is there.
    pub breaks: &'static str,
}
