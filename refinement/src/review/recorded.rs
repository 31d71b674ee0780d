//! A hang that a real kernel's trace recorded, beside the counterexample of the model.

use super::document::{Block, Part};
use super::findings::Findings;
use super::runs::Runs;
use shootdown_trace::ftrace::{recorded_hang, text};

/// The part: what the recording that is kept ends in, and the model's run into the same.
pub fn part(findings: &Findings, runs: &Runs<'_>) -> Option<Part> {
    let hang = recorded_hang();
    let model = runs.told(findings.cell("v2.6.37", "nosplit+thp"), "no_deadlock");
    let text = format!(
        "A Linux 6.12 whose `pgd_lock` was made irqsave again was recorded until it stopped: {}. \
         The model finds it {model}. What was recorded, as `validate --ftrace` tells it:",
        hang.sentence.trim_end_matches('.')
    );
    Some(Part {
        title: "The same hang in a real kernel".into(),
        blocks: vec![
            Block::Text(text),
            Block::Fold {
                title: "What was recorded".into(),
                listed: false,
                open: false,
                blocks: vec![Block::Listing(text::hang(&hang, 80))],
            },
        ],
    })
}
