//! The simulated machine: one CPU moves at a time, and somebody outside says which.
//!
//! Every door call of kernel code becomes an [`Op`] that is *announced* before it happens. What operations mean is a
//! pure function over a small `Copy` value, [`SimState::apply`]; whether one can happen now is [`SimState::enabled`]:
//! a wait is announced with its condition, so nobody spins.
//!
//! Two ways to use it. [`Sim`] runs each CPU as a coroutine and lets a [`Scheduler`] choose: unit tests, replay,
//! random search. For exhaustive search, implement [`Port`] and give a [`SimCpu`] over it to the code: the code is a
//! deterministic function of what the port answered, so it need be run only once per new answer.

mod apply;
mod door;
mod lock;
mod op;
mod rules;
mod run;
mod scheduler;
mod snapshot;
mod state;
mod violation;

pub use door::{Port, SimCpu, layout};
pub use op::Op;
pub use run::{Outcome, Sim, SimConfig, StepReport};
pub use scheduler::{RandomScheduler, RoundRobin, Scheduler, Scripted};
pub use snapshot::{CpuSnapshot, LockSnapshot, MmSnapshot, Snapshot};
pub use state::{Cached, Choice, ConfigError, CpuState, SIM_CPUS, SIM_MMS, SimState};
pub use violation::Violation;
