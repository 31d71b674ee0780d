//! What is written down for every cell of the grid, and what a table must say of it.

use shootdown_refinement::review::word::{Word, word};
use shootdown_spec::verdict::Verdict;

/// What is expected of a cell of the grid.
pub struct Cell {
    pub design: String,
    pub env: String,
    pub workload: String,
    pub states: u64,
    pub violated: Vec<String>,
    pub vacuous: Vec<String>,
}

pub fn grid() -> Vec<Cell> {
    let file: toml::Table = include_str!("../../expectations.toml").parse().unwrap();
    let text = |cell: &toml::Value, field: &str| cell[field].as_str().unwrap().to_string();
    let names = |cell: &toml::Value, field: &str| {
        let list = cell[field].as_array().unwrap();
        list.iter()
            .map(|n| n.as_str().unwrap().to_string())
            .collect()
    };
    let cells = file["grid"].as_array().unwrap().iter();
    cells
        .map(|cell| Cell {
            design: text(cell, "design"),
            env: text(cell, "env"),
            workload: text(cell, "workload"),
            states: cell["states"].as_integer().unwrap() as u64,
            violated: names(cell, "violated"),
            vacuous: names(cell, "vacuous"),
        })
        .collect()
}

impl Cell {
    /// What is told of it: its violated properties, but for what goes without saying beside a deadlock.
    pub fn told(&self) -> Vec<&str> {
        let hangs = self.violated.iter().any(|p| p == "no_deadlock");
        let told = self.violated.iter().map(String::as_str);
        told.filter(|p| !(hangs && *p == "progress")).collect()
    }

    /// Its word.
    pub fn word(&self) -> Word {
        let vacuous = self.vacuous.iter().any(|p| p == "no_deadlock");
        let deadlock = if vacuous {
            Verdict::Vacuous
        } else {
            Verdict::Holds
        };
        word(&self.told(), Some(deadlock), true, &self.workload)
    }
}
