//! What the page shows as status: the verdicts of this project's own search.

use serde_json::{Value, json};
use shootdown_spec::check::{CheckResult, check};
use shootdown_spec::model::Protocol;
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::search::{Options, Progress};
use shootdown_spec::state::State;
use shootdown_spec::trace::Trace;
use shootdown_spec::verdict::Verdict;
use stateright::Model;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// A check that runs beside the server.
pub(super) struct Status {
    protocol: Protocol,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    progress: Option<Progress>,
    result: Option<CheckResult>,
    /// By property: the path of indices of its counterexample.
    paths: Vec<Option<String>>,
}

impl Status {
    /// Starts checking; `stop` ends it.
    pub(super) fn start(protocol: Protocol, stop: Arc<AtomicBool>) -> Status {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (model, mine) = (protocol.clone(), shared.clone());
        std::thread::spawn(move || {
            let told = mine.clone();
            let options = Options {
                cancel: stop,
                // The page must stay quick on two cores, and the machine alive.
                max_memory: Some(4 << 30),
                progress: Some(Arc::new(move |p: &Progress| {
                    lock(&told).progress = Some(p.clone());
                })),
                ..Options::default()
            };
            let result = check(&model, &options);
            let path = |p: &shootdown_spec::verdict::PropertyResult| {
                indices(&model, &p.counterexample.as_ref()?.trace)
            };
            let paths = result.properties.iter().map(path).collect();
            let mut shared = lock(&mine);
            (shared.result, shared.paths) = (Some(result), paths);
        });
        Status { protocol, shared }
    }

    /// `/.status` in the Explorer's own shape.
    pub(super) fn json(&self) -> Vec<u8> {
        let shared = lock(&self.shared);
        let config = &self.protocol.config;
        let (done, generated, unique, depth) = match (&shared.result, &shared.progress) {
            (Some(r), _) => (
                r.complete,
                r.states.generated,
                r.states.unique,
                r.states.depth,
            ),
            (None, Some(p)) => (false, p.generated, p.unique, p.depth as u64),
            (None, None) => (false, 0, 0, 0),
        };
        let status = json!({
            "done": done,
            "model": format!("{} | {} | {}", config.design, config.environment, config.workload),
            "state_count": generated,
            "unique_state_count": unique,
            "max_depth": depth,
            "properties": properties(&shared),
            "recent_path": "",
        });
        status.to_string().into_bytes()
    }

    /// Puts our verdicts where the Explorer has its own in an answer of `/.states`, and the
    /// statement a step executes where it says only whose step it is.
    pub(super) fn annotate(&self, body: &[u8]) -> Vec<u8> {
        let Ok(Value::Array(mut views)) = serde_json::from_slice::<Value>(body) else {
            return body.to_vec();
        };
        let properties = properties(&lock(&self.shared));
        for view in &mut views {
            if view.get("properties").is_some() {
                view["properties"] = properties.clone();
            }
            // Only an initial state has no action.
            if view.get("action").is_none()
                && let Some(start) = self.start_of(&view["actionIndex"])
            {
                view["action"] = start.into();
            }
            if let Some(statement) = view["outcome"].as_str().and_then(statement) {
                view["action"] = statement.into();
            }
        }
        Value::Array(views).to_string().into_bytes()
    }
}

impl Status {
    /// `start: CPU0 on mm0, CPU1 on none` of an initial state.
    fn start_of(&self, index: &Value) -> Option<String> {
        let config = &self.protocol.config;
        let start = config.starts().get(index.as_u64()? as usize)?;
        let cpus = start.iter().take(config.cpus()).enumerate();
        let cpus: Vec<_> = cpus.map(|(cpu, mm)| format!("CPU{cpu} on {mm}")).collect();
        Some(format!("start: {}", cpus.join(", ")))
    }
}

/// A poisoned lock only means that the check panicked: what it had told is still true.
fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(|e| e.into_inner())
}

/// `CPU0: spin_lock(pgt_lock)` of an outcome that starts
/// `CPU0 steps: spin_lock(pgt_lock)  /* … */`.
fn statement(outcome: &str) -> Option<String> {
    let (cpu, source) = outcome.lines().next()?.split_once(" steps: ")?;
    let source = source.split("  /*").next().unwrap_or(source);
    Some(format!("{cpu}: {source}"))
}

/// Expectation, name with verdict, and the path to the counterexample, as the page wants them.
fn properties(shared: &Shared) -> Value {
    let rows = PROPERTIES.iter().enumerate().map(|(i, p)| {
        let verdict = shared.result.as_ref().map(|r| r.properties[i].verdict);
        match verdict {
            // The page knows no third verdict: "Example not found: Sometimes …" is what it is.
            Some(Verdict::Vacuous) => {
                json!([
                    "Sometimes",
                    format!("a witness of {}: vacuous", p.name),
                    null
                ])
            }
            _ => json!(["Always", p.name, shared.paths.get(i).cloned().flatten()]),
        }
    });
    rows.collect()
}

/// The run as the indices by which the Explorer addresses it.
fn indices(protocol: &Protocol, trace: &Trace) -> Option<String> {
    let states: Vec<State> = trace.states(protocol).ok()?;
    let first = protocol
        .init_states()
        .iter()
        .position(|s| *s == states[0])?;
    let mut path = first.to_string();
    for (state, action) in states.iter().zip(&trace.actions) {
        let mut actions = Vec::new();
        protocol.actions(state, &mut actions);
        path += &format!("/{}", actions.iter().position(|a| a == action)?);
    }
    Some(path)
}
