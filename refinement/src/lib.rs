//! Between the specification and the implementation.
//!
//! [`map`] is the dictionary, the only place that names both. [`code`] makes a state space of the compiled code;
//! [`relation`] explores it beside the protocol and says where they part; [`validate`] holds a recorded run of real
//! threads against the protocol. [`export`] writes runs for other tools, [`ci`] results for machines that collect them.
//! The binary `shootdown` is built on these.

pub mod ci;
pub mod code;
pub mod export;
pub mod map;
pub mod mutants;
pub mod relation;

#[cfg(test)]
mod every_interleaving;
pub mod validate;
