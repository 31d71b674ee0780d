//! Between the specification and the implementation: what each calls the same thing.
//!
//! The two crates do not know each other. Whatever names both is here.

pub mod config;
