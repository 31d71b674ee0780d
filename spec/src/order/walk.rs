//! Every way through a program, without a machine: where it is, what it holds, whether
//! interrupts are on.
//!
//! An abstract interpretation of one program at a time. What another CPU, the mm or the list
//! would answer is not known here, so every answer is tried; what the program itself decides,
//! the interrupt flag with its saved copies and the registers it set, is followed exactly as far
//! as it is known. The points found are therefore a superset of what any context of any run can
//! be at, however many CPUs and mms there are: `spec/tests/order.rs` holds them against explored
//! states.

use super::breach::{Breach, Rule};
use crate::id::Level;
use crate::program::{Flags, LockRef, Mode, Of, Op, Pc, Program, ProgramId, Reg};
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};

/// A line of a program, quotable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Step {
    /// The program.
    #[serde(serialize_with = "name")]
    pub program: ProgramId,
    /// Its position there.
    pub pc: Pc,
    /// The kernel function that contains the statement.
    pub function: &'static str,
    /// The statement.
    pub source: &'static str,
}

fn name<S: serde::Serializer>(program: &ProgramId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(program.name())
}

impl Step {
    /// The line of a program.
    pub fn of(program: &Program, pc: Pc) -> Step {
        let line = program.line(pc);
        Step {
            program: program.id,
            pc,
            function: line.function,
            source: line.source,
        }
    }

    /// The file that writes the program down, below the root of the tree.
    pub fn file(&self) -> String {
        format!("spec/src/path/{}.rs", crate::path::file(self.program))
    }
}

/// A lock that is held at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// Which, as the program names it.
    pub lock: LockRef,
    /// How it was taken.
    pub mode: Mode,
    /// Where.
    pub taken: Pc,
}

/// What is known of a register.
type Known = Option<bool>;

/// Registers; [`Reg`] numbers them.
const REGS: usize = 11;

/// A point that a context may be at: about to execute the step, or waiting there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    /// The step.
    pub pc: Pc,
    /// Interrupts are on.
    pub irqs_on: bool,
    /// If not: the step that turned them off. None in a handler, which starts so.
    pub off_since: Option<Pc>,
    /// Locks held, in the order they were taken.
    pub held: Vec<Held>,
    regs: [Known; REGS],
    /// A flush IPI was acknowledged.
    acked: bool,
}

impl Point {
    fn start(level: Level) -> Point {
        let mut regs = [Some(false); REGS];
        // What `switch_mm` finds is not its own doing.
        regs[Reg::SameMm as usize] = None;
        regs[Reg::NoPrev as usize] = None;
        Point {
            pc: 0,
            irqs_on: level == Level::Task,
            off_since: None,
            held: Vec::new(),
            regs,
            acked: false,
        }
    }

    fn reg(&self, reg: Reg) -> Known {
        self.regs[reg as usize]
    }

    fn at(&self, pc: Pc) -> Point {
        Point { pc, ..self.clone() }
    }

    fn with(mut self, reg: Reg, known: Known) -> Point {
        self.regs[reg as usize] = known;
        self
    }

    /// True unless the register is known to differ.
    pub fn may_have(&self, reg: Reg, value: bool) -> bool {
        self.reg(reg).is_none_or(|known| known == value)
    }
}

/// Every point of a program at one level.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    /// The program.
    pub program: &'a Program,
    /// Process or interrupt context.
    pub level: Level,
    /// Where it may be; control steps, which take no time, left out.
    pub points: HashSet<Point>,
    /// Where it does what the theorem takes for granted that nobody does.
    pub breaches: BTreeSet<Breach>,
}

impl<'a> Walk<'a> {
    /// Finds every point.
    pub fn of(program: &'a Program, level: Level) -> Walk<'a> {
        let mut walk = Walk {
            program,
            level,
            points: HashSet::new(),
            breaches: BTreeSet::new(),
        };
        let mut seen = HashSet::new();
        let mut open = vec![Point::start(level)];
        while let Some(point) = open.pop() {
            if !seen.insert(point.clone()) {
                continue;
            }
            open.extend(walk.next(&point));
            if !program.line(point.pc).op.is_control() {
                walk.points.insert(point);
            }
        }
        walk
    }

    /// The line, quotable.
    pub fn step(&self, pc: Pc) -> Step {
        Step::of(self.program, pc)
    }

    /// May what the step tries be tried again and again until it succeeds? A trylock that a
    /// refusal leads back to is a wait, only one that no queue shows.
    pub fn polls(&self, pc: Pc) -> bool {
        let Op::TryLock { busy, .. } = self.program.line(pc).op else {
            return false;
        };
        let (mut seen, mut open) = (HashSet::new(), vec![busy]);
        while let Some(at) = open.pop() {
            if seen.insert(at) {
                open.extend(successors(self.program, at));
            }
        }
        seen.contains(&pc)
    }

    fn breach(&mut self, rule: Rule, pc: Pc) {
        let step = self.step(pc);
        self.breaches.insert(Breach {
            rule,
            step: Some(step),
        });
    }

    /// Where the step may lead. Every kind of step is named, so that a new one is thought about.
    fn next(&mut self, point: &Point) -> Vec<Point> {
        let pc = point.pc;
        let on = || point.at(pc + 1);
        match self.program.line(pc).op {
            Op::IrqSave(flags) => {
                let mut next = on().with(saved(flags), Some(point.irqs_on));
                if point.irqs_on {
                    (next.irqs_on, next.off_since) = (false, Some(pc));
                }
                vec![next]
            }
            Op::IrqRestore(flags) => {
                let back_on = point.reg(saved(flags)) == Some(true);
                let mut next = on().with(saved(flags), Some(false));
                (next.irqs_on, next.off_since) = match back_on {
                    true => (true, None),
                    // Restoring "off" where they were on turns them off here.
                    false if point.irqs_on => (false, Some(pc)),
                    false => (false, point.off_since),
                };
                vec![next]
            }
            // A lock held already is an edge of its own, and nothing comes after that wait.
            Op::Lock(lock, _) if holds(point, lock) => Vec::new(),
            Op::Lock(lock, mode) => vec![taking(on(), lock, mode, pc)],
            Op::TryLock { lock, busy } => {
                let refused = point.at(busy);
                match holds(point, lock) {
                    true => vec![refused],
                    false => vec![taking(on(), lock, Mode::Exclusive, pc), refused],
                }
            }
            Op::Unlock(lock) => {
                let mut next = on();
                match next.held.iter().rposition(|h| h.lock == lock) {
                    Some(i) => _ = next.held.remove(i),
                    None => self.breach(Rule::ReleasesOnlyItsOwn, pc),
                }
                vec![next]
            }
            Op::ForEachPgd { done } => {
                let of_cursor = |h: &Held| names_cursor(h.lock);
                if point.held.iter().any(of_cursor) {
                    self.breach(Rule::ReleasesOnlyItsOwn, pc);
                }
                vec![on(), point.at(done)]
            }
            Op::ReadInitEntry { absent } => {
                let told = |p: Point, present| p.with(Reg::Changed, Some(present));
                vec![told(on(), true), told(point.at(absent), false)]
            }
            Op::ReadKernelEntry { present, .. } => {
                vec![on(), point.at(present)]
            }
            Op::ReadPinned { .. } => vec![on().with(Reg::SeenPinned, None)],
            Op::TestAndClearYoung { not_young, .. } => {
                vec![on().with(Reg::NeedFlush, Some(true)), point.at(not_young)]
            }
            Op::GetAndClear { entry, absent } => {
                let changed = match entry {
                    crate::program::Entry::Pte => Reg::Changed,
                    crate::program::Entry::Huge => Reg::ChangedHuge,
                };
                let cleared = on().with(changed, Some(true));
                vec![cleared.with(Reg::NeedFlush, Some(true)), point.at(absent)]
            }
            Op::SetSplitting { not_huge, already } => vec![
                on().with(Reg::NeedFlush, Some(true)),
                point.at(not_huge),
                point.at(already),
            ],
            Op::TestSplitting { splitting: to }
            | Op::GupRead { slow: to, .. }
            | Op::StopBeingLazy { loaded: to } => vec![on(), point.at(to)],
            Op::ReadPending => {
                let known = point.reg(Reg::NeedFlush).filter(|&owed| owed);
                vec![on().with(Reg::NeedFlush, known)]
            }
            Op::SendIpi(_) => {
                if self.level == Level::Irq {
                    self.breach(Rule::HandlersDoNotFlush, pc);
                }
                if point.may_have(Reg::SentIpi, true) {
                    self.breach(Rule::AwaitsWhatItSent, pc);
                }
                vec![on().with(Reg::SentIpi, None)]
            }
            Op::AwaitAcks => vec![on().with(Reg::SentIpi, Some(false))],
            Op::FlushRequested => vec![on().with(Reg::Flushed, Some(true))],
            Op::Ack => vec![Point {
                acked: true,
                ..on()
            }],
            Op::Branch { reg, value, to } => {
                let jump = point.at(to).with(reg, Some(value));
                let stay = on().with(reg, Some(!value));
                match point.reg(reg) {
                    None => vec![jump, stay],
                    Some(known) if known == value => vec![jump],
                    Some(_) => vec![stay],
                }
            }
            Op::Goto { to } => vec![point.at(to)],
            Op::Return => {
                self.returns(point);
                Vec::new()
            }
            Op::SetInitEntry
            | Op::WriteKernelEntry { .. }
            | Op::ClonePgd
            | Op::ListAdd
            | Op::ListDel
            | Op::FreeMm
            | Op::PmdNotPresent
            | Op::PmdPopulate
            | Op::AwaitNotSplitting
            | Op::SplitCompound
            | Op::GetPage(_)
            | Op::PutPage(_)
            | Op::RaisePending
            | Op::DropPending
            | Op::FlushLocal(_)
            | Op::FlushHypercall(_)
            | Op::CpumaskSet
            | Op::LoadCr3
            | Op::CpumaskClearPrev
            | Op::EnterLazy
            | Op::LeaveMm
            | Op::CpumaskClearOwn
            | Op::CpumaskClearIfLazy
            | Op::LoadSwapper
            | Op::SetPinned(_)
            | Op::UserStore(_) => vec![on()],
        }
    }

    fn returns(&mut self, point: &Point) {
        let pc = point.pc;
        if !point.held.is_empty() {
            self.breach(Rule::ReleasesWhatItTook, pc);
        }
        if self.level == Level::Task && !point.irqs_on {
            self.breach(Rule::RestoresInterrupts, pc);
        }
        if point.may_have(Reg::SentIpi, true) {
            self.breach(Rule::AwaitsWhatItSent, pc);
        }
        if self.program.id == ProgramId::FlushTlbInterrupt && !point.acked {
            self.breach(Rule::HandlerAcknowledges, pc);
        }
    }
}

fn saved(flags: Flags) -> Reg {
    match flags {
        Flags::Outer => Reg::FlagsOuter,
        Flags::Inner => Reg::FlagsInner,
    }
}

fn holds(point: &Point, lock: LockRef) -> bool {
    point.held.iter().any(|h| h.lock == lock)
}

fn taking(mut point: Point, lock: LockRef, mode: Mode, taken: Pc) -> Point {
    point.held.push(Held { lock, mode, taken });
    point
}

fn names_cursor(lock: LockRef) -> bool {
    matches!(
        lock,
        LockRef::PageTableLock(Of::Cursor) | LockRef::SplitPtl(Of::Cursor)
    )
}

/// Where a step may lead, registers ignored.
fn successors(program: &Program, pc: Pc) -> Vec<Pc> {
    let next = pc + 1;
    match program.line(pc).op {
        Op::Return => vec![],
        Op::Goto { to } => vec![to],
        Op::TryLock { busy: to, .. }
        | Op::ReadInitEntry { absent: to }
        | Op::ForEachPgd { done: to }
        | Op::ReadKernelEntry { present: to, .. }
        | Op::TestAndClearYoung { not_young: to, .. }
        | Op::GetAndClear { absent: to, .. }
        | Op::GupRead { slow: to, .. }
        | Op::TestSplitting { splitting: to }
        | Op::StopBeingLazy { loaded: to }
        | Op::Branch { to, .. } => vec![next, to],
        Op::SetSplitting { not_huge, already } => vec![next, not_huge, already],
        _ => vec![next],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Assembler, Scope};

    const PTL: LockRef = LockRef::PageTableLock(Of::Target);

    /// A program of these steps, in process context.
    fn program(id: ProgramId, steps: &[Op]) -> Program {
        let mut p = Assembler::new(id, "drawn");
        for &op in steps {
            p.step(op, "");
        }
        p.finish("return")
    }

    fn breaches(level: Level, steps: &[Op]) -> Vec<(Rule, Option<Pc>)> {
        let id = match level {
            Level::Task => ProgramId::PageReferencedOnePte,
            Level::Irq => ProgramId::FlushTlbInterrupt,
        };
        let program = program(id, steps);
        let walk = Walk::of(&program, level);
        let breaches = walk.breaches.iter();
        breaches.map(|b| (b.rule, b.step.map(|s| s.pc))).collect()
    }

    const LOCK: Op = Op::Lock(PTL, Mode::Exclusive);
    const OFF: Op = Op::IrqSave(Flags::Outer);
    const ON: Op = Op::IrqRestore(Flags::Outer);
    const SEND: Op = Op::SendIpi(Scope::Mm);

    /// One careless program for each rule that a program can break; the step after the last is
    /// the return.
    #[test]
    fn every_rule_that_a_program_can_break_is_noticed_where_it_is_broken() {
        use Level::{Irq, Task};
        for (level, steps, rule, pc) in [
            (Task, &[LOCK][..], Rule::ReleasesWhatItTook, 1),
            (Task, &[Op::Unlock(PTL)], Rule::ReleasesOnlyItsOwn, 0),
            (Task, &[OFF], Rule::RestoresInterrupts, 1),
            (Task, &[SEND], Rule::AwaitsWhatItSent, 1),
            (
                Task,
                &[SEND, SEND, Op::AwaitAcks],
                Rule::AwaitsWhatItSent,
                1,
            ),
            (Irq, &[], Rule::HandlerAcknowledges, 0),
            (
                Irq,
                &[SEND, Op::AwaitAcks, Op::Ack],
                Rule::HandlersDoNotFlush,
                0,
            ),
        ] {
            assert_eq!(breaches(level, steps), [(rule, Some(pc))], "{steps:?}");
        }
        let careful = [OFF, LOCK, SEND, Op::AwaitAcks, Op::Unlock(PTL), ON];
        assert_eq!(breaches(Task, &careful), []);
        assert_eq!(breaches(Irq, &[Op::FlushRequested, Op::Ack]), []);
    }

    #[test]
    fn a_walk_that_moves_on_with_the_lock_of_the_last_pgd_is_noticed() {
        let mut p = Assembler::new(ProgramId::VmallocSyncAll, "drawn");
        let done = p.label();
        let next = p.here();
        let each = Op::ForEachPgd {
            done: Assembler::to(done),
        };
        p.step(each, "");
        let lock = LockRef::PageTableLock(Of::Cursor);
        p.step(
            Op::TryLock {
                lock,
                busy: Assembler::to(next),
            },
            "",
        );
        p.goto(next);
        p.bind(done);
        let program = p.finish("return");
        let walk = Walk::of(&program, Level::Task);
        let rules: BTreeSet<Rule> = walk.breaches.iter().map(|b| b.rule).collect();
        let held = Rule::ReleasesWhatItTook;
        assert_eq!(rules, BTreeSet::from([held, Rule::ReleasesOnlyItsOwn]));
        // A refusal leads back to the try: it is a wait.
        assert!(walk.polls(1) && !walk.polls(0));
    }

    /// Nested irqsave: the inner restore leaves interrupts off, the outer one turns them on. Points
    /// in order: on; off since 0; still off since 0, with the inner flag saved; back.
    #[test]
    fn an_inner_restore_does_not_turn_interrupts_on() {
        let inner = [
            OFF,
            Op::IrqSave(Flags::Inner),
            Op::IrqRestore(Flags::Inner),
            ON,
        ];
        let program = program(ProgramId::SwitchMm, &inner);
        let mut points: Vec<_> = Walk::of(&program, Level::Task).points.into_iter().collect();
        points.sort_by_key(|p| p.pc);
        let seen: Vec<_> = points
            .iter()
            .map(|p| (p.pc, p.irqs_on, p.off_since))
            .collect();
        let off = Some(0);
        assert_eq!(
            seen,
            [
                (0, true, None),
                (1, false, off),
                (2, false, off),
                (3, false, off),
                (4, true, None)
            ]
        );
    }

    /// A register decides a branch if it is known: nothing was sent, so nothing is awaited.
    #[test]
    fn a_branch_on_a_known_register_goes_one_way() {
        let mut p = Assembler::new(ProgramId::ZapPageRange, "drawn");
        let out = p.label();
        p.branch(Reg::NeedFlush, false, out);
        p.step(Op::AwaitAcks, "");
        p.bind(out);
        let program = p.finish("return");
        let walk = Walk::of(&program, Level::Task);
        assert_eq!(walk.points.iter().map(|p| p.pc).collect::<Vec<_>>(), [2]);
    }
}
