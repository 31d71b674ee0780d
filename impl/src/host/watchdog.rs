//! From a hang to a report: who holds, who waits, who has interrupts off, which IPI is pending, and why that is for ever.
//!
//! Everything is read from outside while the CPUs run, so a picture may be blurred. A cycle counts only if it is
//! still the same after a while in which none of its CPUs made progress.

use std::format;
use std::string::{String, ToString};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::vec;
use std::vec::Vec;

use serde::Serialize;

use crate::event::{Event, Lock};
use crate::host::Host;
use crate::host::interrupt::vector;
use crate::host::recorder::Record;
use crate::host::shared::{WANT_ACKS, context};
use crate::id::{CpuId, CpuMask};
use crate::irq::Vector;
use crate::kernel::Loc;
use crate::operation::Operation;

/// A context of a CPU: its base, or the interrupt on top of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct ContextId {
    /// The CPU.
    pub cpu: CpuId,
    /// Whether the interrupt.
    pub irq: bool,
}

impl ContextId {
    fn number(self) -> u8 {
        context(self.cpu, self.irq)
    }
    fn from_number(n: u8) -> Self {
        Self {
            cpu: CpuId(n / 2),
            irq: n % 2 == 1,
        }
    }
}

impl core::fmt::Display for ContextId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.irq {
            write!(f, "{}'s interrupt", self.cpu)
        } else {
            self.cpu.fmt(f)
        }
    }
}

/// What a context waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// A lock.
    Lock(Lock),
    /// Acknowledgements of its flush, from these.
    Acks(CpuMask),
}

/// One CPU of a report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CpuReport {
    /// Which.
    pub cpu: CpuId,
    /// The operation it runs, if any.
    pub running: Option<Operation>,
    /// The interrupt it is in, if any.
    pub in_irq: Option<Vector>,
    /// The interrupt flag.
    pub irqs_on: bool,
    /// The locks its base context and its interrupt hold.
    pub holds: [Vec<Lock>; 2],
    /// What they wait for.
    pub waits: [Option<Wait>; 2],
    /// Interrupts that it has yet to take.
    pub pending: Vec<Vector>,
}

/// Why one context cannot go on before another does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Edge {
    /// Who waits.
    pub from: ContextId,
    /// Whom for.
    pub to: ContextId,
    /// Why.
    pub why: Why,
}

/// The reason of an [`Edge`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The other holds this lock.
    Holds(Lock),
    /// The other CPU has interrupts off and so does not acknowledge.
    NoAck,
    /// The interrupt on top of it must end first.
    Interrupted,
}

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

/// One look at the machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picture {
    /// The CPUs.
    pub cpus: Vec<CpuReport>,
    /// How much each has done.
    pub ticks: Vec<u64>,
}

fn lock_at(loc: Loc, write: bool) -> Option<Lock> {
    match loc {
        Loc::PgdLock => Some(Lock::PgdLock),
        Loc::PgdRwLock if write => Some(Lock::PgdWrite),
        Loc::PgdRwLock => Some(Lock::PgdRead),
        Loc::PageTableLock(mm) => Some(Lock::PageTable(mm)),
        Loc::PteLock(mm) => Some(Lock::Pte(mm)),
        _ => None,
    }
}

impl Host {
    /// Looks at all CPUs.
    pub fn picture(&self) -> Picture {
        let cpu_ids = || (0..self.env.cpus).map(CpuId);
        Picture {
            cpus: cpu_ids().map(|cpu| self.look_at(cpu)).collect(),
            ticks: self.cpus.iter().map(|c| c.ticks.load(Relaxed)).collect(),
        }
    }

    /// The context that holds a lock: by the books; or, for a ticket lock, because its ticket is the one served,
    /// although it may not have noticed (an interrupt sits on it); or because it is just taking or releasing it.
    fn holder(&self, loc: Loc) -> Option<u8> {
        if let Some(booked) = self.holders[loc.index()].load(Relaxed).checked_sub(1) {
            return Some(booked);
        }
        let code = loc.index() as u32 + 1;
        let word = self.word(loc);
        if !matches!(loc, Loc::PgdLock | Loc::PageTableLock(_) | Loc::PteLock(_))
            || (word >> 32) as u32 == word as u32
        {
            return None;
        }
        let contexts = || (0..self.env.cpus).flat_map(|cpu| [(cpu, 0), (cpu, 1)]);
        let its_turn = |&(cpu, irq): &(u8, usize)| {
            let c = &self.cpus[usize::from(cpu)];
            c.want[irq].load(Relaxed) == code && c.ticket[irq].load(Relaxed) == word as u32
        };
        let at_it = |&(cpu, irq): &(u8, usize)| {
            let c = &self.cpus[usize::from(cpu)];
            c.want[irq].load(Relaxed) != code && c.touching[irq].load(Relaxed) == code
        };
        let found = contexts()
            .find(its_turn)
            .or_else(|| contexts().find(at_it))?;
        Some(found.0 * 2 + found.1 as u8)
    }

    fn look_at(&self, cpu: CpuId) -> CpuReport {
        let c = &self.cpus[cpu.index()];
        let holds = |irq| {
            let me = context(cpu, irq);
            let held = Loc::all().filter(|&l| self.holder(l) == Some(me));
            let mut locks: Vec<Lock> = held.filter_map(|l| lock_at(l, true)).collect();
            if self.readers.load(Relaxed) & 1 << me != 0 {
                locks.push(Lock::PgdRead);
            }
            locks
        };
        // Who has been served, and only has not noticed because an interrupt sits on it, does not wait any more.
        let served = |irq: bool, lock: &Wait| match lock {
            Wait::Lock(lock) => holds(irq).contains(lock),
            Wait::Acks(_) => false,
        };
        let wanted = |irq: bool| match c.want[usize::from(irq)].load(Relaxed) {
            0 => None,
            WANT_ACKS => Some(Wait::Acks(CpuMask::from_word(self.word(Loc::Acks(cpu))))),
            code => {
                let loc = Loc::from_index(code as usize - 1)?;
                let running = c
                    .running
                    .load(Relaxed)
                    .checked_sub(1)
                    .and_then(Operation::from_code);
                lock_at(loc, irq || running != Some(Operation::VmallocSyncAll)).map(Wait::Lock)
            }
        };
        let waits = |irq: bool| wanted(irq).filter(|w| !served(irq, w));
        let inbox = c.inbox.load(SeqCst);
        CpuReport {
            cpu,
            running: c
                .running
                .load(Relaxed)
                .checked_sub(1)
                .and_then(Operation::from_code),
            in_irq: c
                .in_irq
                .load(Relaxed)
                .checked_sub(1)
                .map(|bit| vector(bit.into())),
            irqs_on: !c.irqs_off.load(Relaxed),
            holds: [holds(false), holds(true)],
            waits: [waits(false), waits(true)],
            pending: (0..u32::BITS)
                .filter(|bit| inbox >> bit & 1 == 1)
                .map(vector)
                .collect(),
        }
    }
}

impl Picture {
    fn holders(&self, lock: Lock) -> Vec<ContextId> {
        let same = |held: &Lock| match lock {
            Lock::PgdWrite => matches!(held, Lock::PgdRead | Lock::PgdWrite),
            Lock::PgdRead => *held == Lock::PgdWrite,
            _ => *held == lock,
        };
        let contexts = self.cpus.iter().flat_map(|c| [(c, false), (c, true)]);
        contexts
            .filter(|(c, irq)| c.holds[usize::from(*irq)].iter().any(same))
            .map(|(c, irq)| ContextId { cpu: c.cpu, irq })
            .collect()
    }

    /// Who waits for whom.
    pub fn edges(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for c in &self.cpus {
            if c.in_irq.is_some() {
                let [from, to] = [false, true].map(|irq| ContextId { cpu: c.cpu, irq });
                edges.push(Edge {
                    from,
                    to,
                    why: Why::Interrupted,
                });
            }
            for irq in [false, true] {
                let from = ContextId { cpu: c.cpu, irq };
                match c.waits[usize::from(irq)] {
                    Some(Wait::Lock(lock)) => {
                        edges.extend(self.holders(lock).into_iter().map(|to| Edge {
                            from,
                            to,
                            why: Why::Holds(lock),
                        }))
                    }
                    Some(Wait::Acks(from_whom)) => {
                        let deaf = self
                            .cpus
                            .iter()
                            .filter(|t| from_whom.contains(t.cpu) && !t.irqs_on);
                        edges.extend(deaf.map(|t| {
                            let to = ContextId {
                                cpu: t.cpu,
                                irq: t.in_irq.is_some(),
                            };
                            Edge {
                                from,
                                to,
                                why: Why::NoAck,
                            }
                        }));
                    }
                    None => {}
                }
            }
        }
        edges
    }

    /// A circle of waits, if there is one.
    pub fn cycle(&self) -> Option<Vec<Edge>> {
        let edges = self.edges();
        let contexts = (0..self.cpus.len() as u8 * 2).map(ContextId::from_number);
        let mut dead_ends = vec![false; self.cpus.len() * 2];
        contexts
            .into_iter()
            .find_map(|start| follow(&edges, start, &mut Vec::new(), &mut dead_ends))
    }

    /// Whether all contexts of the circle are where they were, with nothing done since.
    pub fn still(&self, earlier: &Self, cycle: &[Edge]) -> bool {
        let same = |e: &Edge| {
            let i = e.from.cpu.index();
            self.ticks[i] == earlier.ticks[i] && self.cpus[i].waits == earlier.cpus[i].waits
        };
        cycle.iter().all(same)
    }
}

fn follow(
    edges: &[Edge],
    at: ContextId,
    path: &mut Vec<Edge>,
    dead_ends: &mut [bool],
) -> Option<Vec<Edge>> {
    if let Some(start) = path.iter().position(|e| e.from == at) {
        return Some(path.split_off(start));
    }
    if dead_ends[at.number() as usize] {
        return None;
    }
    for edge in edges.iter().filter(|e| e.from == at) {
        path.push(*edge);
        if let Some(cycle) = follow(edges, edge.to, path, dead_ends) {
            return Some(cycle);
        }
        path.pop();
    }
    dead_ends[at.number() as usize] = true;
    None
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
        Event::UserAccess { slot, kind, .. } => format!("user {kind:?} of {slot:?}"),
        Event::TlbFill { mm, slot, .. } => format!("TLB fill of {mm} {slot:?}"),
        other => format!("{other:?}"),
    }
}

fn there(present: bool) -> &'static str {
    if present { "present" } else { "absent" }
}
