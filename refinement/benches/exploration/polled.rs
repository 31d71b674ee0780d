//! The simulated machine for tools that run threads: operations happen where a thread says so, and a pending interrupt
//! is taken there and then.

use shootdown_impl::id::CpuId;
use shootdown_impl::irq::Vector;
use shootdown_impl::sim::{Op, SIM_CPUS, SimState};

/// What the threads share.
#[derive(Clone, Copy)]
pub struct Polled {
    state: SimState,
    waits: [Option<Op>; SIM_CPUS],
    finished: usize,
}

/// What became of an announced operation.
pub enum Attempt {
    /// It happened: its answer, and the CPUs that wait no more.
    Done(u64, Vec<CpuId>),
    /// There is an interrupt to be handled first.
    Interrupt(Vector),
    /// It cannot happen yet: the thread has to wait to be woken.
    Wait,
}

impl Polled {
    /// Nobody has begun.
    pub fn new(state: SimState) -> Self {
        Self {
            state,
            waits: [None; SIM_CPUS],
            finished: 0,
        }
    }

    /// A CPU is through with its script. It goes on to take interrupts until all are ([`Op::Idle`]).
    pub fn finish(&mut self) {
        self.finished += 1;
    }

    fn can(&self, cpu: CpuId, op: Op) -> bool {
        match op {
            Op::Idle => self.finished == usize::from(self.state.env.cpus),
            _ => self.state.enabled(cpu, op),
        }
    }

    fn interrupt(&self, cpu: CpuId) -> Option<Vector> {
        self.state.interrupts(cpu).next()
    }

    /// Lets the operation happen if it can.
    pub fn attempt(&mut self, cpu: CpuId, op: Op) -> Attempt {
        self.waits[cpu.index()] = None;
        if let Some(vector) = self.interrupt(cpu) {
            self.state.enter_interrupt(cpu, vector);
            return Attempt::Interrupt(vector);
        }
        if !self.can(cpu, op) {
            self.waits[cpu.index()] = Some(op);
            return Attempt::Wait;
        }
        let answer = self.state.apply(cpu, op);
        Attempt::Done(answer, self.woken())
    }

    /// CPUs that waited and need not any more; they are taken off the list.
    pub fn woken(&mut self) -> Vec<CpuId> {
        let ready = |cpu: &CpuId| {
            let waits = self.waits[cpu.index()];
            waits.is_some_and(|op| self.can(*cpu, op) || self.interrupt(*cpu).is_some())
        };
        let woken: Vec<_> = self.state.cpu_ids().filter(ready).collect();
        for cpu in &woken {
            self.waits[cpu.index()] = None;
        }
        woken
    }

    /// The machine, to read words that never change and to note what was reported.
    pub fn state(&mut self) -> &mut SimState {
        &mut self.state
    }
}
