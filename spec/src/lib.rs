//! Executable specification of the pgd_lock / page_table_lock / TLB-flush-IPI protocol.

/// Does every CPU finish, under fairness, on an explored graph.
pub mod progress;
/// The breadth-first search engine: shortest counterexamples with the fewest context switches.
pub mod search;
