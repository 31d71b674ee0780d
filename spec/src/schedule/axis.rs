//! The axes of designs and environments, as a schedule names them.

use crate::design::{Design, Flush, PgdLock, Ptl};
use crate::environment::{Environment, FlushBackend};
use std::str::FromStr;

/// One axis of a design or an environment, as `key=value`.
pub(super) struct Axis<T> {
    pub key: &'static str,
    pub wanted: &'static str,
    pub set: fn(&mut T, &str) -> Option<()>,
    pub get: fn(&T) -> String,
}

/// Sets `$field` to what `$parse` makes of the text.
macro_rules! axis {
    ($key:literal, $wanted:literal, $field:ident, $parse:expr, $show:expr) => {
        Axis {
            key: $key,
            wanted: $wanted,
            set: |axes, text| {
                axes.$field = $parse(text)?;
                Some(())
            },
            get: |axes| $show(&axes.$field).to_string(),
        }
    };
}

fn named<T: Copy>(names: &[(&str, T)], text: &str) -> Option<T> {
    names.iter().find(|n| n.0 == text).map(|n| n.1)
}

const ON_OFF: &[(&str, bool)] = &[("on", true), ("off", false)];
const YES_NO: &[(&str, bool)] = &[("yes", true), ("no", false)];

fn on_off(text: &str) -> Option<bool> {
    named(ON_OFF, text)
}

fn show_on_off(on: &bool) -> &'static str {
    if *on { "on" } else { "off" }
}

fn number(text: &str) -> Option<u8> {
    u8::from_str(text).ok()
}

pub(super) const DESIGN_AXES: &[Axis<Design>] = &[
    axis!(
        "pgd_lock",
        "irqsave, plain or rwlock",
        pgd_lock,
        |t| named(PgdLock::NAMES, t),
        |v: &PgdLock| v.name()
    ),
    axis!(
        "walk_takes_ptl",
        "yes or no",
        walk_takes_ptl,
        |t| named(YES_NO, t),
        |v: &bool| if *v { "yes" } else { "no" }
    ),
    axis!(
        "ptl",
        "plain or irqsave",
        ptl,
        |t| named(Ptl::NAMES, t),
        |v: &Ptl| v.name()
    ),
    axis!(
        "flush",
        "under_lock, young_after_unlock, after_unlock or after_unlock_tracked",
        flush,
        |t| named(Flush::NAMES, t),
        |v: &Flush| v.name()
    ),
];

/// The first two are always written.
pub(super) const ENVIRONMENT_AXES: &[Axis<Environment>] = &[
    axis!("cpus", "a number", cpus, number, |v: &u8| *v),
    axis!("mms", "a number", mms, number, |v: &u8| *v),
    axis!("ops", "a number", ops_per_cpu, number, |v: &u8| *v),
    axis!("split", "on or off", split_ptlocks, on_off, show_on_off),
    axis!("thp", "on or off", thp, on_off, show_on_off),
    axis!(
        "flush_backend",
        "ipi or hypercall",
        flush_backend,
        |t| named(FlushBackend::NAMES, t),
        |v: &FlushBackend| v.name()
    ),
    axis!("xen_pin", "on or off", xen_pin, on_off, show_on_off),
    axis!(
        "pgd_free_in_irq",
        "on or off",
        pgd_free_in_irq,
        on_off,
        show_on_off
    ),
];
