//! Cells of the default design beyond the matrix: more CPUs, more operations, other mixtures of the axes.
//!
//! `matrix` does not check them, so the protocol is explored here as well, and compared with the states below.

use crate::expectation::Cell;

/// One of them, all of `tracked`: environment, what differs from it, workload, states of the protocol.
struct Wider {
    env: &'static str,
    mms: Option<u8>,
    ops_per_cpu: Option<u8>,
    pgd_free_in_irq: Option<bool>,
    workload: &'static str,
    states: u64,
}

const fn wider(env: &'static str, workload: &'static str, states: u64) -> Wider {
    Wider {
        env,
        mms: None,
        ops_per_cpu: None,
        pgd_free_in_irq: None,
        workload,
        states,
    }
}

impl Wider {
    /// An interrupt may free one of two mms.
    const fn irq_free(self) -> Wider {
        Wider {
            mms: Some(2),
            pgd_free_in_irq: Some(true),
            ..self
        }
    }
    const fn twice(self) -> Wider {
        Wider {
            ops_per_cpu: Some(2),
            ..self
        }
    }
}

const GRID: &[Wider] = &[
    wider("split", "everything", 1_071_081).irq_free(),
    wider("split+thp", "aging", 828_867).twice(),
    wider("nosplit+thp", "three-cpus", 146_752),
    wider("split+thp", "three-cpus", 147_616),
];

/// The cells. Nothing may be violated; what is vacuous is the protocol's to say.
pub fn cells() -> impl Iterator<Item = Cell> {
    GRID.iter().map(|w| Cell {
        design: "tracked".to_string(),
        env: w.env.to_string(),
        mms: w.mms,
        ops_per_cpu: w.ops_per_cpu,
        pgd_free_in_irq: w.pgd_free_in_irq,
        workload: w.workload.to_string(),
        states: w.states,
        ..Cell::default()
    })
}
