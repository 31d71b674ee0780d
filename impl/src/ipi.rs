//! The flush request and its acknowledgements: the words through which CPUs ask each other to flush.
//!
//! After `union smp_flush_state` of `arch/x86/mm/tlb.c`, 2.6.38, with one slot per sending CPU in place of eight
//! shared ones (and so no `tlbstate_lock`). Sending and waiting are in [`crate::path::flush_tlb`]; only the token of
//! a whole CPU may wait, see [`crate::cpu::MayAwaitAcks`].

use crate::cpu::{Cpu, MayAwaitAcks};
use crate::door::Door;
use crate::event::Event;
use crate::id::{CpuId, CpuMask, MmId};
use crate::machine::{Machine, Word};
use crate::tlb::Scope;

/// One sender's slot.
#[derive(Default)]
#[repr(C, align(128))]
pub struct FlushState {
    /// What is asked: [`Request::word`].
    pub request: Word,
    /// Who has yet to answer (`flush_cpumask`).
    pub acks: Word,
}

impl FlushState {
    /// Nothing asked.
    pub const fn new() -> Self {
        Self {
            request: Word::new(0),
            acks: Word::new(0),
        }
    }
}

/// What a sender asks for (`flush_mm`, `flush_va`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Request {
    /// Whose translations to drop.
    pub mm: MmId,
    /// How many.
    pub scope: Scope,
}

impl Request {
    /// The request in one word.
    pub const fn word(self) -> u64 {
        (self.mm.0 as u64) << 1 | matches!(self.scope, Scope::All) as u64
    }

    /// The inverse of [`Self::word`].
    pub const fn from_word(word: u64) -> Self {
        Self {
            mm: MmId((word >> 1) as u8),
            scope: if word & 1 == 1 {
                Scope::All
            } else {
                Scope::Page
            },
        }
    }
}

/// Opens the door to IPIs and the wait for their acknowledgements.
pub(crate) struct Key(());

impl<M: Machine, C: MayAwaitAcks> Cpu<'_, M, C> {
    /// Publishes a request, sends it to every CPU of a (not empty) mask and waits until all have acknowledged.
    pub(crate) fn send_and_await_acks(&mut self, request: Request, targets: CpuMask) {
        let m = self.m().machine(Key(()));
        let slot = &m.kernel().flush[m.this_cpu().index()];
        m.store(&slot.request, request.word());
        m.observe(Event::RequestPublished {
            mm: request.mm,
            scope: request.scope,
        });
        m.store(&slot.acks, targets.word());
        m.observe(Event::AcksSet { targets });
        for to in targets.iter() {
            m.send_ipi(to);
            m.observe(Event::IpiSent { to });
        }
        m.await_zero(&slot.acks);
        m.observe(Event::AcksComplete {});
    }
}

/// Reads the request of a sender, in its interrupt.
pub(crate) fn read_request<M: Machine>(m: Door<'_, M>, from: CpuId) -> Request {
    let request = Request::from_word(m.load(&m.kernel().flush[from.index()].request));
    m.observe(Event::RequestRead {
        from,
        mm: request.mm,
    });
    request
}

/// Acknowledges to a sender: takes the own bit out of its acknowledgement word.
pub(crate) fn acknowledge<M: Machine>(m: Door<'_, M>, from: CpuId) {
    let me = CpuMask::of(m.this_cpu());
    m.fetch_and(&m.kernel().flush[from.index()].acks, !me.word());
    m.observe(Event::Acked { from });
}
