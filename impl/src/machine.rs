//! The one small door to the hardware.
//!
//! Everything that another CPU, an interrupt or the hardware page walker can see goes through [`Machine`]; kernel
//! code never touches a [`Word`] itself. A machine may therefore announce each operation before it happens (the
//! simulated one does) or map it to one instruction (the host does).
//!
//! Waiting is part of the vocabulary: [`Machine::ticket_wait`], [`Machine::read_lock`], [`Machine::write_lock`] and
//! [`Machine::await_zero`] say *what* they wait for, so a machine that explores need not spin.
//!
//! Memory order: every operation on a word is sequentially consistent. x86 gives locked instructions that strength;
//! plain stores are weaker there (x86-TSO), which is one of the abstractions the project names.

use core::sync::atomic::AtomicU64;

use crate::environment::Environment;
use crate::event::Event;
use crate::id::{CpuId, MmId};
use crate::kernel::Kernel;
use crate::operation::Operation;
use crate::spinlock::{Draw, Ticket};
use crate::tlb::{Access, AccessKind, Scope, Slot, TlbState};

/// One 64-bit word that CPUs share. Only a machine looks inside.
#[derive(Default)]
#[repr(transparent)]
pub struct Word(AtomicU64);

impl Word {
    /// A word with this first value.
    pub const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// The atomic behind the word. For machines: kernel code goes through the door (a test greps for this name).
    pub const fn atomic(&self) -> &AtomicU64 {
        &self.0
    }
}

/// The interrupt flag as `local_irq_save` found it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct IrqFlags {
    /// Whether interrupts were on (`X86_EFLAGS_IF`).
    pub enabled: bool,
}

/// A CPU as kernel code sees it. One value per CPU; all calls are made on that CPU, from its base context or from an
/// interrupt handler on top of it.
///
/// None of the methods allocates or panics on any value the crate's own code passes.
pub trait Machine {
    /// The memory the kernel lives in: where its words are, not what is in them.
    fn kernel(&self) -> &Kernel;
    /// What the kernel was built with and runs on.
    fn env(&self) -> &Environment;
    /// `smp_processor_id()`.
    fn this_cpu(&self) -> CpuId;

    // --- words ---------------------------------------------------------------------------------------------------

    /// Reads a word.
    fn load(&self, word: &Word) -> u64;
    /// Reads a word that nobody writes while anybody else can reach it (set before an mm is listed): not a point at
    /// which the value could depend on what other CPUs do, so a machine need not announce it.
    fn load_stable(&self, word: &Word) -> u64;
    /// Writes a word.
    fn store(&self, word: &Word, value: u64);
    /// `lock or`; returns the old value.
    fn fetch_or(&self, word: &Word, bits: u64) -> u64;
    /// `lock and`; returns the old value.
    fn fetch_and(&self, word: &Word, bits: u64) -> u64;
    /// `lock xadd`, wrapping; returns the old value.
    fn fetch_add(&self, word: &Word, delta: u64) -> u64;
    /// Xen's `xen_set_pgd`/`xen_set_pmd`: a store the hypervisor makes for us, allowed on a pinned page.
    fn hypervisor_store(&self, word: &Word, value: u64);

    // --- locks and waits -----------------------------------------------------------------------------------------

    /// Draws a ticket: the `xadd` of `__ticket_spin_lock`.
    fn ticket_draw(&self, lock: &Word) -> Draw;
    /// Waits until the ticket is served: the loop of `__ticket_spin_lock`. Interrupts are taken meanwhile if on.
    fn ticket_wait(&self, lock: &Word, ticket: Ticket);
    /// Serves the next ticket: `__ticket_spin_unlock`.
    fn ticket_release(&self, lock: &Word);
    /// `read_lock`: waits until there is no writer, then is one more reader.
    fn read_lock(&self, lock: &Word);
    /// `read_unlock`.
    fn read_unlock(&self, lock: &Word);
    /// `write_lock`: waits until there is neither reader nor writer.
    fn write_lock(&self, lock: &Word);
    /// `write_unlock`.
    fn write_unlock(&self, lock: &Word);
    /// Waits until the word is zero: `while (!cpumask_empty(..)) cpu_relax()`.
    fn await_zero(&self, word: &Word);

    // --- interrupts ----------------------------------------------------------------------------------------------

    /// `local_irq_save`: turns interrupts off and says what they were. The machine reports the event.
    fn local_irq_save(&self) -> IrqFlags;
    /// `local_irq_restore`. The machine reports the event, before any interrupt that was waiting is taken.
    fn local_irq_restore(&self, flags: IrqFlags);
    /// Makes the flush vector pending on another CPU, on behalf of this one (`apic->send_IPI_mask`, one target).
    fn send_ipi(&self, to: CpuId);

    // --- TLB -----------------------------------------------------------------------------------------------------

    /// `cpu_tlbstate`: what this CPU has loaded. Private to the CPU and its handlers.
    fn tlb_state(&self) -> TlbState;
    /// `invlpg` or a CR3 reload: drops what this CPU has cached of the loaded mm.
    fn flush_tlb_local(&self, scope: Scope);
    /// Makes `mm` the active, not lazy mm and loads its pgd; the TLB is empty then.
    fn load_cr3(&self, mm: MmId);
    /// Marks the CPU lazy: `percpu_write(cpu_tlbstate.state, TLBSTATE_LAZY)`.
    fn set_lazy(&self);
    /// Marks the CPU not lazy: `percpu_write(cpu_tlbstate.state, TLBSTATE_OK)`.
    fn clear_lazy(&self);
    /// Loads `swapper_pg_dir` and takes this CPU out of `mask`. One step to others: nobody sees another CPU's CR3.
    fn leave_mm(&self, mask: &Word);
    /// Xen: flushes the TLB of every CPU in `mask` that has `mm` loaded, in one step.
    fn hypercall_flush(&self, mask: &Word, mm: MmId, scope: Scope);
    /// User mode touches the page behind `slot`: through the TLB, or by a hardware walk that fills it (and sets
    /// ACCESSED, for a store DIRTY).
    fn user_access(&self, slot: Slot, kind: AccessKind) -> Access;

    // --- being watched -------------------------------------------------------------------------------------------

    /// A CPU begins an operation: its local state is nothing but this value.
    fn begin(&self, operation: Operation);
    /// A CPU is done with an operation.
    fn end(&self, operation: Operation);
    /// Reports what the operation just made through the door meant. Not a step; free when nobody listens.
    fn observe(&self, event: Event);
}

/// Implements the named methods of [`Machine`] by handing them on to a field, so that a wrapper machine (a fault
/// injector, a counter) writes only the ones it changes: `forward_machine!(inner: load store …)`.
#[macro_export]
macro_rules! forward_machine {
    ($inner:ident : $($name:ident)*) => { $($crate::forward_machine!(@ $inner $name);)* };
    (@ $i:ident kernel) => { fn kernel(&self) -> &$crate::kernel::Kernel { self.$i.kernel() } };
    (@ $i:ident env) => { fn env(&self) -> &$crate::environment::Environment { self.$i.env() } };
    (@ $i:ident this_cpu) => { fn this_cpu(&self) -> $crate::id::CpuId { self.$i.this_cpu() } };
    (@ $i:ident load) => { fn load(&self, w: &$crate::machine::Word) -> u64 { self.$i.load(w) } };
    (@ $i:ident load_stable) => { fn load_stable(&self, w: &$crate::machine::Word) -> u64 { self.$i.load_stable(w) } };
    (@ $i:ident store) => { fn store(&self, w: &$crate::machine::Word, v: u64) { self.$i.store(w, v) } };
    (@ $i:ident fetch_or) => { fn fetch_or(&self, w: &$crate::machine::Word, v: u64) -> u64 { self.$i.fetch_or(w, v) } };
    (@ $i:ident fetch_and) => { fn fetch_and(&self, w: &$crate::machine::Word, v: u64) -> u64 { self.$i.fetch_and(w, v) } };
    (@ $i:ident fetch_add) => { fn fetch_add(&self, w: &$crate::machine::Word, v: u64) -> u64 { self.$i.fetch_add(w, v) } };
    (@ $i:ident hypervisor_store) => { fn hypervisor_store(&self, w: &$crate::machine::Word, v: u64) { self.$i.hypervisor_store(w, v) } };
    (@ $i:ident ticket_draw) => { fn ticket_draw(&self, l: &$crate::machine::Word) -> $crate::spinlock::Draw { self.$i.ticket_draw(l) } };
    (@ $i:ident ticket_wait) => { fn ticket_wait(&self, l: &$crate::machine::Word, t: $crate::spinlock::Ticket) { self.$i.ticket_wait(l, t) } };
    (@ $i:ident ticket_release) => { fn ticket_release(&self, l: &$crate::machine::Word) { self.$i.ticket_release(l) } };
    (@ $i:ident read_lock) => { fn read_lock(&self, l: &$crate::machine::Word) { self.$i.read_lock(l) } };
    (@ $i:ident read_unlock) => { fn read_unlock(&self, l: &$crate::machine::Word) { self.$i.read_unlock(l) } };
    (@ $i:ident write_lock) => { fn write_lock(&self, l: &$crate::machine::Word) { self.$i.write_lock(l) } };
    (@ $i:ident write_unlock) => { fn write_unlock(&self, l: &$crate::machine::Word) { self.$i.write_unlock(l) } };
    (@ $i:ident await_zero) => { fn await_zero(&self, w: &$crate::machine::Word) { self.$i.await_zero(w) } };
    (@ $i:ident local_irq_save) => { fn local_irq_save(&self) -> $crate::machine::IrqFlags { self.$i.local_irq_save() } };
    (@ $i:ident local_irq_restore) => { fn local_irq_restore(&self, f: $crate::machine::IrqFlags) { self.$i.local_irq_restore(f) } };
    (@ $i:ident send_ipi) => { fn send_ipi(&self, to: $crate::id::CpuId) { self.$i.send_ipi(to) } };
    (@ $i:ident tlb_state) => { fn tlb_state(&self) -> $crate::tlb::TlbState { self.$i.tlb_state() } };
    (@ $i:ident flush_tlb_local) => { fn flush_tlb_local(&self, s: $crate::tlb::Scope) { self.$i.flush_tlb_local(s) } };
    (@ $i:ident load_cr3) => { fn load_cr3(&self, mm: $crate::id::MmId) { self.$i.load_cr3(mm) } };
    (@ $i:ident set_lazy) => { fn set_lazy(&self) { self.$i.set_lazy() } };
    (@ $i:ident clear_lazy) => { fn clear_lazy(&self) { self.$i.clear_lazy() } };
    (@ $i:ident leave_mm) => { fn leave_mm(&self, m: &$crate::machine::Word) { self.$i.leave_mm(m) } };
    (@ $i:ident hypercall_flush) => { fn hypercall_flush(&self, m: &$crate::machine::Word, mm: $crate::id::MmId, s: $crate::tlb::Scope) { self.$i.hypercall_flush(m, mm, s) } };
    (@ $i:ident user_access) => { fn user_access(&self, s: $crate::tlb::Slot, k: $crate::tlb::AccessKind) -> $crate::tlb::Access { self.$i.user_access(s, k) } };
    (@ $i:ident begin) => { fn begin(&self, o: $crate::operation::Operation) { self.$i.begin(o) } };
    (@ $i:ident end) => { fn end(&self, o: $crate::operation::Operation) { self.$i.end(o) } };
    (@ $i:ident observe) => { fn observe(&self, e: $crate::event::Event) { self.$i.observe(e) } };
}
