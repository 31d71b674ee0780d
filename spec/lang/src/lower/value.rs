//! Values while a scenario is lowered: the expression, and what it is.

use shootdown_ir::Expr as Ir;

/// Names with a value of their own.
pub const CONSTANTS: &[&str] = &[
    "this_cpu",
    "NR_CPUS",
    "nr_cpu_ids",
    "true",
    "false",
    "NULL",
    "cpu_online_mask",
    "cpu_possible_mask",
    "cpu_present_mask",
    "cpu_active_mask",
    "CPU_MASK_NONE",
    "CPU_MASK_ALL",
    "jiffies",
    "EBUSY",
    "EINTR",
    "ERESTARTSYS",
    "EAGAIN",
    "EINVAL",
    "ENOMEM",
];

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ty {
    Bool,
    Int,
    /// A set of CPUs: never a bit beyond the last CPU.
    Mask,
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) struct Val {
    pub e: Ir,
    pub ty: Ty,
}

impl Val {
    pub fn int(e: Ir) -> Self {
        Self { e, ty: Ty::Int }
    }

    pub fn bool(e: Ir) -> Self {
        Self { e, ty: Ty::Bool }
    }

    pub fn mask(e: Ir) -> Self {
        Self { e, ty: Ty::Mask }
    }
}
