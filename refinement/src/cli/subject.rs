//! The flags that choose what is checked: design, environment, workload, deviations.

use super::error::CliError;
use clap::builder::PossibleValuesParser;
use clap::value_parser;
use shootdown_spec::config::Config;
use shootdown_spec::design::{DESIGNS, Design, Flush, PgdLock, Ptl};
use shootdown_spec::environment::{ENVIRONMENTS, Environment, FlushBackend};
use shootdown_spec::variant::{VARIANTS, VariantSet};
use shootdown_spec::workload::Workload;

/// The design and its axes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DesignArgs {
    /// Named design
    #[arg(long, value_name = "NAME", value_parser = names(DESIGNS.iter().map(|d| d.name)))]
    pub design: Option<String>,
    /// How pgd_lock is taken; overrides the design's
    #[arg(long, value_parser = names(PgdLock::NAMES.iter().map(|n| n.0)))]
    pgd_lock: Option<String>,
    /// Whether the walk of pgd_list takes page_table_lock
    #[arg(long, value_parser = ["yes", "no"])]
    walk_takes_ptl: Option<String>,
    /// How page-table locks are taken
    #[arg(long, value_parser = names(Ptl::NAMES.iter().map(|n| n.0)))]
    ptl: Option<String>,
    /// Where entries are flushed
    #[arg(long, value_parser = names(Flush::NAMES.iter().map(|n| n.0)))]
    flush: Option<String>,
}

/// The environment and its axes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct EnvironmentArgs {
    /// Named environment; the flags below override its axes
    #[arg(long, value_name = "NAME", value_parser = names(ENVIRONMENTS.iter().map(|e| e.name)))]
    pub env: Option<String>,
    /// Number of CPUs, 1 to 4 [default: 2, or what the workload needs]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = value_parser!(u8).range(1..=4))]
    pub cpus: Option<u8>,
    /// Number of mms at the start, 1 to 3 [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = value_parser!(u8).range(1..=3))]
    pub mms: Option<u8>,
    /// Operations each CPU may start, 1 to 4 [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = value_parser!(u8).range(1..=4))]
    pub ops_per_cpu: Option<u8>,
    /// Split page-table locks [default: on]
    #[arg(long, value_parser = ["on", "off"])]
    split_ptlocks: Option<String>,
    /// Transparent huge pages [default: on]
    #[arg(long, value_parser = ["on", "off"])]
    thp: Option<String>,
    /// Who flushes remote TLBs [default: ipi]
    #[arg(long, value_parser = names(FlushBackend::NAMES.iter().map(|n| n.0)))]
    flush_backend: Option<String>,
    /// Xen pins page tables; implies --flush-backend hypercall [default: off]
    #[arg(long, value_parser = ["on", "off"])]
    xen_pin: Option<String>,
    /// An interrupt may drop the last reference of an mm [default: off]
    #[arg(long, value_parser = ["on", "off"])]
    pgd_free_in_irq: Option<String>,
}

/// Everything that makes a configuration.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Subject {
    #[command(flatten, next_help_heading = "Design")]
    pub design: DesignArgs,
    #[command(flatten, next_help_heading = "Environment")]
    pub environment: EnvironmentArgs,
    /// Programs with commas, or a named workload; `shootdown list workloads` has the form
    #[arg(long, value_name = "LIST", help_heading = "Workload")]
    workload: Option<String>,
    /// Deliberate deviations from the protocol, with commas: see `shootdown list variants`
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Workload",
          value_parser = names(VARIANTS.iter().map(|v| v.name)))]
    variant: Vec<String>,
}

fn names(names: impl Iterator<Item = &'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(names.collect::<Vec<_>>())
}

fn pick<T: Copy>(table: &[(&str, T)], name: &Option<String>) -> Option<T> {
    let name = name.as_deref()?;
    table
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, value)| *value)
}

fn switch(value: &Option<String>) -> Option<bool> {
    value.as_deref().map(|v| v == "on" || v == "yes")
}

impl DesignArgs {
    /// The design, given the one to start from.
    pub fn design(&self, default: &str) -> Result<Design, CliError> {
        let name = self.design.as_deref().unwrap_or(default);
        let base = Design::named(name)
            .ok_or_else(|| CliError::unknown("design", name, DESIGNS.iter().map(|d| d.name)))?;
        Ok(Design {
            pgd_lock: pick(PgdLock::NAMES, &self.pgd_lock).unwrap_or(base.pgd_lock),
            walk_takes_ptl: switch(&self.walk_takes_ptl).unwrap_or(base.walk_takes_ptl),
            ptl: pick(Ptl::NAMES, &self.ptl).unwrap_or(base.ptl),
            flush: pick(Flush::NAMES, &self.flush).unwrap_or(base.flush),
        })
    }

    /// Was anything asked for at all?
    pub fn is_given(&self) -> bool {
        self.design.is_some()
            || self.pgd_lock.is_some()
            || self.walk_takes_ptl.is_some()
            || self.ptl.is_some()
            || self.flush.is_some()
    }
}

impl EnvironmentArgs {
    /// The environment.
    pub fn environment(&self) -> Environment {
        let base = self
            .env
            .as_deref()
            .and_then(Environment::named)
            .unwrap_or_default();
        let xen_pin = switch(&self.xen_pin).unwrap_or(base.xen_pin);
        let implied = if xen_pin {
            FlushBackend::Hypercall
        } else {
            base.flush_backend
        };
        Environment {
            cpus: self.cpus.unwrap_or(base.cpus),
            mms: self.mms.unwrap_or(base.mms),
            ops_per_cpu: self.ops_per_cpu.unwrap_or(base.ops_per_cpu),
            split_ptlocks: switch(&self.split_ptlocks).unwrap_or(base.split_ptlocks),
            thp: switch(&self.thp).unwrap_or(base.thp),
            flush_backend: pick(FlushBackend::NAMES, &self.flush_backend).unwrap_or(implied),
            xen_pin,
            pgd_free_in_irq: switch(&self.pgd_free_in_irq).unwrap_or(base.pgd_free_in_irq),
        }
    }
}

impl Subject {
    /// The configuration, starting from a design and a workload.
    pub fn config(&self, design: &str, workload: &str) -> Result<Config, CliError> {
        let design = self.design.design(design)?;
        let mut environment = self.environment.environment();
        let text = self.workload.as_deref().unwrap_or(workload);
        let workload = Workload::parse(text, &environment)?;
        if let (None, Some(cpus)) = (self.environment.cpus, workload.cpus()) {
            environment.cpus = cpus.min(u8::MAX as usize) as u8;
        }
        Ok(Config::new(
            design,
            environment,
            workload,
            self.variants()?,
        )?)
    }

    /// The deviations asked for.
    pub fn variants(&self) -> Result<VariantSet, CliError> {
        variants(self.variant.iter().map(String::as_str))
    }
}

/// The set of deviations with these names.
pub fn variants<'a>(names: impl Iterator<Item = &'a str>) -> Result<VariantSet, CliError> {
    let mut set = VariantSet::NONE;
    for name in names {
        let found = VARIANTS.iter().find(|v| v.name == name);
        let found = found
            .ok_or_else(|| CliError::unknown("variant", name, VARIANTS.iter().map(|v| v.name)))?;
        set = set.with(found.variant);
    }
    Ok(set)
}
