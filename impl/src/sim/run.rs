//! Running the code: every CPU is a coroutine that stops at each announced operation.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec::Vec;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::environment::Environment;
use crate::event::Event;
use crate::id::{CpuId, MmId};
use crate::irq::Vector;
use crate::kernel::Loc;
use crate::operation::{Code, Operation};
use crate::sim::{Choice, ConfigError, Op, Port, Scheduler, SimCpu, SimState};
use crate::tlb::AccessKind;

const STACK: usize = 64 << 10;

/// What a coroutine is woken with.
enum Wake {
    Start(Operation),
    Done(u64),
    Interrupt(Vector),
}

/// What the coroutines and the machine share.
struct Shared {
    state: RefCell<SimState>,
    events: RefCell<Vec<Event>>,
    /// The machine is going away: coroutines unwind, and the guards they drop find nobody to answer.
    gone: Cell<bool>,
}

struct CoPort<'y, C> {
    yielder: &'y Yielder<Wake, Op>,
    shared: Rc<Shared>,
    code: Rc<C>,
    cpu: CpuId,
    env: Environment,
}

impl<C> Clone for CoPort<'_, C> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            code: self.code.clone(),
            ..*self
        }
    }
}

impl<C: Code> CoPort<'_, C> {
    fn wait(&self, op: Op) -> Wake {
        loop {
            match self.yielder.suspend(op) {
                Wake::Interrupt(vector) => {
                    let cpu = SimCpu {
                        port: self.clone(),
                        cpu: self.cpu,
                        env: self.env,
                    };
                    self.code.interrupt(&cpu, vector);
                    self.yielder.suspend(Op::Iret);
                }
                wake => return wake,
            }
        }
    }
}

impl<C: Code> Port for CoPort<'_, C> {
    fn call(&self, op: Op) -> u64 {
        if self.shared.gone.get() {
            return 0;
        }
        match self.wait(op) {
            Wake::Done(answer) => answer,
            Wake::Start(_) | Wake::Interrupt(_) => 0,
        }
    }
    fn stable(&self, loc: Loc) -> u64 {
        self.shared.state.borrow().word(loc)
    }
    fn event(&self, event: Event) {
        if !self.shared.gone.get() {
            self.shared.state.borrow_mut().note(self.cpu, event);
            self.shared.events.borrow_mut().push(event);
        }
    }
}

/// A machine to build.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// What the kernel was built with.
    pub env: Environment,
    /// How many mms are alive at the start.
    pub alive: u8,
    /// On which mm each CPU starts.
    pub placement: Vec<Option<MmId>>,
    /// What each CPU does, in order; one that cannot start is waited for.
    pub programs: Vec<Vec<Operation>>,
}

impl SimConfig {
    /// All mms of the environment alive and every CPU on `mm0`, doing this.
    pub fn new(env: Environment, programs: &[&[Operation]]) -> Self {
        Self {
            env,
            alive: env.mms,
            placement: (0..env.cpus).map(|_| Some(MmId(0))).collect(),
            programs: programs.iter().map(|p| p.to_vec()).collect(),
        }
    }
}

/// What one step did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepReport {
    /// The choice that was made.
    pub choice: Choice,
    /// The operation that happened, if it was one.
    pub op: Option<Op>,
    /// What it meant.
    pub events: Vec<Event>,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Every CPU has done what it was given (or could not start the rest of it).
    Finished,
    /// Work is left and nothing can move.
    Deadlock,
    /// The scheduler stopped.
    Stopped,
}

/// The simulated machine, running code.
pub struct Sim<C: Code> {
    shared: Rc<Shared>,
    cpus: Vec<SimulatedCpu>,
    code: core::marker::PhantomData<C>,
}

struct SimulatedCpu {
    coroutine: Coroutine<Wake, Op, (), DefaultStack>,
    next: Op,
    program: VecDeque<Operation>,
}

impl<C: Code> Sim<C> {
    /// Builds the machine; all CPUs are idle.
    pub fn new(code: C, config: &SimConfig) -> Result<Self, ConfigError> {
        let state = SimState::new(config.env, config.alive, &config.placement)?;
        let shared = Rc::new(Shared {
            state: RefCell::new(state),
            events: RefCell::default(),
            gone: Cell::new(false),
        });
        let code = Rc::new(code);
        let cpus = (0..config.env.cpus).map(CpuId).map(|cpu| {
            let (shared, code, env) = (shared.clone(), code.clone(), config.env);
            let stack = DefaultStack::new(STACK).expect("no memory for a coroutine's stack");
            let mut coroutine =
                Coroutine::with_stack(stack, move |yielder: &Yielder<Wake, Op>, first: Wake| {
                    let port = CoPort {
                        yielder,
                        shared,
                        code: code.clone(),
                        cpu,
                        env,
                    };
                    let machine = SimCpu {
                        port: port.clone(),
                        cpu,
                        env,
                    };
                    let mut wake = first;
                    loop {
                        if let Wake::Start(operation) = wake {
                            code.operation(&machine, operation);
                        }
                        wake = port.wait(Op::Idle);
                    }
                });
            let next = match coroutine.resume(Wake::Done(0)) {
                CoroutineResult::Yield(op) => op,
                CoroutineResult::Return(()) => Op::Idle,
            };
            let program = config
                .programs
                .get(cpu.index())
                .cloned()
                .unwrap_or_default()
                .into();
            SimulatedCpu {
                coroutine,
                next,
                program,
            }
        });
        let cpus = cpus.collect();
        Ok(Self {
            shared,
            cpus,
            code: core::marker::PhantomData,
        })
    }

    /// The state of everything outside the code.
    pub fn state(&self) -> SimState {
        *self.shared.state.borrow()
    }

    /// The operation a CPU has announced.
    pub fn announced(&self, cpu: CpuId) -> Op {
        self.cpus[cpu.index()].next
    }

    /// What can happen now.
    pub fn choices(&self) -> Vec<Choice> {
        let state = self.shared.state.borrow();
        let mut choices = Vec::new();
        for cpu in state.cpu_ids() {
            let simulated = &self.cpus[cpu.index()];
            match simulated.next {
                Op::Idle => {
                    if let Some(&operation) = simulated.program.front()
                        && state.may_start(cpu, operation)
                    {
                        choices.push(Choice::Start(cpu, operation));
                    }
                }
                op if state.enabled(cpu, op) => choices.push(Choice::Step(cpu)),
                _ => {}
            }
            choices.extend(state.interrupts(cpu).map(|v| Choice::Interrupt(cpu, v)));
            choices.extend(state.fills(cpu).map(|slot| Choice::Fill(cpu, slot)));
        }
        choices
    }

    /// Gives a CPU one more operation to do.
    pub fn push(&mut self, cpu: CpuId, operation: Operation) {
        self.cpus[cpu.index()].program.push_back(operation);
    }

    /// Makes one of [`Self::choices`] happen.
    pub fn step(&mut self, choice: Choice) -> StepReport {
        let cpu = choice.cpu();
        let simulated = &mut self.cpus[cpu.index()];
        let mut op = None;
        let wake = match choice {
            Choice::Start(_, operation) => {
                if simulated.program.front() == Some(&operation) {
                    simulated.program.pop_front();
                }
                Wake::Start(operation)
            }
            Choice::Step(_) => {
                op = Some(simulated.next);
                Wake::Done(self.shared.state.borrow_mut().apply(cpu, simulated.next))
            }
            Choice::Interrupt(_, vector) => {
                self.shared.state.borrow_mut().enter_interrupt(cpu, vector);
                Wake::Interrupt(vector)
            }
            Choice::Fill(_, slot) => {
                let mut state = self.shared.state.borrow_mut();
                state.fill(cpu, slot, AccessKind::Load);
                let mm = state.cpus[cpu.index()]
                    .tlb_state
                    .active_mm
                    .unwrap_or(MmId(0));
                let events = [Event::TlbFill {
                    mm,
                    slot,
                    kind: AccessKind::Load,
                }]
                .into();
                return StepReport { choice, op, events };
            }
        };
        if let CoroutineResult::Yield(next) = simulated.coroutine.resume(wake) {
            simulated.next = next;
        }
        StepReport {
            choice,
            op,
            events: self.shared.events.take(),
        }
    }

    /// Lets the scheduler choose until nothing is left to do, nothing can move, or it stops. Every step is handed to
    /// `see` with the state it led to.
    pub fn run(
        &mut self,
        scheduler: &mut impl Scheduler,
        mut see: impl FnMut(&StepReport, &SimState),
    ) -> Outcome {
        loop {
            let choices = self.choices();
            let moving = choices.iter().any(|c| !matches!(c, Choice::Fill(..)));
            if !moving {
                let idle = self.cpus.iter().all(|c| c.next == Op::Idle);
                return if idle {
                    Outcome::Finished
                } else {
                    Outcome::Deadlock
                };
            }
            let state = self.state();
            let Some(choice) = scheduler.choose(&state, &choices) else {
                return Outcome::Stopped;
            };
            let report = self.step(choices[choice]);
            see(&report, &self.state());
        }
    }
}

impl<C: Code> Drop for Sim<C> {
    fn drop(&mut self) {
        // Dropping a suspended coroutine unwinds its stack; the guards on it must not suspend again.
        self.shared.gone.set(true);
    }
}
