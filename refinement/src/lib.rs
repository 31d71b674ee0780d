//! Between the specification and the implementation.
//!
//! [`map`] is the dictionary, the only place that names both. [`code`] makes a state space of the compiled code;
//! [`relation`] explores it beside the protocol and says where they part; [`mutants`] are faults that somebody must
//! notice. [`validate`] holds a recorded run of real threads against the protocol; what a real kernel recorded is
//! [`shootdown_trace`]'s. [`export`] writes runs for other tools, [`ci`] results for machines that collect them, [`review`] the
//! design review. The binary `shootdown` is built on these.
//!
//! [`scenario`] is for protocols of the user's own: files in the scenario language, in place of the designs.
//!
//! What every command needs to end well, whatever happens: [`cancel`] turns signals into one flag, [`leash`] holds other
//! programs and their files, [`file`](mod@file) tries and writes files, [`memory`] says how much there is.

pub mod bare;
pub mod cancel;
pub mod ci;
pub mod code;
pub mod export;
pub mod file;
pub mod leash;
pub mod map;
pub mod memory;
pub mod mutants;
pub mod relation;
pub mod review;
pub mod scenario;
pub mod validate;

#[cfg(test)]
mod every_interleaving;
