//! A run of a scenario for other tools.

pub mod dot;
pub mod itf;
pub mod markdown;
pub mod perfetto;
pub mod shiviz;
pub mod splat;
