//! Counterexamples that people read: a run in `CPU0 | CPU1 | ...` columns, the state it ends in,
//! and what is wrong there as a sentence.
//!
//! [`text`] is for a terminal or a mail, [`steps`] the same run as data, [`svg`] as a picture.
//! Nothing here decides anything: verdicts are [`crate::property`]'s, and a sentence that names
//! a property describes a state in which [`crate::property::Property::is_violated`] says so.
//!
//! How to read the columns: one row per step, in temporal order; the C statement stands in the
//! column of the CPU that executes it, under the function it is in. The marks left of each
//! column show in every row what that CPU has: interrupts off, locks held, locks spun for.

mod buffered;
mod columns;
mod cycle;
mod event;
mod record;
mod status;
mod svg;
mod violation;
mod waits;

use crate::model::Protocol;
use crate::property::Property;
use crate::schedule::schedule;
use crate::state::State;
use crate::trace::Trace;
pub use buffered::buffered;
pub use record::{Elsewhere, StepRecord, steps};
pub use svg::svg;
pub use waits::{WaitGraph, wait, wait_graph};

/// How [`text`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Columns of the terminal; lines are wrapped to it, inside the CPUs' columns too. Below
    /// what the CPUs need at least (about 20 each), lines get longer.
    pub width: usize,
    /// Every step, not only those that matter.
    pub verbose: bool,
    /// With ANSI colours.
    pub colour: bool,
}

impl Default for TextOptions {
    fn default() -> Self {
        TextOptions {
            width: 80,
            verbose: false,
            colour: false,
        }
    }
}

/// A run with all its states.
struct Run<'a> {
    protocol: &'a Protocol,
    trace: &'a Trace,
    states: Vec<State>,
    property: Option<&'static Property>,
}

impl Run<'_> {
    fn last(&self) -> &State {
        self.states.last().expect("a run has its initial state")
    }

    /// The state that a lasso comes back to, if it does.
    fn closes(&self) -> bool {
        let to = self.trace.loops_to.and_then(|to| self.states.get(to));
        to.is_some_and(|to| to == self.last())
    }
}

/// A run as text; `property` is the one it violates, if it is a counterexample.
///
/// A run that is not possible is described as far as it goes, with the guard that is false.
pub fn text(
    protocol: &Protocol,
    trace: &Trace,
    property: Option<&str>,
    options: &TextOptions,
) -> String {
    let (states, refused) = possible(protocol, trace);
    let done = Trace {
        actions: trace.actions[..states.len() - 1].to_vec(),
        loops_to: trace.loops_to.filter(|_| refused.is_none()),
        ..trace.clone()
    };
    let run = Run {
        protocol,
        trace: &done,
        states,
        property: property.and_then(|name| Property::named(name).map(|(_, p)| p)),
    };
    let mut page = Page {
        out: String::new(),
        options: *options,
    };
    header(&mut page, &run);
    columns::write(&mut page, &run);
    if let Some(refused) = refused {
        page.paragraph("", &format!("The schedule does not fit: {refused}"));
        page.blank();
    }
    status::write(&mut page, &run);
    if let Some((title, sentence)) = violation::explain(&run) {
        page.titled(&title, &sentence);
        page.blank();
    }
    page.paragraph("", "Replay it:");
    let line = schedule(&protocol.config, trace);
    page.out.push_str(&format!("  shootdown replay '{line}'\n"));
    page.out
}

/// What is wrong in the state that a run ends in: a title and a sentence. `None` if that state does not violate the
/// property, or if the run is not possible.
pub fn explain(protocol: &Protocol, trace: &Trace, property: &str) -> Option<(String, String)> {
    let (_, property) = Property::named(property)?;
    let run = Run {
        protocol,
        trace,
        states: trace.states(protocol).ok()?,
        property: Some(property),
    };
    violation::sentence(&run)
}

/// The states of a run as far as it is possible, and why it is not further.
fn possible(protocol: &Protocol, trace: &Trace) -> (Vec<State>, Option<String>) {
    use crate::trace::TraceError;
    let upto = |n: usize| Trace {
        actions: trace.actions[..n].to_vec(),
        loops_to: None,
        ..trace.clone()
    };
    match trace.states(protocol) {
        Ok(states) => (states, None),
        Err(error) => {
            let fits = match &error {
                TraceError::Start => 0,
                TraceError::Refused { step, .. } => step - 1,
            };
            let states = upto(fits).states(protocol).unwrap_or_else(|_| {
                // Not even the placement fits: show where it would have started.
                vec![State::initial(
                    &protocol.config,
                    &protocol.config.starts()[0],
                )]
            });
            (states, Some(error.to_string()))
        }
    }
}

fn header(page: &mut Page, run: &Run<'_>) {
    let config = &run.protocol.config;
    let steps = run.trace.actions.len();
    if let Some(property) = run.property {
        let lasso = if run.trace.loops_to.is_some() {
            "by a run that goes on for ever".to_string()
        } else {
            format!("after {steps} steps")
        };
        page.titled(
            &format!("{} is violated {lasso}", property.name),
            property.promise,
        );
    } else {
        page.paragraph("", &format!("A run of {steps} steps."));
    }
    let origin = crate::design::DESIGNS
        .iter()
        .find(|d| d.design == config.design)
        .map(|d| format!(" ({})", d.origin))
        .unwrap_or_default();
    page.field("design", &format!("{}{origin}", config.design));
    page.field("runs on", &config.environment.to_string());
    page.field("workload", &config.workload.text);
    if !config.variants.is_empty() {
        page.field("deviation", &config.variants.to_string());
    }
    let start = run.states[0].each_cpu(config).map(|(who, cpu)| {
        if cpu.active.is_some() {
            format!("{who} on {}", cpu.active)
        } else {
            format!("{who} on no mm")
        }
    });
    page.field("start", &start.collect::<Vec<_>>().join(", "));
    page.blank();
}

/// Text that is being written.
struct Page {
    out: String,
    options: TextOptions,
}

impl Page {
    fn blank(&mut self) {
        self.out.push('\n');
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(line.replace('\u{a0}', " ").trim_end());
        self.out.push('\n');
    }

    /// A paragraph behind `indent`, wrapped.
    fn paragraph(&mut self, indent: &str, text: &str) {
        let options = textwrap::Options::new(self.options.width.max(40))
            .initial_indent(indent)
            .subsequent_indent(indent)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        for line in textwrap::wrap(text, options) {
            self.line(&line);
        }
    }

    /// A title in bold with a paragraph under it.
    fn titled(&mut self, title: &str, text: &str) {
        let title = columns::Style::Bad.paint(title, self.options.colour);
        self.line(&format!("{title}:"));
        self.paragraph("  ", text);
    }

    /// `  name  text`, wrapped behind the name.
    fn field(&mut self, name: &str, text: &str) {
        let options = textwrap::Options::new(self.options.width.max(40))
            .initial_indent("            ")
            .subsequent_indent("            ")
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        let wrapped = textwrap::wrap(text, options).join("\n");
        let name = format!("  {name:<9} ");
        self.line(&format!(
            "{name}{}",
            &wrapped[name.len().min(wrapped.len())..]
        ));
    }
}

/// `a`, `a and b`, `a, b and c`.
fn list(items: impl IntoIterator<Item = impl ToString>) -> String {
    let items: Vec<String> = items.into_iter().map(|i| i.to_string()).collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}
