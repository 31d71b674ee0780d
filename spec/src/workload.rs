//! Workloads: which programs may run, and how many each CPU starts.
//!
//! A workload is one role that every CPU shares, or one role per CPU. A role names programs;
//! the CPU picks any of them, on any mm the program can name, `ops_per_cpu` times, and starts
//! on any mm or none, unless the role says otherwise. A verdict therefore covers every
//! assignment, not one script.
//!
//! Text form: programs with commas, roles with slashes, each with an optional placement before
//! `=` (`any`, `none`, `mm0`) and an optional mm behind each program after `@`; `idle` for a
//! CPU that starts nothing: `mm0=page_referenced_one@mm0/none=vmalloc_sync_all/mm0=pgd_alloc`.

use crate::environment::Environment;
use crate::id::MmId;
use crate::program::{PROGRAMS, ProgramId};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Where a CPU starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Placement {
    /// On any mm, or none.
    Any,
    /// On none: `swapper_pg_dir` is loaded.
    Nowhere,
    /// On this mm.
    On(MmId),
}

/// A program a role may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Choice {
    /// The program.
    pub program: ProgramId,
    /// The only mm it may name, or any.
    pub mm: Option<MmId>,
}

/// What one CPU may do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Role {
    /// Where it starts.
    pub placement: Placement,
    /// What it may start; empty for a CPU that only takes interrupts.
    pub programs: Vec<Choice>,
}

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Workload {
    /// The text it was written as: a name, or the text form.
    pub text: String,
    /// One role for every CPU, or one per CPU.
    pub roles: Vec<Role>,
}

/// Names that stand for several programs.
pub const GROUPS: &[(&str, &[ProgramId], &str)] = &[
    (
        "page_referenced_one",
        &[
            ProgramId::PageReferencedOnePte,
            ProgramId::PageReferencedOneHuge,
        ],
        "page aging, both branches",
    ),
    (
        "gup_fast",
        &[ProgramId::GupFastPte, ProgramId::GupFastHuge],
        "fast GUP of a pte or a huge pmd",
    ),
    (
        "user_access",
        &[ProgramId::UserAccessPte, ProgramId::UserAccessHuge],
        "a store from user mode to either mapping",
    ),
    (
        "xen_pin",
        &[ProgramId::XenPgdPin, ProgramId::XenPgdUnpin],
        "xen_pgd_pin and xen_pgd_unpin",
    ),
    (
        "sync_global_pgds",
        &[ProgramId::VmallocSyncAll],
        "64-bit name of vmalloc_sync_all",
    ),
];

/// A workload that has a name.
#[derive(Clone, Copy, Debug)]
pub struct NamedWorkload {
    /// The name.
    pub name: &'static str,
    /// Its text form; empty for those that depend on the environment.
    pub text: &'static str,
    /// What it is for.
    pub about: &'static str,
}

/// Every named workload.
pub const WORKLOADS: &[NamedWorkload] = &[
    NamedWorkload {
        name: "everything",
        text: "",
        about: "every program that makes sense in the environment, but madvise_dontneed",
    },
    NamedWorkload {
        name: "everything+madvise",
        text: "",
        about: "everything, and madvise_dontneed several at once",
    },
    NamedWorkload {
        name: "aging",
        text: "page_referenced_one,vmalloc_sync_all",
        about: "C1, C2, C8, C9, B2, B9: page aging against the walk of pgd_list",
    },
    NamedWorkload {
        name: "unmapping",
        text: "try_to_unmap_one,vmalloc_sync_all",
        about: "C9: reclaim against the walk",
    },
    NamedWorkload {
        name: "splitting",
        text: "split_huge_page,vmalloc_sync_all",
        about: "C9: split of a huge page against the walk",
    },
    NamedWorkload {
        name: "lifecycle",
        text: "page_referenced_one,try_to_unmap_one,vmalloc_sync_all,pgd_alloc,pgd_free",
        about: "C4, C5, C7, B8: what takes pgd_lock, and what flushes",
    },
    NamedWorkload {
        name: "three-cpus",
        text: "mm0=page_referenced_one@mm0/none=vmalloc_sync_all/mm0=pgd_alloc",
        about: "B1: the walker is not in mm_cpumask, a third CPU forks",
    },
    NamedWorkload {
        name: "three-cpus-without-fork",
        text: "mm0=page_referenced_one@mm0/none=vmalloc_sync_all",
        about: "B1, control: only the first two of its CPUs",
    },
    NamedWorkload {
        name: "cry-wolf",
        text: "mm0=page_referenced_one@mm0/none=vmalloc_sync_all/mm0=idle",
        about: "B12: the walk waits irqs-off for a lock held across a flush that never needs it",
    },
    NamedWorkload {
        name: "reclaim-vs-munmap",
        text: "try_to_unmap_one,zap_page_range",
        about: "B3, B6: a deferred flush against a munmap that finds nothing to clear",
    },
    NamedWorkload {
        name: "reclaim-vs-munmap-and-aging",
        text: "try_to_unmap_one,zap_page_range,page_referenced_one",
        about: "B6: the same with a second flush that may overlap the first",
    },
    NamedWorkload {
        name: "two-madvise",
        text: "madvise_dontneed",
        about: "B11: two madvise(MADV_DONTNEED) of one mm",
    },
    NamedWorkload {
        name: "two-splits",
        text: "split_huge_page/split_huge_page/mm0=gup_fast",
        about: "B11: two splits of one huge page while a third CPU walks it",
    },
    NamedWorkload {
        name: "gup",
        text: "try_to_unmap_one,zap_page_range,split_huge_page,gup_fast",
        about: "B10: fast GUP against everything that frees or splits",
    },
    NamedWorkload {
        name: "tlb",
        text: "page_referenced_one,switch_mm,enter_lazy_tlb,leave_mm,user_access",
        about: "B4, B7: page aging, address-space switches and user accesses",
    },
    NamedWorkload {
        name: "switching",
        text: "try_to_unmap_one,switch_mm,enter_lazy_tlb,leave_mm",
        about: "B7: reclaim against address-space switches",
    },
];

/// Why a workload's text could not be read. Columns count characters from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WorkloadError {
    /// No such program or workload.
    #[error("column {column}: no program or workload is called `{name}`{}", suggestion(.nearest))]
    Unknown {
        /// What was written.
        name: String,
        /// Where.
        column: usize,
        /// The nearest name there is.
        nearest: Option<&'static str>,
    },
    /// A placement or an mm that cannot be read.
    #[error("column {column}: `{text}` is not {wanted}")]
    Syntax {
        /// What was written.
        text: String,
        /// Where.
        column: usize,
        /// What would do.
        wanted: &'static str,
    },
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest
        .map(|n| format!(", did you mean `{n}`?"))
        .unwrap_or_default()
}

/// Every name a workload may contain.
pub fn names() -> impl Iterator<Item = &'static str> {
    let startable = PROGRAMS
        .iter()
        .filter(|p| p.id != ProgramId::FlushTlbInterrupt);
    WORKLOADS
        .iter()
        .map(|w| w.name)
        .chain(GROUPS.iter().map(|g| g.0))
        .chain(startable.map(|p| p.name))
}

/// The name nearest to a mistyped one, if any is near.
pub fn nearest<'a>(name: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    among
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

impl Workload {
    /// Reads a workload for an environment. Programs of a group or of a named workload that
    /// the environment rules out are left out; those named outright are kept, so that
    /// [`Config::new`](crate::config::Config::new) can object.
    ///
    /// # Errors
    /// If a name is unknown or the text cannot be read; the message has the column.
    pub fn parse(text: &str, environment: &Environment) -> Result<Workload, WorkloadError> {
        let mut roles = Vec::new();
        let mut column = 1;
        for role in text.split('/') {
            roles.extend(parse_role(role, column, environment)?);
            column += role.chars().count() + 1;
        }
        Ok(Workload {
            text: text.to_string(),
            roles,
        })
    }

    /// The roles of `cpus` CPUs, or `None` if the workload is for another number.
    pub fn roles(&self, cpus: u8) -> Option<Vec<Role>> {
        match self.roles.as_slice() {
            [role] => Some(vec![role.clone(); cpus as usize]),
            roles if roles.len() == cpus as usize => Some(roles.to_vec()),
            _ => None,
        }
    }

    /// How many CPUs it is written for, if for a fixed number.
    pub fn cpus(&self) -> Option<usize> {
        (self.roles.len() > 1).then_some(self.roles.len())
    }

    /// May any CPU start this program?
    pub fn uses(&self, program: ProgramId) -> bool {
        self.roles
            .iter()
            .flat_map(|r| &r.programs)
            .any(|c| c.program == program)
    }
}

fn parse_role(
    text: &str,
    column: usize,
    environment: &Environment,
) -> Result<Vec<Role>, WorkloadError> {
    let (placement, list, offset) = match text.split_once('=') {
        Some((place, list)) => (
            parse_placement(place.trim(), column)?,
            list,
            place.chars().count() + 1,
        ),
        None => (Placement::Any, text, 0),
    };
    let mut programs = Vec::new();
    let mut at = column + offset;
    for item in list.split(',') {
        let start = at + item.chars().take_while(|c| c.is_whitespace()).count();
        at += item.chars().count() + 1;
        let (name, mm) = match item.trim().split_once('@') {
            Some((name, mm)) => (name, Some(parse_mm(mm, start + name.chars().count() + 1)?)),
            None => (item.trim(), None),
        };
        if name == "idle" {
            continue;
        }
        if let Some(named) = WORKLOADS.iter().find(|w| w.name == name) {
            // A named workload with several roles stands only by itself.
            let inner = expand_named(named, environment)?;
            if inner.len() > 1 {
                return Ok(inner);
            }
            programs.extend(inner.into_iter().flat_map(|r| r.programs));
        } else if let Some((_, group, _)) = GROUPS.iter().find(|g| g.0 == name) {
            let makes_sense = group.iter().filter(|p| makes_sense(**p, environment));
            programs.extend(makes_sense.map(|&program| Choice { program, mm }));
        } else if let Some(program) = ProgramId::named(name) {
            programs.push(Choice { program, mm });
        } else {
            return Err(WorkloadError::Unknown {
                name: name.to_string(),
                column: start,
                nearest: nearest(name, names()),
            });
        }
    }
    Ok(vec![Role {
        placement,
        programs,
    }])
}

fn expand_named(
    named: &NamedWorkload,
    environment: &Environment,
) -> Result<Vec<Role>, WorkloadError> {
    let programs: Vec<Choice> = match named.name {
        "everything" | "everything+madvise" => PROGRAMS
            .iter()
            .filter(|p| p.id != ProgramId::MadviseDontneed || named.name != "everything")
            .filter(|p| p.id != ProgramId::FlushTlbInterrupt)
            // With one mm, freeing it means that nobody runs it: nothing else could happen.
            .filter(|p| p.id != ProgramId::PgdFree || environment.mms > 1)
            .map(|p| Choice {
                program: p.id,
                mm: None,
            })
            .collect(),
        _ => {
            let mut roles = Workload::parse(named.text, environment)?.roles;
            for role in &mut roles {
                role.programs
                    .retain(|c| makes_sense(c.program, environment));
            }
            return Ok(roles);
        }
    };
    let programs = programs
        .into_iter()
        .filter(|c| makes_sense(c.program, environment))
        .collect();
    Ok(vec![Role {
        placement: Placement::Any,
        programs,
    }])
}

/// Can the program do anything in the environment?
fn makes_sense(program: ProgramId, environment: &Environment) -> bool {
    match program {
        ProgramId::XenPgdPin | ProgramId::XenPgdUnpin => environment.xen_pin,
        _ => environment.thp || !program.info().huge,
    }
}

fn parse_placement(text: &str, column: usize) -> Result<Placement, WorkloadError> {
    match text {
        "any" => Ok(Placement::Any),
        "none" => Ok(Placement::Nowhere),
        _ => parse_mm(text, column)
            .map(Placement::On)
            .map_err(|_| WorkloadError::Syntax {
                text: text.to_string(),
                column,
                wanted: "a placement: `any`, `none` or an mm such as `mm0`",
            }),
    }
}

fn parse_mm(text: &str, column: usize) -> Result<MmId, WorkloadError> {
    text.strip_prefix("mm")
        .and_then(|n| u8::from_str(n).ok())
        .filter(|n| *n < 3)
        .map(MmId)
        .ok_or_else(|| WorkloadError::Syntax {
            text: text.to_string(),
            column,
            wanted: "an mm: `mm0`, `mm1` or `mm2`",
        })
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
