//! Informal Trace Format: what Apalache writes, Quint reads, and model-based testing tools take.
//!
//! A variable for each cell of the machine: declared variables under their names (elements and CPUs behind an underscore),
//! where each context stands (`at_NAME_CPU`, the file's line, 0 while it does not run), the flags of each CPU, locks by
//! the number of their taker. `mbt::actionTaken` says whose step it was.

use serde_json::{Map, Value, json};
use shootdown_ir::eval::Cells as _;
use shootdown_ir::report::Story;
use shootdown_ir::system::{CellId, What};

/// The run as ITF.
///
/// # Panics
/// Never: JSON serializes.
pub fn itf(story: &Story<'_>) -> String {
    let system = story.machine().system();
    let places: Vec<CellId> = system.contexts.iter().map(|c| c.place).collect();
    let mut vars: Vec<String> = system.cells.iter().map(|c| c.name.clone()).collect();
    vars.push("mbt::actionTaken".to_string());
    let records = story.records();
    let states: Vec<Value> = (0usize..=story.end())
        .map(|n: usize| {
            let view = story.view(n);
            let mut state = Map::new();
            let step = n.checked_sub(1).map(|i| &records[i]);
            let told = step.map_or("start".to_string(), |s| {
                format!("CPU{}, {}: {}", s.cpu, s.source, s.statement)
            });
            state.insert("#meta".to_string(), json!({ "index": n, "step": told }));
            for (i, cell) in system.cells.iter().enumerate() {
                let id = CellId(i as u32);
                let context = places.iter().position(|&p| p == id);
                let value = match context {
                    Some(c) => {
                        let context = shootdown_ir::system::ContextId(c as u32);
                        let line = story.stands_at(n, context);
                        line.map_or(0, |(pc, l)| match l.span.line {
                            0 => pc as i64 + 1,
                            line => i64::from(line),
                        })
                    }
                    None => view.cell(id),
                };
                state.insert(cell.name.clone(), json!({ "#bigint": value.to_string() }));
            }
            let action = n.checked_sub(1).map(|i| story.step(i));
            let action = action.map_or("init".to_string(), |step| {
                let verb = match step.what {
                    What::Start => "start ",
                    What::Drain => "a store reaches memory: ",
                    What::Op | What::Granted => "",
                    What::Switch => "switch to ",
                    What::End => "end ",
                };
                format!("{verb}{}", story.named(step.context))
            });
            state.insert("mbt::actionTaken".to_string(), json!(action));
            Value::Object(state)
        })
        .collect();
    let mut trace = json!({
        "#meta": {
            "format": "ITF",
            "format-description": "https://apalache-mc.org/docs/adr/015adr-trace.html",
            "source": story.protocol().file,
            "scenario": story.protocol().name,
            "schedule": story.schedule(),
            "version": env!("CARGO_PKG_VERSION"),
            "status": if story.property().is_some() { "violation" } else { "ok" },
            "property": story.property(),
        },
        "vars": vars,
        "states": states,
    });
    if let Some(to) = story.loops_to() {
        trace["loop"] = json!(to);
    }
    serde_json::to_string_pretty(&trace).expect("JSON serializes") + "\n"
}
