//! The report, for people.

mod hang;

use super::order::{Cycle, Edge, Kind, Line, Order, Through};
use super::place::Unit;
use super::report::{Report, Rule, Verdict};
use super::strict::ClassUnder;
use super::upstream::{Upstream, Waits};
use crate::paragraph::wrap;
pub use hang::hang;
use hang::standing;
use std::fmt::Write as _;

/// How many lines of a kind are printed.
const SHOWN: usize = 6;

/// All of it: one line for each rule, then what there is to say.
pub fn report(report: &Report, rules: &[Rule], width: usize) -> String {
    let mut text = head(report);
    text += "\n";
    for rule in Rule::ALL {
        let asked = if rules.contains(&rule) || !report.violated(rule) {
            ""
        } else {
            " (not asked for)"
        };
        let says = summary(report, rule);
        let _ = writeln!(
            text,
            "  {:<9}{}",
            rule.name(),
            wrap(&format!("{says}{asked}"), width - 11, 11)
        );
    }
    let verdict = match report.verdict(rules) {
        Verdict::Clean => "CLEAN: nothing against these rules in what was recorded.".to_string(),
        Verdict::Violated => {
            let violated = rules.iter().filter(|rule| report.violated(**rule));
            let names: Vec<&str> = violated.map(|rule| rule.name()).collect();
            format!("VIOLATED: {}.", names.join(", "))
        }
        Verdict::Incomplete => format!(
            "INCOMPLETE: nothing found, but {}.",
            report.unsure().join("; ")
        ),
    };
    let _ = writeln!(text, "\n{}", wrap(&verdict, width, 2));
    if let Some(found) = &report.end.hang {
        text += "\n";
        text += &hang(found, width);
    }
    text += &standing(&report.end.standing, width);
    text += &upstream(&report.upstream, width);
    text += &order(&report.order, width);
    text += &strict(&report.strict, width);
    text += &console(report, width);
    text += "\nWhat this trace cannot show:\n";
    for sentence in &report.cannot_show {
        let _ = writeln!(text, "  - {}", wrap(sentence, width - 4, 4));
    }
    text
}

fn head(report: &Report) -> String {
    let shape = report.shape.map_or("trace", super::line::Shape::name);
    let span = report
        .cpus
        .iter()
        .filter_map(|c| c.first_time.zip(c.last_time));
    let span = span.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let time = span
        .and_then(|(first, last)| last.since(first))
        .map_or(String::new(), |t| format!(", {t}"));
    let c = &report.counts;
    let mut text = format!(
        "{shape}: {} lines, {} events, {} CPUs{time}\n",
        c.lines,
        c.events,
        report.cpus.iter().filter(|c| c.events > 0).count()
    );
    if !c.unknown.is_empty() {
        let names = c
            .unknown
            .iter()
            .take(SHOWN)
            .map(|(name, n)| format!("{name} {n}"));
        let more = if c.unknown.len() > SHOWN { ", ..." } else { "" };
        let _ = writeln!(
            text,
            "events not looked at: {}{more}",
            names.collect::<Vec<_>>().join(", ")
        );
    }
    if let Some(tracer) = &report.tracer {
        let latency = report
            .latency
            .as_ref()
            .map_or(String::new(), |l| format!(", which measured {l}"));
        let _ = writeln!(text, "tracer: {tracer}{latency}");
        if let Some((micros, after)) = &report.longest_step {
            let _ = writeln!(text, "longest step: {micros} us after {after}");
        }
    }
    if c.text > 0 {
        let _ = writeln!(text, "lines of other text: {}", c.text);
    }
    for unread in c.first_malformed.iter().take(SHOWN) {
        let _ = writeln!(
            text,
            "line {}, column {}: {}",
            unread.line, unread.column, unread.reason
        );
    }
    if c.malformed > SHOWN as u64 {
        let _ = writeln!(
            text,
            "and {} more lines that could not be read",
            c.malformed - SHOWN as u64
        );
    }
    text
}

/// A rule in one line.
fn summary(report: &Report, rule: Rule) -> String {
    match rule {
        Rule::Hang => match &report.end.hang {
            Some(found) => {
                let mut cpus: Vec<String> = found
                    .cycle
                    .iter()
                    .map(|s| format!("CPU{}", s.cpu))
                    .collect();
                cpus.dedup();
                format!("DEADLOCK of {}{}", cpus.join(" and "), hang::likely(found))
            }
            None => "none where the trace ends".into(),
        },
        Rule::Upstream => {
            let (count, violated) = report.upstream.waits.iter().fold((0, 0), |(all, bad), w| {
                (all + w.count, bad + if w.violated { w.count } else { 0 })
            });
            match violated {
                0 => format!(
                    "no wait with interrupts off for a lock held across a flush ({count} such waits for other locks)"
                ),
                n => format!(
                    "VIOLATED by {n} waits with interrupts off for a lock that is held across a flush"
                ),
            }
        }
        Rule::Order => match report.order.judged().count() {
            0 => match report.order.edges.len() {
                1 => "ACYCLIC, 1 edge".into(),
                n => format!("ACYCLIC, {n} edges"),
            },
            n => format!(
                "CYCLIC, a deadlock is possible: {n} {}",
                if n == 1 { "cycle" } else { "cycles" }
            ),
        },
        Rule::Strict => {
            let watched = || report.strict.iter().filter(|u| u.watched);
            let chains: u64 = watched().filter(|u| u.flush).map(|u| u.chains).sum();
            let partly: u64 = watched()
                .map(|u| u.unanswered + u.out_of_sight + u.cut_off + u.told)
                .sum();
            let under = "under a page-table lock or pgd_lock";
            match (chains, partly) {
                (0, 0) if !report.violated(Rule::Strict) => {
                    "no page-table lock and no pgd_lock is held across a remote flush".into()
                }
                (chains, 0) => format!("VIOLATED by {} {under}", flushes(chains)),
                (0, partly) => format!(
                    "VIOLATED by {} {under}, none of which is in the trace from lock to release",
                    flushes(partly)
                ),
                (chains, partly) => format!(
                    "VIOLATED by {} {under}, and {partly} of which a part is not in the trace",
                    flushes(chains)
                ),
            }
        }
    }
}

fn flushes(n: u64) -> String {
    format!("{n} remote {}", if n == 1 { "flush" } else { "flushes" })
}

fn upstream(upstream: &Upstream, width: usize) -> String {
    if upstream.waits.is_empty() && upstream.attempts.is_empty() {
        return String::new();
    }
    let mut text = "\nWaits with interrupts off:\n".to_string();
    for waits in &upstream.waits {
        text += &waits_text(waits, width);
    }
    for attempts in &upstream.attempts {
        let across = if attempts.held_across {
            ", which is held across a flush"
        } else {
            ""
        };
        let line = format!(
            "{} was tried {} times with interrupts off{across}",
            attempts.class, attempts.count
        );
        let _ = writeln!(text, "  {}", wrap(&line, width - 2, 4));
    }
    text
}

/// Waits for the same classes in one line.
pub fn waited(waits: &Waits) -> String {
    let chain: Vec<String> = waits.chain.iter().map(ToString::to_string).collect();
    let across: Vec<String> = waits.held_across.iter().map(ToString::to_string).collect();
    let judged = if waits.violated {
        format!("{} is held across a flush in this trace", across.join(", "))
    } else {
        "not seen to be held across a flush".into()
    };
    format!(
        "{} for {}: {judged}; {} got it",
        waits.count,
        chain.join(", whose holder waits for "),
        waits.got
    )
}

fn waits_text(waits: &Waits, width: usize) -> String {
    let mut text = format!("  {}\n", wrap(&waited(waits), width - 2, 4));
    for wait in waits.shown.iter().take(SHOWN) {
        let off = wait.off.as_ref().map_or(String::new(), |off| {
            format!(", off in line {} by {}", off.place.line, off.parent)
        });
        let got = match &wait.got {
            Some(got) => format!("got it in line {}", got.line),
            None => "never got it".into(),
        };
        let held = wait.held_since.map_or(String::new(), |h| {
            format!(", taken by CPU{} in line {}", h.cpu, h.line)
        });
        let line = format!("{}: {}{off}{held}: {got}", wait.place, wait.lock);
        let _ = writeln!(text, "    {}", wrap(&line, width - 4, 6));
    }
    text
}

fn order(order: &Order, width: usize) -> String {
    let mut text = String::from("\nOrder graph:\n");
    for edge in &order.edges {
        let line = format!(
            "{} -> {}: {} times, first in line {}",
            edge.from, edge.to, edge.times, edge.waits.place.line
        );
        let _ = writeln!(text, "  {}", wrap(&line, width - 2, 4));
    }
    if order.edges.is_empty() {
        text += "  no edges\n";
    }
    for edge in &order.nested {
        let _ = writeln!(
            text,
            "  {} nests in {} {} times, first in line {}: no edge, see docs/ftrace.md",
            edge.to, edge.from, edge.times, edge.waits.place.line
        );
    }
    for (n, cycle) in order.cycles.iter().enumerate() {
        text += &cycle_text(n + 1, cycle, width);
    }
    text
}

fn cycle_text(n: usize, cycle: &Cycle, width: usize) -> String {
    let closed = cycle.nodes.iter().chain(cycle.nodes.first());
    let closed: Vec<&str> = closed.map(String::as_str).collect();
    let judged = match cycle.through {
        Through::OtherLocks => " (locks only: lockdep's subject, not judged)",
        _ => "",
    };
    let mut text = format!(
        "\nCycle {n}: {}{judged}\n",
        wrap(&closed.join(" -> "), width, 4)
    );
    for edge in &cycle.edges {
        let _ = writeln!(text, "  {}", wrap(&because(edge), width - 2, 4));
        for Line { place, what } in edge.withholds.iter().chain([&edge.waits]) {
            let _ = writeln!(
                text,
                "    {}",
                wrap(&format!("{place} {what}"), width - 4, 6)
            );
        }
    }
    text
}

fn because(edge: &Edge) -> String {
    let Edge { from, to, .. } = edge;
    match edge.kind {
        Kind::Held => format!("{from} is held while {to} is waited for:"),
        Kind::InterruptsOff => {
            format!("the {from} is not given while {to} is waited for with interrupts off:")
        }
        Kind::Interrupted => {
            format!("{from} is held with interrupts on, and an interrupt waits for {to}:")
        }
        Kind::Handler => format!("the {from} is not given while an interrupt waits for {to}:"),
    }
}

/// What was awaited under the locks of a class in one line.
pub fn held_across(under: &ClassUnder) -> String {
    let mut parts = vec![format!("{} from lock to release", under.chains)];
    for (n, what) in [
        (under.unanswered, "released without a visible answer"),
        (under.out_of_sight, "to CPUs that are not recorded there"),
        (under.cut_off, "not released where the record ends"),
        (under.told, "of which only the beginning is recorded"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    let other = if under.watched {
        ""
    } else {
        " (not a page-table lock: not judged)"
    };
    format!(
        "{}, {}: {}{other}",
        under.class,
        under.function,
        parts.join(", ")
    )
}

fn strict(strict: &[ClassUnder], width: usize) -> String {
    if strict.is_empty() {
        return String::new();
    }
    let mut text = "\nHeld while acknowledgements are awaited:\n".to_string();
    for under in strict {
        let _ = writeln!(text, "  {}", wrap(&held_across(under), width - 2, 4));
        let longest = under.longest.as_ref();
        let repeated = under
            .examples
            .iter()
            .any(|e| longest.is_some_and(|l| l.queued == e.queued));
        for (chain, which) in under.examples.iter().map(|chain| (chain, "")).chain(
            longest
                .filter(|_| !repeated)
                .map(|chain| (chain, ", the longest")),
        ) {
            let time = chain.released.time.since(chain.taken.time);
            let time = time.map_or(String::new(), |t| format!(", {t}"));
            let line = format!(
                "{} takes {} in line {}, asks CPU{} in {}, answered in {}, releases in {}{time}{which}",
                chain.taken.task,
                chain.lock,
                chain.taken.line,
                chain.answered.cpu,
                chain.queued.line,
                chain.answered.line,
                chain.released.line
            );
            let _ = writeln!(text, "    {}", wrap(&line, width - 4, 6));
        }
    }
    text
}

fn console(report: &Report, width: usize) -> String {
    if report.console.is_empty() {
        return String::new();
    }
    let mut text = "\nThe console says:\n".to_string();
    for notice in &report.console {
        let line = format!("line {}: {}", notice.line, notice.text);
        let _ = writeln!(text, "  {}", wrap(&line, width - 2, 4));
    }
    text
}

/// What a trace cannot show: always, and this one in particular.
pub(super) fn cannot_show(report: &Report) -> Vec<String> {
    let mut list = Vec::new();
    let (seen, odd) = (&report.seen, &report.oddities);
    list.push(
        "No event ends the wait for acknowledgements: a sender counts as waiting until its next lock event or flush.".into(),
    );
    let mut at = |noted: &super::machine::Noted, sentence: &str| {
        if noted.count > 0 {
            let lines: Vec<String> = noted.first.iter().map(|p| p.line.to_string()).collect();
            let more = if noted.count > noted.first.len() as u64 {
                ", ..."
            } else {
                ""
            };
            list.push(format!(
                "{} {sentence}: line {}{more}.",
                noted.count,
                lines.join(", ")
            ));
        }
    };
    at(
        &odd.held_at_start,
        "locks were released that nobody was seen to take: held when the record of that CPU began, and flushes under them are not counted",
    );
    at(
        &odd.held_over_gap,
        "locks were released that were taken in a gap",
    );
    at(
        &odd.out_of_sight,
        "requests have no visible answer, because the CPU they are for is not recorded there",
    );
    at(
        &odd.unanswered,
        "requests have no visible answer although their sender went on and the CPU they are for is recorded: lines are missing",
    );
    at(
        &odd.wrong_cpu,
        "answers are on another CPU than the one that was asked",
    );
    at(
        &odd.unasked,
        "answers are to requests that are not in the trace",
    );
    at(
        &odd.awaited_with_irqs_off,
        "requests are awaited with interrupts off, which no kernel may do",
    );
    at(
        &report.contradictions,
        "lines have flags that contradict the last irq_disable or irq_enable of their CPU; the flags were believed",
    );
    at(&report.backwards, "lines are older than one before them");
    let first = report.cpus.iter().filter_map(|c| c.first_time).min();
    for cpu in &report.cpus {
        let Some((start, first)) = cpu.first_time.zip(first) else {
            list.push(format!(
                "CPU{} has no line at all, only lost events.",
                cpu.cpu
            ));
            continue;
        };
        let late = start
            .since(first)
            .filter(|_| start.unit != Unit::Count && cpu.lost_before > 0);
        if let Some(late) = late {
            list.push(format!(
                "CPU{} is recorded only from line {} on, {late} after the first: {} events before it were overwritten.",
                cpu.cpu,
                cpu.first_line.unwrap_or(0),
                cpu.lost_before
            ));
        }
        if cpu.gaps > 0 {
            let lines: Vec<String> = cpu.first_gaps.iter().map(|g| g.line.to_string()).collect();
            let more = if cpu.gaps > cpu.first_gaps.len() as u64 {
                ", ..."
            } else {
                ""
            };
            list.push(format!(
                "CPU{} has {} gaps, line {}{more}: {} events lost beside {} recorded. What it held and awaited is forgotten at each.",
                cpu.cpu,
                cpu.gaps,
                lines.join(", "),
                cpu.lost_in_gaps,
                cpu.events
            ));
        }
    }
    let missing = [
        (seen.acquires, "lock_acquire: no lock is seen at all"),
        (
            seen.acquired,
            "lock_acquired (CONFIG_LOCK_STAT): a lock counts as held from lock_acquire on, and waits are guessed from who holds it",
        ),
        (
            seen.irq_disables,
            "irq_disable: who turned interrupts off is not known",
        ),
        (
            seen.requests,
            "csd_queue_cpu of a flush: no request is seen",
        ),
    ];
    for (_, what) in missing.iter().filter(|(n, _)| *n == 0) {
        list.push(format!("There is no {what}."));
    }
    if seen.told > 0 {
        list.push(format!(
            "{} flushes or calls are told by `tlb_flush` or an IPI alone: without csd events (Linux 6.5) neither whom they ask nor who answers is certain.",
            seen.told
        ));
    }
    list.push("NMIs, sections whose irq state is not traced, and what other CPUs do between two of their lines.".into());
    list.push("Other runs: silence here is no proof. `shootdown prove` and `check` are about all runs of the model.".into());
    list
}
