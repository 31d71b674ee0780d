//! One word and one colour for what a cell of the table of verdicts came to: the page, the report, the README and the
//! terminal all ask here.

use serde::Serialize;
use shootdown_spec::verdict::Verdict;

use super::short::short;

/// The workload that runs every program: what a column may run less of only if it says so.
const WHOLE: &str = "everything";

/// Rules about waiting. Broken, nothing hangs by that alone: a design may break one on purpose.
const RULES: &[&str] = &[
    "no_lock_held_across_ipi_wait",
    "no_irqs_off_wait_for_flush_lock",
    "irqs_on_while_waiting_for_ipi",
    "lock_order",
];

/// What a cell came to: its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Every program ran, to the end, and nothing is violated.
    Holds,
    /// Nothing is violated by the programs that ran, and not every program did.
    Partial,
    /// It was cut off, and nothing is violated as far as it went.
    Incomplete,
    /// Only rules are broken.
    Rule,
    /// Something hangs, or is corrupted.
    Violated,
}

/// What a cell came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Word {
    /// Its colour.
    pub kind: Kind,
    /// What is said beside the violated properties, or in their place.
    pub note: String,
}

/// Does a column with this workload leave programs out?
pub fn is_partial(workload: &str) -> bool {
    workload != WHOLE
}

/// The head of a column: what ran, if not everything.
pub fn head(env: &str, workload: &str) -> String {
    match is_partial(workload) {
        true => format!("{env} ({workload} only)"),
        false => env.to_string(),
    }
}

/// What a column that ran less is worth, for below a table; nothing if there is none.
pub fn footnote<'a>(columns: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let partial: Vec<String> = columns
        .filter(|(_, workload)| is_partial(workload))
        .map(|(env, workload)| format!("`{env}` ran `{workload}` and no other program"))
        .collect();
    let (first, several) = (partial.first()?, partial.join("; "));
    let _ = first;
    Some(format!(
        "*Partial*: {several}. What is violated there is violated; what is not may be by another program, as \
         `shootdown check --design woodman --env 3-cpus --workload unmapping` and `shootdown check --design deferred \
         --env 3-cpus --workload reclaim-vs-munmap` show."
    ))
}

impl Kind {
    /// Of a cell in which these properties are violated.
    pub fn of<'a>(
        violated: impl IntoIterator<Item = &'a str>,
        complete: bool,
        workload: &str,
    ) -> Kind {
        let worst = violated
            .into_iter()
            .map(|name| match RULES.contains(&name) {
                true => Kind::Rule,
                false => Kind::Violated,
            });
        match worst.max() {
            Some(worst) => worst,
            None if !complete => Kind::Incomplete,
            None if is_partial(workload) => Kind::Partial,
            None => Kind::Holds,
        }
    }
}

/// Of a cell of the table: with its violated properties, the verdict on `no_deadlock`, whether it was explored to its end,
/// and what ran.
pub fn word(violated: &[&str], deadlock: Option<Verdict>, complete: bool, workload: &str) -> Word {
    let kind = Kind::of(violated.iter().copied(), complete, workload);
    let partial = is_partial(workload);
    let note = match kind {
        Kind::Incomplete => "incomplete",
        Kind::Violated | Kind::Rule if !complete => "(incomplete)",
        Kind::Violated | Kind::Rule if partial => "(partial)",
        Kind::Violated | Kind::Rule => "",
        Kind::Partial => "none violated (partial)",
        // Nobody waited at all: that is not what a reader takes "holds" for.
        Kind::Holds if deadlock == Some(Verdict::Vacuous) => "holds, but deadlock vacuous",
        Kind::Holds => "holds",
    };
    Word {
        kind,
        note: note.to_string(),
    }
}

impl Word {
    /// In text: the violated properties, each as `name` has it, and the note.
    pub fn text<'a>(
        &self,
        violated: &[&'a str],
        name: impl Fn(&'a str, &'static str) -> String,
    ) -> String {
        let names = violated.iter().map(|v| name(v, short(v)));
        let note = Some(self.note.clone()).filter(|n| !n.is_empty());
        names.chain(note).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_less_than_everything_never_holds() {
        let told = |violated: &[&str], complete, workload| {
            let word = word(violated, Some(Verdict::Holds), complete, workload);
            (word.kind, word.text(violated, |_, short| short.to_string()))
        };
        assert_eq!(told(&[], true, "everything"), (Kind::Holds, "holds".into()));
        assert_eq!(
            told(&[], true, "aging"),
            (Kind::Partial, "none violated (partial)".into())
        );
        assert_eq!(
            told(&[], false, "aging"),
            (Kind::Incomplete, "incomplete".into())
        );
        let strict = ["no_lock_held_across_ipi_wait"];
        assert_eq!(
            told(&strict, true, "aging"),
            (Kind::Rule, "strict (partial)".into())
        );
        assert_eq!(
            told(&strict, false, "everything"),
            (Kind::Rule, "strict (incomplete)".into())
        );
        let hang = ["no_deadlock", "no_lock_held_across_ipi_wait"];
        assert_eq!(
            told(&hang, true, "everything"),
            (Kind::Violated, "deadlock strict".into())
        );
        assert_eq!(head("3-cpus", "aging"), "3-cpus (aging only)");
        assert_eq!(head("split", "everything"), "split");
    }
}
