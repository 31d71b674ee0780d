//! Faults put in on purpose, and who notices them.
//!
//! Every checker is itself checked: each [`Mutant`] breaks the machine, the code or the dictionary in one place and
//! says who must notice. Five kinds of evidence are asked ([`evidence`]): the *types* (a compile-fail test shows that
//! the same mistake does not compile), the *order* proof and the *model* (where the specification has the same
//! deviation), the *refinement* (every interleaving of the mutated code beside the protocol) and *stress* (real
//! threads). Nothing of this is in the code under test: a fault stands between it and the machine ([`bent`]) or is a
//! policy type in place of the design's.

use shootdown_impl::design::Axes;
use shootdown_impl::fault::Fault as HostFault;
use shootdown_spec::config::{Config, ConfigError};
use shootdown_spec::design::Design;
use shootdown_spec::environment::Environment;
use shootdown_spec::variant::{Variant, VariantSet};
use shootdown_spec::workload::{Workload, WorkloadError};
use thiserror::Error;

use crate::code::automaton::Runnable;
use crate::map;

pub mod bent;
pub mod evidence;
mod flush;
mod list;
mod locks;
mod machine;
mod mapping;
mod order;
mod pending;

/// What part a fault is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The machine: IPIs, TLB, interrupt flag, atomicity.
    Machine,
    /// Locks: which, when, how.
    Locks,
    /// `pgd_list` and who is on it.
    List,
    /// Flushes: when, whom, counted how.
    Flush,
    /// Steps in the wrong order.
    Order,
    /// The dictionary between code and protocol: events that say something else.
    Mapping,
}

impl Part {
    /// The word used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Part::Machine => "machine",
            Part::Locks => "locks",
            Part::List => "list",
            Part::Flush => "flush",
            Part::Order => "order",
            Part::Mapping => "mapping",
        }
    }
}

/// A small configuration in which a fault shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Named design.
    pub design: &'static str,
    /// Named environment.
    pub env: &'static str,
    /// Number of mms at the start.
    pub mms: u8,
    /// Operations each CPU may start.
    pub ops: u8,
    /// The workload; roles say how many CPUs there are.
    pub workload: &'static str,
}

/// A place that does not exist. Each is found by the test that builds them all.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// No design or environment of that name.
    #[error("no design or environment is called `{0}`")]
    Name(&'static str),
    /// The workload cannot be read.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The axes contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Place {
    /// The configuration, with deviations or without.
    ///
    /// # Errors
    /// If a name is not in a table or the workload does not fit the environment.
    pub fn config(&self, variants: VariantSet) -> Result<Config, PlaceError> {
        let design = Design::named(self.design).ok_or(PlaceError::Name(self.design))?;
        let base = Environment::named(self.env).ok_or(PlaceError::Name(self.env))?;
        let environment = Environment {
            mms: self.mms,
            ops_per_cpu: self.ops,
            ..base
        };
        let workload = Workload::parse(self.workload, &environment)?;
        let environment = Environment {
            cpus: workload.cpus().map_or(base.cpus, |n| n as u8),
            ..environment
        };
        Ok(Config::new(design, environment, workload, variants)?)
    }

    /// The command that checks the protocol there.
    pub fn command(&self) -> String {
        let ops = match self.ops {
            1 => String::new(),
            n => format!(" --ops-per-cpu {n}"),
        };
        format!(
            "--design {} --env {} --mms {}{ops} --workload {}",
            self.design, self.env, self.mms, self.workload
        )
    }
}

/// One fault.
#[derive(Clone, Copy)]
pub struct Mutant {
    /// Its name on the command line.
    pub name: &'static str,
    /// Where it is.
    pub part: Part,
    /// What it does, in the kernel's words.
    pub breaks: &'static str,
    /// Where it shows.
    pub place: Place,
    /// The code with the fault.
    pub code: fn(Axes) -> std::sync::Arc<dyn Runnable>,
    /// The same deviation of the protocol: the model must notice it.
    pub variant: Option<Variant>,
    /// The same mistake as a design of the protocol: the model must notice it, too.
    pub design: Option<Design>,
    /// Where the model notices it, if not at `place`.
    pub model_place: Option<Place>,
    /// Whether the order proof must notice it.
    pub order: bool,
    /// The compile-fail test of `impl` that shows the same mistake: the types must notice it.
    pub types: Option<&'static str>,
    /// The same fault on real threads.
    pub stress: Option<HostFault>,
    /// Why nobody can notice it, if that is so.
    pub equivalent: Option<&'static str>,
}

const fn place(workload: &'static str) -> Place {
    Place {
        design: "tracked",
        env: "split",
        mms: 1,
        ops: 1,
        workload,
    }
}

/// A row of the catalogue: at first in the default design without huge pages, one mm, one operation per CPU.
const fn mutant(
    part: Part,
    name: &'static str,
    breaks: &'static str,
    code: fn(Axes) -> std::sync::Arc<dyn Runnable>,
    workload: &'static str,
) -> Mutant {
    Mutant {
        name,
        part,
        breaks,
        place: place(workload),
        code,
        variant: None,
        design: None,
        model_place: None,
        order: false,
        types: None,
        stress: None,
        equivalent: None,
    }
}

impl Mutant {
    const fn design(mut self, design: &'static str) -> Self {
        self.place.design = design;
        self
    }
    const fn env(mut self, env: &'static str) -> Self {
        self.place.env = env;
        self
    }
    const fn mms(mut self, mms: u8) -> Self {
        self.place.mms = mms;
        self
    }
    const fn ops(mut self, ops: u8) -> Self {
        self.place.ops = ops;
        self
    }
    const fn model(mut self, variant: Variant) -> Self {
        self.variant = Some(variant);
        self
    }
    const fn model_design(mut self, design: Design) -> Self {
        self.design = Some(design);
        self
    }
    const fn model_at(mut self, place: Place) -> Self {
        self.model_place = Some(place);
        self
    }
    const fn order(mut self) -> Self {
        self.order = true;
        self
    }
    const fn types(mut self, test: &'static str) -> Self {
        self.types = Some(test);
        self
    }
    const fn stress(mut self, fault: HostFault) -> Self {
        self.stress = Some(fault);
        self
    }

    const fn equivalent(mut self, because: &'static str) -> Self {
        self.equivalent = Some(because);
        self
    }

    /// The code with the fault, in the design of its place.
    pub fn runnable(&self, config: &Config) -> std::sync::Arc<dyn Runnable> {
        (self.code)(map::config::axes(&config.design))
    }
}

/// Every fault.
pub fn mutants() -> impl Iterator<Item = &'static Mutant> {
    [
        machine::MUTANTS,
        locks::MUTANTS,
        list::MUTANTS,
        flush::MUTANTS,
        pending::MUTANTS,
        order::MUTANTS,
        mapping::MUTANTS,
    ]
    .into_iter()
    .flatten()
}

/// The fault of that name.
pub fn named(name: &str) -> Option<&'static Mutant> {
    mutants().find(|m| m.name == name)
}
