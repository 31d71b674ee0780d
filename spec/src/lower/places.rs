//! Every place a context can stand at.

use super::Place;
use crate::config::Config;
use crate::environment::FlushBackend;
use crate::id::MmId;
use crate::program::{LockRef, Op, Pc, Program, ProgramId, Scope};
use std::collections::HashMap;

/// Places by level: 0 task, 1 interrupt; numbers count from 1, 0 is idle.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Locks held at each line of each program, a function of it.
    held: HashMap<ProgramId, Vec<Vec<LockRef>>>,
    lists: [Vec<Place>; 2],
    numbers: [HashMap<Place, u32>; 2],
}

impl Places {
    /// Follows every program from every way it can be started.
    pub(super) fn find(config: &Config) -> Places {
        let mut places = Places::default();
        let slots = config.slots() as u8;
        let cursors: Vec<MmId> = (0..slots).map(MmId).chain([MmId::NONE]).collect();
        for cpu in 0..config.cpus() {
            for &(program, mm) in config.choices(cpu) {
                let from: &[MmId] = match program {
                    ProgramId::SwitchMm => &cursors,
                    _ => &[MmId::NONE],
                };
                for &cursor in from {
                    places.follow(config, 0, program, mm, cursor, None);
                }
            }
        }
        if config.environment.pgd_free_in_irq {
            for mm in (0..slots).map(MmId) {
                places.follow(config, 1, ProgramId::PgdFree, mm, MmId::NONE, None);
            }
        }
        if config.environment.flush_backend == FlushBackend::Ipi {
            for mm in (0..slots).map(MmId) {
                for sender in 0..config.cpus() as u8 {
                    for scope in [Scope::Page, Scope::Mm] {
                        let request = Some((sender, scope));
                        let handler = ProgramId::FlushTlbInterrupt;
                        places.follow(config, 1, handler, mm, MmId::NONE, request);
                    }
                }
            }
        }
        places
    }

    fn follow(
        &mut self,
        config: &Config,
        level: usize,
        id: ProgramId,
        mm: MmId,
        cursor: MmId,
        request: Option<(u8, Scope)>,
    ) {
        let program = config.program(id);
        self.held.entry(id).or_insert_with(|| held_locks(program));
        let mut todo = vec![(0, cursor)];
        while let Some((pc, cursor)) = todo.pop() {
            for pc in stops(program, pc) {
                let place = Place {
                    program: id,
                    pc,
                    mm,
                    cursor,
                    request,
                };
                if self.numbers[level].contains_key(&place) {
                    continue;
                }
                self.lists[level].push(place);
                let number = self.lists[level].len() as u32;
                self.numbers[level].insert(place, number);
                let all = (0..config.slots() as u8).map(MmId);
                match program.line(pc).op {
                    Op::Return => {}
                    Op::ForEachPgd { done } => {
                        todo.push((done, MmId::NONE));
                        todo.extend(all.map(|mm| (pc + 1, mm)));
                    }
                    Op::TryLock { busy, .. } => {
                        todo.push((pc + 1, cursor));
                        todo.push((busy, MmId::NONE));
                    }
                    op => {
                        todo.push((pc + 1, cursor));
                        todo.extend(jumps(op).into_iter().map(|to| (to, cursor)));
                    }
                }
            }
        }
    }

    /// Locks held at the place.
    pub(super) fn held(&self, place: Place) -> &[LockRef] {
        &self.held[&place.program][place.pc as usize]
    }

    pub(super) fn of(&self, level: usize) -> Vec<(u32, Place)> {
        (1..).zip(self.lists[level].iter().copied()).collect()
    }

    pub(super) fn count(&self, level: usize) -> usize {
        self.lists[level].len()
    }

    /// The place of that number; `None` for idle.
    pub(super) fn at(&self, level: usize, number: i64) -> Option<Place> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.lists.get(level)?.get(index).copied()
    }

    pub(super) fn number(&self, level: usize, place: Place) -> i64 {
        i64::from(self.numbers[level][&place])
    }
}

/// Locks held at each line: forward data flow. Programs take and release on every way alike.
fn held_locks(program: &Program) -> Vec<Vec<LockRef>> {
    let mut known: Vec<Option<Vec<LockRef>>> = vec![None; program.lines.len()];
    let mut todo = vec![(0 as Pc, Vec::new())];
    while let Some((pc, held)) = todo.pop() {
        if known[pc as usize].is_some() {
            continue;
        }
        known[pc as usize] = Some(held.clone());
        let mut after = held.clone();
        match program.line(pc).op {
            Op::Lock(lock, _) | Op::TryLock { lock, .. } => after.push(lock),
            Op::Unlock(lock) => after.retain(|l| *l != lock),
            _ => {}
        }
        match program.line(pc).op {
            Op::Return => {}
            Op::Goto { to } => todo.push((to, after)),
            Op::Branch { to, .. } => {
                todo.push((to, after.clone()));
                todo.push((pc + 1, after));
            }
            Op::TryLock { busy, .. } => {
                todo.push((busy, held));
                todo.push((pc + 1, after));
            }
            op => {
                todo.extend(jumps(op).into_iter().map(|to| (to, after.clone())));
                todo.push((pc + 1, after));
            }
        }
    }
    known.into_iter().map(Option::unwrap_or_default).collect()
}

/// Where a step may jump to.
pub(super) fn jumps(op: Op) -> Vec<Pc> {
    match op {
        Op::ReadInitEntry { absent: to }
        | Op::ReadKernelEntry { present: to, .. }
        | Op::TestAndClearYoung { not_young: to, .. }
        | Op::GetAndClear { absent: to, .. }
        | Op::TestSplitting { splitting: to }
        | Op::GupRead { slow: to, .. }
        | Op::StopBeingLazy { loaded: to }
        | Op::ForEachPgd { done: to }
        | Op::TryLock { busy: to, .. } => vec![to],
        Op::SetSplitting { not_huge, already } => vec![not_huge, already],
        _ => vec![],
    }
}

/// The steps that control can reach from `pc` without a transition.
fn stops(program: &Program, pc: Pc) -> Vec<Pc> {
    match program.line(pc).op {
        Op::Goto { to } => stops(program, to),
        Op::Branch { to, .. } => {
            let mut both = stops(program, to);
            both.extend(stops(program, pc + 1));
            both
        }
        _ => vec![pc],
    }
}
