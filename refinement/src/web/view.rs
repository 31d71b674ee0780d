//! What the API answers, as types: the contract between the server and the page.
//!
//! Nothing here decides anything. `/api/run` is built in [`super::told`], the streams in [`super::stream`]. Lists
//! whose members a page follows from state to state carry a `name`. Every answer names its schema and version.

pub mod about;
pub mod choice;
pub mod compare;
pub mod config;
pub mod cpu;
pub mod diagnosis;
pub mod event;
pub mod ipi;
pub mod memory;
pub mod run;
pub mod scenario;
pub mod step;
pub mod wait;
