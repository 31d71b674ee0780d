//! What a cell is, as seen from a step: the same words in every copy of a statement, whichever CPU or mm the copy is for.

use super::super::cells::REGS;
use super::super::{Here, Lowered};
use crate::id::MmId;
use shootdown_ir::system::CellId;
use std::collections::HashMap;

/// What a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// There is one of it.
    One(&'static str),
    /// Of a context, by its code.
    Context(u8, &'static str),
    /// Of a CPU.
    Cpu(u8, &'static str),
    /// Of a CPU, about another one.
    Between(u8, u8, &'static str),
    /// A translation in a CPU's TLB.
    Tlb(u8, u8),
    /// Of an mm.
    Mm(u8, &'static str),
    /// Of an mm, about a CPU.
    MmCpu(u8, u8, &'static str),
    /// Of a user entry of an mm.
    Entry(u8, u8, &'static str),
    /// A position of `pgd_list`.
    Listed(u8),
    /// Owner of a lock, by its number.
    Owner(u8),
    /// Does the context read `pgd_lock`?
    Reader(u8),
    /// A row of constants.
    Table(&'static str),
}

/// A way to get from a cell to one like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Axis {
    Cpu,
    OtherCpu,
    Turned,
    Level,
    Mm,
    Entry,
    Lock,
    Position,
    /// Another variable of the same context, CPU or mm.
    Field(&'static str),
}

const ENTRIES: [&str; 2] = ["pte", "pmd"];

/// The roles of all cells, both ways.
#[derive(Debug)]
pub(super) struct Roles {
    of: Vec<Role>,
    cells: HashMap<Role, CellId>,
    cpus: u8,
    slots: u8,
}

const FLAGS: [&str; 11] = [
    "changed",
    "need_flush",
    "sent_ipi",
    "seen_pinned",
    "flushed",
    "flags_outer",
    "flags_inner",
    "same_mm",
    "no_prev",
    "changed_huge",
    "pgd_lock_inside",
];

impl Roles {
    pub(super) fn of(lowered: &Lowered<'_>) -> Roles {
        let it = &lowered.cells;
        let mut roles = Roles {
            of: vec![Role::One("constant"); lowered.system.cells.len()],
            cells: HashMap::new(),
            cpus: lowered.config.cpus() as u8,
            slots: lowered.config.slots() as u8,
        };
        let mut add = |cell: CellId, role: Role| {
            roles.of[cell.0 as usize] = role;
            roles.cells.insert(role, cell);
        };
        for (code, regs) in it.regs.iter().enumerate() {
            let k = code as u8;
            add(it.at[code], Role::Context(k, "place"));
            add(it.rank[code], Role::Context(k, "rank"));
            for (reg, name) in REGS.iter().zip(FLAGS) {
                if let Some(cell) = regs[*reg as usize] {
                    add(cell, Role::Context(k, name));
                }
            }
        }
        for (c, cpu) in it.cpus.iter().enumerate() {
            let c = c as u8;
            for (cell, name) in [
                (cpu.irqs, "irqs_on"),
                (cpu.active, "active_mm"),
                (cpu.lazy, "lazy"),
                (cpu.loaded, "loaded"),
                (cpu.budget, "budget"),
            ] {
                add(cell, Role::Cpu(c, name));
            }
            for (e, &cell) in cpu.tlb.iter().enumerate() {
                add(cell, Role::Tlb(c, e as u8));
            }
            for (t, (&ack, &inbox)) in cpu.acks.iter().zip(&cpu.inbox).enumerate() {
                add(ack, Role::Between(c, t as u8, "flush_cpumask"));
                add(inbox, Role::Between(c, t as u8, "ipi"));
            }
        }
        for (m, mm) in it.mms.iter().enumerate() {
            let m = m as u8;
            for (cell, name) in [
                (mm.life, "life"),
                (mm.named, "named"),
                (mm.kernel_entry, "kernel_entry"),
                (mm.pinned, "pinned"),
                (mm.pinning, "pinning"),
                (mm.zapping, "zapping"),
                (mm.splitting, "splitters"),
                (mm.pending, "pending"),
            ] {
                add(cell, Role::Mm(m, name));
            }
            for (c, (&mask, &active)) in mm.cpumask.iter().zip(&mm.active).enumerate() {
                add(mask, Role::MmCpu(m, c as u8, "mm_cpumask"));
                add(active, Role::MmCpu(m, c as u8, "active_on"));
            }
            for (e, entry) in mm.entries.iter().enumerate() {
                for (cell, name) in [
                    (entry.present, "present"),
                    (entry.accessed, "accessed"),
                    (entry.dirty, "dirty"),
                    (entry.splitting, "splitting"),
                    (entry.table, "table"),
                    (entry.refs, "refs"),
                    (entry.freed, "freed"),
                    (entry.split, "split"),
                ] {
                    add(cell, Role::Entry(m, e as u8, name));
                }
            }
        }
        for (i, &cell) in it.order.iter().enumerate() {
            add(cell, Role::Listed(i as u8));
        }
        add(it.found, Role::One("found"));
        add(it.init_entry, Role::One("init_mm's kernel_entry"));
        add(it.synced, Role::One("synced"));
        for (i, &owner) in it.owners.iter().enumerate() {
            add(owner, Role::Owner(i as u8 + 1));
        }
        for (code, &reader) in it.readers.iter().enumerate() {
            add(reader, Role::Reader(code as u8));
        }
        let tables = [
            (it.lock_at, "lock_at"),
            (it.granted, "granted_to"),
            (it.shared_at, "shared_at"),
        ];
        for (rows, name) in tables {
            for row in rows.into_iter().flatten() {
                for i in 0..row.len {
                    roles.of[row.base.0 as usize + i as usize] = Role::Table(name);
                }
            }
        }
        roles
    }

    pub(super) fn role(&self, cell: CellId) -> Role {
        self.of[cell.0 as usize]
    }

    pub(super) fn cell(&self, role: Role) -> Option<CellId> {
        self.cells.get(&role).copied()
    }

    /// Cells like this one, one for each axis.
    pub(super) fn like(&self, cell: CellId) -> Vec<(Axis, CellId)> {
        let cpu = |c: u8| (c + 1) % self.cpus;
        let mm = |m: u8| (m + 1) % self.slots;
        let role = self.role(cell);
        let mut ways: Vec<(Axis, Role)> = match role {
            Role::One(_) | Role::Table(_) => vec![],
            Role::Context(k, f) => vec![
                (Axis::Level, Role::Context(k ^ 1, f)),
                (Axis::Cpu, Role::Context((k + 2) % (2 * self.cpus), f)),
            ],
            Role::Cpu(c, f) => vec![(Axis::Cpu, Role::Cpu(cpu(c), f))],
            Role::Between(a, b, f) => vec![
                (Axis::Cpu, Role::Between(cpu(a), b, f)),
                (Axis::OtherCpu, Role::Between(a, cpu(b), f)),
                (Axis::Turned, Role::Between(b, a, f)),
            ],
            Role::Tlb(c, e) => vec![
                (Axis::Cpu, Role::Tlb(cpu(c), e)),
                (Axis::Entry, Role::Tlb(c, 1 - e)),
            ],
            Role::Mm(m, f) => vec![(Axis::Mm, Role::Mm(mm(m), f))],
            Role::MmCpu(m, c, f) => vec![
                (Axis::Mm, Role::MmCpu(mm(m), c, f)),
                (Axis::Cpu, Role::MmCpu(m, cpu(c), f)),
            ],
            Role::Entry(m, e, f) => vec![
                (Axis::Mm, Role::Entry(mm(m), e, f)),
                (Axis::Entry, Role::Entry(m, 1 - e, f)),
            ],
            Role::Listed(i) => vec![(Axis::Position, Role::Listed(mm(i)))],
            Role::Owner(l) => vec![(Axis::Lock, Role::Owner(1 + l % (1 + 2 * self.slots)))],
            Role::Reader(k) => vec![
                (Axis::Level, Role::Reader(k ^ 1)),
                (Axis::Cpu, Role::Reader((k + 2) % (2 * self.cpus))),
            ],
        };
        let others: &[&'static str] = match role {
            Role::Context(_, f) if FLAGS.contains(&f) => &FLAGS,
            Role::Cpu(_, "irqs_on" | "lazy" | "loaded") => &["irqs_on", "lazy", "loaded"],
            Role::Entry(..) => &["present", "accessed", "dirty", "splitting", "table"],
            Role::Mm(_, "pinned" | "pinning" | "zapping" | "kernel_entry") => {
                &["pinned", "pinning", "zapping", "kernel_entry"]
            }
            Role::MmCpu(..) => &["mm_cpumask", "active_on"],
            _ => &[],
        };
        ways.extend(others.iter().map(|&f| {
            let other = match role {
                Role::Context(k, _) => Role::Context(k, f),
                Role::Cpu(c, _) => Role::Cpu(c, f),
                Role::Entry(m, e, _) => Role::Entry(m, e, f),
                Role::Mm(m, _) => Role::Mm(m, f),
                Role::MmCpu(m, c, _) => Role::MmCpu(m, c, f),
                same => same,
            };
            (Axis::Field(f), other)
        }));
        ways.into_iter()
            .filter_map(|(axis, role)| Some((axis, self.cell(role)?)))
            .filter(|(_, other)| *other != cell)
            .collect()
    }

    /// The cell in words, as seen from a step.
    pub(super) fn words(&self, here: &Here, cell: CellId) -> String {
        let mm = |m: u8| mm_words(here, MmId(m));
        let cpu = |c: u8| cpu_words(here, c);
        match self.role(cell) {
            Role::One(name) => name.to_string(),
            Role::Context(k, f) if usize::from(k) == here.code() => f.to_string(),
            Role::Context(k, f) => format!("{}'s {f}", context_words(here, k)),
            Role::Cpu(c, f) if usize::from(c) == here.cpu => f.to_string(),
            Role::Cpu(c, f) => format!("{}'s {f}", cpu(c)),
            Role::Between(a, b, f) if usize::from(a) == here.cpu => format!("{f}[{}]", cpu(b)),
            Role::Between(a, b, f) => format!("{}'s {f}[{}]", cpu(a), cpu(b)),
            Role::Tlb(c, e) if usize::from(c) == here.cpu => {
                format!("tlb[{}]", ENTRIES[usize::from(e)])
            }
            Role::Tlb(c, e) => format!("{}'s tlb[{}]", cpu(c), ENTRIES[usize::from(e)]),
            Role::Mm(m, f) => format!("{}->{f}", mm(m)),
            Role::MmCpu(m, c, f) => format!("{}->{f}[{}]", mm(m), cpu(c)),
            Role::Entry(m, e, f) => format!("{}->{}.{f}", mm(m), ENTRIES[usize::from(e)]),
            Role::Listed(i) => format!("pgd_list[{i}]"),
            Role::Owner(lock) => format!("owner of {}", self.lock_words(here, i64::from(lock))),
            Role::Reader(k) => format!("{} reads pgd_lock", context_words(here, k)),
            Role::Table(name) => name.to_string(),
        }
    }

    /// A value of the cell in words; `None` for a number.
    pub(super) fn value_words(&self, here: &Here, cell: CellId, value: i64) -> Option<String> {
        let mm = |m: i64| {
            let mm = if m == i64::from(self.slots) {
                MmId::NONE
            } else {
                MmId(m as u8)
            };
            mm_words(here, mm)
        };
        match self.role(cell) {
            Role::Cpu(_, "active_mm") | Role::Listed(_) => Some(mm(value).to_string()),
            Role::Owner(_) if value > 0 => Some(context_words(here, value as u8 - 1).to_string()),
            Role::Between(_, _, "ipi") if value > 0 => {
                let scope = ["page", "mm"][(value - 1) as usize % 2];
                Some(format!("a flush of {}'s {scope}", mm((value - 1) / 2)))
            }
            Role::Table("lock_at") if value > 0 => Some(self.lock_words(here, value)),
            _ => None,
        }
    }

    pub(super) fn lock_words(&self, here: &Here, lock: i64) -> String {
        let slots = i64::from(self.slots);
        match lock - 2 {
            ..0 => "pgd_lock".to_string(),
            k if k < slots => format!("{}->page_table_lock", mm_words(here, MmId(k as u8))),
            k => format!("{}->ptl", mm_words(here, MmId((k - slots) as u8))),
        }
    }
}

fn cpu_words(here: &Here, cpu: u8) -> &'static str {
    match here.place.request {
        _ if usize::from(cpu) == here.cpu => "cpu",
        Some((sender, _)) if sender == cpu => "sender",
        _ => "another cpu",
    }
}

pub(super) fn mm_words(here: &Here, mm: MmId) -> &'static str {
    if !mm.is_some() {
        "none"
    } else if mm == here.place.mm {
        "mm"
    } else if mm == here.place.cursor {
        "cursor"
    } else {
        "another mm"
    }
}

fn context_words(here: &Here, code: u8) -> &'static str {
    match (
        usize::from(code) == here.code(),
        usize::from(code / 2) == here.cpu,
    ) {
        (true, _) => "this",
        (false, true) if code.is_multiple_of(2) => "the task below",
        (false, true) => "the interrupt above",
        (false, false) if code.is_multiple_of(2) => "another cpu's task",
        (false, false) => "another cpu's interrupt",
    }
}
