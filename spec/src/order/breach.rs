//! What the theorem takes for granted, and who does not keep it.

use super::walk::Step;
use crate::config::Config;
use crate::variant::Variant;
use serde::Serialize;
use std::fmt;

/// A rule that every program keeps, or the theorem says nothing. Numbered as in
/// `docs/order.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A1: a program that returns holds no lock.
    ReleasesWhatItTook,
    /// A2: only a lock that is held is released, and the walk does not move on with the lock of
    /// the pgd it stood on.
    ReleasesOnlyItsOwn,
    /// A3: a program returns with the interrupts it found.
    RestoresInterrupts,
    /// A4: a program that sent IPIs awaits their acknowledgement before it sends more or returns.
    AwaitsWhatItSent,
    /// A5: the flush handler acknowledges before it returns.
    HandlerAcknowledges,
    /// A6: no handler sends flush IPIs.
    HandlersDoNotFlush,
    /// A7: a lock is granted to one context, or to readers, at a time, and in order of arrival.
    LocksExclude,
    /// A8: the return from an interrupt turns interrupts on again.
    IretRestoresInterrupts,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::ReleasesWhatItTook => "a program returns with a lock held",
            Rule::ReleasesOnlyItsOwn => "a program releases a lock that it does not hold",
            Rule::RestoresInterrupts => "a program returns with interrupts off",
            Rule::AwaitsWhatItSent => "a program leaves flush IPIs unawaited",
            Rule::HandlerAcknowledges => "the flush handler returns without acknowledging",
            Rule::HandlersDoNotFlush => "an interrupt handler sends flush IPIs",
            Rule::LocksExclude => "a lock is granted although it is held",
            Rule::IretRestoresInterrupts => "the return from an interrupt leaves interrupts off",
        })
    }
}

/// A rule broken, and where, if it is a program line that breaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Breach {
    /// The rule.
    pub rule: Rule,
    /// The line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
}

/// Deviations that no program line shows: they change what a step means.
pub(super) fn of_the_machine(config: &Config) -> impl Iterator<Item = Breach> {
    let table = [
        (Variant::BrokenSpinlock, Rule::LocksExclude),
        (Variant::IretKeepsIrqsOff, Rule::IretRestoresInterrupts),
    ];
    let variants = config.variants;
    table
        .into_iter()
        .filter(move |(variant, _)| variants.has(*variant))
        .map(|(_, rule)| Breach { rule, step: None })
}
