//! Every edit of every kept trace: a copy that `validate` accepts is of a kind that stands in a written list
//! ([`reasons`]) with the reason why it is a run. Any other acceptance is a hole in the checker.
//!
//! `cargo test` judges a slice, another one each day; `SHOOTDOWN_EDITS=whole` all of them (CI does), and compares the
//! table in docs/validate.md, which `SHOOTDOWN_EDITS=write` writes; `SHOOTDOWN_EDITS=7/64` judges one slice.

#[path = "edits/every.rs"]
mod every;
#[path = "edits/reasons.rs"]
mod reasons;

use super::{judge, trace, traces};
use every::{Edit, Every, Slice};
use proptest::prelude::*;
use reasons::{REASONS, reason};
use shootdown_impl::host::trace::{Footer, Header, Line};
use shootdown_refinement::validate::Verdict;
use shootdown_refinement::validate::edited::{CannotEdit, Run};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Into how many slices the edits are cut.
const SLICES: usize = 64;

/// Of one kind of edit: how many copies, and how many of them are accepted.
#[derive(Clone, Copy, Default)]
struct Count {
    of: usize,
    accepted: usize,
}

/// By kind of edit and what it was done to.
type Counts = BTreeMap<(&'static str, String), Count>;

/// Kept traces that are accepted as they are.
fn accepted() -> Vec<(String, Run)> {
    let files = std::fs::read_dir(traces()).unwrap();
    let names = files.map(|f| f.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|n| n.ends_with(".ndjson")).collect();
    names.sort();
    let runs = names.into_iter().map(|name| {
        let run = Run::new(trace(&name).as_bytes());
        (name, run)
    });
    runs.filter_map(|(name, run)| Some((name, run.ok()?)))
        .collect()
}

/// Judges the edits of a run; those accepted without a reason are told.
fn judged(name: &str, run: &mut Run, slice: Slice) -> (Counts, Vec<String>) {
    let (header, lines) = (run.recorded.header.clone(), run.lines.clone());
    let (mut counts, mut holes) = (Counts::new(), Vec::new());
    let each = |edit: Edit<'_>| {
        let verdict = run.judge(edit.lines);
        if verdict == Verdict::Accepted && reason(edit.kind, &edit.what).is_none() {
            holes.push(format!(
                "{name}:{}: {}: {}",
                edit.at + 2,
                edit.what,
                edit.kind
            ));
        }
        let count = counts.entry((edit.kind, edit.what)).or_default();
        count.of += 1;
        count.accepted += usize::from(verdict == Verdict::Accepted);
    };
    Every {
        header: &header,
        lines: &lines,
        slice,
        met: 0,
        each,
    }
    .edit();
    (counts, holes)
}

/// Judges the edits of every kept trace.
fn all_judged(slice: Slice) -> (Counts, Vec<String>) {
    let (mut counts, mut holes) = (Counts::new(), Vec::new());
    let parts: Vec<_> = std::thread::scope(|s| {
        let start =
            |(name, mut run): (String, Run)| s.spawn(move || judged(&name, &mut run, slice));
        let threads: Vec<_> = accepted().into_iter().map(start).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for (part, more) in parts {
        for (key, count) in part {
            let sum = counts.entry(key).or_default();
            sum.of += count.of;
            sum.accepted += count.accepted;
        }
        holes.extend(more);
    }
    (counts, holes)
}

/// The part of docs/validate.md between the markers.
fn table(counts: &Counts) -> String {
    let mut kinds: BTreeMap<&str, Count> = BTreeMap::new();
    for ((kind, _), count) in counts {
        let sum = kinds.entry(kind).or_default();
        sum.of += count.of;
        sum.accepted += count.accepted;
    }
    let mut text = String::from("| edit | copies | accepted |\n|---|---|---|\n");
    for (kind, count) in &kinds {
        text += &format!("| {kind} | {} | {} |\n", count.of, count.accepted);
    }
    text += "\n| edit | of | accepted | of so many | why that is a run |\n|---|---|---|---|---|\n";
    for (kind, what, reason) in REASONS {
        let count = counts.get(&(*kind, what.to_string()));
        let Count { of, accepted } = count.copied().unwrap_or_default();
        text += &format!("| {kind} | {what} | {accepted} | {of} | {reason} |\n");
    }
    text
}

/// The page with that table in it.
fn page(counts: &Counts) -> (String, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/validate.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- edits:begin -->\n", "<!-- edits:end -->");
    let (head, rest) = page.split_once(begin).unwrap();
    let (_, tail) = rest.split_once(end).unwrap();
    let new = format!("{head}{begin}{}{end}{tail}", table(counts));
    (page, new)
}

#[test]
fn what_is_accepted_of_the_edits_stands_in_the_list_with_a_reason() {
    let asked = std::env::var("SHOOTDOWN_EDITS").unwrap_or_default();
    let whole = asked == "whole" || asked == "write";
    let slice = match asked.split_once('/') {
        Some((first, of)) => Slice {
            first: first.parse().unwrap(),
            of: of.parse().unwrap(),
        },
        None if whole => Slice { first: 0, of: 1 },
        None => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let first = (since.as_secs() / 86_400) as usize % SLICES;
            Slice { first, of: SLICES }
        }
    };
    println!("SHOOTDOWN_EDITS={}/{}", slice.first, slice.of);
    let (counts, holes) = all_judged(slice);
    let of: usize = counts.values().map(|c| c.of).sum();
    assert!(of > 200_000 / slice.of, "only {of} edits");
    assert!(
        holes.is_empty(),
        "{} accepted without a reason:\n{}",
        holes.len(),
        holes[..holes.len().min(50)].join("\n")
    );
    if whole {
        for (kind, what, _) in REASONS {
            let count = counts.get(&(*kind, what.to_string()));
            assert!(
                count.is_some_and(|c| c.accepted > 0),
                "never accepted: {kind}: {what}"
            );
        }
        let (old, new) = page(&counts);
        if asked == "write" {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/validate.md");
            std::fs::write(path, new).unwrap();
        } else {
            assert!(
                old == new,
                "docs/validate.md is stale: SHOOTDOWN_EDITS=write regenerates it"
            );
        }
    }
}

/// A trace as text.
fn text(header: &Header, lines: &[Line], end: Footer) -> Vec<u8> {
    let mut text = serde_json::to_string(header).unwrap() + "\n";
    for (line, seq) in lines.iter().zip(0..) {
        let since = line.since.min(seq);
        text += &(serde_json::to_string(&Line {
            seq,
            since,
            ..*line
        })
        .unwrap()
            + "\n");
    }
    let events = lines.len() as u64;
    let end = serde_json::json!({"end": Footer { events, ..end }});
    (text + &end.to_string() + "\n").into_bytes()
}

/// What is taken up at the edit, and left where it is the run again, has the same result as a whole validation.
#[test]
fn an_edit_is_judged_as_validate_judges_the_whole_trace() {
    for (name, mut run) in accepted() {
        let (header, lines, end) = (run.recorded.header.clone(), run.lines.clone(), run.end);
        let each = |edit: Edit<'_>| {
            let whole = judge(&text(&header, edit.lines, end)).unwrap();
            let at = format!("{name}:{}: {}: {}", edit.at + 2, edit.what, edit.kind);
            assert_eq!(run.judge(edit.lines), whole.verdict, "{at}");
        };
        Every {
            header: &header,
            lines: &lines,
            slice: Slice { first: 5, of: 1999 },
            met: 0,
            each,
        }
        .edit();
    }
}

#[test]
fn what_does_not_fit_cannot_be_edited() {
    let refused = |name: &str| Run::new(trace(name).as_bytes()).err().unwrap();
    let edited = refused("edited-target-left-out.ndjson");
    assert!(matches!(edited, CannotEdit::Rejected(154)), "{edited}");
    assert!(matches!(refused("truncated.ndjson"), CannotEdit::CutOff(_)));
    let unfinished = refused("missing-the-last-eleven.ndjson");
    assert!(matches!(unfinished, CannotEdit::Unfinished));
    assert!(matches!(refused("gap.ndjson"), CannotEdit::Unreadable(_)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two lines lost at once: the verdict is still one, at a line that exists.
    #[test]
    fn a_trace_with_two_faults_gets_a_verdict(a in any::<usize>(), b in any::<usize>()) {
        let run = Run::new(trace("tracked-2.ndjson").as_bytes()).unwrap();
        let mut lines = run.lines.clone();
        for at in [a, b] {
            let gone = at % lines.len();
            lines.remove(gone);
            for line in &mut lines {
                line.since -= u64::from(line.since > gone as u64);
            }
        }
        let report = judge(&text(&run.recorded.header, &lines, run.end)).unwrap();
        prop_assert_ne!(report.verdict, Verdict::Incomplete);
        if let Some(rejection) = report.rejection {
            prop_assert!((2..=lines.len() as u64 + 2).contains(&rejection.line));
            prop_assert!(!rejection.reasons.is_empty() && !rejection.instead.is_empty());
        }
    }
}
