//! The run document: of both subjects, with choices, checks and fates.

use super::server::{DEADLOCK, Server};
use serde_json::Value;

fn steps(run: &Value) -> Vec<Value> {
    run["steps"].as_array().expect("a list").clone()
}

/// Holds of every run document.
fn is_consistent(run: &Value) {
    assert_eq!(run["schema"], "shootdown/run/1");
    let states = run["states"].as_array().expect("a list");
    assert_eq!(states.len(), steps(run).len() + 1);
    for state in states {
        assert_eq!(
            state["cpus"].as_array().map(Vec::len),
            run["cpus"].as_u64().map(|n| n as usize)
        );
        for choice in state["choices"].as_array().into_iter().flatten() {
            let enabled = choice["enabled"] == true;
            assert_eq!(enabled, choice["guard"].is_null(), "{choice}");
            assert_eq!(enabled, choice["schedule"].is_string(), "{choice}");
            assert_eq!(enabled, choice["hash"].is_string(), "{choice}");
            if let Some(guard) = choice["guard"].as_str() {
                assert!(!guard.is_empty(), "{choice}");
            }
        }
    }
    // Every step is one of the choices before it.
    for (i, state) in states.iter().enumerate() {
        let Some(choices) = state["choices"].as_array() else {
            continue;
        };
        let taken: Vec<_> = choices.iter().filter(|c| c["taken"] == true).collect();
        assert_eq!(taken.len(), usize::from(i + 1 < states.len()));
        if let Some(taken) = taken.first() {
            assert_eq!(taken["hash"], states[i + 1]["hash"]);
        }
    }
}

#[test]
fn the_deadlock_of_2011_is_told_whole() {
    let server = Server::start(&[]);
    let run = server.api("/api/run", &[("schedule", DEADLOCK)]);
    is_consistent(&run);
    assert_eq!(run["schedule"], DEADLOCK);
    let steps = steps(&run);
    assert_eq!(steps.len(), 11);
    assert_eq!(steps[1]["source"], "spin_lock(&mm->page_table_lock)");
    assert_eq!(steps[1]["function"], "page_referenced_one");
    assert_eq!(steps[2]["note"], "was young: must flush");
    assert_eq!(steps[10]["source"], "spin_lock(pgt_lock)");
    let last = &run["states"][11];
    assert_eq!(
        last["wait_for"]["cycle"],
        serde_json::json!(["CPU1", "CPU0"])
    );
    let sentence = last["wait_for"]["sentence"].as_str().expect("a sentence");
    assert!(sentence.contains("awaits CPU0's ack"), "{sentence}");
    assert!(sentence.contains("interrupts off"), "{sentence}");
    let cpu0 = &last["cpus"][0];
    assert_eq!(cpu0["irqs_on"], false);
    assert_eq!(
        cpu0["contexts"][0]["holds"],
        serde_json::json!(["pgd_lock"])
    );
    assert_eq!(cpu0["contexts"][0]["waits"]["kind"], "lock");
    assert_eq!(cpu0["contexts"][0]["waits"]["on"], "mm0.page_table_lock");
    assert_eq!(
        cpu0["pending"][0]["why_not_taken"],
        "interrupts are off (IF=0)"
    );
    assert_eq!(last["cpus"][1]["contexts"][0]["waits"]["kind"], "acks");
    assert_eq!(last["cpus"][1]["acks_from"], serde_json::json!([0]));
    // The IPI was sent in the fifth step and never taken.
    let ipi = &run["ipis"][0];
    assert_eq!(
        (ipi["from"].as_u64(), ipi["to"].as_u64()),
        (Some(1), Some(0))
    );
    assert!(ipi["sent"].is_u64() && ipi["delivered"].is_null() && ipi["acked"].is_null());
    assert_eq!(ipi["why_pending"], "interrupts are off (IF=0)");
    // Nobody can move but the hardware walker, and everybody has a reason.
    for choice in run["choices"].as_array().expect("a list") {
        assert!(
            choice["enabled"] == false || choice["kind"] == "fill",
            "{choice}"
        );
    }
    let violations = run["violations"].as_array().expect("a list");
    let deadlock = violations
        .iter()
        .find(|v| v["property"] == "no_deadlock")
        .expect("told");
    assert_eq!(deadlock["state"], 11);
    assert_eq!(deadlock["title"], "DEADLOCK");
    server.stop();
}

#[test]
fn a_choice_leads_where_it_says() {
    let server = Server::start(&[]);
    for subject in ["spec", "impl"] {
        let run = server.api(
            "/api/run",
            &[("schedule", DEADLOCK), ("subject", subject), ("at", "3")],
        );
        is_consistent(&run);
        assert_eq!(run["at"], 3);
        let enabled = run["choices"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|c| c["enabled"] == true);
        let mut n = 0;
        for choice in enabled {
            let schedule = choice["schedule"].as_str().expect("text");
            let then = server.api("/api/run", &[("schedule", schedule), ("subject", subject)]);
            is_consistent(&then);
            assert_eq!(
                then["steps"].as_array().map(Vec::len),
                Some(4),
                "{schedule}"
            );
            assert_eq!(then["states"][4]["hash"], choice["hash"], "{schedule}");
            n += 1;
        }
        assert!(n >= 2, "somebody can move");
    }
    server.stop();
}

#[test]
fn a_link_that_is_not_of_this_run_is_reported() {
    let server = Server::start(&[]);
    for subject in ["spec", "impl"] {
        let ask = |hashes: &str| {
            let params = [
                ("schedule", DEADLOCK),
                ("subject", subject),
                ("hashes", hashes),
            ];
            server.api("/api/run", &params)["mismatch"].clone()
        };
        let run = server.api("/api/run", &[("schedule", DEADLOCK), ("subject", subject)]);
        let states = run["states"].as_array().expect("a list");
        let hash = |s: &Value| s["hash"].as_str().expect("text")[..4].to_string();
        let hashes: Vec<String> = states.iter().map(hash).collect();
        assert_eq!(ask(&hashes.join(".")), Value::Null);
        assert_eq!(ask(""), Value::Null);
        // One digit of one state.
        let mut wrong = hashes.clone();
        wrong[5] = format!(
            "{:04x}",
            u16::from_str_radix(&wrong[5], 16).expect("hex") ^ 1
        );
        let mismatch = ask(&wrong.join("."));
        assert_eq!(mismatch["state"], 5);
        assert_eq!(
            mismatch["found"].as_str().map(|h| &h[..4]),
            Some(&*hashes[5])
        );
        // More states than the run has.
        let longer = ask(&format!("{}.abcd", hashes.join(".")));
        assert!(
            longer["state"] == states.len() && longer["found"].is_null(),
            "{longer}"
        );
    }
    let odd = server.get("/api/run?schedule=x&hashes=zz");
    assert_eq!(odd.code, 400);
    server.stop();
}

#[test]
fn a_schedule_that_does_not_fit_is_told_as_far_as_it_goes() {
    let server = Server::start(&[]);
    let longer = DEADLOCK.replace("0*5;", "0*9;");
    for subject in ["spec", "impl"] {
        let run = server.api("/api/run", &[("schedule", &longer), ("subject", subject)]);
        is_consistent(&run);
        let refused = &run["refused"];
        assert_eq!(refused["cpu"], 0);
        assert_eq!(refused["step"], steps(&run).len() + 1);
        let guard = refused["guard"].as_str().expect("a guard");
        assert!(guard.contains("page_table_lock"), "{subject}: {guard}");
    }
    for (bad, code) in [
        ("", 400),
        ("nonsense", 400),
        ("v2.6.37;cpus=2", 400),
        ("v2.6.37;cpus=9,mms=1;workload=aging;start=mm0,mm0;;", 400),
        (
            "v2.6.37;cpus=2,mms=1;workload=aging;start=mm0,mm0;0*65000;",
            422,
        ),
    ] {
        let answer = server.get(&super::server::address("/api/run", &[("schedule", bad)]));
        assert_eq!(answer.code, code, "{bad}: {}", answer.body);
        let error = &answer.json()["error"];
        assert!(
            error["message"].is_string() && error["hint"].is_string(),
            "{error}"
        );
    }
    // The code has no deviations.
    let deviating = DEADLOCK.replace(";start=", ";variants=lost-ack;start=");
    let answer = server.get(&super::server::address(
        "/api/run",
        &[("schedule", &deviating), ("subject", "impl")],
    ));
    assert_eq!(answer.code, 422, "{}", answer.body);
    server.stop();
}

#[test]
fn the_real_code_deadlocks_too_and_says_what_it_did() {
    let server = Server::start(&[]);
    let found = server
        .events(
            "/api/find",
            &[
                ("subject", "impl"),
                ("config", DEADLOCK),
                ("property", "no_deadlock"),
            ],
        )
        .wait_for("found");
    assert_eq!(found["verdict"], "violated");
    let schedule = found["schedule"].as_str().expect("a run");
    let run = server.api("/api/run", &[("subject", "impl"), ("schedule", schedule)]);
    is_consistent(&run);
    assert_eq!(run["subject"], "impl");
    assert_eq!(run["misfit"], Value::Null);
    let last = run["states"]
        .as_array()
        .expect("a list")
        .last()
        .expect("a state")
        .clone();
    assert!(last["wait_for"]["sentence"].is_string());
    // Somewhere it announced the operations that the protocol has as one step.
    let operations = steps(&run)
        .iter()
        .filter(|s| s["operation"].is_string())
        .count();
    assert!(operations > 5, "{run}");
    // The same with the prefix that the command line prints.
    let code = format!("code:{schedule}");
    let again = server.api("/api/run", &[("schedule", &code)]);
    assert_eq!(again["subject"], "impl");
    server.stop();
}

#[test]
fn in_no_state_of_a_counterexample_does_a_cpu_wait_without_a_wait_in_the_graph() {
    let server = Server::start(&[]);
    let configs = [
        ("v2.6.37", "split+thp", "aging", "no_deadlock"),
        (
            "v2.6.37",
            "split+thp",
            "aging",
            "no_lock_held_across_ipi_wait",
        ),
        (
            "v2.6.38",
            "split+thp",
            "aging",
            "no_lock_held_across_ipi_wait",
        ),
        ("v2.6.37", "nosplit", "unmapping", "no_deadlock"),
    ];
    let mut waits = 0;
    for (design, env, workload, property) in configs {
        let params = [
            ("design", design),
            ("env", env),
            ("workload", workload),
            ("property", property),
        ];
        let found = server.events("/api/find", &params).wait_for("found");
        let schedule = found["schedule"]
            .as_str()
            .unwrap_or_else(|| panic!("{params:?}: {found}"));
        let run = server.api("/api/run", &[("schedule", schedule)]);
        for (n, state) in run["states"].as_array().expect("a list").iter().enumerate() {
            let edges = state["wait_for"]["edges"].as_array().expect("a list");
            let from = |name: &str| edges.iter().any(|e| e["from"] == *name);
            for cpu in state["cpus"].as_array().expect("a list") {
                let name = cpu["name"].as_str().expect("a name");
                let awaits = &cpu["contexts"][0]["waits"]["kind"];
                if awaits == "acks" {
                    waits += 1;
                    let irq = format!("{name}.irq");
                    assert!(from(name) || from(&irq), "{params:?}, state {n}: {name}");
                }
            }
        }
    }
    assert!(waits > 10, "{waits}");
    server.stop();
}
