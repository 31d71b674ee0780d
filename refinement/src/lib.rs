//! Between the specification and the implementation.
//!
//! [`map`] is the dictionary, the only place that names both. [`code`] makes a state space of the compiled code;
//! [`relation`] explores it beside the protocol and says where they part; [`validate`] holds a recorded run of real
//! threads against the protocol. The binary `shootdown` is built on these.

pub mod code;
pub mod map;
pub mod mutants;
pub mod relation;
pub mod review;

#[cfg(test)]
mod every_interleaving;
pub mod validate;
