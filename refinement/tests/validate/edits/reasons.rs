//! The written list: every kind of edit of which some copies are accepted, with the reason why those are runs.

/// Kind of edit, what it is done to, why what is accepted of it is a run.
pub const REASONS: &[(&str, &str, &str)] = &[
    (
        "taken out",
        "lock_wait",
        "the CPU came later, when the lock was free: `lock_acquired` alone says so",
    ),
    (
        "exchanged with the next of its context",
        "ipi_sent, ipi_sent",
        "the IPIs of one flush may be sent in any order",
    ),
    (
        "moved in its context",
        "ipi_sent",
        "behind or before other IPIs of the same flush, which may be sent in any order",
    ),
    (
        "moved in time",
        "nothing in common with what it passes",
        "the two concern different things: either order is a run, and both lead to the same state",
    ),
    ("moved in time", "acked, ipi_sent", ONE_FLUSH),
    (
        "moved in time",
        "acked, ipi_sent, irq_enter, request_read",
        ONE_FLUSH,
    ),
    ("moved in time", "acked, ipi_sent, request_read", ONE_FLUSH),
    ("moved in time", "acked, irq_enter", ONE_FLUSH),
    ("moved in time", "acked, irq_enter, request_read", ONE_FLUSH),
    ("moved in time", "ipi_sent, irq_enter", ONE_FLUSH),
    (
        "moved in time",
        "ipi_sent, irq_enter, request_read",
        ONE_FLUSH,
    ),
    (
        "moved in time",
        "ipi_sent, irq_enter, mask_read",
        OTHER_FLUSH,
    ),
    ("moved in time", "irq_enter, mask_read", OTHER_FLUSH),
    ("moved in time", "begin", SAME_MM),
    ("moved in time", "begin, end", SAME_MM),
    ("moved in time", "begin, end, hypercall_flush", SAME_MM),
    ("moved in time", "end", SAME_MM),
    (
        "moved in time",
        "entry_read, user_access",
        "the read sees whether the entry is present and splitting, and an access changes neither",
    ),
    (
        "moved in time",
        "lock_acquired, lock_wait",
        "a ticket drawn behind a waiter's, before or after that one has seen that it is served",
    ),
    (
        "moved in time",
        "lock_released, lock_wait",
        "a ticket drawn behind a waiter's, which waits before the release and after",
    ),
    (
        "moved in time",
        "lock_wait",
        "two wait for an rwlock, which has no queue, or for ever",
    ),
    (
        "since one event earlier",
        "any event",
        "a wider interval allows every order that the narrower one did",
    ),
    (
        "since its own number",
        "any event",
        "the run fits in the order of the numbers too, as far as this event goes",
    ),
    (
        "with another value",
        "irq_enter vector",
        "the last event of its CPU in a recorded hang: the interrupt may as well free another mm without references",
    ),
    (
        "with another value",
        "user_access filled",
        "a hypercall drops the translations of one CPU after the other, at moments without an event: a hit may as well be a refill",
    ),
];

const ONE_FLUSH: &str = "the targets of a flush answer on their own: an IPI to one of them, and its handler, come in any order with those of another";
const OTHER_FLUSH: &str =
    "the handler answers another CPU's flush than the one that begins by reading the mask";
const SAME_MM: &str =
    "operations on one mm that do not exclude each other begin and end in any order";

/// Why an accepted copy is a run, if that is known.
pub fn reason(kind: &str, what: &str) -> Option<&'static str> {
    let found = REASONS.iter().find(|r| (r.0, r.1) == (kind, what));
    found.map(|r| r.2)
}
