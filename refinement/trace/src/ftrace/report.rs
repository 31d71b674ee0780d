//! What came of a trace.

use super::class::Name;
use super::console::{Console, Notice};
pub use super::counts::{Counts, Unread};
use super::gaps;
use super::hang::{self, End};
use super::line::{Legend, Shape};
use super::machine::{CpuRecord, Noted};
use super::order::Order;
use super::place::Unit;
use super::strict::ClassUnder;
use super::upstream::Upstream;
use super::watch::{Oddities, Seen, Watch};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a trace is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// No deadlock at the end.
    Hang,
    /// No wait with interrupts off for a lock that is held while acknowledgements are awaited.
    Upstream,
    /// No cycle in the order graph.
    Order,
    /// No page-table lock and no `pgd_lock` is held while acknowledgements are awaited. No kernel so far keeps it.
    Strict,
}

impl Rule {
    /// All of them, in the order of the report.
    pub const ALL: [Rule; 4] = [Rule::Hang, Rule::Upstream, Rule::Order, Rule::Strict];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Hang => "hang",
            Rule::Upstream => "upstream",
            Rule::Order => "order",
            Rule::Strict => "strict",
        }
    }

    /// What it forbids, as a sentence.
    pub fn promise(self) -> &'static str {
        match self {
            Rule::Hang => {
                "no cycle of waits for locks and acknowledgements exists where the trace ends"
            }
            Rule::Upstream => {
                "no CPU waits with interrupts off for a lock that is held while acknowledgements are awaited"
            }
            Rule::Order => "what was waited for while something was withheld has no cycle",
            Rule::Strict => {
                "no page-table lock and no pgd_lock is held while acknowledgements are awaited"
            }
        }
    }
}

/// The judgement by the rules that were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing against any of them in what was recorded.
    Clean,
    /// One is violated.
    Violated,
    /// Nothing against them, but the record has gaps, is cut off or could not be read everywhere.
    Incomplete,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which shape the lines have.
    pub shape: Option<Shape>,
    /// What the clock counts.
    pub clock: Option<Unit>,
    /// Lines by what they are.
    pub counts: Counts,
    /// Events that matter.
    pub seen: Seen,
    /// The CPUs.
    pub cpus: Vec<CpuRecord>,
    /// Waits where the trace ends, and whether they can end.
    #[serde(flatten)]
    pub end: End,
    /// Waits with interrupts off.
    pub upstream: Upstream,
    /// The order graph.
    pub order: Order,
    /// What is held while acknowledgements are awaited.
    pub strict: Vec<ClassUnder>,
    /// What does not fit.
    pub oddities: Oddities,
    /// The flags say one thing of interrupts, `irq_disable` and `irq_enable` another.
    pub contradictions: Noted,
    /// Lines with a time before that of an earlier line.
    pub backwards: Noted,
    /// What the console said.
    pub console: Vec<Notice>,
    /// The tracer, if the header names one that prints lines of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracer: Option<String>,
    /// What a latency tracer measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<String>,
    /// The longest step between two lines of a latency tracer: how long, in microseconds, and after which line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_step: Option<(u64, String)>,
    /// What is missing of the record, with the numbers; a user may accept it.
    pub gaps: Vec<String>,
    /// Why silence would mean less than it could, apart from the gaps.
    pub incomplete: Vec<String>,
    /// What this trace cannot show.
    pub cannot_show: Vec<String>,
}

impl Report {
    /// All but [`Report::cannot_show`], which is said about the rest.
    pub(super) fn new(
        watch: &mut Watch,
        console: Console,
        counts: Counts,
        shape: Option<Shape>,
        clock: Option<Unit>,
        legend: &Legend,
        mut incomplete: Vec<String>,
    ) -> Report {
        watch.end();
        let end = hang::end(watch, &console.stacks);
        let cpus = watch.machine.records();
        let gaps = gaps::gaps(&watch.machine, &cpus, &counts, legend);
        if counts.malformed > 0 {
            incomplete.push(format!("{} lines could not be read", counts.malformed));
        }
        if let Some((buffer, _)) = counts.entries
            && buffer > counts.events + counts.malformed
        {
            incomplete.push(format!(
                "the header announces {buffer} entries, {} are here",
                counts.events
            ));
        }
        if watch.contexts.forgotten > 0 {
            incomplete.push(format!(
                "{} locks were held by a context that held too many: their releases are not here",
                watch.contexts.forgotten
            ));
        }
        incomplete.extend(gaps::blind(
            &watch.seen,
            shape,
            &end,
            watch.machine.latest(),
        ));
        let classes = std::mem::take(&mut watch.classes);
        Report {
            shape,
            clock,
            counts,
            seen: watch.seen,
            cpus,
            end,
            upstream: std::mem::take(&mut watch.upstream).finish(&classes),
            order: std::mem::take(&mut watch.order).finish(&classes),
            strict: std::mem::take(&mut watch.strict).finish(&classes),
            oddities: std::mem::take(&mut watch.oddities),
            contradictions: std::mem::take(&mut watch.machine.contradictions),
            backwards: std::mem::take(&mut watch.machine.backwards),
            console: console.notices,
            tracer: legend.tracer.clone().filter(|tracer| tracer != "nop"),
            latency: legend.latency.clone(),
            longest_step: None,
            gaps,
            incomplete,
            cannot_show: Vec::new(),
        }
    }

    /// Is this rule violated by what was recorded?
    pub fn violated(&self, rule: Rule) -> bool {
        match rule {
            Rule::Hang => self.end.hang.is_some(),
            Rule::Upstream => self.upstream.violated(),
            Rule::Order => self.order.cyclic(),
            Rule::Strict => self.strict.iter().any(|under| under.watched),
        }
    }

    /// Takes the gaps for what they are: they are still told, and keep nothing from being clean.
    pub fn accept_gaps(&mut self) {
        let gaps = std::mem::take(&mut self.gaps);
        let told = gaps.into_iter().map(|gap| format!("Accepted: {gap}."));
        self.cannot_show.splice(0..0, told);
    }

    /// Why finding nothing means less than it could.
    pub fn unsure(&self) -> Vec<&str> {
        self.gaps
            .iter()
            .chain(&self.incomplete)
            .map(String::as_str)
            .collect()
    }

    /// The judgement by some rules.
    pub fn verdict(&self, rules: &[Rule]) -> Verdict {
        if rules.iter().any(|rule| self.violated(*rule)) {
            Verdict::Violated
        } else if self.unsure().is_empty() {
            Verdict::Clean
        } else {
            Verdict::Incomplete
        }
    }

    /// Chains of the strict rule: flushes with every link, under page-table locks and `pgd_lock`.
    pub fn chains(&self) -> BTreeMap<&Name, u64> {
        let watched = self
            .strict
            .iter()
            .filter(|under| under.watched && under.flush && under.chains > 0);
        let mut chains = BTreeMap::new();
        for under in watched {
            *chains.entry(&under.class).or_default() += under.chains;
        }
        chains
    }
}
