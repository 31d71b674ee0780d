//! RCU callbacks, and SRCU.

use super::{Arg, Call, Does, Sort};

const fn call(
    name: &'static str,
    forms: &'static [&'static [Arg]],
    does: Does,
    doc: &'static str,
) -> Call {
    Call {
        name,
        forms,
        does,
        doc,
    }
}

const CALLBACK: &[&[Arg]] = &[&[Arg::Object(Sort::RcuHead), Arg::Function]];
const SRCU: &[&[Arg]] = &[&[Arg::Object(Sort::Srcu)]];
const SRCU_INDEX: &[&[Arg]] = &[&[Arg::Object(Sort::Srcu), Arg::Value]];

/// The calls.
pub static CALLS: &[Call] = &[
    call(
        "call_rcu",
        CALLBACK,
        Does::CallRcu,
        "runs a function in a softirq of this CPU after a grace period; an assertion that the head is not queued already",
    ),
    call("call_rcu_hurry", CALLBACK, Does::CallRcu, "call_rcu()"),
    call("call_rcu_sched", CALLBACK, Does::CallRcu, "call_rcu()"),
    call("call_rcu_bh", CALLBACK, Does::CallRcu, "call_rcu()"),
    call(
        "rcu_barrier",
        &[&[]],
        Does::RcuBarrier,
        "sleeps until no callback of call_rcu() is pending or runs",
    ),
    call(
        "rcu_barrier_sched",
        &[&[]],
        Does::RcuBarrier,
        "rcu_barrier()",
    ),
    call(
        "srcu_read_lock",
        SRCU,
        Does::SrcuLock,
        "opens a reader section, which may sleep; gives the index for srcu_read_unlock()",
    ),
    call(
        "srcu_read_unlock",
        SRCU_INDEX,
        Does::SrcuUnlock,
        "closes it",
    ),
    call(
        "synchronize_srcu",
        SRCU,
        Does::SynchronizeSrcu,
        "sleeps until every reader section of this srcu_struct that is open now has closed",
    ),
    call(
        "synchronize_srcu_expedited",
        SRCU,
        Does::SynchronizeSrcu,
        "synchronize_srcu()",
    ),
];
