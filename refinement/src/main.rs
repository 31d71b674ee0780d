//! The `shootdown` binary.

fn main() {}
