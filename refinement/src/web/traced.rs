//! Traces of a kernel that come where a log is expected: read by [`shootdown_trace::ftrace`], told as a log is.

use super::view::diagnosis::{DiagnosisView, FactView, SituationView};
use super::view::wait::{EdgeKind, EdgeView, WaitForView};
use shootdown_trace::ftrace::hang::{Standing, Wait};
use shootdown_trace::ftrace::line::Level;
use shootdown_trace::ftrace::report::{Report, Rule, Verdict};
use shootdown_trace::ftrace::{self, text};

/// Columns of the printed report.
const WIDTH: usize = 100;

/// Most rows of how it came to a hang.
const MOST: usize = 60;

/// What a trace shows; `None` if it is none, or only a part of a log.
pub fn traced(bytes: &[u8]) -> Option<DiagnosisView> {
    let report = ftrace::read(bytes).ok()?;
    let whole = report.counts.events > report.counts.text + report.counts.malformed;
    (whole || report.end.hang.is_some()).then(|| view(&report))
}

fn view(report: &Report) -> DiagnosisView {
    let mut sentences = Vec::new();
    let word = match &report.end.hang {
        Some(hang) => {
            sentences.push(fact(&hang.sentence, 0));
            let assumed = hang.assumes.iter().map(|a| fact(format!("If {a}"), 0));
            sentences.extend(assumed);
            let from = hang.rows.len().saturating_sub(MOST);
            let rows = hang.rows[from..].iter();
            sentences.extend(rows.map(|r| fact(format!("CPU{}: {}", r.cpu, r.text), r.line)));
            match hang.assumes.is_empty() {
                true => "cycle",
                false => "cycle if",
            }
        }
        None => {
            let broken: Vec<Rule> = Rule::ALL
                .into_iter()
                .filter(|r| report.violated(*r))
                .collect();
            sentences.extend(broken.iter().map(|r| {
                let (name, promise) = (r.name(), r.promise());
                fact(format!("Not kept, {name}: {promise}"), 0)
            }));
            if broken.is_empty() {
                sentences.push(fact("Nothing against any rule in what was recorded", 0));
            }
            match report.verdict(&[Rule::Hang]) {
                Verdict::Clean => "no cycle",
                Verdict::Violated | Verdict::Incomplete => "not decidable",
            }
        }
    };
    let hang = report.end.hang.as_ref();
    let cycle = hang.map_or(&[][..], |h| &h.cycle);
    let waiting: Vec<(&Standing, bool)> = cycle
        .iter()
        .map(|s| (s, true))
        .chain(hang.iter().flat_map(|h| &h.bystanders).map(|s| (s, false)))
        .chain(report.end.standing.iter().map(|s| (s, false)))
        .collect();
    DiagnosisView {
        schema: "shootdown/page-diagnosis/1",
        word,
        sentences,
        get: Vec::new(),
        shape: None,
        situations: waiting.iter().map(|(s, of)| situation(s, *of)).collect(),
        others: 0,
        wait_for: wait_for(&waiting, cycle),
        incomplete: report
            .gaps
            .iter()
            .chain(&report.incomplete)
            .cloned()
            .collect(),
        ftrace: None,
        scenario: None,
        report: text::report(report, &Rule::ALL, WIDTH),
    }
}

fn fact(text: impl ToString, line: u64) -> FactView {
    FactView {
        text: text.to_string(),
        line,
    }
}

fn name(cpu: u16) -> String {
    format!("CPU{cpu}")
}

fn situation(s: &Standing, in_cycle: bool) -> SituationView {
    let said = match &s.wait {
        Wait::Lock { lock, holders, .. } => match holders.as_slice() {
            [] => format!("waits for {}", lock.class),
            all => format!("waits for {}, held by {}", lock.class, all.join(", ")),
        },
        Wait::Acknowledgements { .. } => {
            let missing: Vec<String> = s.missing().map(|r| name(r.target)).collect();
            match missing.is_empty() {
                true => "awaits acknowledgements".to_string(),
                false => format!("awaits the acknowledgement of {}", missing.join(", ")),
            }
        }
        Wait::Interrupt => "waits for the interrupt on top of it".to_string(),
    };
    let frames = match &s.stack {
        Some(stack) => stack.frames.iter().map(|f| fact(f, stack.line)).collect(),
        None => s.frames.iter().map(|f| fact(f, 0)).collect(),
    };
    SituationView {
        name: name(s.cpu),
        task: s.task.to_string(),
        line: s.last.line,
        said: match &s.waited {
            Some(waited) => format!("{said}; for {waited} when the trace ends"),
            None => said,
        },
        irqs_on: Some(!s.irqs_off),
        context: match s.level {
            Level::Task => "task",
            Level::Softirq => "softirq",
            Level::Hardirq => "hardirq",
            Level::Nmi => "NMI",
        },
        holds: s
            .holds
            .iter()
            .map(|l| fact(&l.class, l.since.line))
            .collect(),
        frames,
        in_cycle,
    }
}

/// An edge for everything that somebody waits for.
fn wait_for(waiting: &[(&Standing, bool)], cycle: &[Standing]) -> WaitForView {
    let on_cycle = |cpu: &str| cycle.iter().any(|s| name(s.cpu) == cpu);
    let mut edges = Vec::new();
    for (s, of) in waiting {
        let from = name(s.cpu);
        let mut edge = |to: String, kind, on: Option<String>, label: &str| {
            edges.push(EdgeView {
                in_cycle: *of && on_cycle(&to),
                from: from.clone(),
                to,
                kind,
                on,
                label: label.to_string(),
            });
        };
        match &s.wait {
            Wait::Lock { lock, holders, .. } => {
                for holder in holders {
                    let to = holder.split(' ').next().unwrap_or(holder).to_string();
                    edge(to, EdgeKind::Lock, Some(lock.class.to_string()), "");
                }
            }
            Wait::Acknowledgements { .. } => {
                for request in s.missing() {
                    edge(
                        name(request.target),
                        EdgeKind::Ack,
                        None,
                        "awaits the ack of",
                    );
                }
            }
            Wait::Interrupt => {}
        }
    }
    WaitForView {
        edges,
        cycle: cycle.iter().map(|s| name(s.cpu)).collect(),
        sentence: None,
    }
}
