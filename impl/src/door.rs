//! The door as kernel code has it: words, TLB and observation, and nothing that could keep a CPU from answering.
//!
//! A token holds a [`Door`], not a machine. Through it a path can load, store and say what it did; it cannot turn
//! interrupts off, take a lock, send an IPI or wait for one. Those need the machine itself, and [`Door::machine`]
//! wants a key for it. Each module that may open the door makes its own key, of a type that nobody else can make, and
//! [`Keyholder`] lists them all: no path is among them, and nothing outside this crate can make a key or a door.

use core::marker::PhantomData;

use crate::cpu::TokenStaysOnItsCpu;
use crate::environment::Environment;
use crate::event::Event;
use crate::id::{CpuId, MmId};
use crate::kernel::Kernel;
use crate::machine::{Machine, Word};
use crate::tlb::{Access, AccessKind, Scope, Slot, TlbState};

/// A machine, as far as kernel code may use it. Like the token it stays on its CPU, and with it whatever a section lends:
/// also where the machine is `Sync`.
pub struct Door<'m, M> {
    machine: &'m M,
    stays: PhantomData<*const TokenStaysOnItsCpu>,
}

impl<M> Clone for Door<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M> Copy for Door<'_, M> {}

/// Who may open the door and make tokens.
pub(crate) trait Keyholder {}
/// Begins a context on a machine.
impl Keyholder for crate::cpu::Key {}
/// Turns interrupts off and on, and enters and leaves a handler.
impl Keyholder for crate::irq::Key {}
/// Takes and releases page-table locks.
impl Keyholder for crate::mm::Key {}
/// Takes and releases `pgd_lock`.
impl Keyholder for crate::pgd_list::Key {}
/// Sends IPIs and awaits their acknowledgements.
impl Keyholder for crate::ipi::Key {}
/// Says where an operation begins and ends.
impl Keyholder for crate::operation::Key {}
/// The escape hatch of designs that break the rule.
impl Keyholder for crate::flush::under_lock::Key {}

impl<'m, M> Door<'m, M> {
    /// The door of a machine.
    pub(crate) fn new<K: Keyholder>(machine: &'m M, _: K) -> Self {
        Self {
            machine,
            stays: PhantomData,
        }
    }

    /// The machine behind it.
    pub(crate) fn machine<K: Keyholder>(self, _: K) -> &'m M {
        self.machine
    }
}

macro_rules! open_to_all {
    ($(fn $name:ident($($arg:ident: $type:ty),*) $(-> $out:ty)?;)*) => {
        impl<'m, M: Machine> Door<'m, M> {
            $(
                #[doc = concat!("[`Machine::", stringify!($name), "`].")]
                #[inline(always)]
                pub(crate) fn $name(self, $($arg: $type),*) $(-> $out)? {
                    self.machine.$name($($arg),*)
                }
            )*
        }
    };
}

open_to_all! {
    fn kernel() -> &'m Kernel;
    fn env() -> &'m Environment;
    fn this_cpu() -> CpuId;
    fn load(word: &Word) -> u64;
    fn load_stable(word: &Word) -> u64;
    fn store(word: &Word, value: u64);
    fn fetch_or(word: &Word, bits: u64) -> u64;
    fn fetch_and(word: &Word, bits: u64) -> u64;
    fn fetch_add(word: &Word, delta: u64) -> u64;
    fn hypervisor_store(word: &Word, value: u64);
    fn tlb_state() -> TlbState;
    fn flush_tlb_local(scope: Scope);
    fn load_cr3(mm: MmId);
    fn set_lazy();
    fn clear_lazy();
    fn leave_mm(mask: &Word);
    fn hypercall_flush(mask: &Word, mm: MmId, scope: Scope);
    fn user_access(slot: Slot, kind: AccessKind) -> Access;
    fn observe(event: Event);
}
