//! Scenario files: a lock, interrupt and IPI protocol of the user's own, in place of the designs of this project.
//!
//! A [`Scenario`] is a file that was read, parsed and compiled; [`Checked`] is what the search came to, held against what the
//! file expects. The rest only tells it: to people ([`text`], [`page`]), to programs ([`json`]), to CI ([`cases`]), to other
//! tools ([`export`]), beside another file ([`compare`]).

pub mod cases;
pub mod check;
pub mod compare;
pub mod export;
pub mod json;
pub mod load;
pub mod order;
pub mod page;
pub mod strict_c;
pub mod text;

pub use check::{Checked, Limits, Verdict, check, check_from};
pub use load::{LoadError, Scenario};
