//! One design in one environment with one workload: everything a run depends on.

use crate::design::Design;
use crate::environment::{Environment, FlushBackend};
use crate::id::{MAX_CPUS, MAX_MMS, MmId};
use crate::path;
use crate::program::{Names, PROGRAM_COUNT, PROGRAMS, Program, ProgramId};
use crate::variant::VariantSet;
use crate::workload::{Placement, Role, Workload};
use thiserror::Error;

/// Where each CPU starts: the mm it has loaded, or none.
pub type Start = [MmId; MAX_CPUS];

/// A configuration that was found to make sense, with its programs built.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the kernel chooses.
    pub design: Design,
    /// What it is built with and runs on.
    pub environment: Environment,
    /// What each CPU may run.
    pub workload: Workload,
    /// Deliberate deviations; empty for the protocol.
    pub variants: VariantSet,
    programs: Vec<Program>,
    /// Per CPU, what it may start: program and mm.
    choices: Vec<Vec<(ProgramId, MmId)>>,
    starts: Vec<Start>,
    slots: usize,
}

/// Why a combination of axes makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A number outside its range.
    #[error("{axis} must be {low} to {high}, not {value}")]
    Range {
        /// The axis.
        axis: &'static str,
        /// Smallest value.
        low: u8,
        /// Largest value.
        high: u8,
        /// The value given.
        value: u8,
    },
    /// Xen pinning without the hypercall backend.
    #[error("xen_pin needs flush_backend=hypercall: Xen PV guests do not flush by IPI")]
    XenNeedsHypercall,
    /// A program that the environment rules out.
    #[error("{program} needs {needs}")]
    Program {
        /// The program.
        program: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// A workload written for another number of CPUs.
    #[error("the workload has {roles} roles, one per CPU, but there are {cpus} CPUs")]
    Roles {
        /// Roles in the workload.
        roles: usize,
        /// CPUs in the environment.
        cpus: u8,
    },
    /// A workload that names an mm that does not exist.
    #[error("the workload names {mm}, but there are {mms} mms: mm0 to mm{}", mms - 1)]
    Mm {
        /// The mm.
        mm: MmId,
        /// How many there are.
        mms: u8,
    },
    /// No CPU has anything to do.
    #[error("the workload is empty: nothing would run")]
    Empty,
}

impl Config {
    /// Builds the programs and lists the choices.
    ///
    /// # Errors
    /// If the axes contradict each other; the message says which.
    pub fn new(
        design: Design,
        environment: Environment,
        workload: Workload,
        variants: VariantSet,
    ) -> Result<Config, ConfigError> {
        let range = |axis, value, high| {
            (1..=high)
                .contains(&value)
                .then_some(())
                .ok_or(ConfigError::Range {
                    axis,
                    low: 1,
                    high,
                    value,
                })
        };
        range("cpus", environment.cpus, MAX_CPUS as u8)?;
        range("mms", environment.mms, MAX_MMS as u8 - 1)?;
        range("ops-per-cpu", environment.ops_per_cpu, 4)?;
        if environment.xen_pin && environment.flush_backend != FlushBackend::Hypercall {
            return Err(ConfigError::XenNeedsHypercall);
        }
        let roles = workload.roles(environment.cpus).ok_or(ConfigError::Roles {
            roles: workload.roles.len(),
            cpus: environment.cpus,
        })?;
        let mut config = Config {
            design,
            environment,
            workload: workload.clone(),
            variants,
            programs: Vec::new(),
            choices: Vec::new(),
            starts: Vec::new(),
            slots: environment.mms as usize,
        };
        if workload.uses(ProgramId::PgdAlloc) {
            config.slots += 1;
        }
        config.programs = PROGRAMS
            .iter()
            .map(|info| path::build(info.id, &config))
            .collect();
        for role in &roles {
            let choices = config.expand(role)?;
            config.choices.push(choices);
        }
        if config.choices.iter().all(Vec::is_empty) && !environment.pgd_free_in_irq {
            return Err(ConfigError::Empty);
        }
        config.starts = config.place(&roles)?;
        Ok(config)
    }

    /// A program of this configuration.
    ///
    /// # Panics
    /// For [`ProgramId::None`].
    #[inline]
    pub fn program(&self, id: ProgramId) -> &Program {
        &self.programs[id as usize - 1]
    }

    /// Every program that can run: what the CPUs may start, and the interrupt handlers.
    pub fn reachable_programs(&self) -> impl Iterator<Item = &Program> {
        let mut used = [false; PROGRAM_COUNT];
        for (id, _) in self.choices.iter().flatten() {
            used[*id as usize] = true;
        }
        used[ProgramId::FlushTlbInterrupt as usize] =
            self.environment.flush_backend == FlushBackend::Ipi;
        used[ProgramId::PgdFree as usize] |= self.environment.pgd_free_in_irq;
        self.programs.iter().filter(move |p| used[p.id as usize])
    }

    /// Number of CPUs.
    pub fn cpus(&self) -> usize {
        self.environment.cpus as usize
    }

    /// Number of mm slots in use, the one for `pgd_alloc` included.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// What a CPU may start.
    pub fn choices(&self, cpu: usize) -> &[(ProgramId, MmId)] {
        &self.choices[cpu]
    }

    /// Every initial placement.
    pub fn starts(&self) -> &[Start] {
        &self.starts
    }

    /// Programs of one role with the mms they could name.
    fn expand(&self, role: &Role) -> Result<Vec<(ProgramId, MmId)>, ConfigError> {
        let mut choices = Vec::new();
        for choice in &role.programs {
            let info = choice.program.info();
            let needs = |needs| {
                Err(ConfigError::Program {
                    program: info.name,
                    needs,
                })
            };
            if info.huge && !self.environment.thp {
                return needs("thp=on");
            }
            if info.names == Names::UnloadedMm && !self.environment.xen_pin {
                return needs("xen_pin=on");
            }
            if info.id == ProgramId::FlushTlbInterrupt {
                return needs("an interrupt: it cannot be started by a workload");
            }
            if let Some(mm) = choice.mm
                && mm.0 >= self.environment.mms
            {
                return Err(ConfigError::Mm {
                    mm,
                    mms: self.environment.mms,
                });
            }
            let slots = self.slots as u8;
            let mms = match (info.names, choice.mm) {
                (Names::Nothing, _) => vec![MmId::NONE],
                (Names::NewMm, _) => vec![MmId(slots - 1)],
                (_, Some(mm)) => vec![mm],
                (_, None) => (0..slots).map(MmId).collect(),
            };
            choices.extend(mms.into_iter().map(|mm| (info.id, mm)));
        }
        choices.sort();
        choices.dedup();
        Ok(choices)
    }

    /// Every way to place the CPUs on mms that the roles and the rules allow.
    fn place(&self, roles: &[Role]) -> Result<Vec<Start>, ConfigError> {
        let mms = self.environment.mms;
        let frees = self.environment.pgd_free_in_irq || self.workload.uses(ProgramId::PgdFree);
        let options: Vec<Vec<MmId>> = roles
            .iter()
            .map(|role| match role.placement {
                Placement::Any => (0..mms).map(MmId).chain([MmId::NONE]).collect(),
                Placement::Nowhere => vec![MmId::NONE],
                Placement::On(mm) => vec![mm],
            })
            .collect();
        for mm in options.iter().flatten() {
            if mm.is_some() && mm.0 >= mms {
                return Err(ConfigError::Mm { mm: *mm, mms });
            }
        }
        let mut starts: Vec<Start> = vec![[MmId::NONE; MAX_CPUS]];
        for (cpu, options) in options.iter().enumerate() {
            starts = starts
                .iter()
                .flat_map(|start| {
                    options.iter().map(move |mm| {
                        let mut start = *start;
                        start[cpu] = *mm;
                        start
                    })
                })
                .collect();
        }
        // CPUs that share a role are interchangeable: one placement of each renaming will do.
        if self.workload.roles.len() == 1 {
            starts.retain(|s| s[..roles.len()].is_sorted());
        }
        // Something must be there to be freed, unless the placement is prescribed.
        if frees && mms > 1 {
            let spare = |s: &Start| (0..mms).any(|mm| !s.contains(&MmId(mm)));
            if starts.iter().any(spare) {
                starts.retain(spare);
            }
        }
        Ok(starts)
    }
}
