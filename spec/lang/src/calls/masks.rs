//! Sets of CPUs.

use super::{Arg, Call, Change, Does, Gives, MaskOp, Value};

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

const M: &[&[Arg]] = &[&[Arg::Mask]];
const MM: &[&[Arg]] = &[&[Arg::Mask, Arg::Mask]];
const CPU_M: &[&[Arg]] = &[&[Arg::Value, Arg::Mask]];
const CPU_P: &[&[Arg]] = &[&[Arg::Value, Arg::MaskPlace]];
const P: &[&[Arg]] = &[&[Arg::MaskPlace]];
const PM: &[&[Arg]] = &[&[Arg::MaskPlace, Arg::Mask]];
const PMM: &[&[Arg]] = &[&[Arg::MaskPlace, Arg::Mask, Arg::Mask]];

/// The calls.
pub static CALLS: &[Call] = &[
    call(
        "cpumask_set_cpu",
        CPU_P,
        Does::Change(Change::SetBit, Gives::Nothing),
        "adds a CPU",
    ),
    call(
        "cpumask_clear_cpu",
        CPU_P,
        Does::Change(Change::ClearBit, Gives::Nothing),
        "removes a CPU",
    ),
    call(
        "cpumask_test_and_set_cpu",
        CPU_P,
        Does::Change(Change::SetBit, Gives::OldBit),
        "adds a CPU; 1 if it was in before",
    ),
    call(
        "cpumask_test_and_clear_cpu",
        CPU_P,
        Does::Change(Change::ClearBit, Gives::OldBit),
        "removes a CPU; 1 if it was in before",
    ),
    call("cpumask_clear", P, Does::MaskOp(MaskOp::Clear), "no CPU"),
    call(
        "cpumask_setall",
        P,
        Does::MaskOp(MaskOp::SetAll),
        "every CPU",
    ),
    call(
        "cpumask_copy",
        PM,
        Does::MaskOp(MaskOp::Copy),
        "cpumask_copy(&to, &from)",
    ),
    call(
        "cpumask_complement",
        PM,
        Does::MaskOp(MaskOp::Complement),
        "the others",
    ),
    call(
        "cpumask_and",
        PMM,
        Does::MaskOp(MaskOp::And),
        "cpumask_and(&to, &a, &b)",
    ),
    call(
        "cpumask_or",
        PMM,
        Does::MaskOp(MaskOp::Or),
        "cpumask_or(&to, &a, &b)",
    ),
    call(
        "cpumask_xor",
        PMM,
        Does::MaskOp(MaskOp::Xor),
        "cpumask_xor(&to, &a, &b)",
    ),
    call(
        "cpumask_andnot",
        PMM,
        Does::MaskOp(MaskOp::AndNot),
        "cpumask_andnot(&to, &a, &b): a without b",
    ),
    call(
        "cpumask_test_cpu",
        CPU_M,
        Does::Value(Value::TestCpu),
        "1 if the CPU is in the set",
    ),
    call(
        "cpumask_empty",
        M,
        Does::Value(Value::Empty),
        "1 if no CPU is in the set",
    ),
    call(
        "cpumask_full",
        M,
        Does::Value(Value::Full),
        "1 if every CPU is in the set",
    ),
    call(
        "cpumask_weight",
        M,
        Does::Value(Value::Weight),
        "how many CPUs are in the set",
    ),
    call(
        "cpumask_first",
        M,
        Does::Value(Value::First),
        "the first CPU of the set; NR_CPUS if there is none",
    ),
    call(
        "cpumask_next",
        CPU_M,
        Does::Value(Value::Next),
        "the first CPU of the set after one; NR_CPUS if there is none",
    ),
    call(
        "cpumask_any",
        M,
        Does::Value(Value::First),
        "cpumask_first()",
    ),
    call(
        "cpumask_any_but",
        &[&[Arg::Mask, Arg::Value]],
        Does::Value(Value::AnyBut),
        "the first CPU of the set that is not this one",
    ),
    call(
        "cpumask_equal",
        MM,
        Does::Value(Value::Equal),
        "1 if both sets are the same",
    ),
    call(
        "cpumask_subset",
        MM,
        Does::Value(Value::Subset),
        "1 if the first set is within the second",
    ),
    call(
        "cpumask_intersects",
        MM,
        Does::Value(Value::Intersects),
        "1 if a CPU is in both sets",
    ),
    call(
        "cpumask_of",
        &[&[Arg::Value]],
        Does::Value(Value::Bit),
        "the set of one CPU",
    ),
];
