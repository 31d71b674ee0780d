//! Chrome trace JSON against its documented shape, rule by rule.

use super::{ANSWERED, KNOWN, SEED, run, runs};
use proptest::prelude::*;
use serde_json::{Value, json};
use shootdown_refinement::export::perfetto::{events, perfetto};
use std::collections::{BTreeMap, BTreeSet};

type Check = Result<(), String>;
/// Category, name, id.
type Id = (String, String, String);
/// Process and thread.
type Lane = (u64, u64);

fn number(event: &Value, field: &str) -> Result<f64, String> {
    event[field]
        .as_f64()
        .ok_or_else(|| format!("no number `{field}` in {event}"))
}

fn word<'a>(event: &'a Value, field: &str) -> Result<&'a str, String> {
    event[field]
        .as_str()
        .ok_or_else(|| format!("no text `{field}` in {event}"))
}

/// The rules of the format, as Perfetto's importer and the format's description have them.
fn obeys_the_format(events: &[Value]) -> Check {
    let mut lanes: BTreeMap<Lane, Vec<(f64, f64)>> = BTreeMap::new();
    let mut named = BTreeSet::new();
    let mut flows: BTreeMap<Id, [Vec<(f64, Lane)>; 2]> = BTreeMap::new();
    let mut async_open: BTreeMap<Id, Vec<f64>> = BTreeMap::new();
    let must = |good: bool, what: &str, event: &Value| match good {
        true => Ok(()),
        false => Err(format!("{what}: {event}")),
    };
    for event in events {
        let lane = (number(event, "pid")? as u64, number(event, "tid")? as u64);
        must(
            event["pid"].is_u64() && event["tid"].is_u64(),
            "ids are integers",
            event,
        )?;
        let name = word(event, "name")?.to_string();
        let id = || -> Result<_, String> {
            Ok((
                word(event, "cat")?.to_string(),
                name.clone(),
                word(event, "id")?.to_string(),
            ))
        };
        match word(event, "ph")? {
            "M" => {
                let field = match name.as_str() {
                    "process_name" | "thread_name" => "name",
                    "process_sort_index" | "thread_sort_index" => "sort_index",
                    _ => return Err(format!("no metadata is called so: {event}")),
                };
                must(
                    !event["args"][field].is_null(),
                    "metadata says it in its arguments",
                    event,
                )?;
                if name == "thread_name" {
                    must(named.insert(lane), "a lane is named once", event)?;
                }
            }
            "X" => {
                let (from, length) = (number(event, "ts")?, number(event, "dur")?);
                must(from >= 0.0 && length > 0.0, "a slice lasts", event)?;
                lanes.entry(lane).or_default().push((from, from + length));
            }
            ph @ ("s" | "f") => {
                must(
                    ph == "s" || event["bp"] == json!("e"),
                    "an arrow ends in the slice around it",
                    event,
                )?;
                let ends = flows.entry(id()?).or_default();
                ends[usize::from(ph == "f")].push((number(event, "ts")?, lane));
            }
            "b" => async_open
                .entry(id()?)
                .or_default()
                .push(number(event, "ts")?),
            "e" => {
                let from = async_open.get_mut(&id()?).and_then(Vec::pop);
                let ends_later =
                    from.is_some_and(|from| from <= event["ts"].as_f64().unwrap_or(-1.0));
                must(
                    ends_later,
                    "an asynchronous event ends after it began",
                    event,
                )?;
            }
            "i" => must(
                matches!(word(event, "s")?, "t" | "p" | "g"),
                "an instant has a scope",
                event,
            )?,
            "C" => {
                let values = event["args"]
                    .as_object()
                    .into_iter()
                    .flat_map(|a| a.values());
                let values: Vec<_> = values.collect();
                must(
                    !values.is_empty() && values.iter().all(|v| v.is_number()),
                    "a counter counts",
                    event,
                )?;
            }
            ph => return Err(format!("no phase is called {ph}")),
        }
    }
    if let Some((id, _)) = async_open.iter().find(|(_, open)| !open.is_empty()) {
        return Err(format!("an asynchronous event never ends: {id:?}"));
    }
    for (lane, slices) in &lanes {
        if !named.contains(lane) {
            return Err(format!("lane {lane:?} has no name"));
        }
        for (i, a) in slices.iter().enumerate() {
            for b in &slices[i + 1..] {
                let apart = a.1 <= b.0 || b.1 <= a.0;
                let nested = (a.0 <= b.0 && b.1 <= a.1) || (b.0 <= a.0 && a.1 <= b.1);
                if !apart && !nested {
                    return Err(format!("slices of lane {lane:?} cross: {a:?} and {b:?}"));
                }
            }
        }
    }
    for (id, [starts, ends]) in &flows {
        let ([start], [end]) = (starts.as_slice(), ends.as_slice()) else {
            return Err(format!(
                "an arrow has {} starts and {} ends: {id:?}",
                starts.len(),
                ends.len()
            ));
        };
        if start.0 > end.0 {
            return Err(format!("an arrow goes back in time: {id:?}"));
        }
        for (at, lane) in [start, end] {
            let inside = lanes
                .get(lane)
                .is_some_and(|l| l.iter().any(|(a, b)| a <= at && at <= b));
            if !inside {
                return Err(format!("an arrow ends in no slice: {id:?} at {at}"));
            }
        }
    }
    Ok(())
}

#[test]
fn known_runs_obey_the_format() {
    for schedule in KNOWN {
        obeys_the_format(&events(&run(schedule))).unwrap_or_else(|e| panic!("{schedule}: {e}"));
    }
}

#[test]
fn the_file_says_that_its_clock_counts_steps() {
    let file: Value = serde_json::from_str(&perfetto(&run(SEED))).expect("it is JSON");
    assert_eq!(file["displayTimeUnit"], "ns");
    assert!(
        file["otherData"]["clock"]
            .as_str()
            .is_some_and(|c| c.starts_with("model steps"))
    );
    assert_eq!(
        file["traceEvents"].as_array().map(Vec::len),
        Some(events(&run(SEED)).len())
    );
}

#[test]
fn the_seed_has_its_locks_waits_and_an_ipi_without_an_answer() {
    let events = events(&run(SEED));
    let lane = |name: &str| {
        let named =
            |e: &&Value| e["name"] == json!("thread_name") && e["args"]["name"] == json!(name);
        let found = events
            .iter()
            .find(named)
            .unwrap_or_else(|| panic!("no lane {name}"));
        (found["pid"].clone(), found["tid"].clone())
    };
    let slices = |(pid, tid): (Value, Value)| -> Vec<(String, u64, u64)> {
        let of = events
            .iter()
            .filter(|e| e["ph"] == json!("X") && e["pid"] == pid && e["tid"] == tid);
        of.map(|e| {
            let n = |f: &str| e[f].as_u64().expect("a number");
            (
                e["name"].as_str().expect("a name").to_string(),
                n("ts"),
                n("dur"),
            )
        })
        .collect()
    };
    // By hand, from the columns of the README: CPU1 takes page_table_lock in step 2 and keeps it to the end (11 steps,
    // and one behind them); CPU0 takes pgd_lock in step 9.
    assert_eq!(
        slices(lane("mm0.page_table_lock")),
        [("CPU1".to_string(), 2, 10)]
    );
    assert_eq!(slices(lane("pgd_lock")), [("CPU0".to_string(), 9, 3)]);
    assert!(
        !events.iter().any(|e| e["ph"] == json!("s")),
        "no handler took the IPI: no arrow"
    );
    let sent = events
        .iter()
        .find(|e| e["ph"] == json!("b"))
        .expect("an IPI was sent");
    assert_eq!(sent["args"]["acknowledged"], json!("never, in this run"));
    let counted: Vec<_> = events
        .iter()
        .filter(|e| e["ph"] == json!("C"))
        .map(|e| &e["args"]["pending"])
        .collect();
    assert_eq!(counted, [&json!(0), &json!(1)]);
    let violated = events
        .iter()
        .find(|e| e["ph"] == json!("i"))
        .expect("it is a counterexample");
    assert_eq!(
        (&violated["name"], &violated["s"]),
        (&json!("no_deadlock is violated"), &json!("g"))
    );
}

#[test]
fn an_ipi_that_is_answered_has_two_arrows() {
    let events = events(&run(ANSWERED));
    let count = |ph: &str| events.iter().filter(|e| e["ph"] == json!(ph)).count();
    assert_eq!(
        (count("s"), count("f"), count("b"), count("e")),
        (2, 2, 1, 1)
    );
}

/// What the complaint says, and how to earn it.
type Break<'a> = (&'a str, &'a dyn Fn(&mut Vec<Value>));

/// Each of these breaks one rule, so each must be noticed: the check can fail.
#[test]
fn a_trace_that_breaks_a_rule_is_noticed() {
    let right = events(&run(ANSWERED));
    obeys_the_format(&right).expect("the unbroken one is fine");
    let first = |ph: &str| {
        right
            .iter()
            .position(|e| e["ph"] == json!(ph))
            .expect("there is one")
    };
    let breaks: [Break<'_>; 8] = [
        ("no number `dur`", &|e| {
            e[first("X")]
                .as_object_mut()
                .expect("an object")
                .remove("dur");
        }),
        ("cross", &|e| {
            let mut crossing = e[first("X")].clone();
            crossing["ts"] = json!(crossing["ts"].as_u64().unwrap_or(0) + 2);
            e.push(crossing);
        }),
        ("0 ends", &|e| {
            e.remove(first("f"));
        }),
        ("goes back in time", &|e| e[first("f")]["ts"] = json!(0)),
        ("never ends", &|e| {
            e.remove(first("e"));
        }),
        ("has no name", &|e| {
            e.retain(|e| e["name"] != json!("thread_name"))
        }),
        ("a counter counts", &|e| e[first("C")]["args"] = json!({})),
        ("has a scope", &|e| {
            e.push(json!({"ph": "i", "name": "x", "pid": 1, "tid": 1, "ts": 0, "s": "x"}))
        }),
    ];
    for (wanted, change) in breaks {
        let mut broken = right.clone();
        change(&mut broken);
        let error = obeys_the_format(&broken).expect_err(wanted);
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn random_runs_obey_the_format(run in runs()) {
        prop_assert_eq!(obeys_the_format(&events(&run)), Ok(()));
    }
}
