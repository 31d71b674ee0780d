//! A hang as text: one column per CPU, who holds and who waits, and the circle as a sentence.

use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use serde::Serialize;

use super::{CpuReport, Edge, Wait, Why};
use crate::event::{Event, Lock};
use crate::host::recorder::Record;
use crate::irq::Vector;

/// A hang, explained.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct HangReport {
    /// The CPUs.
    pub cpus: Vec<CpuReport>,
    /// The waits that close a circle; empty if nothing moves and no circle was found.
    pub cycle: Vec<Edge>,
    /// How long nothing had moved, in milliseconds.
    pub stuck_for_ms: u64,
    /// The last events before, if they were recorded, in their order.
    #[serde(skip)]
    pub last_events: Vec<Record>,
}

impl HangReport {
    /// The circle as a sentence.
    pub fn sentence(&self) -> String {
        if self.cycle.is_empty() {
            return "nothing moves, and no circle of waits was found".into();
        }
        let clauses: Vec<String> = self.cycle.iter().map(|e| self.clause(e)).collect();
        format!("{}. None of them can go on.", clauses.join("; "))
    }

    fn clause(&self, edge: &Edge) -> String {
        let Edge { from, to, why } = *edge;
        let me = &self.cpus[from.cpu.index()];
        let held = &me.holds[usize::from(from.irq)];
        let holds = match held.as_slice() {
            [] => String::new(),
            locks => format!(
                "holds {} and ",
                locks
                    .iter()
                    .map(Lock::to_string)
                    .collect::<Vec<_>>()
                    .join(" and ")
            ),
        };
        let irqs = if me.irqs_on { "" } else { ", interrupts off," };
        match why {
            Why::Holds(lock) => format!("{from}{irqs} {holds}spins for {lock}, held by {to}"),
            Why::NoAck => format!(
                "{from} {holds}awaits the acknowledgement of {}, which has interrupts off",
                to.cpu
            ),
            Why::Interrupted => {
                format!("{from} {holds}was interrupted and goes on only after its interrupt")
            }
        }
    }

    /// The report as text: one column per CPU, the last events in temporal order, then who holds and who waits.
    pub fn render(&self, width: usize) -> String {
        let column = (width.saturating_sub(3 * self.cpus.len().saturating_sub(1))
            / self.cpus.len().max(1))
        .max(24);
        let mut text = format!(
            "DEADLOCK: nothing has moved for {} ms\n\n",
            self.stuck_for_ms
        );
        let row = |cells: Vec<String>| {
            let padded: Vec<String> = cells
                .iter()
                .map(|c| format!("{:<column$}", shorten(c, column)))
                .collect();
            format!("{}\n", padded.join(" | ").trim_end())
        };
        text += &row(self.cpus.iter().map(|c| c.cpu.to_string()).collect());
        text += &row(self.cpus.iter().map(|_| "-".repeat(column)).collect());
        for record in &self.last_events {
            let mut cells = vec![String::new(); self.cpus.len()];
            let indent = if record.irq { "  " } else { "" };
            cells[record.cpu.index()] = format!("{indent}{}", describe(record.event));
            text += &row(cells);
        }
        if !self.last_events.is_empty() {
            text += &row(self.cpus.iter().map(|_| "-".repeat(column)).collect());
        }
        let fields: [fn(&CpuReport) -> String; 6] = [
            |c| {
                format!(
                    "in {}",
                    c.running.map_or("no operation".into(), |o| o.to_string())
                )
            },
            |c| {
                c.in_irq.map_or(String::new(), |v| {
                    format!("in interrupt {}", describe_vector(v))
                })
            },
            |c| format!("interrupts {}", if c.irqs_on { "on" } else { "OFF" }),
            |c| list("holds", c.holds.iter().flatten().map(Lock::to_string)),
            |c| list("waits for", c.waits.iter().flatten().map(describe_wait)),
            |c| list("pending", c.pending.iter().map(|&v| describe_vector(v))),
        ];
        for field in fields {
            let cells: Vec<String> = self.cpus.iter().map(field).collect();
            if cells.iter().any(|c| !c.is_empty()) {
                text += &row(cells);
            }
        }
        format!("{text}\n{}\n", wrap(&self.sentence(), width.max(40)))
    }
}

/// Breaks a sentence into lines.
fn wrap(sentence: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in sentence.split(' ') {
        let line = lines
            .last_mut()
            .filter(|l| l.is_empty() || l.chars().count() + 1 + word.chars().count() <= width);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => *line = format!("{line} {word}"),
            None => lines.push(word.into()),
        }
    }
    lines.join("\n")
}

fn list(what: &str, items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        String::new()
    } else {
        format!("{what} {}", items.join(", "))
    }
}

fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    text.chars()
        .take(width.saturating_sub(1))
        .chain(['…'])
        .collect()
}

fn describe_wait(wait: &Wait) -> String {
    match wait {
        Wait::Lock(lock) => lock.to_string(),
        Wait::Acks(from) => format!(
            "acks of {}",
            from.iter()
                .map(|c| c.to_string())
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

fn describe_vector(vector: Vector) -> String {
    match vector {
        Vector::FlushTlb(from) => format!("flush IPI from {from}"),
        Vector::PgdFree(mm) => format!("pgd_free({mm})"),
    }
}

/// An event in a kernel developer's words.
pub fn describe(event: Event) -> String {
    match event {
        Event::Begin { operation } => format!("{operation}:"),
        Event::End { operation } => format!("{} returns", operation.program()),
        Event::IrqSave { enabled: true } => "irqs off".into(),
        Event::IrqSave { enabled: false } => "irqs off (already)".into(),
        Event::IrqRestore { enabled } => {
            format!("irqs {}", if enabled { "on" } else { "stay off" })
        }
        Event::IrqEnter { vector } => format!("<{}>", describe_vector(vector)),
        Event::IrqExit { .. } => "<iret>".into(),
        Event::LockWait { lock } => format!("spins for {lock}"),
        Event::LockAcquired { lock } => format!("lock {lock}"),
        Event::LockReleased { lock } => format!("unlock {lock}"),
        Event::IpiSent { to } => format!("flush IPI to {to}"),
        Event::AcksSet { targets } => {
            format!(
                "awaits {}",
                targets
                    .iter()
                    .map(|c| c.to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        Event::AcksComplete {} => "all acknowledged".into(),
        Event::ClearYoung { mm, slot, young } => {
            format!(
                "{mm} {slot:?}: clear ACCESSED ({})",
                if young { "was set" } else { "was clear" }
            )
        }
        Event::GetAndClear { mm, slot, .. } => format!("{mm} {slot:?}: get and clear"),
        Event::WalkAt { mm } => format!("walk at {mm}"),
        Event::Acked { from } => format!("acks {from}"),
        Event::InitEntrySet {} => "set init_mm's kernel entry".into(),
        Event::InitEntryRead { present } => format!("init_mm's kernel entry {}", there(present)),
        Event::WalkDone {} => "walk done".into(),
        Event::KernelEntryRead { mm, present } => format!("{mm}'s kernel entry {}", there(present)),
        Event::KernelEntrySet { mm, .. } => format!("set {mm}'s kernel entry"),
        Event::ListAdd { mm } => format!("list_add {mm}"),
        Event::ListDel { mm } => format!("list_del {mm}"),
        Event::MmBorn { mm } => format!("{mm} is born"),
        Event::MmFreed { mm } => format!("free {mm}"),
        Event::EntryRead {
            mm, slot, present, ..
        } => format!("{mm} {slot:?}: {}", there(present)),
        Event::SetSplitting { mm, .. } => format!("{mm} Huge: set SPLITTING"),
        Event::PmdNotPresent { mm } => format!("{mm} Huge: not present"),
        Event::PmdPopulate { mm } => format!("{mm} Huge: populate with a table"),
        Event::PendingRaised { mm } => format!("{mm}: pending++"),
        Event::PendingDropped { mm } => format!("{mm}: pending--"),
        Event::PendingRead { mm, count } => format!("{mm}: pending is {count}"),
        Event::FrameGet { frame, .. } => format!("get {frame}"),
        Event::FramePut { frame, freed } => {
            format!("put {frame}{}", if freed { " (freed)" } else { "" })
        }
        Event::FlushLocal { mm, .. } => format!("flush own TLB of {mm}"),
        Event::MaskRead { mm, .. } => format!("read {mm}'s cpumask"),
        Event::RequestPublished { mm, .. } => format!("publish flush of {mm}"),
        Event::RequestRead { mm, .. } => format!("asked to flush {mm}"),
        Event::FlushHandled { mm, .. } => format!("flush {mm}"),
        Event::MaskSet { mm } => format!("into {mm}'s cpumask"),
        Event::MaskCleared { mm } => format!("out of {mm}'s cpumask"),
        Event::LoadCr3 { mm } => format!("load CR3 of {mm}"),
        Event::EnterLazy {} => "lazy".into(),
        Event::LeaveLazy {} => "not lazy".into(),
        Event::LeaveMm { mm } => format!("leave {mm}"),
        Event::TlbEvicted { mm, slot } => format!("{mm} {slot:?} was evicted"),
        Event::UserAccess { slot, kind, .. } => format!("user {kind:?} of {slot:?}"),
        Event::TlbFill { mm, slot, .. } => format!("TLB fill of {mm} {slot:?}"),
        other => format!("{other:?}"),
    }
}

fn there(present: bool) -> &'static str {
    if present { "present" } else { "absent" }
}
