//! What a Linux kernel says about its locks, interrupts and IPIs, read and judged.
//!
//! [`console`] reads the log of a hung machine: who waits for whom. [`ftrace`] follows a trace event by event;
//! [`input`] opens both. Nothing here knows the protocol, the implementation or the refinement.

pub mod console;
pub mod ftrace;
pub mod input;
pub mod paragraph;
