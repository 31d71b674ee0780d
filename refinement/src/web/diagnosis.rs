//! Console logs that come as text: read and judged by [`shootdown_trace::console`]. Nothing of them is kept.

use super::traced::traced;
use super::view::diagnosis::{DiagnosisView, FactView, SituationView};
use super::view::wait::{EdgeKind, EdgeView, WaitForView};
use shootdown_trace::console::conclude::Verdict;
use shootdown_trace::console::frame::Frame;
use shootdown_trace::console::graph::{Cycle, Edge, Wait};
use shootdown_trace::console::situation::{How, LockName, Situation, Who};
use shootdown_trace::console::{Diagnosis, Unreadable, read, scenario, text};

/// Most CPUs and tasks that are shown.
const MOST: usize = 16;

/// Columns of the printed report.
const WIDTH: usize = 100;

/// Reads a log, or a trace in its place, and tells what follows; `name` is what its scenario calls it.
///
/// # Errors
/// If it is no text.
pub fn diagnosis(bytes: &[u8], name: &str) -> Result<DiagnosisView, Unreadable> {
    if let Some(view) = traced(bytes) {
        return Ok(view);
    }
    let d = read(bytes)?;
    let (cycle, sentences, get) = verdict(&d.verdict);
    let place = |who: Who| cycle.and_then(|c| c.edges.iter().position(|e| e.from == who));
    let awaited = |who: Who| match who {
        Who::Cpu(cpu) => d.awaited.values().flatten().any(|t| t.cpu == cpu),
        Who::Task(_) => false,
    };
    let mut shown: Vec<&Situation> = d
        .situations
        .iter()
        .filter(|s| s.doing.waits() || place(s.who).is_some() || awaited(s.who))
        .collect();
    shown.sort_by_key(|s| (place(s.who).is_none(), place(s.who), s.who));
    shown.truncate(MOST);
    Ok(DiagnosisView {
        schema: "shootdown/page-diagnosis/1",
        word: d.verdict.name(),
        sentences,
        get,
        shape: d.shape.as_ref().map(|s| format!("{}: {}", s.name, s.what)),
        others: d.situations.len() - shown.len(),
        situations: shown
            .iter()
            .map(|s| situation(&d, s, place(s.who).is_some()))
            .collect(),
        wait_for: wait_for(&d, cycle),
        incomplete: d.incomplete.clone(),
        ftrace: d.ftrace,
        scenario: scenario::scenario(&d, name).ok(),
        report: text::report(&d, WIDTH),
    })
}

fn fact(text: impl ToString, line: u64) -> FactView {
    FactView {
        text: text.to_string(),
        line,
    }
}

/// The cycle if there is one, the conclusion in sentences, and what to get.
fn verdict(verdict: &Verdict) -> (Option<&Cycle>, Vec<FactView>, Vec<String>) {
    let edges = |cycle: &Cycle| -> Vec<FactView> {
        let said = |e: &Edge| fact(&e.words, e.line);
        cycle.edges.iter().map(said).collect()
    };
    match verdict {
        Verdict::Cycle { cycle } => (Some(cycle), edges(cycle), Vec::new()),
        Verdict::CycleIf {
            cycle,
            condition,
            or,
        } => {
            let mut all = vec![fact(format!("A cycle if {condition}"), 0)];
            all.extend(or.iter().map(|other| fact(format!("Or if {other}"), 0)));
            all.extend(edges(cycle));
            (Some(cycle), all, Vec::new())
        }
        Verdict::NoCycle { reasons, .. } => {
            let all = reasons.iter().map(|(text, line)| fact(text, *line));
            (None, all.collect(), Vec::new())
        }
        Verdict::NotDecidable {
            unknown,
            get,
            looks_like,
        } => {
            let all = unknown.iter().chain(looks_like).map(|text| fact(text, 0));
            (None, all.collect(), get.clone())
        }
    }
}

fn situation(d: &Diagnosis, s: &Situation, in_cycle: bool) -> SituationView {
    let frame = |f: &Frame| fact(&f.function, f.line);
    let mut frames: Vec<FactView> = s.frames.iter().map(frame).collect();
    for below in &s.interrupted {
        frames.push(fact("", 0));
        frames.extend(below.iter().map(frame));
    }
    SituationView {
        name: s.who.to_string(),
        task: match &s.task {
            Some((comm, Some(pid))) => format!("{comm}/{pid}"),
            Some((comm, None)) => comm.clone(),
            None => String::new(),
        },
        line: s.line,
        said: text::line(d, s),
        irqs_on: s.irqs.as_ref().map(|irqs| irqs.on),
        context: s.context.name(),
        holds: s
            .holds
            .iter()
            .map(|h| match &h.how {
                How::Printed => fact(&h.lock, h.line),
                How::Inferred(why) => fact(format!("{} (inferred: {why})", h.lock), h.line),
            })
            .collect(),
        frames,
        in_cycle,
    }
}

/// A lock in a node of the graph: short, and marked where nobody prints who holds it.
fn lock_name(lock: &LockName, edge: &Edge) -> String {
    let name = match (&lock.class, &lock.address) {
        (Some((class, _)), _) => class.clone(),
        (None, Some((address, _))) => format!("lock …{:06x}", address & 0xff_ffff),
        (None, None) => lock.words().trim_start_matches("the ").to_string(),
    };
    match edge.missing.is_some() || !edge.inferred.is_empty() {
        true => format!("{name} (holder inferred)"),
        false => name,
    }
}

/// The cycle, and acknowledgements that are awaited besides.
fn wait_for(d: &Diagnosis, cycle: Option<&Cycle>) -> WaitForView {
    let in_cycle = cycle.map_or(&[][..], |c| &c.edges);
    let mut edges: Vec<EdgeView> = in_cycle
        .iter()
        .map(|e| {
            let lock = match &e.wait {
                Wait::Lock(lock) => Some(lock_name(lock, e)),
                _ => None,
            };
            EdgeView {
                from: e.from.to_string(),
                to: e.to.to_string(),
                kind: match lock {
                    Some(_) => EdgeKind::Lock,
                    None => EdgeKind::Ack,
                },
                on: lock,
                label: match &e.wait {
                    Wait::Acks => "awaits the ack of",
                    Wait::Rendezvous => "waits until it comes:",
                    Wait::Handler => "awaits the handler on",
                    Wait::Lock(_) => "",
                }
                .to_string(),
                in_cycle: true,
            }
        })
        .collect();
    for (cpu, targets) in &d.awaited {
        for target in targets {
            let (from, to) = (Who::Cpu(*cpu), Who::Cpu(target.cpu));
            if in_cycle.iter().any(|e| e.from == from && e.to == to) {
                continue;
            }
            edges.push(EdgeView {
                from: from.to_string(),
                to: to.to_string(),
                kind: EdgeKind::Ack,
                on: None,
                label: "awaits the ack of".to_string(),
                in_cycle: false,
            });
        }
    }
    WaitForView {
        edges,
        cycle: in_cycle.iter().map(|e| e.from.to_string()).collect(),
        sentence: None,
    }
}
