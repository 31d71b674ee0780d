//! The compiled code of `impl` as a state space.
//!
//! The simulated machine announces every operation before it happens; what the code does next depends on nothing but
//! the answers it got. So each piece of code (an operation, or an interrupt handler) is run once per new answer and
//! remembered as an [`automaton`]; exploration then moves over small `Copy` states ([`state`]) and never runs the code
//! again. [`model`] puts the automata of all CPUs, the machine's memory and the environment's choices together as a
//! Stateright model; [`mover`] says which operations need no scheduling point of their own, [`stuck`] who can never
//! move again.

pub mod automaton;
pub mod model;
pub mod mover;
pub mod state;
pub mod stuck;
