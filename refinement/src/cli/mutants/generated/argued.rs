//! Why what is not caught need not be: `refinement/argued.toml`.

use super::campaign::Fault;
use serde::Deserialize;
use std::sync::LazyLock;

/// An argument, and the faults it is about: those that have everything that is given.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Argued {
    /// The program.
    #[serde(default)]
    program: Option<String>,
    /// The statement.
    #[serde(default)]
    statement: Option<String>,
    /// What the step is.
    #[serde(default)]
    op: Option<String>,
    /// Part of the step's guard.
    #[serde(default)]
    when: Option<String>,
    /// Part of what is changed.
    #[serde(default)]
    change: Option<String>,
    /// Why it is right that nobody notices.
    pub(super) why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    argued: Vec<Argued>,
}

static ALL: LazyLock<Vec<Argued>> = LazyLock::new(|| {
    let text = include_str!("../../../../argued.toml");
    let file: File = toml::from_str(text).unwrap_or_else(|e| panic!("refinement/argued.toml: {e}"));
    file.argued
});

impl Argued {
    /// The first argument about the fault.
    pub(super) fn of(fault: &Fault) -> Option<&'static Argued> {
        ALL.iter().find(|a| a.is_about(fault))
    }

    /// All of them.
    pub(super) fn all() -> &'static [Argued] {
        &ALL
    }

    /// Is it about clauses, which are all tried, or about edits that are drawn now and then?
    pub(super) fn is_of_a_clause(&self) -> bool {
        self.change.as_deref().is_none_or(|c| c.contains("clause"))
    }

    /// What it is about, in words.
    pub(super) fn about(&self) -> String {
        let parts = [
            &self.program,
            &self.statement,
            &self.op,
            &self.when,
            &self.change,
        ];
        let parts: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
        parts.join(", ")
    }

    fn is_about(&self, fault: &Fault) -> bool {
        let is = |want: &Option<String>, has: &str| want.as_deref().is_none_or(|w| w == has);
        let has =
            |want: &Option<String>, all: &str| want.as_deref().is_none_or(|w| all.contains(w));
        is(&self.program, fault.spot.program)
            && is(&self.statement, fault.spot.statement)
            && is(&self.op, &fault.spot.op)
            && has(&self.when, &fault.spot.when)
            && has(
                &self.change,
                &format!("{}: {}", fault.change.kind(), fault.change),
            )
    }
}
