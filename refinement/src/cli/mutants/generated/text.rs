//! Generated faults for people.

use super::campaign::{Fate, Tried};
use super::{Run, Tally};
use crate::cli::output;
use std::fmt::Write as _;

/// A fault in one line.
pub(super) fn fault(tried: &Tried) -> String {
    format!("{}: {}", tried.fault.spot, tried.fault.change)
}

/// What became of it.
pub(super) fn fate(tried: &Tried) -> String {
    match &tried.fate {
        Fate::Caught { differences, .. } => {
            let mut text = differences
                .first()
                .map_or(String::new(), ToString::to_string);
            if differences.len() > 1 {
                let _ = write!(text, " (and {} more)", differences.len() - 1);
            }
            text
        }
        Fate::Equivalent(why) => format!("equivalent here: {why}"),
        Fate::Redundant => "redundant: always true where it matters".to_string(),
        Fate::Untested(why) => format!("untested: {why}"),
        Fate::NotReached => "untested: not reached".to_string(),
        Fate::Survived => "SURVIVED".to_string(),
    }
}

/// What a search of all that is not caught came to.
pub(super) fn page(run: &Run) -> String {
    let mut text = String::new();
    for tried in &run.tried {
        if let (Fate::Caught { command, .. }, false) = (&tried.fate, run.only_survivors) {
            let _ = writeln!(text, "caught    {}", fault(tried));
            let _ = writeln!(text, "          {}\n          {command}", fate(tried));
        }
    }
    for tried in run.tried.iter().filter(|t| !t.is_caught()) {
        let _ = writeln!(text, "{:<9} {}", word(tried), fault(tried));
        if !tried.fault.spot.when.is_empty() {
            let _ = writeln!(text, "          where {}", tried.fault.spot.when);
        }
        match &tried.argued {
            Some(argued) => {
                let _ = writeln!(text, "          {}: {}", fate(tried), argued.why);
            }
            None => {
                let _ = writeln!(text, "          {}", fate(tried));
            }
        }
        for near in &tried.near {
            let differs = match near.differs {
                true => "some states have other successors",
                false => "no state has other successors",
            };
            let _ = writeln!(
                text,
                "          taken {} times, {differs}: {}",
                output::count(near.taken),
                near.command
            );
        }
    }
    for argued in &run.idle {
        let _ = writeln!(text, "argued, and yet caught or gone: {}", argued.about());
    }
    text += &summary(run);
    text
}

fn word(tried: &Tried) -> &'static str {
    match (&tried.fate, tried.argued) {
        (_, Some(_)) => "argued",
        (Fate::Survived, None) => "SURVIVED",
        (Fate::Redundant, None) => "redundant",
        (Fate::Untested(_), None) => "UNTESTED",
        (Fate::NotReached, None) => "UNREACHED",
        (_, None) => "same",
    }
}

/// The last lines: how many, and by whom.
pub(super) fn summary(run: &Run) -> String {
    let tally = Tally::of(run);
    let mut text = format!(
        "{}: {} caught ({}), {} equivalent here, {} redundant, {} untested, {} not reached, {}; {} argued, {} unexplained.\n",
        output::plural(run.tried.len() as u64, "edit"),
        tally.caught(),
        tally.checks(),
        tally.equivalent,
        tally.redundant,
        tally.untested,
        tally.not_reached,
        output::plural(tally.survived as u64, "survivor"),
        tally.argued,
        tally.unexplained,
    );
    let _ = writeln!(
        text,
        "{}, {} states; {} of {} statements with their ways are taken in one of them; {:.1} s.",
        output::plural(run.cells as u64, "cell"),
        output::count(run.states),
        run.taken,
        run.spots,
        run.elapsed.as_secs_f64(),
    );
    if run.cut_off > 0 {
        let _ = writeln!(
            text,
            "cut off: {} were not tried",
            output::plural(run.cut_off as u64, "edit")
        );
    }
    text += "Equivalent here: no state that is reached in these cells has other successors with the edit, so that \
             neither\nstates nor transitions can differ there; in other cells they may.\n";
    text
}
