//! Store buffers for a configuration: what x86 lets a CPU do with its stores.
//!
//! Which statements store plainly, which are locked and which serialise, is said here by kind of step, from v2.6.38's
//! source. What other CPUs cannot see in between is left as it is: `list_add` and `list_del`, which only holders of
//! `pgd_lock` see; `clone_pgd_range`, which happens before the pgd is published; and what is no memory (TLBs, the
//! interrupt flag, `cpu_tlbstate`).

use super::{Here, Lowered, Place};
use crate::barrier::Barrier;
use crate::id::MmId;
use crate::program::{Entry, Of, Op, ProgramId, Reg};
use crate::variant::Variant;
use shootdown_ir::buffer::{Buffer, Word};
use shootdown_ir::protocol::{Kind, SourceId};
use shootdown_ir::system::{Assign, CellId, Context, ContextId, Step, What, X};

/// The store buffer of a CPU.
#[derive(Debug, Default)]
pub(super) struct Stores {
    pub(super) buffer: Buffer,
    /// By number of an entry, from 1: what to say when it reaches memory.
    told: Vec<String>,
    /// Releases of locks: the number, the owner's cell, and what they do to memory.
    releases: Vec<(i64, CellId, Vec<Assign>)>,
}

/// A store on its way into the buffer.
enum Stored {
    /// Constants to the cells of a word.
    Word(Vec<(CellId, i64)>, String),
    /// A value to one cell.
    Value(CellId, X, String),
    /// A lock is released.
    Release(CellId, Vec<Assign>, String),
}

/// What a step does to memory.
struct Touch {
    /// Non-zero where it waits until the buffer is empty.
    barrier: X,
    /// What goes into the buffer, and where.
    stored: Vec<(X, Stored)>,
    /// The rest.
    assigns: Vec<Assign>,
}

impl Stores {
    fn next(&self) -> i64 {
        self.told.len() as i64 + 1
    }

    /// The number of a store, a new one if there was none like it.
    fn number(&mut self, stored: &Stored) -> i64 {
        let next = self.next();
        let (known, text) = match stored {
            Stored::Word(cells, text) => {
                let words = self.buffer.words.iter();
                let known = words.filter(|w| w.cells == *cells).map(|w| w.number).next();
                if known.is_none() {
                    self.buffer.words.push(Word {
                        number: next,
                        cells: cells.clone(),
                    });
                }
                (known, text)
            }
            Stored::Value(cell, _, text) => {
                let known = self.buffer.numbers.get(cell).copied();
                if known.is_none() {
                    self.buffer.numbers.insert(*cell, next);
                    self.buffer.stores.insert(*cell);
                }
                (known, text)
            }
            Stored::Release(owner, assigns, text) => {
                let known = self.releases.iter().find(|r| r.1 == *owner);
                let known = known.map(|r| r.0);
                if known.is_none() {
                    self.releases.push((next, *owner, assigns.clone()));
                }
                (known, text)
            }
        };
        if known.is_none() {
            self.told.push(text.clone());
        }
        known.unwrap_or(next)
    }

    fn has_stores(&self) -> bool {
        !self.buffer.words.is_empty() || !self.buffer.stores.is_empty()
    }
}

fn part_of(assigns: &[Assign], cells: &[CellId]) -> (Vec<Assign>, Vec<Assign>) {
    let (inside, rest): (Vec<_>, Vec<_>) = assigns
        .iter()
        .cloned()
        .partition(|a| cells.contains(&a.to.base));
    (inside, rest)
}

/// The constants that are there when the assignments are done.
fn constants(assigns: &[Assign]) -> Vec<(CellId, i64)> {
    let mut cells: Vec<(CellId, i64)> = Vec::new();
    for assign in assigns {
        if let X::Const(value) = assign.value {
            cells.retain(|(cell, _)| *cell != assign.to.base);
            cells.push((assign.to.base, value));
        }
    }
    cells
}

impl Lowered<'_> {
    /// The same with a store buffer on each CPU, and without these barriers.
    #[must_use]
    pub fn with_store_buffers(mut self, without: &[Barrier]) -> Self {
        let cpus = self.config.cpus();
        let mut all: Vec<Stores> = (0..cpus).map(|_| Stores::default()).collect();
        let steps = self.system.steps.len();
        let touches: Vec<Option<Touch>> = (0..steps).map(|n| self.touch(n, without)).collect();
        // Stores first: where there is none that a release could pass, the release is only late, and nobody can tell.
        for (n, touch) in touches.iter().enumerate() {
            for (_, stored) in touch.iter().flat_map(|t| &t.stored) {
                if !matches!(stored, Stored::Release(..)) {
                    all[self.cpu_of(n)].number(stored);
                }
            }
        }
        for (n, touch) in touches.iter().enumerate() {
            let it = &mut all[self.cpu_of(n)];
            for (_, stored) in touch.iter().flat_map(|t| &t.stored) {
                if matches!(stored, Stored::Release(..)) && it.has_stores() {
                    it.number(stored);
                }
            }
        }
        for (cpu, it) in all.iter_mut().enumerate() {
            if it.has_stores() {
                let cells = it.buffer.stores.iter();
                let most = cells.map(|c| self.system.cells[c.0 as usize].hi).max();
                let numbers = it.told.len() as i64;
                let values = (0, most.unwrap_or(0));
                it.buffer.allocate(&mut self.system, cpu, numbers, values);
            }
        }
        for (n, touch) in touches.into_iter().enumerate() {
            let Some(touch) = touch else { continue };
            let it = &mut all[self.cpu_of(n)];
            let step = &self.system.steps[n];
            if it.has_stores() {
                self.system.steps[n] = buffered(step, touch, it);
            }
        }
        for (cpu, it) in all.iter().enumerate() {
            self.drain(cpu, it);
        }
        self.stores = all;
        self
    }

    /// Are there store buffers, and what a CPU's says when it is empty.
    pub(super) fn stores_are_in(&self, cpu: usize) -> X {
        self.stores.get(cpu).map_or(X::TRUE, |it| it.buffer.empty())
    }

    /// What a step of a store buffer brings to memory, by the number of the entry.
    pub fn stored(&self, cpu: usize, number: i64) -> &str {
        let at = usize::try_from(number - 1).ok();
        let told = at.and_then(|at| self.stores.get(cpu)?.told.get(at));
        told.map_or("", String::as_str)
    }

    /// The cell of the oldest entry of a CPU's buffer.
    pub fn oldest(&self, cpu: usize) -> Option<CellId> {
        let entries = &self.stores.get(cpu)?.buffer.entries;
        entries.first().map(|(what, _)| *what)
    }

    /// The program a start leads to, and the mm it names.
    pub(crate) fn place_after(&self, context: ContextId, step: &Step) -> Option<(ProgramId, MmId)> {
        let number = self.first_place(step)?;
        let place = self.places.at(context.index() % 2, number)?;
        Some((place.program, place.mm))
    }

    /// The mm that each CPU has loaded; `None`: `swapper_pg_dir`.
    pub(crate) fn loaded(&self, state: &[u64]) -> Vec<Option<MmId>> {
        let machine = self.machine();
        let of = |cell| machine.slot(cell).get(state);
        let cpus = self.cells.cpus.iter();
        cpus.map(|it| (of(it.loaded) != 0).then(|| MmId(of(it.active) as u8)))
            .collect()
    }

    /// The function and the statement of a place.
    pub(crate) fn line_at(&self, level: usize, number: u32) -> (&'static str, &'static str) {
        match self.places.at(level, i64::from(number)) {
            Some(place) => {
                let line = self.config.program(place.program).line(place.pc);
                (line.function, line.source)
            }
            None => ("", ""),
        }
    }

    fn cpu_of(&self, step: usize) -> usize {
        self.system.contexts[self.system.steps[step].context.index()].cpu
    }

    fn drain(&mut self, cpu: usize, it: &Stores) {
        let context = self.system.contexts.len();
        self.system.contexts.push(Context {
            source: SourceId(0),
            kind: Kind::StoreBuffer,
            cpu,
            slot: 4,
            place: self.cells.nowhere,
            places: Vec::new(),
            executes: X::TRUE,
            arrives: X::TRUE,
            pending: X::FALSE,
            steps: vec![Vec::new()],
        });
        let some = it.buffer.empty().not();
        let assigns = it.buffer.drained(|first, _| {
            let releases = it.releases.iter();
            releases
                .flat_map(|(number, _, assigns)| {
                    let this = first.get().is(*number);
                    assigns.iter().map(move |assign| {
                        let when = match &assign.when {
                            Some(when) => this.clone().and(when.clone()),
                            None => this.clone(),
                        };
                        Assign {
                            when: Some(when),
                            ..assign.clone()
                        }
                    })
                })
                .collect()
        });
        self.push(context, 0, What::Drain, some, assigns);
    }

    /// What a step of a program does to memory; `None` for hardware.
    fn touch(&self, n: usize, without: &[Barrier]) -> Option<Touch> {
        let step = &self.system.steps[n];
        let code = step.context.index();
        if code >= 2 * self.config.cpus() {
            return None;
        }
        let plain = |barrier: X| Touch {
            barrier,
            stored: Vec::new(),
            assigns: step.assigns.clone(),
        };
        if step.what == What::Start {
            // An interrupt is taken; a task begins where it was behind a barrier anyway.
            return Some(plain(X::Const(i64::from(code % 2 == 1))));
        }
        let place = self.places.at(code % 2, i64::from(step.at))?;
        let here = Here {
            cpu: code / 2,
            level: code % 2,
            place,
            number: step.at,
        };
        let op = self.config.program(place.program).line(place.pc).op;
        Some(self.touch_at(&here, op, step, without).unwrap_or_else(|| {
            let writes = step.assigns.len() > 1;
            plain(self.barrier(&here, op, writes, without))
        }))
    }

    /// Steps with a store that waits.
    fn touch_at(&self, here: &Here, op: Op, step: &Step, without: &[Barrier]) -> Option<Touch> {
        let place = here.place;
        let missing = |barrier| without.contains(&barrier);
        let mms = &self.cells.mms;
        let mm = place.mm.is_some().then(|| &mms[place.mm.index()]);
        let word = |cells: &[CellId], when: X, text: String| {
            let (inside, assigns) = part_of(&step.assigns, cells);
            let when = match inside.first().and_then(|a| a.when.clone()) {
                Some(own) => own.and(when),
                None => when,
            };
            Touch {
                barrier: X::FALSE,
                stored: vec![(when, Stored::Word(constants(&inside), text))],
                assigns,
            }
        };
        let entry_cells = |entry: Entry| {
            let it = mms[place.mm.index()].entries[entry as usize];
            [it.present, it.accessed, it.dirty, it.splitting, it.table]
        };
        match op {
            Op::SetInitEntry => Some(word(
                &[self.cells.init_entry],
                X::TRUE,
                "init_mm's pgd entry".to_string(),
            )),
            Op::WriteKernelEntry { of } => {
                let mm = self.named(place, of)?;
                let cell = mms[mm.index()].kernel_entry;
                let text = format!("{mm}'s pgd entry");
                let seen = self.cells.regs[here.code()][Reg::SeenPinned as usize];
                let Some(seen) = seen else {
                    return Some(word(&[cell], X::TRUE, text));
                };
                // Through the hypervisor it is a hypercall.
                let mut touch = word(&[cell], seen.get().is(0), text);
                touch.barrier = seen.get().is(1);
                let (direct, _) = part_of(&step.assigns, &[cell]);
                let direct = direct.into_iter().map(|a| a.when(seen.get().is(1)));
                touch.assigns.splice(0..0, direct);
                Some(touch)
            }
            Op::PmdNotPresent => {
                let cell = mm?.entries[Entry::Huge as usize].present;
                let text = format!("{}'s pmd = pmd_mknotpresent()", place.mm);
                Some(word(&[cell], X::TRUE, text))
            }
            Op::PmdPopulate => {
                let text = format!("{}'s pmd = a table of ptes", place.mm);
                Some(word(&entry_cells(Entry::Huge), X::TRUE, text))
            }
            Op::GetAndClear { entry, .. }
                if missing(Barrier::LockedClear) && step.assigns.len() > 1 =>
            {
                let text = format!("{}'s {entry} = 0", place.mm);
                Some(word(&entry_cells(entry), X::TRUE, text))
            }
            Op::CpumaskSet if missing(Barrier::LockedCpumask) => {
                let text = format!("the bit in {}'s mm_cpumask", place.mm);
                Some(word(&[mm?.cpumask[here.cpu]], X::TRUE, text))
            }
            Op::RaisePending | Op::DropPending => {
                let cell = mm?.pending;
                let text = |what: &str| format!("{}'s {what}", place.mm);
                if self.config.variants.has(Variant::FlagForCounter) {
                    let what = match op {
                        Op::RaisePending => "tlb_flush_pending = true",
                        _ => "tlb_flush_pending = false",
                    };
                    return Some(word(&[cell], X::TRUE, text(what)));
                }
                if !missing(Barrier::LockedPending) {
                    return None;
                }
                let (inside, assigns) = part_of(&step.assigns, &[cell]);
                let value = inside.first()?.value.clone();
                // What was lost cannot be dropped twice.
                let value = value.clone().op(shootdown_ir::expr::Binary::Lt, X::FALSE);
                let value = value.choose(X::FALSE, inside.first()?.value.clone());
                let stored = Stored::Value(cell, value, text("tlb_flush_pending"));
                Some(Touch {
                    barrier: X::FALSE,
                    stored: vec![(X::TRUE, stored)],
                    assigns,
                })
            }
            Op::SendIpi(_) if missing(Barrier::IpiFence) => {
                let acks = &self.cells.cpus[here.cpu].acks;
                let (inside, assigns) = part_of(&step.assigns, acks);
                let targets = inside.iter().filter(|a| a.value != X::FALSE);
                let stored = targets.map(|a| {
                    let cell = a.to.base;
                    let target = acks.iter().position(|ack| *ack == cell).unwrap_or(0);
                    let text = format!("CPU{target}'s bit in flush_cpumask");
                    (a.value.clone(), Stored::Word(vec![(cell, 1)], text))
                });
                Some(Touch {
                    barrier: X::FALSE,
                    stored: stored.collect(),
                    assigns,
                })
            }
            Op::Unlock(lock) => {
                let number = self.lock_number_of(lock, place);
                let owner = self.cells.owners[number - 1];
                let release = step.assigns.first().is_some_and(|a| a.to.base == owner);
                if !release {
                    return None;
                }
                let (go, does) = step.assigns.split_last()?;
                let text = format!("{} released", lock.resolve(place.mm, place.cursor));
                let stored = Stored::Release(owner, does.to_vec(), text);
                Some(Touch {
                    barrier: X::FALSE,
                    stored: vec![(X::TRUE, stored)],
                    assigns: vec![go.clone()],
                })
            }
            _ => None,
        }
    }

    fn named(&self, place: Place, of: Of) -> Option<MmId> {
        let mm = match of {
            Of::Target => place.mm,
            Of::Cursor => place.cursor,
        };
        mm.is_some().then_some(mm)
    }

    /// Where a step that stores nothing plainly is a full barrier. `writes`: it does more than go on.
    fn barrier(&self, here: &Here, op: Op, writes: bool, without: &[Barrier]) -> X {
        let it = &self.cells.cpus[here.cpu];
        let mine = it.active.get().is(self.mm_number(here.place.mm));
        match op {
            Op::Lock(..)
            | Op::TryLock { .. }
            | Op::Unlock(_)
            | Op::ClonePgd
            | Op::ListAdd
            | Op::ListDel
            | Op::FreeMm
            | Op::SplitCompound
            | Op::GetPage(_)
            | Op::PutPage(_)
            | Op::RaisePending
            | Op::DropPending
            | Op::FlushHypercall(_)
            | Op::Ack
            | Op::CpumaskSet
            | Op::CpumaskClearPrev
            | Op::LeaveMm
            | Op::CpumaskClearOwn
            | Op::LoadSwapper
            | Op::SetPinned(_)
            // Back to user mode, or to what was interrupted.
            | Op::Return => X::TRUE,
            // Where nothing is changed, the locked instruction was not executed.
            Op::TestAndClearYoung { .. } | Op::GetAndClear { .. } | Op::SetSplitting { .. } => {
                X::Const(i64::from(writes))
            }
            // invlpg and a reload of CR3 serialise; a CPU that has not loaded the mm does neither.
            Op::FlushLocal(_) | Op::FlushRequested => it.loaded.get().is(1).and(mine),
            Op::SendIpi(_) => {
                let mask = &self.cells.mms[here.place.mm.index()].cpumask;
                let others = (0..self.config.cpus()).filter(|&cpu| cpu != here.cpu);
                X::any(others.map(|cpu| mask[cpu].get().is(1)))
            }
            Op::LoadCr3 => X::Const(i64::from(!without.contains(&Barrier::Cr3Serialises))),
            Op::CpumaskClearIfLazy => self.must_leave(here),
            Op::SetInitEntry
            | Op::WriteKernelEntry { .. }
            | Op::PmdNotPresent
            | Op::PmdPopulate
            | Op::IrqSave(_)
            | Op::IrqRestore(_)
            | Op::ReadInitEntry { .. }
            | Op::ForEachPgd { .. }
            | Op::ReadKernelEntry { .. }
            | Op::ReadPinned { .. }
            | Op::TestSplitting { .. }
            | Op::AwaitNotSplitting
            | Op::GupRead { .. }
            | Op::ReadPending
            | Op::AwaitAcks
            | Op::StopBeingLazy { .. }
            | Op::EnterLazy
            | Op::UserStore(_)
            | Op::Branch { .. }
            | Op::Goto { .. } => X::FALSE,
        }
    }
}

/// The step with a buffer between its CPU and memory.
fn buffered(step: &Step, touch: Touch, it: &mut Stores) -> Step {
    let numbered: Vec<(X, Stored, i64)> = touch
        .stored
        .into_iter()
        .map(|(when, stored)| {
            let number = it.number(&stored);
            (when, stored, number)
        })
        .collect();
    let buffer = &it.buffer;
    let mut ready = buffer.through(&step.ready);
    let waits = buffer.through(&touch.barrier);
    ready = ready.and(waits.choose(buffer.empty(), X::TRUE));
    if !numbered.is_empty() {
        ready = ready.and(buffer.room_for(numbered.len()));
    }
    let mut assigns = Vec::new();
    for (when, stored, number) in numbered {
        let value = match stored {
            Stored::Value(_, value, _) => buffer.through(&value),
            Stored::Word(..) | Stored::Release(..) => X::FALSE,
        };
        let number = buffer.through(&when).choose(X::Const(number), X::FALSE);
        assigns.extend(buffer.push(number, value));
    }
    assigns.extend(touch.assigns.iter().map(|a| Assign {
        when: a.when.as_ref().map(|x| buffer.through(x)),
        to: buffer.row_through(&a.to),
        value: buffer.through(&a.value),
    }));
    assigns.retain(|a| a.when != Some(X::FALSE));
    Step {
        ready,
        assigns,
        ..step.clone()
    }
}
