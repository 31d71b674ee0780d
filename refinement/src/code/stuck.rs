//! Which contexts of the code can never move again.
//!
//! Worked out from what the code has announced and from the machine alone, so that it can contradict
//! [`shootdown_spec::state::State::stuck`]: the greatest set of contexts in which every member waits for another.

use shootdown_impl::id::CpuId;
use shootdown_impl::irq::Vector;
use shootdown_impl::kernel::Loc;
use shootdown_impl::sim::Op;
use shootdown_spec::id::Level;

use super::automaton::Automata;
use super::state::CodeState;

/// Contexts by number: twice the CPU, plus one in an interrupt.
pub type Contexts = u8;

fn code((cpu, in_irq): (CpuId, bool)) -> u32 {
    u32::from(cpu.0) * 2 + u32::from(in_irq)
}

fn bit(context: (CpuId, bool)) -> Contexts {
    1 << code(context)
}

/// The contexts that can never move again, whatever anybody does.
pub fn stuck(automata: &Automata, state: &CodeState) -> Contexts {
    let machine = &state.machine;
    // Who waits, and for whom. A context without entry can move.
    let mut waits: [Option<Contexts>; 8] = [None; 8];
    // An idle CPU that takes no interrupts acknowledges nothing, whatever it may still start.
    let mut deaf: Contexts = 0;
    for cpu in machine.cpu_ids() {
        let in_irq = machine.cpus[cpu.index()].in_irq.is_some();
        for level in Level::ALL {
            let me = (cpu, level == Level::Irq);
            let node = state.node(cpu, level);
            if !node.is_some() {
                continue;
            }
            let op = automata.node(node).next;
            // The interrupted context is left as if it executed: its own wait counts for when the handler is done.
            let own = if level == Level::Task && in_irq {
                interrupted_wait(state, me, op)
            } else {
                (!machine.enabled(cpu, op)).then(|| waits_for(state, me, op))
            };
            waits[code(me) as usize] = if level == Level::Task && in_irq {
                Some(bit((cpu, true)) | own.unwrap_or(0))
            } else {
                own
            };
        }
        if !state.node(cpu, Level::Task).is_some() && !machine.cpus[cpu.index()].irqs_on && !in_irq
        {
            deaf |= bit((cpu, false));
        }
    }
    let waiting = |waits: &[Option<Contexts>; 8]| {
        (0..8).fold(0, |set, i| set | u8::from(waits[i].is_some()) << i)
    };
    let mut stuck: Contexts = waiting(&waits);
    loop {
        let before = stuck;
        for i in (0..8).filter(|i| before >> i & 1 == 1) {
            if waits[i].unwrap_or(0) & (before | deaf) == 0 {
                stuck &= !(1 << i);
            }
        }
        if stuck == before {
            return stuck;
        }
    }
}

/// Whom a context waits for below a handler, if what it announced could not happen either.
fn interrupted_wait(state: &CodeState, me: (CpuId, bool), op: Op) -> Option<Contexts> {
    let waits = match op {
        Op::TicketWait(lock) => state.machine.spinlock_queue(lock).next() != Some(me),
        Op::RwWait(_) => state.machine.rwlock_waiters().any(|(who, _)| who == me),
        Op::AwaitZero(loc) => state.machine.word(loc) != 0,
        _ => false,
    };
    waits.then(|| waits_for(state, me, op))
}

/// Who has to act before the operation can happen.
fn waits_for(state: &CodeState, me: (CpuId, bool), op: Op) -> Contexts {
    let machine = &state.machine;
    let set =
        |contexts: &mut dyn Iterator<Item = (CpuId, bool)>| contexts.fold(0, |s, c| s | bit(c));
    match op {
        Op::TicketWait(lock) => set(&mut machine.spinlock_queue(lock).take_while(|&c| c != me)),
        Op::RwWait(_) => {
            let ahead = machine.rwlock_waiters().map(|(who, _)| who);
            set(&mut machine
                .rwlock_writer()
                .into_iter()
                .chain(machine.rwlock_readers())
                .chain(ahead.take_while(|&c| c != me)))
        }
        Op::AwaitZero(Loc::Acks(_)) => {
            let sender = me.0;
            let owed = machine.word(Loc::Acks(sender));
            let targets = machine.cpu_ids().filter(|t| owed >> t.0 & 1 == 1);
            targets.fold(0, |set, target| {
                let t = &machine.cpus[target.index()];
                set | if t.ipis.contains(sender) {
                    // With interrupts on it takes the IPI at once.
                    let takes_it = t.irqs_on && t.in_irq.is_none();
                    if takes_it {
                        0
                    } else {
                        bit((target, t.in_irq.is_some()))
                    }
                } else if t.in_irq == Some(Vector::FlushTlb(sender)) {
                    bit((target, true))
                } else {
                    // Neither pending nor being served: nobody will ever answer.
                    bit(me)
                }
            })
        }
        // Nothing else waits; a mutant that does waits for nobody in particular, which is for ever.
        _ => bit(me),
    }
}
