//! Refinement: whatever the code does, the protocol can do too, and they agree after every transition.
//!
//! [`step`] lets the protocol follow one event and `said` compares what the event says; [`joint`] explores code and protocol side by side, every interleaving
//! of the real code; [`failure`] says what did not fit; [`coverage`] what the code never did; [`outcome`] turns an
//! exploration into verdicts, [`translate`] a run of the code into one of the protocol. Where the space is too large to exhaust:
//! [`bounded`] few preemptions, [`random`] random runs.

pub mod bounded;
pub mod coverage;
pub mod failure;
pub mod joint;
pub mod outcome;
pub mod random;
mod said;
pub mod step;
pub mod translate;
