//! Recorded runs of real threads, held against the protocol.
//!
//! A trace (`docs/trace-format.md`) says of each event only that it took effect between two readings of a counter.
//! The run fits the protocol if there is *an* order of its events, consistent with those intervals and with each
//! CPU's own order, in which the protocol can follow every one of them. [`search`] keeps every protocol state (with
//! what little the protocol does not know: [`shadow`]) that some such order leads to, so nothing has to be guessed:
//! the set becomes empty exactly when there is no order. It is small, because overlapping events that concern
//! different things ([`footprint`]) need not be tried in both orders.
//!
//! [`reader`] reads the lines, [`header`] makes a protocol of the first one, [`rejection`] explains a line that does
//! not fit, [`order`] looks for the deadlock that a run did not have. [`edited`] judges edited copies of a run, from
//! the edit on: that is how the checker is checked.
//!
//! # Limitations
//! One run was seen, not all. `docs/validate.md` says what acceptance establishes and what not.

pub mod edited;
pub mod footprint;
pub mod header;
pub mod order;
pub mod outside;
pub mod reader;
pub mod rejection;
pub mod search;
pub mod shadow;
pub mod waiting;
pub mod window;

use std::io::BufRead;

use serde::Serialize;

use header::Recorded;
use order::Predicted;
use reader::{ReadError, Reader};
use rejection::Rejection;
use search::Search;

/// Bounds of a validation.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many events may be read ahead of the one that is judged.
    pub read_ahead: usize,
    /// How many candidates may be kept.
    pub candidates: usize,
    /// Whether to try overlapping events in both orders only where they concern the same thing. Without it all orders
    /// are tried, which is slower and must give the same result: that is what checks the footprints.
    pub reduce: bool,
    /// Whether to look for the deadlock that the run did not have, too.
    pub order: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_ahead: 1 << 20,
            candidates: 1 << 12,
            reduce: true,
            order: false,
        }
    }
}

/// What came of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// There is an order in which the protocol follows every event.
    Accepted,
    /// There is none.
    Rejected,
    /// What is there fits, or may fit, but it is not all there, or a bound was hit.
    Incomplete,
}

/// What was counted on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Events that the protocol followed.
    pub events: u64,
    /// Operations ended.
    pub operations: u64,
    /// Interrupts handled.
    pub interrupts: u64,
    /// Flushes that sent an IPI or made a hypercall.
    pub flushes: u64,
    /// Events that had to be moved before one with a lower number: the fewest with which the run fits.
    pub moved: u64,
    /// The most candidates kept at once.
    pub most_candidates: usize,
    /// The most events read ahead at once.
    pub most_read_ahead: usize,
}

/// The result.
#[derive(Debug)]
pub struct Report {
    /// In one word.
    pub verdict: Verdict,
    /// The first line.
    pub recorded: Recorded,
    /// What was counted.
    pub counts: Counts,
    /// Why it is incomplete, if it is.
    pub incomplete: Option<String>,
    /// The line that does not fit, if there is one.
    pub rejection: Option<Box<Rejection>>,
    /// Who can never move again in the state that the trace ends in, in words.
    pub stuck: Vec<String>,
    /// The order of what was waited for, if it was asked for.
    pub predicted: Option<Predicted>,
}

/// Reads a trace and judges it.
///
/// # Errors
/// If it is no trace; a line that does not fit is not an error but a verdict.
pub fn validate<R: BufRead>(input: R, options: &Options) -> Result<Report, ReadError> {
    let mut reader = Reader::new(input)?;
    let recorded = Recorded::new(reader.header()).map_err(|reason| reader.refuse_header(reason))?;
    let mut search = Search::new(&recorded, *options);
    let ended = search.run(&mut reader)?;
    Ok(search.report(recorded, ended))
}
