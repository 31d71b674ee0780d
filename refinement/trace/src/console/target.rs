//! Whose acknowledgements a CPU awaits: the csd watchdog says it, or registers and arguments show it.
//!
//! `smp_call_function_many` and its successor spin on `per_cpu_ptr(cfd->csd, cpu)`: a register holds that address, in the
//! target's per-CPU memory, and often another the loop's `cpu`. The GS base of a CPU is where its per-CPU memory begins.

use super::log::Log;
use super::registers::GENERAL;
use super::situation::{Doing, How, Situation, Who};
use super::table::{Does, does};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A CPU that is awaited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The CPU.
    pub cpu: u32,
    /// The line that says so.
    pub line: u64,
    /// How it is known.
    pub how: How,
    /// In words: the lines or the registers.
    pub words: String,
}

/// The GS base of every CPU that the log prints one of.
#[must_use]
pub fn gs_bases(situations: &[Situation]) -> BTreeMap<u32, (u64, u64)> {
    let mut bases = BTreeMap::new();
    for situation in situations {
        if let (Who::Cpu(cpu), Some(gs)) = (situation.who, situation.registers.get("GS"))
            && gs >= 0xff00_0000_0000_0000
        {
            bases.insert(cpu, (gs, situation.registers.line("GS").unwrap_or(0)));
        }
    }
    bases
}

/// Who is awaited by a CPU that awaits acknowledgements, as far as anything names them.
#[must_use]
pub fn targets(of: &Situation, bases: &BTreeMap<u32, (u64, u64)>, log: &Log) -> Vec<Target> {
    let Who::Cpu(cpu) = of.who else {
        return Vec::new();
    };
    let watched: Vec<Target> = log
        .csd
        .values()
        .filter(|wait| wait.from == cpu && wait.ended.is_none())
        .map(|wait| Target {
            cpu: wait.to,
            line: wait.lines.1,
            how: How::Printed,
            words: format!(
                "the csd watchdog says so ({} s)",
                wait.waited_ns / 1_000_000_000
            ),
        })
        .collect();
    if !watched.is_empty() {
        return watched;
    }
    if of.doing != Doing::AwaitsAcks {
        return Vec::new();
    }
    let argued = arguments(of, cpu);
    if !argued.is_empty() {
        return argued;
    }
    registers(of, cpu, bases, log).into_iter().collect()
}

/// `cpus=2`, `mask=0x2`, `cpu=1`: what a debugger prints of a call.
fn arguments(of: &Situation, cpu: u32) -> Vec<Target> {
    for frame in &of.frames {
        if does(&frame.function) != Some(Does::AwaitsAcks) {
            continue;
        }
        for argument in frame.arguments.as_deref().unwrap_or("").split(", ") {
            let Some((name, value)) = argument.split_once('=') else {
                continue;
            };
            let value = match value.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None => value.parse().ok(),
            };
            let Some(value) = value.filter(|v| *v <= u64::from(u32::MAX)) else {
                continue;
            };
            let cpus: Vec<u32> = match name {
                "cpu" | "target" | "target_cpu" => vec![value as u32],
                "cpus" | "mask" | "cpumask" | "cpu_mask" | "targets" | "set" => {
                    (0..32).filter(|bit| value >> bit & 1 == 1).collect()
                }
                _ => continue,
            };
            let found: Vec<Target> = cpus
                .into_iter()
                .filter(|target| *target != cpu)
                .map(|target| Target {
                    cpu: target,
                    line: frame.line,
                    how: How::Printed,
                    words: format!("{argument} of {}", frame.function),
                })
                .collect();
            if !found.is_empty() {
                return found;
            }
        }
    }
    Vec::new()
}

/// The size of a CPU's per-CPU memory, by two that are known: areas are evenly spaced within a node.
fn unit(bases: &BTreeMap<u32, (u64, u64)>) -> Option<u64> {
    let list: Vec<(u32, u64)> = bases.iter().map(|(cpu, (gs, _))| (*cpu, *gs)).collect();
    list.windows(2)
        .filter_map(|pair| {
            let (cpus, bytes) = (
                u64::from(pair[1].0 - pair[0].0),
                pair[1].1.checked_sub(pair[0].1)?,
            );
            (bytes % cpus == 0).then(|| bytes / cpus)
        })
        .filter(|unit| *unit >= 0x8000)
        .min()
}

fn registers(
    of: &Situation,
    cpu: u32,
    bases: &BTreeMap<u32, (u64, u64)>,
    log: &Log,
) -> Option<Target> {
    // Only where the loop itself was caught: deeper, the registers are another function's.
    let in_loop = of
        .frames
        .iter()
        .take_while(|f| matches!(does(&f.function), Some(Does::Helper | Does::AwaitsAcks)))
        .position(|f| f.function.starts_with("smp_call_function_many"))?;
    let inlined = of.frames[..in_loop].iter().all(|f| {
        matches!(
            &*f.function,
            "csd_lock_wait" | "cpu_relax" | "rep_nop" | "native_pause"
        )
    });
    if !inlined {
        return None;
    }
    let own = bases.get(&cpu)?.0;
    let most = log.number_of_cpus.map_or(8192, |(n, _)| n);
    let counters: BTreeMap<u64, &str> = GENERAL
        .iter()
        .rev()
        .filter_map(|r| Some((of.registers.get(r)?, *r)))
        .filter(|(v, _)| *v < u64::from(most) && *v != u64::from(cpu))
        .collect();
    let pointers: Vec<(&str, u64)> = GENERAL
        .iter()
        .filter_map(|r| Some((*r, of.registers.get(r)?)))
        .filter(|(_, v)| v.abs_diff(own) < 1 << 36 && *v > 1 << 40)
        .collect();
    let unit = unit(bases);
    // In the memory of a CPU whose base the log prints.
    let mut found: BTreeSet<(u32, &str)> = BTreeSet::new();
    for (register, value) in &pointers {
        for (other, (base, _)) in bases.iter().filter(|(other, _)| **other != cpu) {
            if value
                .checked_sub(*base)
                .is_some_and(|offset| offset < unit.unwrap_or(0x20000))
            {
                found.insert((*other, register));
            }
        }
    }
    let cpus: BTreeSet<u32> = found.iter().map(|(cpu, _)| *cpu).collect();
    let agreed: Vec<u32> = cpus
        .iter()
        .copied()
        .filter(|c| counters.contains_key(&u64::from(*c)))
        .collect();
    let one = match (&agreed[..], cpus.len()) {
        ([one], _) => Some(*one),
        ([], 1) => cpus.first().copied(),
        _ => None,
    };
    if let Some(target) = one {
        let register = found
            .iter()
            .find(|(c, _)| *c == target)
            .map_or("", |(_, r)| *r);
        let counter = counters
            .get(&u64::from(target))
            .map_or(String::new(), |r| format!(", and {r} = {target}"));
        return Some(Target {
            cpu: target,
            line: of.registers.line(register).unwrap_or(of.line),
            how: How::Printed,
            words: format!(
                "{register} points into CPU{target}'s per-CPU memory (GS base, line {}){counter}",
                bases[&target].1
            ),
        });
    }
    // Only one base: the spacing is a power of two on every machine with evenly spaced areas.
    let strides: Vec<u64> = match unit {
        Some(unit) => vec![unit],
        None => (17..=24).map(|bit| 1 << bit).collect(),
    };
    let mut agreed: BTreeSet<(u32, &str)> = BTreeSet::new();
    for (register, value) in &pointers {
        for stride in &strides {
            let areas = (i128::from(*value) - i128::from(own)).div_euclid(i128::from(*stride));
            let target = i128::from(cpu) + areas;
            if areas != 0
                && let Ok(target) = u32::try_from(target)
                && counters.contains_key(&u64::from(target))
            {
                agreed.insert((target, register));
            }
        }
    }
    let cpus: BTreeSet<u32> = agreed.iter().map(|(cpu, _)| *cpu).collect();
    if let (1, Some((target, register))) = (cpus.len(), agreed.first()) {
        let counter = counters[&u64::from(*target)];
        let words = format!(
            "{register} points {} of it into per-CPU memory that fits, and {counter} = {target}",
            if *target > cpu {
                "behind the area"
            } else {
                "before the area"
            }
        );
        return Some(Target {
            cpu: *target,
            line: of.registers.line(register).unwrap_or(of.line),
            how: How::Inferred(words.clone()),
            words,
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spacing_of_areas_comes_from_two_bases() {
        let bases = BTreeMap::from([
            (2, (0xffff_88a1_c0d0_0000, 1)),
            (3, (0xffff_88a1_c0d8_0000, 2)),
        ]);
        assert_eq!(unit(&bases), Some(0x80000));
        let bases = BTreeMap::from([
            (0, (0xffff_88a1_c0c0_0000, 1)),
            (4, (0xffff_88a1_c0e0_0000, 2)),
        ]);
        assert_eq!(unit(&bases), Some(0x80000));
        assert_eq!(unit(&BTreeMap::new()), None);
    }
}
