//! What each property promises, in one place for every command.

/// A property that is checked in every scenario, or that `rule` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// What it promises, without a full stop.
    pub promise: &'static str,
    /// When it is checked.
    pub when: &'static str,
}

/// All of them, in the order of reports.
pub const PROPERTIES: [Property; 11] = [
    Property {
        name: "no_deadlock",
        promise: "no reachable state holds a context that can never move again, whatever anybody does",
        when: "always",
    },
    Property {
        name: "progress",
        promise: "no run goes on for ever, everybody getting their turn, without anything ending",
        when: "always",
    },
    Property {
        name: "no_lock_cycle",
        promise: "no reachable state holds a cycle of waits for locks alone",
        when: "where there are locks",
    },
    Property {
        name: "no_lock_held_across_ipi_wait",
        promise: "nobody awaits acknowledgements of an IPI while it holds a lock",
        when: "on request: `rule no_lock_held_across_ipi_wait;`",
    },
    Property {
        name: "no_irqs_off_wait_for_flush_lock",
        promise: "no CPU with interrupts off waits, through any chain of holders, for a lock that is held across a wait \
                  for an IPI",
        when: "on request: `rule no_irqs_off_wait_for_flush_lock;`",
    },
    Property {
        name: "assertion",
        promise: "every assert() that is reached is true",
        when: "where there is an assert()",
    },
    Property {
        name: "no_sleep_in_atomic",
        promise: "nothing sleeps where sleeping is forbidden: in an interrupt, a stopper or an RCU reader, with a spinlock held, \
                  with preemption, bottom halves or interrupts off",
        when: "where something sleeps",
    },
    Property {
        name: "irqs_on_while_waiting_for_ipi",
        promise: "interrupts are on while the return of a call on other CPUs is awaited",
        when: "where one is awaited",
    },
    Property {
        name: "unlock_held",
        promise: "a lock is released only by the context that holds it, in the way it holds it",
        when: "where a lock is released",
    },
    Property {
        name: "balance",
        promise: "a program ends with locks, counts and the interrupt flag as they were at its start",
        when: "always",
    },
    Property {
        name: "range",
        promise: "values stay in their declared range, indexes in their array, sets of CPUs among the CPUs there are, and nothing \
                  is divided by 0",
        when: "where a range is declared, or where it fails",
    },
];

/// The promise of the property; `None` for an invariant or an unknown name.
pub fn promise(name: &str) -> Option<&'static str> {
    PROPERTIES
        .iter()
        .find(|p| p.name == name)
        .map(|p| p.promise)
}
