//! The code on shuttle's threads: a scheduling point before every operation, a channel to wait for being woken.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shootdown_impl::design::Axes;
use shootdown_impl::environment::Environment;
use shootdown_impl::event::Event;
use shootdown_impl::id::CpuId;
use shootdown_impl::kernel::Loc;
use shootdown_impl::operation::{Code, Operation};
use shootdown_impl::sim::{Op, Port, SimCpu};
use shuttle::scheduler::{DfsScheduler, RandomScheduler, Scheduler};
use shuttle::sync::mpsc::{Receiver, Sender, channel};
use shuttle::{Config, FailurePersistence, Runner};

use crate::polled::{Attempt, Polled};
use crate::{EXECUTIONS, Program, Ran, executions};

/// All schedules, depth first.
pub fn depth_first(limit: Duration, program: &Program) -> Ran {
    run(limit, program, DfsScheduler::new(None, false))
}

/// Schedules at random, which is what shuttle is good at: the median of 20 seeds, their time together.
pub fn random(limit: Duration, program: &Program) -> Ran {
    let seeds = 1..=20;
    let mut runs: Vec<_> = seeds
        .map(|seed| {
            run(
                limit / 20,
                program,
                RandomScheduler::new_from_seed(seed, usize::MAX),
            )
        })
        .collect();
    let seconds = runs.iter().map(|r| r.seconds).sum();
    runs.sort_by_key(|r| r.count);
    let median = runs.swap_remove(10);
    Ran { seconds, ..median }
}

fn run(limit: Duration, program: &Program, scheduler: impl Scheduler + 'static) -> Ran {
    let mut config = Config::new();
    config.max_time = Some(limit);
    config.failure_persistence = FailurePersistence::None;
    let program = program.clone();
    executions(limit, || {
        Runner::new(scheduler, config).run(move || execution(&program));
    })
}

struct Cpu {
    cpu: CpuId,
    code: Axes,
    env: Environment,
    /// Never held across a scheduling point.
    machine: Arc<Mutex<Polled>>,
    wake: Vec<Sender<()>>,
    woken: Receiver<()>,
}

fn execution(program: &Program) {
    EXECUTIONS.fetch_add(1, Relaxed);
    let machine = Arc::new(Mutex::new(Polled::new(program.machine)));
    let channels = program.scripts.iter().map(|_| channel());
    let (wake, woken): (Vec<_>, Vec<_>) = channels.unzip();
    let cpus = woken
        .into_iter()
        .zip(&program.scripts)
        .enumerate()
        .map(|(i, (woken, script))| {
            let cpu = Cpu {
                cpu: CpuId(i as u8),
                code: program.code,
                env: program.machine.env,
                machine: machine.clone(),
                wake: wake.clone(),
                woken,
            };
            (cpu, script.clone())
        });
    let mut cpus: Vec<_> = cpus.collect();
    let (first, script) = cpus.remove(0);
    let others = cpus
        .into_iter()
        .map(|(cpu, script)| shuttle::thread::spawn(move || cpu.run(&script)));
    let others: Vec<_> = others.collect();
    first.run(&script);
    for other in others {
        other.join().expect("a CPU that panics ends the execution");
    }
}

impl Cpu {
    fn simulated(&self) -> SimCpu<&Self> {
        SimCpu {
            port: self,
            cpu: self.cpu,
            env: self.env,
        }
    }

    fn run(&self, script: &[Operation]) {
        for &operation in script {
            self.code.operation(&self.simulated(), operation);
        }
        let woken = {
            let mut machine = self.machine.lock().expect("no panic inside");
            machine.finish();
            machine.woken()
        };
        self.wake(woken);
        self.call(Op::Idle);
    }

    fn wake(&self, cpus: Vec<CpuId>) {
        for cpu in cpus {
            self.wake[cpu.index()]
                .send(())
                .expect("every CPU is there till the end");
        }
    }
}

impl Port for Cpu {
    fn call(&self, op: Op) -> u64 {
        // Guards that are dropped when an execution has failed call again.
        if std::thread::panicking() {
            return 0;
        }
        if !op.is_local() {
            shuttle::thread::yield_now();
        }
        loop {
            let attempt = self
                .machine
                .lock()
                .expect("no panic inside")
                .attempt(self.cpu, op);
            match attempt {
                Attempt::Done(answer, woken) => {
                    self.wake(woken);
                    return answer;
                }
                Attempt::Interrupt(vector) => {
                    self.code.interrupt(&self.simulated(), vector);
                    self.call(Op::Iret);
                }
                Attempt::Wait => self.woken.recv().expect("every CPU is there till the end"),
            }
        }
    }

    fn stable(&self, loc: Loc) -> u64 {
        self.machine
            .lock()
            .expect("no panic inside")
            .state()
            .word(loc)
    }

    fn event(&self, event: Event) {
        if !std::thread::panicking() {
            self.machine
                .lock()
                .expect("no panic inside")
                .state()
                .note(self.cpu, event);
        }
    }
}
