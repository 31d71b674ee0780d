//! A run as a picture: one lane per CPU over the steps, lock lanes below.
//!
//! Nothing is told by colour alone: bars carry their text, spinning is striped, interrupts off
//! are hatched and say `IF=0`. The full C statement of a step is its tooltip.

use super::event::{Event, events};
use super::{Run, possible};
use crate::id::{Context, CpuId, Level, LockId, MAX_LOCKS};
use crate::model::{Action, Protocol};
use crate::program::{Entry, Op};
use crate::state::State;
use crate::trace::Trace;
use std::fmt::Write;

const LEFT: f64 = 52.0;
/// Room behind the last step, for what stays as it is.
const TAIL: f64 = 150.0;
const WIDTH: f64 = 900.0;
const ROW: f64 = 16.0;
const GAP: f64 = 14.0;
/// Width of a character of the 10 px font, on the safe side.
const CHAR: f64 = 5.9;

/// Bars of locks: fill and the id of the stripes of the same hue.
const LOCK_COLOURS: &[(&str, &str)] = &[
    ("#6b4fa0", "s0"),
    ("#1d6f57", "s1"),
    ("#a34a1f", "s2"),
    ("#1f5fa3", "s3"),
];

/// A run as a self-contained SVG image, without scripts. A run that is not possible is drawn
/// as far as it goes.
pub fn svg(protocol: &Protocol, trace: &Trace) -> String {
    let (states, _) = possible(protocol, trace);
    let trace = Trace {
        actions: trace.actions[..states.len() - 1].to_vec(),
        ..trace.clone()
    };
    let run = Run {
        protocol,
        trace: &trace,
        states,
        property: None,
    };
    let all = events(&run);
    let n = all.len().max(1) as f64;
    let mut picture = Picture {
        run: &run,
        step: ((WIDTH - LEFT - TAIL) / n).clamp(42.0, 64.0),
        body: String::new(),
        y: 22.0,
        lanes: Vec::new(),
    };
    picture.numbers();
    for (who, _) in run.states[0].each_cpu(&protocol.config) {
        picture.cpu_lane(who, &all);
    }
    picture.arrows(&all);
    picture.lock_lanes();
    if let Some(to) = trace.loops_to {
        picture.bracket(to);
    }
    picture.finish()
}

/// Columns over which something stays the same: first column, one past the last, text.
type Span = (usize, usize, String);

struct Picture<'a> {
    run: &'a Run<'a>,
    /// Width of a step.
    step: f64,
    body: String,
    /// Where the next lane starts.
    y: f64,
    /// Per CPU, the top of its row of steps.
    lanes: Vec<f64>,
}

impl Picture<'_> {
    fn columns(&self) -> usize {
        self.run.trace.actions.len()
    }

    /// Left edge of a column; the one past the last is the tail.
    fn x(&self, column: usize) -> f64 {
        LEFT + self.step * column as f64
    }

    fn right(&self) -> f64 {
        self.x(self.columns()) + TAIL
    }

    /// Where `text` says something, and what, merged over neighbouring columns. The state
    /// after a step fills the step's column, the last one the tail as well.
    fn spans(&self, text: impl Fn(&State) -> Option<String>) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let states = self.run.states[1..].iter().chain([self.run.last()]);
        for (column, state) in states.enumerate() {
            let Some(text) = text(state) else { continue };
            match spans.last_mut() {
                Some((_, end, same)) if *end == column && *same == text => *end += 1,
                _ => spans.push((column, column + 1, text)),
            }
        }
        spans
    }

    fn extent(&self, span: &Span) -> (f64, f64) {
        let end = if span.1 > self.columns() {
            self.right()
        } else {
            self.x(span.1)
        };
        (self.x(span.0), end)
    }

    fn text(&mut self, x: f64, y: f64, fill: &str, text: &str) {
        let _ = write!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}" fill="{fill}">{}</text>"#,
            escape(text)
        );
    }

    /// A bar with its text, shortened to fit; the whole text is the tooltip.
    fn bar(&mut self, span: &Span, y: f64, fill: &str, ink: &str, dashed: bool) {
        let (x, end) = self.extent(span);
        let width = end - x - 1.0;
        let dash = if dashed {
            r#" stroke-dasharray="3 2""#
        } else {
            ""
        };
        let room = ((width - 5.0) / CHAR) as usize;
        let mut shown: String = span.2.chars().take(room).collect();
        if shown.len() < span.2.len() {
            shown.pop();
            shown.push('…');
        }
        let height = ROW - 2.0;
        let _ = write!(
            self.body,
            r##"<g><title>{}</title><rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height}" fill="{fill}" stroke="#555" stroke-width="0.7"{dash}/>"##,
            escape(&span.2)
        );
        // Text on a pattern needs paper under it.
        if fill.starts_with("url") {
            let paper = CHAR.mul_add(shown.chars().count() as f64, 4.0);
            let _ = write!(
                self.body,
                r##"<rect x="{:.1}" y="{:.1}" width="{paper:.1}" height="{}" fill="#fff"/>"##,
                x + 1.0,
                y + 1.0,
                height - 2.0
            );
        }
        self.text(x + 3.0, y + 11.0, ink, &shown);
        self.body.push_str("</g>");
    }

    fn numbers(&mut self) {
        self.text(4.0, 12.0, "#555", "step");
        for column in 0..self.columns() {
            let x = self.x(column) + 3.0;
            self.text(x, 12.0, "#555", &(column + 1).to_string());
        }
    }

    fn cpu_lane(&mut self, who: CpuId, all: &[Event<'_>]) {
        let config = &self.run.protocol.config;
        let top = self.y;
        let level_text = |level: Level| {
            move |s: &State| {
                let ctx = s.cpu(who).context(level);
                let on = if ctx.mm.is_some() {
                    format!("({})", ctx.mm)
                } else {
                    String::new()
                };
                let tag = if level == Level::Irq { "[irq] " } else { "" };
                ctx.is_running()
                    .then(|| format!("{tag}{}{on}", ctx.program))
            }
        };
        let name = who.to_string();
        let _ = write!(self.body, r#"<g font-weight="bold">"#);
        self.text(4.0, top + 12.0, "#111", &name);
        self.body.push_str("</g>");
        for span in self.spans(level_text(Level::Task)) {
            self.bar(&span, self.y, "#dbe7f5", "#111", false);
        }
        self.y += ROW;
        let irqs = self.spans(level_text(Level::Irq));
        for span in &irqs {
            self.bar(span, self.y, "#fbdcbc", "#111", false);
        }
        if !irqs.is_empty() {
            self.y += ROW;
        }
        let steps = self.y;
        for event in all.iter().filter(|e| e.action.cpu() == who) {
            self.step_box(event, steps);
        }
        self.y += ROW;
        let off = self.spans(|s| (!s.cpu(who).irqs_on).then(|| "IF=0".to_string()));
        for span in &off {
            self.bar(span, self.y, "url(#hatch)", "#111", false);
        }
        if !off.is_empty() {
            self.y += ROW;
        }
        for lock in (0..MAX_LOCKS).map(LockId::from_index) {
            let at = |state: &State, wanted: fn(&crate::cpu::Ctx, LockId) -> bool| {
                Level::ALL
                    .iter()
                    .any(|&l| wanted(state.cpu(who).context(l), lock))
            };
            let holds =
                self.spans(|s| at(s, |c, l| c.held.contains(l)).then(|| format!("holds {lock}")));
            let spins = self.spans(|s| {
                at(s, |c, l| c.spins_for() == Some(l)).then(|| format!("spins for {lock}"))
            });
            if holds.is_empty() && spins.is_empty() {
                continue;
            }
            let (fill, stripes) = LOCK_COLOURS[lock.index() % LOCK_COLOURS.len()];
            for span in &holds {
                self.bar(span, self.y, fill, "#fff", false);
            }
            // An interrupt may spin for what its own CPU holds: a row below, then.
            let overlap = holds
                .iter()
                .any(|h| spins.iter().any(|s| s.0 < h.1 && h.0 < s.1));
            if overlap {
                self.y += ROW;
            }
            for span in &spins {
                self.bar(span, self.y, &format!("url(#{stripes})"), "#111", true);
            }
            self.y += ROW;
        }
        let awaits = self.spans(|s| {
            Level::ALL.into_iter().find_map(|level| {
                s.cpu(who).awaits_acks(config, level).then(|| {
                    super::cycle::wait(config, s, Context { cpu: who, level }).unwrap_or_default()
                })
            })
        });
        for span in &awaits {
            self.bar(span, self.y, "url(#await)", "#111", true);
        }
        if !awaits.is_empty() {
            self.y += ROW;
        }
        for entry in Entry::ALL {
            let cached = self.spans(|s| {
                let cpu = s.cpu(who);
                let mm = cpu.loaded_mm().filter(|_| cpu.tlb.contains(entry))?;
                let stale = !s.mm(mm).translates(entry) || s.mm(mm).frame(entry).freed;
                let tag = if stale { "TLB, STALE" } else { "TLB" };
                Some(format!("{tag}: {mm}'s {entry}"))
            });
            for span in &cached {
                let fill = if span.2.contains("STALE") {
                    "url(#await)"
                } else {
                    "#eee8d0"
                };
                self.bar(span, self.y, fill, "#111", false);
            }
            if !cached.is_empty() {
                self.y += ROW;
            }
        }
        self.lanes.push(steps);
        self.y += GAP;
        let _ = write!(
            self.body,
            r##"<line x1="0" y1="{0:.1}" x2="{1:.1}" y2="{0:.1}" stroke="#bbb"/>"##,
            self.y - GAP / 2.0,
            self.right()
        );
    }

    fn step_box(&mut self, event: &Event<'_>, y: f64) {
        let line = self
            .run
            .protocol
            .line(&self.run.states[event.n - 1], &event.action);
        let short = match event.action {
            Action::Start { .. } => "start",
            Action::Ipi { .. } => "irq",
            Action::IrqFree { .. } => "irq",
            Action::Fill { .. } => "fill",
            Action::Step { .. } => line.map_or("", |(_, l)| short(l.op)),
        };
        let room = ((self.step - 4.0) / CHAR) as usize;
        let shown: String = short.chars().take(room).collect();
        let note = event
            .note
            .as_deref()
            .map(|n| format!(" /* {n} */"))
            .unwrap_or_default();
        let x = self.x(event.n - 1);
        let _ = write!(
            self.body,
            r##"<g><title>{}. {}{}</title><rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{}" rx="2" fill="#fff" stroke="#111" stroke-width="0.8"/>"##,
            event.n,
            escape(&event.what),
            escape(&note),
            self.step - 1.0,
            ROW - 2.0
        );
        self.text(x + 2.0, y + 11.0, "#111", &shown);
        self.body.push_str("</g>");
    }

    /// From every IPI to the handler that takes it, from box `IPI` to box `irq`, and from every
    /// acknowledgement back.
    fn arrows(&mut self, all: &[Event<'_>]) {
        for event in all {
            let (before, after) = (&self.run.states[event.n - 1], &self.run.states[event.n]);
            let from = event.action.cpu();
            for (target, cpu) in after.each_cpu(&self.run.protocol.config) {
                if before.cpu(target).pending_ipi(from).is_none() && cpu.pending_ipi(from).is_some()
                {
                    self.ipi(event.n, from, target, all);
                }
                if before.cpu(target).acks.contains(from) && !cpu.acks.contains(from) {
                    let column = event.n - 1;
                    let x = self.x(column) + self.step / 2.0;
                    // Nothing else stands in the target's row there: a column has one step.
                    let (start, end) = (self.edge(from, target), self.middle(target));
                    self.line((x, start), (x, end), "#1d6f57", true);
                    let y = (self.middle(from) + self.middle(target)) / 2.0;
                    self.text(x + 4.0, y, "#1d6f57", "ack");
                }
            }
        }
    }

    fn ipi(&mut self, n: usize, from: CpuId, target: CpuId, all: &[Event<'_>]) {
        let x = self.x(n - 1) + self.step / 2.0;
        let taken = all[n..].iter().find(|e| {
            matches!(e.action, Action::Ipi { cpu, from: sender } if cpu == target && sender == from)
        });
        if let Some(taken) = taken {
            let end = self.x(taken.n - 1) + self.step / 2.0;
            let (start, stop) = (self.edge(from, target), self.edge(target, from));
            self.line((x, start), (end, stop), "#b00020", true);
            return;
        }
        let cpu = self.run.last().cpu(target);
        let why = if cpu.in_irq() {
            "in an interrupt"
        } else if !cpu.irqs_on {
            "IF=0"
        } else {
            "not taken yet"
        };
        // The row of steps has room behind the last step.
        let end = self.x(self.columns()) + 8.0;
        let (start, y) = (self.edge(from, target), self.middle(target));
        self.line((x, start), (end, y), "#b00020", false);
        let _ = write!(
            self.body,
            r##"<circle cx="{end:.1}" cy="{y:.1}" r="4.5" fill="#fff" stroke="#b00020" stroke-width="1.6"/>"##
        );
        let label = format!("IPI pending: {target} {why}");
        self.text(end + 8.0, y + 4.0, "#b00020", &label);
    }

    /// The y of a CPU's row of steps, on the side that faces another CPU.
    fn edge(&self, of: CpuId, facing: CpuId) -> f64 {
        self.lanes[of.index()] + if facing > of { ROW - 2.0 } else { 0.0 }
    }

    /// The middle of a CPU's row of steps.
    fn middle(&self, of: CpuId) -> f64 {
        self.lanes[of.index()] + ROW / 2.0 - 1.0
    }

    /// A line with a pale rim, so that it can be followed across bars.
    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, head: bool) {
        let marker = if head {
            format!(r#" marker-end="url(#h{})""#, &colour[1..])
        } else {
            String::new()
        };
        let ends = format!(
            r#"x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}""#,
            from.0, from.1, to.0, to.1
        );
        let _ = write!(
            self.body,
            r##"<line {ends} stroke="#fff" stroke-width="4" stroke-opacity="0.75"/><line {ends} stroke="{colour}" stroke-width="1.4"{marker}/>"##
        );
    }

    /// One lane per lock that anybody had: owners, and waiters in the order of the queue.
    fn lock_lanes(&mut self) {
        for lock in (0..MAX_LOCKS).map(LockId::from_index) {
            let names = |contexts: Vec<Context>| {
                (!contexts.is_empty()).then(|| super::list(contexts.iter().map(|c| c.to_string())))
            };
            let owners = self.spans(|s| names(s.lock(lock).holders().collect()));
            let waiters = self.spans(|s| {
                let queue = s.lock(lock).waiters().map(|(c, _)| c).collect();
                names(queue).map(|n| format!("waits: {n}"))
            });
            if owners.is_empty() {
                continue;
            }
            let (fill, stripes) = LOCK_COLOURS[lock.index() % LOCK_COLOURS.len()];
            self.text(4.0, self.y + 8.0, "#111", &lock.to_string());
            self.y += 12.0;
            for span in &owners {
                let held = (span.0, span.1, format!("held by {}", span.2));
                self.bar(&held, self.y, fill, "#fff", false);
            }
            self.y += ROW;
            for span in &waiters {
                self.bar(span, self.y, &format!("url(#{stripes})"), "#111", true);
            }
            if !waiters.is_empty() {
                self.y += ROW;
            }
            self.y += 4.0;
        }
    }

    /// Under the steps that a lasso repeats.
    fn bracket(&mut self, to: usize) {
        let (x, end, y) = (self.x(to), self.x(self.columns()), self.y + 4.0);
        let _ = write!(
            self.body,
            r##"<path d="M{x:.1} {:.1} v6 H{end:.1} v-6" fill="none" stroke="#111" stroke-width="1.4"/>"##,
            y
        );
        self.text(x + 4.0, y + 18.0, "#111", "repeats for ever");
        self.y += 26.0;
    }

    fn finish(self) -> String {
        let (width, height) = (self.right() + 4.0, self.y + 6.0);
        let mut defs = String::new();
        let pattern = |defs: &mut String, id: &str, colour: &str, size: u8, angle: i16| {
            let _ = write!(
                defs,
                r##"<pattern id="{id}" width="{size}" height="{size}" patternUnits="userSpaceOnUse" patternTransform="rotate({angle})"><rect width="{size}" height="{size}" fill="#fff"/><rect width="2.5" height="{size}" fill="{colour}"/></pattern>"##
            );
        };
        pattern(&mut defs, "hatch", "#777", 5, 45);
        pattern(&mut defs, "await", "#b00020", 8, -45);
        for (colour, id) in LOCK_COLOURS {
            pattern(&mut defs, id, colour, 7, 45);
        }
        for colour in ["b00020", "1d6f57"] {
            let _ = write!(
                defs,
                r##"<marker id="h{colour}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#{colour}"/></marker>"##
            );
        }
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" font-family="DejaVu Sans, Arial, sans-serif" font-size="10"><defs>{defs}</defs><rect width="100%" height="100%" fill="#fff"/>{}</svg>"##,
            self.body
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A step in a word or two, to stand in its box.
fn short(op: Op) -> &'static str {
    match op {
        Op::IrqSave(_) => "cli",
        Op::IrqRestore(_) => "popf",
        Op::Lock(..) => "lock",
        Op::TryLock { .. } => "try",
        Op::Unlock(_) => "unlock",
        Op::SetInitEntry => "init",
        Op::ReadInitEntry { .. } => "rd init",
        Op::ForEachPgd { .. } => "next",
        Op::ReadKernelEntry { .. } => "rd pgd",
        Op::ReadPinned { .. } => "pinned?",
        Op::WriteKernelEntry { .. } => "set pgd",
        Op::ClonePgd => "clone",
        Op::ListAdd => "add",
        Op::ListDel => "del",
        Op::FreeMm => "free",
        Op::TestAndClearYoung { .. } => "clr A",
        Op::GetAndClear { .. } => "clear",
        Op::SetSplitting { .. } => "SPLIT",
        Op::PmdNotPresent => "!pres",
        Op::PmdPopulate => "popul.",
        Op::TestSplitting { .. } => "split?",
        Op::AwaitNotSplitting => "split!",
        Op::SplitCompound => "split",
        Op::GupRead { .. } => "gup",
        Op::GetPage(_) => "get",
        Op::PutPage(_) => "put",
        Op::RaisePending => "pend+",
        Op::DropPending => "pend-",
        Op::ReadPending => "pend?",
        Op::FlushLocal(_) | Op::FlushRequested => "flush",
        Op::SendIpi(_) => "IPI",
        Op::AwaitAcks => "acked",
        Op::FlushHypercall(_) => "hyperc",
        Op::Ack => "ack",
        Op::CpumaskSet => "mask +",
        Op::CpumaskClearPrev | Op::CpumaskClearOwn | Op::CpumaskClearIfLazy => "mask -",
        Op::LoadCr3 => "CR3",
        Op::StopBeingLazy { .. } => "!lazy",
        Op::EnterLazy => "lazy",
        Op::LeaveMm => "leave",
        Op::LoadSwapper => "swap",
        Op::SetPinned(true) => "pin",
        Op::SetPinned(false) => "unpin",
        Op::UserStore(_) => "store",
        Op::Return => "ret",
        Op::Branch { .. } | Op::Goto { .. } => "",
    }
}
