//! A number that every step lowers: the longest way to the end of what runs, what may still start, IPIs that are out, pgds
//! left to walk, translations the hardware may still cache.
//!
//! Where it falls at every step, which the engine checks, no run goes round in a circle.

use super::{Lowered, Place};
use crate::environment::FlushBackend;
use crate::program::{Op, Pc, Program, ProgramId};
use shootdown_ir::eval;
use shootdown_ir::export::range;
use shootdown_ir::expr::{Binary, Unary};
use shootdown_ir::machine::{Machine, Slot};
use shootdown_ir::reduce::fill;
use shootdown_ir::system::{CellId, Step, System, X};

/// Fills of translations count 1 each; everything else outweighs all of them.
const SCALE: u64 = 16;
/// Steps of one round of the walk, at most.
const ROUND: u64 = 24;

/// The rank: a sum of what each cell tells for itself, and of what is left to walk.
#[derive(Debug)]
pub(super) struct Weights {
    /// By cell: its value, counted from its lowest, says how much it adds.
    terms: Vec<(CellId, Slot, Box<[u64]>)>,
    lives: Vec<(CellId, Slot)>,
    order: Vec<(CellId, Slot)>,
    none: i64,
    cpus: u64,
    /// By CPU: its task, and by place the cursor (`u8::MAX`: none) if the walk's loop is ahead.
    walks: Vec<(CellId, Slot, Vec<Option<u8>>)>,
    /// What a step of a program counts.
    scale: u64,
}

impl Weights {
    pub(super) fn new(lowered: &Lowered<'_>, machine: &Machine<'_>) -> Weights {
        let config = lowered.config;
        let cells = &lowered.cells;
        let slots = config.slots() as u64;
        let cost = |id: ProgramId| {
            let ranks = line_ranks(config.program(id));
            let walk = match id {
                ProgramId::VmallocSyncAll => ROUND * (slots + 1),
                _ => 0,
            };
            ranks[0] + 1 + walk
        };
        // A step may put several stores into a buffer, and each still has to reach memory.
        let scale = match lowered.stores.is_empty() {
            true => SCALE,
            false => SCALE * (1 + config.cpus() as u64),
        };
        let mut terms = Vec::new();
        let mut term = |cell: CellId, of: &dyn Fn(i64) -> u64| {
            let decl = &lowered.system.cells[cell.0 as usize];
            let table = (decl.lo..=decl.hi).map(of).collect();
            terms.push((cell, machine.slot(cell), table));
        };
        for (code, (&at, &queue)) in cells.at.iter().zip(&cells.rank).enumerate() {
            let ranks = lowered.place_ranks(code % 2);
            term(at, &|place| scale * ranks[place as usize]);
            // Whoever queues has done one step of two.
            term(queue, &|rank| scale * u64::from(rank == 0));
        }
        let by_ipi = config.environment.flush_backend == FlushBackend::Ipi;
        for (c, it) in cells.cpus.iter().enumerate() {
            let choices = config.choices(c).iter();
            // What a CPU may start costs at most so much.
            let most = choices
                .map(|&(program, _)| cost(program))
                .max()
                .unwrap_or(0);
            term(it.budget, &|left| scale * most * left as u64);
            if by_ipi {
                let handler = cost(ProgramId::FlushTlbInterrupt);
                for &inbox in &it.inbox {
                    term(inbox, &|v| scale * handler * u64::from(v != 0));
                }
            }
            for tlb in it.tlb {
                // With a third value: one that may be cached can still be cached for sure.
                let most = lowered.system.cells[tlb.0 as usize].hi;
                term(tlb, &|cached| match cached {
                    0 => most as u64,
                    cached => (most - 1) as u64 * u64::from(cached == fill::MAYBE),
                });
            }
        }
        if config.environment.pgd_free_in_irq {
            let free = cost(ProgramId::PgdFree);
            for it in &cells.mms {
                term(it.life, &|life| scale * free * u64::from(life < 3));
            }
        }
        for it in &lowered.stores {
            for &(what, _) in &it.buffer.entries {
                term(what, &|store| SCALE * u64::from(store != 0));
            }
        }
        let in_loop: Vec<Option<u8>> = std::iter::once(None)
            .chain(lowered.places.of(0).into_iter().map(|(_, place)| {
                let ahead = place.program == ProgramId::VmallocSyncAll
                    && reaches_loop(config.program(place.program), place.pc);
                ahead.then(|| {
                    if place.cursor.is_some() {
                        place.cursor.0
                    } else {
                        u8::MAX
                    }
                })
            }))
            .collect();
        let with_slot = |cell: CellId| (cell, machine.slot(cell));
        Weights {
            terms,
            lives: cells.mms.iter().map(|it| with_slot(it.life)).collect(),
            order: cells.order.iter().map(|&o| with_slot(o)).collect(),
            none: lowered.none(),
            cpus: config.cpus() as u64,
            walks: (0..config.cpus())
                .map(|c| cells.at[2 * c])
                .map(|at| (at, machine.slot(at), in_loop.clone()))
                .collect(),
            scale,
        }
    }

    pub(super) fn of(&self, words: &[u64]) -> u64 {
        let terms = self.terms.iter();
        let sum: u64 = terms
            .map(|(_, slot, of)| of[slot.raw(words) as usize])
            .sum();
        sum + self.scale * self.walks_of(words)
    }

    /// What is left to walk.
    fn walks_of(&self, words: &[u64]) -> u64 {
        let mut sum = 0;
        for (_, task, in_loop) in &self.walks {
            if let Some(cursor) = in_loop[task.get(words) as usize] {
                sum += ROUND * self.left(words, cursor);
            }
        }
        // A pgd that will be listed makes every walk longer by one.
        let mut listed = 0u64;
        for (_, order) in &self.order {
            let mm = order.get(words);
            listed |= u64::from(mm != self.none) << mm;
        }
        for (mm, (_, life)) in self.lives.iter().enumerate() {
            if life.get(words) < 3 && listed >> mm & 1 == 0 {
                sum += ROUND * 2 * self.cpus;
            }
        }
        sum
    }

    /// Pgds behind the cursor.
    fn left(&self, words: &[u64], cursor: u8) -> u64 {
        let (mut left, mut past) = (0, cursor == u8::MAX);
        for (_, order) in &self.order {
            let mm = order.get(words);
            if mm == self.none {
                break;
            }
            left += u64::from(past);
            past |= mm == i64::from(cursor);
        }
        left
    }

    /// By step: is it sure, whatever state it is taken in, that it lowers the rank? The most that each cell it writes can add
    /// is summed up, each for itself. What is not sure is left to be compared state by state.
    pub(super) fn lowered_by(&self, system: &System) -> Vec<bool> {
        let steps = system.steps.iter();
        steps.map(|step| self.lowers(system, step)).collect()
    }

    fn lowers(&self, system: &System, step: &Step) -> bool {
        let mut written: Vec<CellId> = step.assigns.iter().flat_map(|a| a.to.cells()).collect();
        written.sort_by_key(|cell| cell.0);
        written.dedup();
        let place = system.contexts[step.context.index()].place;
        let changes = |cell: CellId| changes(system, step, place, cell);
        let mut most = 0;
        for &cell in &written {
            if self.order.iter().any(|(order, _)| *order == cell) {
                return false;
            }
            let is_life = self.lives.iter().any(|(life, _)| *life == cell);
            if is_life
                && changes(cell)
                    .iter()
                    .any(|&(old, new)| old != new && new < 3)
            {
                return false;
            }
            if let Some((_, _, in_loop)) = self.walks.iter().find(|(task, ..)| *task == cell) {
                let by_place = |place: i64| in_loop[place as usize];
                let changes = changes(cell).into_iter();
                let walks: Vec<_> = changes
                    .map(|(old, new)| (by_place(old), by_place(new)))
                    .filter(|(old, new)| old != new)
                    .collect();
                // One that begins is as long as the list at most; of one that goes on, the list has to be looked at.
                if walks
                    .iter()
                    .any(|(old, new)| old.is_some() && new.is_some())
                {
                    return false;
                }
                if walks.iter().any(|(_, new)| new.is_some()) {
                    most += (self.scale * ROUND * self.order.len() as u64) as i64;
                }
            }
            if let Some((_, slot, of)) = self.terms.iter().find(|(term, ..)| *term == cell) {
                let of = |value: i64| of[(value - slot.lowest()) as usize] as i64;
                let changes = changes(cell).into_iter();
                most += changes
                    .map(|(old, new)| of(new) - of(old))
                    .max()
                    .unwrap_or(0);
            }
        }
        most < 0
    }
}

/// What the step may turn a cell's value into, as far as its condition and the assignments to this cell alone tell.
fn changes(system: &System, step: &Step, place: CellId, cell: CellId) -> Vec<(i64, i64)> {
    let decl = &system.cells[cell.0 as usize];
    let olds = (decl.lo..=decl.hi).filter(|&old| {
        let stands = cell != place || old == i64::from(step.at);
        stands && given(system, &step.ready, cell, old) != Some(0)
    });
    let mut changes = Vec::new();
    for old in olds {
        // Every value that the cell may have by now.
        let mut now = vec![old];
        for assign in &step.assigns {
            if assign.to.cells().all(|c| c != cell) {
                continue;
            }
            let mut next = Vec::new();
            for &value in &now {
                let when = assign
                    .when
                    .as_ref()
                    .map_or(Some(1), |w| given(system, w, cell, value));
                if when == Some(0) || when.is_none() || assign.to.index.is_some() {
                    next.push(value);
                }
                if when == Some(0) {
                    continue;
                }
                match given(system, &assign.value, cell, value) {
                    Some(new) => next.extend((decl.lo..=decl.hi).contains(&new).then_some(new)),
                    None => {
                        let (lo, hi) = range(&assign.value, system).unwrap_or((decl.lo, decl.hi));
                        next.extend(lo.max(decl.lo)..=hi.min(decl.hi));
                    }
                }
            }
            next.sort_unstable();
            next.dedup();
            now = next;
        }
        changes.extend(now.into_iter().map(|new| (old, new)));
    }
    changes
}

/// The value of an expression where only one cell is known; `None` if that does not tell.
fn given(system: &System, x: &X, cell: CellId, value: i64) -> Option<i64> {
    let of = |x: &X| given(system, x, cell, value);
    match x {
        X::Const(c) => Some(*c),
        X::Cell(r) => {
            let at = match &r.index {
                None => 0,
                Some(index) => u32::try_from(of(index)?).ok().filter(|&i| i < r.len)?,
            };
            let it = CellId(r.base.0 + at);
            let decl = &system.cells[it.0 as usize];
            if it == cell {
                return Some(value);
            }
            (decl.lo == decl.hi).then_some(decl.lo)
        }
        X::Unary(Unary::Not, a) => Some(i64::from(of(a)? == 0)),
        X::Unary(..) => None,
        X::Binary(op @ (Binary::And | Binary::Or), a, b) => {
            let decides = |v: Option<i64>| v.is_some_and(|v| (v != 0) == (*op == Binary::Or));
            match (of(a), of(b)) {
                (a, b) if decides(a) || decides(b) => Some(i64::from(*op == Binary::Or)),
                (Some(_), Some(_)) => Some(i64::from(*op == Binary::And)),
                _ => None,
            }
        }
        X::Binary(op, a, b) => eval::binary(*op, of(a)?, of(b)?),
        X::If(c, a, b) => match of(c) {
            Some(0) => of(b),
            Some(_) => of(a),
            None => None,
        },
    }
}

/// By line: the most steps to the return, one round of the walk left out.
fn line_ranks(program: &Program) -> Vec<u64> {
    let mut ranks = vec![0u64; program.lines.len()];
    // Jumps back other than the walk's do not exist but in a deviation; its rank does not fall, which is noticed.
    for _ in 0..program.lines.len() + 2 {
        for pc in (0..program.lines.len()).rev() {
            let pc = pc as Pc;
            let op = program.line(pc).op;
            let cost = match op {
                Op::Return => {
                    ranks[pc as usize] = 1;
                    continue;
                }
                Op::Goto { .. } | Op::Branch { .. } => 0,
                Op::Lock(..) => 2,
                // Each target's handler is still to run.
                Op::SendIpi(_) => 1 + 4 * 16,
                _ => 1,
            };
            let ways: Vec<Pc> = match op {
                Op::ForEachPgd { done } => vec![done],
                Op::Goto { to } => vec![to],
                op => {
                    let mut ways = super::places::jumps(op);
                    if let Op::Branch { to, .. } = op {
                        ways.push(to);
                    }
                    ways.push(pc + 1);
                    ways
                }
            };
            let best = ways.iter().map(|&w| ranks[w as usize]).max().unwrap_or(0);
            ranks[pc as usize] = (best + cost).min(100_000);
        }
    }
    ranks
}

/// Can the walk's loop still be entered from here?
fn reaches_loop(program: &Program, pc: Pc) -> bool {
    let (mut seen, mut todo) = (vec![false; program.lines.len()], vec![pc]);
    while let Some(pc) = todo.pop() {
        if std::mem::replace(&mut seen[pc as usize], true) {
            continue;
        }
        match program.line(pc).op {
            Op::ForEachPgd { .. } => return true,
            Op::Return => {}
            Op::Goto { to } => todo.push(to),
            op => {
                if let Op::Branch { to, .. } = op {
                    todo.push(to);
                }
                todo.extend(super::places::jumps(op));
                todo.push(pc + 1);
            }
        }
    }
    false
}

impl Lowered<'_> {
    /// By place of a level: the most steps to the end of its program.
    pub(super) fn place_ranks(&self, level: usize) -> Vec<u64> {
        let mut by_program = std::collections::HashMap::new();
        std::iter::once(0)
            .chain(
                self.places
                    .of(level)
                    .into_iter()
                    .map(|(_, place): (u32, Place)| {
                        let ranks: &Vec<u64> = by_program
                            .entry(place.program)
                            .or_insert_with(|| line_ranks(self.config.program(place.program)));
                        ranks[place.pc as usize]
                    }),
            )
            .collect()
    }
}
