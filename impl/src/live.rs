//! What machines that run for real have in common: the host's threads, and bare metal.
//!
//! What a CPU does next ([`driver`]), what is checked while it does ([`violation`]), and how long flushes take
//! ([`latency`]). Like the core without dependency or allocation, but part of a machine: it looks into words.

pub mod driver;
pub mod latency;
pub mod violation;
