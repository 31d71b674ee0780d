//! A number that every step lowers: the longest way to the end of what runs, what may still start, IPIs that are out, pgds
//! left to walk, translations the hardware may still cache.
//!
//! Where it falls at every step, which the engine checks, no run goes round in a circle.

use super::{Lowered, Place};
use crate::environment::FlushBackend;
use crate::program::{Op, Pc, Program, ProgramId};
use shootdown_ir::machine::{Machine, Slot};

/// Fills of translations count 1 each; everything else outweighs all of them.
pub(super) const SCALE: u64 = 16;
/// Steps of one round of the walk, at most.
const ROUND: u64 = 24;

/// What is summed up besides the places of contexts.
#[derive(Debug)]
pub(super) struct Weights {
    /// Budgets: what a CPU may start costs at most so much.
    budgets: Vec<(Slot, u64)>,
    inbox: Vec<Slot>,
    handler: u64,
    all_lives: Vec<Slot>,
    /// Lives of mms that an interrupt may free.
    lives: Vec<Slot>,
    free: u64,
    tlb: Vec<Slot>,
    order: Vec<Slot>,
    none: i64,
    cpus: u64,
    /// By CPU: its task, and by place the cursor (`u8::MAX`: none) if the walk's loop is ahead.
    walks: Vec<(Slot, Vec<Option<u8>>)>,
}

impl Weights {
    pub(super) fn new(lowered: &Lowered<'_>, machine: &Machine<'_>) -> Weights {
        let config = lowered.config;
        let cells = &lowered.cells;
        let slot = |cell| machine.slot(cell);
        let slots = config.slots() as u64;
        let cost = |id: ProgramId| {
            let ranks = line_ranks(config.program(id));
            let walk = match id {
                ProgramId::VmallocSyncAll => ROUND * (slots + 1),
                _ => 0,
            };
            ranks[0] + 1 + walk
        };
        let budgets = (0..config.cpus())
            .map(|c| {
                let most = config
                    .choices(c)
                    .iter()
                    .map(|&(program, _)| cost(program))
                    .max()
                    .unwrap_or(0);
                (slot(cells.cpus[c].budget), most)
            })
            .collect();
        let by_ipi = config.environment.flush_backend == FlushBackend::Ipi;
        let frees = config.environment.pgd_free_in_irq;
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
        Weights {
            budgets,
            inbox: cells
                .cpus
                .iter()
                .flat_map(|it| it.inbox.iter().map(|&i| slot(i)))
                .collect(),
            handler: if by_ipi {
                cost(ProgramId::FlushTlbInterrupt)
            } else {
                0
            },
            all_lives: cells.mms.iter().map(|it| slot(it.life)).collect(),
            lives: match frees {
                true => cells.mms.iter().map(|it| slot(it.life)).collect(),
                false => Vec::new(),
            },
            free: if frees { cost(ProgramId::PgdFree) } else { 0 },
            tlb: cells.cpus.iter().flat_map(|it| it.tlb.map(slot)).collect(),
            order: cells.order.iter().map(|&o| slot(o)).collect(),
            none: lowered.none(),
            cpus: config.cpus() as u64,
            walks: (0..config.cpus())
                .map(|c| (slot(cells.at[2 * c]), in_loop.clone()))
                .collect(),
        }
    }

    pub(super) fn of(&self, words: &[u64]) -> u64 {
        let mut sum = 0;
        for (budget, cost) in &self.budgets {
            sum += cost * budget.get(words) as u64;
        }
        for inbox in &self.inbox {
            sum += if inbox.get(words) != 0 {
                self.handler
            } else {
                0
            };
        }
        for life in &self.lives {
            sum += if life.get(words) < 3 { self.free } else { 0 };
        }
        for (task, in_loop) in &self.walks {
            if let Some(cursor) = in_loop[task.get(words) as usize] {
                sum += ROUND * self.left(words, cursor);
            }
        }
        // A pgd that will be listed makes every walk longer by one.
        let mut listed = 0u64;
        for order in &self.order {
            let mm = order.get(words);
            listed |= u64::from(mm != self.none) << mm;
        }
        for (mm, life) in self.all_lives.iter().enumerate() {
            if life.get(words) < 3 && listed >> mm & 1 == 0 {
                sum += ROUND * 2 * self.cpus;
            }
        }
        let cached: i64 = self.tlb.iter().map(|t| t.get(words)).sum();
        sum * SCALE + self.tlb.len() as u64 - cached as u64
    }

    /// Pgds behind the cursor.
    fn left(&self, words: &[u64], cursor: u8) -> u64 {
        let (mut left, mut past) = (0, cursor == u8::MAX);
        for order in &self.order {
            let mm = order.get(words);
            if mm == self.none {
                break;
            }
            left += u64::from(past);
            past |= mm == i64::from(cursor);
        }
        left
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
