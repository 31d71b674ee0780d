//! Flush requests, pending IPIs, acknowledgements.
//!
//! | implementation | specification |
//! |---|---|
//! | `mm_cpumask` read (`MaskRead`) | `SendIpi`: reads the mask, posts every IPI, sets `acks`, all at once |
//! | `flush_state[cpu].request` | the request inside each posted IPI |
//! | `flush_state[cpu].acks` | `Cpu::acks`; 0 until `AcksSet` |
//! | `CpuState::ipis` | `Cpu::pending_ipis`; those not sent yet are missing |
//!
//! Between reading the mask and sending the last IPI the code is behind the protocol, and only then: the sender's next
//! operation is one of the stores or an IPI.

use shootdown_impl::id::{CpuId, CpuMask};
use shootdown_impl::kernel::Loc;
use shootdown_impl::sim::Op;
use shootdown_spec::id::CpuSet;

use super::agree::{Disagreement, Sides, same};
use super::id::{cpu_to_spec, cpus};
use crate::code::automaton::Automata;
use crate::code::state::CodeState;

/// How far a sender is with its request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
    /// The acknowledgement word is not set yet.
    Publishing,
    /// It is; IPIs are still to be sent.
    Interrupting,
    /// All is sent, or nothing is to be.
    Done,
}

fn sending(automata: &Automata, code: &CodeState, cpu: CpuId) -> Sending {
    let ops = code.at[cpu.index()].map(|node| automata.node(node).next);
    ops.into_iter().fold(Sending::Done, |so_far, op| match op {
        Op::Store(Loc::Request(of) | Loc::Acks(of), _) if of == cpu => Sending::Publishing,
        Op::SendIpi(_) => Sending::Interrupting,
        _ => so_far,
    })
}

pub(super) fn agree(sides: Sides<'_>) -> Result<(), Disagreement> {
    let machine = &sides.code.machine;
    for from in machine.cpu_ids() {
        let progress = sending(sides.automata, sides.code, from);
        let owed = cpus(CpuMask::from_word(machine.word(Loc::Acks(from))));
        let spec = sides.spec.cpu(cpu_to_spec(from));
        if progress != Sending::Publishing {
            same(owed, spec.acks, || {
                format!("{}'s missing acknowledgements", cpu_to_spec(from))
            })?;
        }
        for to in machine.cpu_ids() {
            let sent = machine.cpus[to.index()].ipis.contains(from);
            let posted = sides
                .spec
                .cpu(cpu_to_spec(to))
                .pending_ipi(cpu_to_spec(from))
                .is_some();
            if posted && !sent && progress != Sending::Done {
                continue;
            }
            same(sent, posted, || {
                format!("{}'s IPI pending on {}", cpu_to_spec(from), cpu_to_spec(to))
            })?;
        }
    }
    Ok(())
}

/// Whether some CPU has read a mask and not sent its last IPI yet.
pub fn anybody_sends(cpus: usize, automata: &Automata, code: &CodeState) -> bool {
    (0..cpus as u8).any(|cpu| sending(automata, code, CpuId(cpu)) != Sending::Done)
}

/// The set that `targets` is, without the sender.
pub fn targets(targets: CpuMask) -> CpuSet {
    cpus(targets)
}
