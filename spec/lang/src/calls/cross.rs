//! Functions on other CPUs, bare IPIs, stoppers.

use super::{Arg, Call, Does, Sort, To};

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

const ALL: &[&[Arg]] = &[
    &[Arg::Function, Arg::Wait],
    // Until 2.6.26 there was a `retry`, too.
    &[Arg::Function, Arg::Ignored, Arg::Ignored, Arg::Wait],
    &[Arg::Function, Arg::Ignored, Arg::Wait],
];
const ONE: &[&[Arg]] = &[
    &[Arg::Value, Arg::Function, Arg::Wait],
    &[Arg::Value, Arg::Function, Arg::Ignored, Arg::Wait],
];
const SET: &[&[Arg]] = &[
    &[Arg::Mask, Arg::Function, Arg::Wait],
    &[Arg::Mask, Arg::Function, Arg::Ignored, Arg::Wait],
];
const CSD: &[&[Arg]] = &[
    &[Arg::Value, Arg::Object(Sort::Csd), Arg::Function],
    &[
        Arg::Value,
        Arg::Object(Sort::Csd),
        Arg::Function,
        Arg::Ignored,
    ],
];
const STOP: &[&[Arg]] = &[
    &[Arg::Function],
    &[Arg::Function, Arg::Ignored],
    &[Arg::Function, Arg::Ignored, Arg::Ignored],
];
const STOP_ONE: &[&[Arg]] = &[
    &[Arg::Value, Arg::Function],
    &[Arg::Value, Arg::Function, Arg::Ignored],
];
const STOP_ONE_NOWAIT: &[&[Arg]] = &[
    &[Arg::Value, Arg::Function],
    &[Arg::Value, Arg::Function, Arg::Ignored, Arg::Ignored],
];

/// The calls.
pub static CALLS: &[Call] = &[
    call(
        "smp_call_function",
        ALL,
        Does::Call(To::Others),
        "runs a function on every other CPU, in an interrupt; with wait=1 spins until all have returned",
    ),
    call(
        "smp_call_function_single",
        ONE,
        Does::Call(To::One),
        "runs a function on one CPU; on this one: directly, interrupts off",
    ),
    call(
        "smp_call_function_many",
        SET,
        Does::Call(To::Many),
        "runs a function on the CPUs of a set, without this one",
    ),
    call(
        "smp_call_function_mask",
        SET,
        Does::Call(To::Many),
        "smp_call_function_many()",
    ),
    call(
        "smp_call_function_any",
        SET,
        Does::Call(To::Any),
        "runs a function on one CPU of a set: this one if it is in it, else any",
    ),
    call(
        "on_each_cpu",
        ALL,
        Does::Call(To::Each),
        "runs a function on every CPU, on this one with interrupts off",
    ),
    call(
        "on_each_cpu_mask",
        SET,
        Does::Call(To::EachOf),
        "runs a function on the CPUs of a set, this one included",
    ),
    call(
        "smp_call_function_single_async",
        CSD,
        Does::Call(To::Csd),
        "runs a function on one CPU with call data of your own; spins until the call data is free, then does not wait",
    ),
    call(
        "__smp_call_function_single",
        CSD,
        Does::Call(To::Csd),
        "smp_call_function_single_async()",
    ),
    call(
        "send_ipi",
        &[&[Arg::Mask, Arg::Function]],
        Does::SendIpi,
        "marks an interrupt pending on the CPUs of a set; one that is pending already is taken once",
    ),
    call(
        "stop_machine",
        STOP,
        Does::StopMachine(false),
        "runs a function on the first CPU while every CPU spins in its stopper, interrupts off",
    ),
    call(
        "stop_machine_cpuslocked",
        STOP,
        Does::StopMachine(true),
        "stop_machine() for callers that have taken cpus_read_lock()",
    ),
    call(
        "stop_one_cpu",
        STOP_ONE,
        Does::StopOne(true),
        "runs a function in the stopper of one CPU; sleeps until it has returned",
    ),
    call(
        "stop_one_cpu_nowait",
        STOP_ONE_NOWAIT,
        Does::StopOne(false),
        "runs a function in the stopper of one CPU; does not wait",
    ),
];
