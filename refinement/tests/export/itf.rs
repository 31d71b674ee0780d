//! Informal Trace Format: read back by the crate that knows it, and compared with the states it was written from.

use super::{KNOWN, SEED, run, runs};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use shootdown_refinement::export::Run;
use shootdown_refinement::export::itf::{VARS, itf};
use shootdown_spec::id::{CpuId, LockId};
use shootdown_spec::model::Action;
use shootdown_spec::program::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// A state as a reader of the crate would declare it.
#[derive(Debug, Deserialize)]
struct Machine {
    #[serde(with = "::itf::de::As::<BTreeMap<::itf::de::Integer, ::itf::de::Same>>")]
    cpus: BTreeMap<i64, Cpu>,
    init_entry: bool,
    locks: BTreeMap<String, Lock>,
    #[serde(with = "::itf::de::As::<Vec<::itf::de::Integer>>")]
    pgd_list: Vec<i64>,
    #[serde(with = "::itf::de::As::<BTreeMap<::itf::de::Integer, ::itf::de::Same>>")]
    tlb: BTreeMap<i64, BTreeSet<String>>,
    #[serde(rename = "mbt::actionTaken")]
    taken: String,
    #[serde(rename = "mbt::nondetPicks")]
    picks: Picks,
}

#[derive(Debug, Deserialize)]
struct Cpu {
    irqs_on: bool,
    in_irq: bool,
    spins_for: String,
    #[serde(with = "::itf::de::As::<BTreeSet<::itf::de::Integer>>")]
    awaits_ack_of: BTreeSet<i64>,
}

#[derive(Debug, Deserialize)]
struct Lock {
    holders: BTreeSet<String>,
    waiters: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Picks {
    cpu: Number,
    program: Name,
    sender: Number,
}

/// An option as Quint writes one: nothing is an empty tuple.
#[derive(Debug, Deserialize)]
#[serde(tag = "tag", content = "value")]
enum Number {
    Some(#[serde(with = "::itf::de::As::<::itf::de::Integer>")] i64),
    None(Vec<bool>),
}

/// As [`Number`].
#[derive(Debug, Deserialize)]
#[serde(tag = "tag", content = "value")]
enum Name {
    Some(String),
    None(Vec<bool>),
}

impl Number {
    fn get(&self) -> Option<i64> {
        match self {
            Number::Some(n) => Some(*n),
            Number::None(nothing) => {
                assert!(nothing.is_empty());
                None
            }
        }
    }
}

impl Name {
    fn get(&self) -> Option<&str> {
        match self {
            Name::Some(name) => Some(name),
            Name::None(nothing) => {
                assert!(nothing.is_empty());
                None
            }
        }
    }
}

fn reads_back_as_it_was(run: &Run) {
    let trace = ::itf::trace_from_str::<Machine>(&itf(run)).expect("the crate reads it");
    assert_eq!(trace.vars, VARS);
    assert_eq!(trace.states.len(), run.states.len());
    for (i, (read, state)) in trace.states.iter().zip(&run.states).enumerate() {
        assert_eq!(read.meta.index, Some(i as u64));
        let read = &read.value;
        assert_eq!(read.init_entry, state.list.init_entry);
        let listed: Vec<i64> = state.list.iter().map(|mm| i64::from(mm.0)).collect();
        assert_eq!(read.pgd_list, listed);
        assert_eq!(read.cpus.len(), run.protocol.config.cpus());
        for (n, cpu) in &read.cpus {
            let is = state.cpu(CpuId(u8::try_from(*n).expect("small")));
            assert_eq!((cpu.irqs_on, cpu.in_irq), (is.irqs_on, is.in_irq()));
            let awaited: BTreeSet<i64> = is.acks.iter().map(|c| i64::from(c.0)).collect();
            assert_eq!(cpu.awaits_ack_of, awaited);
            let spins = is.context(is.top()).spins_for().map(|l| l.to_string());
            assert!(spins.is_none_or(|l| l == cpu.spins_for));
            let cached = Entry::ALL.into_iter().filter(|e| is.tlb.contains(*e));
            assert_eq!(read.tlb[n], cached.map(|e| e.to_string()).collect());
        }
        let pgd_lock = state.lock(LockId::PgdLock);
        let holders: BTreeSet<String> = pgd_lock.holders().map(|h| h.to_string()).collect();
        let waiters: Vec<String> = pgd_lock.waiters().map(|(w, _)| w.to_string()).collect();
        assert_eq!(
            (
                &read.locks["pgd_lock"].holders,
                &read.locks["pgd_lock"].waiters
            ),
            (&holders, &waiters)
        );
        let action = i.checked_sub(1).map(|before| run.trace.actions[before]);
        assert_eq!(read.picks.cpu.get(), action.map(|a| i64::from(a.cpu().0)));
        let started = match action {
            Some(Action::Start { program, .. }) => Some(program.name()),
            _ => None,
        };
        assert_eq!(
            (read.taken == "start", read.picks.program.get()),
            (started.is_some(), started)
        );
        let sender = match action {
            Some(Action::Ipi { from, .. }) => Some(i64::from(from.0)),
            _ => None,
        };
        assert_eq!(read.picks.sender.get(), sender);
    }
}

/// What the format says and a reader may rely on, whatever it declares.
fn obeys_the_format(text: &str) {
    let file: Value = serde_json::from_str(text).expect("it is JSON");
    let vars: BTreeSet<&str> = file["vars"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for state in file["states"].as_array().expect("a list") {
        let state = state.as_object().expect("an object");
        let names: BTreeSet<&str> = state
            .keys()
            .map(String::as_str)
            .filter(|k| *k != "#meta")
            .collect();
        assert_eq!(names, vars, "a member for every variable");
        state
            .iter()
            .filter(|(k, _)| *k != "#meta")
            .for_each(|(_, value)| expression(value));
    }
}

fn expression(value: &Value) {
    match value {
        Value::Null | Value::Number(_) => panic!("{value} is no expression of the format"),
        Value::Array(items) => items.iter().for_each(expression),
        Value::Object(fields) => match fields.keys().next().filter(|k| k.starts_with('#')) {
            Some(tag) => {
                assert!(
                    ["#bigint", "#set", "#map", "#tup"].contains(&tag.as_str()),
                    "{tag}"
                );
                assert_eq!(fields.len(), 1);
                if tag == "#bigint" {
                    let digits = fields[tag].as_str().expect("a string");
                    assert!(digits.parse::<i64>().is_ok(), "{digits}");
                } else {
                    expression(&fields[tag]);
                }
            }
            None => fields.values().for_each(expression),
        },
        Value::Bool(_) | Value::String(_) => {}
    }
}

#[test]
fn known_runs_read_back_as_they_were() {
    for schedule in KNOWN {
        reads_back_as_it_was(&run(schedule));
        obeys_the_format(&itf(&run(schedule)));
    }
}

#[test]
fn the_meta_data_is_enough_to_run_it_again() {
    let file: Value = serde_json::from_str(&itf(&run(SEED))).expect("it is JSON");
    let meta = &file["#meta"];
    assert_eq!(
        (meta["format"].as_str(), meta["property"].as_str()),
        (Some("ITF"), Some("no_deadlock"))
    );
    let again = run(meta["schedule"].as_str().expect("a schedule"));
    assert_eq!(again.states.last(), run(SEED).states.last());
    assert!(file.get("loop").is_none(), "no lasso, no loop");
}

#[test]
fn a_lasso_says_where_it_returns_to() {
    let mut lasso = run(SEED);
    lasso.trace.loops_to = Some(4);
    let file: Value = serde_json::from_str(&itf(&lasso)).expect("it is JSON");
    assert_eq!(file["loop"].as_u64(), Some(4));
}

#[test]
#[should_panic(expected = "is no expression of the format")]
fn a_plain_number_is_noticed() {
    obeys_the_format(r#"{"vars": ["x"], "states": [{"x": 1}]}"#);
}

#[test]
#[should_panic(expected = "a member for every variable")]
fn a_missing_variable_is_noticed() {
    obeys_the_format(r##"{"vars": ["x", "y"], "states": [{"x": {"#bigint": "1"}}]}"##);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn random_runs_read_back_as_they_were(run in runs()) {
        reads_back_as_it_was(&run);
        obeys_the_format(&itf(&run));
    }
}
