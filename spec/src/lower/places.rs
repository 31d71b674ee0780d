//! Every place a context can stand at.

use super::Place;
use crate::config::Config;
use crate::environment::FlushBackend;
use crate::id::MmId;
use crate::program::{Op, Pc, Program, ProgramId, Scope};
use std::collections::HashMap;

/// Places by level: 0 task, 1 interrupt; numbers count from 1, 0 is idle.
pub(super) struct Places {
    lists: [Vec<Place>; 2],
    numbers: [HashMap<Place, u32>; 2],
}

impl Places {
    /// Follows every program from every way it can be started.
    pub(super) fn find(config: &Config) -> Places {
        let mut places = Places {
            lists: [Vec::new(), Vec::new()],
            numbers: [HashMap::new(), HashMap::new()],
        };
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

    pub(super) fn of(&self, level: usize) -> Vec<(u32, Place)> {
        (1..).zip(self.lists[level].iter().copied()).collect()
    }

    pub(super) fn count(&self, level: usize) -> usize {
        self.lists[level].len()
    }

    pub(super) fn number(&self, level: usize, place: Place) -> i64 {
        i64::from(self.numbers[level][&place])
    }
}

/// Where a step may jump to.
fn jumps(op: Op) -> Vec<Pc> {
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
