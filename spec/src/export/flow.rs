//! Control flow of a program, resolved: which step follows which, branches folded into the step
//! before them, as [`crate::cpu`] executes them.

use crate::program::{Flags, Line, LockRef, Mode, Op, Pc, Program, Reg};

/// Where control goes once a step is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// To this step.
    Step(Pc),
    /// That depends on a local variable.
    If {
        /// The variable.
        reg: Reg,
        /// It must have this value.
        value: bool,
        /// Then go here.
        then: Box<Next>,
        /// Otherwise here.
        otherwise: Box<Next>,
    },
}

/// One executed step.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// Its position in the program.
    pub pc: Pc,
    /// The step with its place in the kernel source.
    pub line: &'a Line,
    /// The lock that the step before it asked for: it waits until that is granted.
    pub awaits: Option<(LockRef, Mode)>,
    /// Does a jump lead here?
    pub is_target: bool,
}

/// A program without its control steps.
#[derive(Clone, Debug)]
pub struct Flow<'a> {
    /// The program.
    pub program: &'a Program,
    /// Its executed steps, in the order of the source; the last one is [`Op::Return`].
    pub steps: Vec<Step<'a>>,
}

impl<'a> Flow<'a> {
    /// Resolves a program.
    pub fn of(program: &'a Program) -> Flow<'a> {
        let executed = program.lines.iter().enumerate();
        let mut steps: Vec<Step<'a>> = executed
            .filter(|(_, line)| !line.op.is_control())
            .map(|(pc, line)| Step {
                pc: pc as Pc,
                line,
                awaits: None,
                is_target: false,
            })
            .collect();
        for at in 0..steps.len() {
            let step = steps[at].clone();
            if let Op::Lock(lock, mode) = step.line.op {
                let Next::Step(next) = resolve(program, step.pc + 1) else {
                    panic!("{}: a branch right behind a lock", program.id)
                };
                let waiter = steps.iter_mut().find(|s| s.pc == next);
                waiter.expect("control leads to a step").awaits = Some((lock, mode));
            }
            // What follows in the source is reached by falling through, anything else by a jump.
            let follows = steps.get(at + 1).map(|s| s.pc);
            let straight = resolve(program, step.pc + 1);
            let ways = jumps(&step.line.op).into_iter();
            let mut targets: Vec<Pc> = ways
                .flat_map(|pc| leaves(&resolve(program, pc)))
                .filter(|pc| Some(*pc) != follows)
                .collect();
            if step.line.op != Op::Return {
                targets.extend(
                    leaves(&straight)
                        .into_iter()
                        .filter(|pc| Some(*pc) != follows),
                );
            }
            for step in steps.iter_mut().filter(|s| targets.contains(&s.pc)) {
                step.is_target = true;
            }
        }
        Flow { program, steps }
    }

    /// Where control goes from `pc`, which may be that of a control step.
    pub fn next(&self, pc: Pc) -> Next {
        resolve(self.program, pc)
    }

    /// The step after this one in the source, if there is one.
    pub fn follower(&self, pc: Pc) -> Option<Pc> {
        let at = self.steps.iter().position(|s| s.pc == pc)?;
        self.steps.get(at + 1).map(|s| s.pc)
    }
}

fn resolve(program: &Program, pc: Pc) -> Next {
    match program.lines.get(pc as usize).map(|l| l.op) {
        Some(Op::Goto { to }) => resolve(program, to),
        Some(Op::Branch { reg, value, to }) => {
            let (then, otherwise) = (resolve(program, to), resolve(program, pc + 1));
            if then == otherwise {
                return then;
            }
            Next::If {
                reg,
                value,
                then: Box::new(then),
                otherwise: Box::new(otherwise),
            }
        }
        _ => Next::Step(pc),
    }
}

/// Every step that `next` may lead to.
pub fn leaves(next: &Next) -> Vec<Pc> {
    match next {
        Next::Step(pc) => vec![*pc],
        Next::If {
            then, otherwise, ..
        } => [leaves(then), leaves(otherwise)].concat(),
    }
}

/// The places other than the next line that a step may lead to.
pub fn jumps(op: &Op) -> Vec<Pc> {
    match *op {
        Op::TryLock { busy: to, .. }
        | Op::ReadInitEntry { absent: to }
        | Op::ForEachPgd { done: to }
        | Op::ReadKernelEntry { present: to, .. }
        | Op::TestAndClearYoung { not_young: to, .. }
        | Op::GetAndClear { absent: to, .. }
        | Op::GupRead { slow: to, .. }
        | Op::TestSplitting { splitting: to }
        | Op::StopBeingLazy { loaded: to } => vec![to],
        Op::SetSplitting { not_huge, already } => vec![not_huge, already],
        _ => vec![],
    }
}

/// The local variables that a step changes.
pub fn sets(op: &Op) -> &'static [Reg] {
    match op {
        Op::IrqSave(Flags::Outer) => &[Reg::FlagsOuter],
        Op::IrqSave(Flags::Inner) => &[Reg::FlagsInner],
        Op::ReadInitEntry { .. } => &[Reg::Changed],
        // A store looks at it, whether or not this configuration ever reads it.
        Op::ReadPinned { .. } | Op::WriteKernelEntry { .. } => &[Reg::SeenPinned],
        Op::TestAndClearYoung { .. } | Op::SetSplitting { .. } | Op::ReadPending => {
            &[Reg::NeedFlush]
        }
        Op::GetAndClear { entry, .. } => match entry {
            crate::program::Entry::Pte => &[Reg::Changed, Reg::NeedFlush],
            crate::program::Entry::Huge => &[Reg::ChangedHuge, Reg::NeedFlush],
        },
        Op::SendIpi(_) => &[Reg::SentIpi],
        Op::FlushRequested => &[Reg::Flushed],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::design::Design;
    use crate::environment::Environment;
    use crate::program::{Of, ProgramId};
    use crate::variant::VariantSet;
    use crate::workload::Workload;

    fn config(design: &str, workload: &str) -> Config {
        let environment = Environment::default();
        let workload = Workload::parse(workload, &environment).expect("a workload");
        let design = Design::named(design).expect("a design");
        Config::new(design, environment, workload, VariantSet::NONE).expect("it makes sense")
    }

    #[test]
    fn branches_are_folded_into_the_step_before_them() {
        // v2.6.37, try_to_unmap_one: 0 lock, 1 get-and-clear, 2 local flush, 3 send, 4 branch
        // on sent_ipi, 5 await, 6 unlock, 7 branch on changed, 8 put, 9 return.
        let config = config("v2.6.37", "try_to_unmap_one");
        let flow = Flow::of(config.program(ProgramId::TryToUnmapOne));
        let pcs: Vec<_> = flow.steps.iter().map(|s| s.pc).collect();
        assert_eq!(pcs, [0, 1, 2, 3, 5, 6, 8, 9]);
        let after_send = Next::If {
            reg: Reg::SentIpi,
            value: false,
            then: Box::new(Next::Step(6)),
            otherwise: Box::new(Next::Step(5)),
        };
        assert_eq!(flow.next(4), after_send);
        // Jumps lead to the unlock (pte absent, nobody to await) and to the return.
        let targets = flow.steps.iter().filter(|s| s.is_target);
        assert_eq!(targets.map(|s| s.pc).collect::<Vec<_>>(), [6, 9]);
    }

    #[test]
    fn the_step_behind_a_lock_awaits_it() {
        let config = config("v2.6.37", "vmalloc_sync_all");
        let flow = Flow::of(config.program(ProgramId::VmallocSyncAll));
        let awaited: Vec<_> = flow
            .steps
            .iter()
            .filter_map(|s| Some((s.line.op, s.awaits?.0)))
            .map(|(op, lock)| (std::mem::discriminant(&op), lock))
            .collect();
        let read = Op::ReadKernelEntry {
            of: Of::Cursor,
            present: 0,
        };
        assert_eq!(
            awaited,
            [
                (
                    std::mem::discriminant(&Op::ForEachPgd { done: 0 }),
                    LockRef::PgdLock
                ),
                (
                    std::mem::discriminant(&read),
                    LockRef::PageTableLock(Of::Cursor)
                ),
            ]
        );
    }
}
