//! A flush IPI's way, in step numbers.

use serde::Serialize;

/// One flush IPI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IpiView {
    /// The sender.
    pub from: u8,
    /// The target.
    pub to: u8,
    /// The mm to flush.
    pub mm: String,
    /// The step that sent it.
    pub sent: usize,
    /// The step in which the target took it.
    pub delivered: Option<usize>,
    /// The step in which the target acknowledged it.
    pub acked: Option<usize>,
    /// Why it is still pending at the end of the run.
    pub why_pending: Option<&'static str>,
}
