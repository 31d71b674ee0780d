//! Context as a value: the CPU is a token, and what it may do depends on the token's type.
//!
//! The code that starts a CPU lends kernel code one [`Cpu`] in the context [`Task`]: interrupts on, nothing held. Turning
//! interrupts off, taking a lock and entering an interrupt are sections: each lends a narrower token to a closure and
//! is over when the closure is. So a section cannot be left open (there is no guard to forget), the wider token cannot
//! be used inside it (it is borrowed), and the narrower one cannot do what its context forbids:
//!
//! | needs | bound | so this does not compile |
//! |---|---|---|
//! | awaiting IPI acknowledgements | [`MayAwaitAcks`] | with a lock held, or with interrupts off, or in an interrupt |
//! | taking `pgd_lock` | [`MayTakePgdLock`] | inside a page-table lock, or twice |
//! | taking a page-table lock | [`MayTakePageTableLock`] | inside another one |
//! | writing a kernel entry | [`HoldsPgdLock`] | without `pgd_lock` |
//!
//! A token is lent by reference and carries the lifetime of its entry, which fits no other entry: it cannot be kept,
//! nor swapped for another CPU's. It is neither `Send` nor `Sync`, and what runs in a section must be
//! [`CarriesNoCpu`]: it cannot bring a second token along, nor the machine.
//!
//! A token is one reference to the machine, which code without tokens needs as well; the rest is zero-sized.
//! `tests/zero_cost.rs` compares the machine code.

use core::marker::PhantomData;

use crate::door::{Door, Keyholder};
use crate::irq::{IrqState, IrqsOn};
use crate::machine::Machine;

/// A CPU in a context, lent to kernel code from one entry on: `'id` is that entry's brand, and invariant. Neither
/// `Copy` nor `Clone`: there is one per context, and a narrower one borrows a wider.
pub struct Cpu<'id, M, C> {
    door: Door<'id, M>,
    brand: Brand<'id>,
    context: PhantomData<fn() -> C>,
    stays: PhantomData<*const TokenStaysOnItsCpu>,
}

/// What runs in a section may bring anything along but a token, an entry, a list or the machine: whatever is `Send`.
#[diagnostic::on_unimplemented(
    message = "a section cannot bring a CPU's token along, nor what another section lent, nor the machine",
    label = "this captures one",
    note = "use the token that the section lends: it is this CPU, as it is inside"
)]
pub trait CarriesNoCpu: carries::WhatIsSent {}
#[diagnostic::do_not_recommend]
impl<T: Send> CarriesNoCpu for T {}

/// Without it another crate could say of a `&mut dyn FnMut` of its own that it carries nothing.
mod carries {
    pub trait WhatIsSent {}
    #[diagnostic::do_not_recommend]
    impl<T: Send> WhatIsSent for T {}
}

/// A lifetime that fits no other.
pub(crate) type Brand<'id> = PhantomData<fn(&'id ()) -> &'id ()>;

/// Named in the compiler's errors: why a token is not `Send`.
pub struct TokenStaysOnItsCpu;

/// Opens the door where a machine starts to run kernel code.
pub(crate) struct Key(());

/// The traits of context and policy are closed: what the types promise rests on what their members mean.
pub(crate) mod sealed {
    /// Implemented in this crate alone.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not one of the contexts and policies of this crate, and there can be no others",
        label = "this trait is sealed",
        note = "the rule about awaiting acknowledgements is proved from what the types say about locks and interrupts: an \
                implementation that says one thing and does another would break it. Combine the ones there are: \
                `design::Combined`"
    )]
    pub trait Sealed {}
}
use sealed::Sealed;

/// A context: in which state interrupts are, and what is held.
pub struct Cx<I, H>(PhantomData<fn() -> (I, H)>);

/// The context a CPU starts in and returns to between operations.
pub type Task = Cx<IrqsOn, NoLock>;

/// The parts of a context.
pub trait Context: Sealed {
    /// Interrupts on, off, or inside one.
    type Irq: IrqState;
    /// The locks held, innermost outermost.
    type Held: Held;
}

impl<I: IrqState, H: Held> Sealed for Cx<I, H> {}
impl<I: IrqState, H: Held> Context for Cx<I, H> {
    type Irq = I;
    type Held = H;
}

/// Which locks are held.
pub trait Held: Sealed {}

/// No spinlock is held.
pub struct NoLock;
/// `pgd_lock` is held, inside what `H` says.
pub struct Pgd<H>(PhantomData<fn() -> H>);
/// A page-table lock (`page_table_lock` or a pte page's) is held, inside what `H` says.
pub struct Ptl<H>(PhantomData<fn() -> H>);

impl Sealed for NoLock {}
impl<H: Held> Sealed for Pgd<H> {}
impl<H: Held> Sealed for Ptl<H> {}
impl Held for NoLock {}
impl<H: Held> Held for Pgd<H> {}
impl<H: Held> Held for Ptl<H> {}

/// The strict rule: only the whole CPU may wait for other CPUs.
#[diagnostic::on_unimplemented(
    message = "IPI acknowledgements cannot be awaited in the context `{Self}`",
    label = "this CPU holds a lock, or has interrupts off, or is in an interrupt",
    note = "another CPU may be spinning for that lock with interrupts off, and then never acknowledges: leave the section \
            first, flush after the unlock"
)]
pub trait MayAwaitAcks: Context {}
impl MayAwaitAcks for Cx<IrqsOn, NoLock> {}

/// Lock order: `pgd_lock` is the outermost spinlock.
#[diagnostic::on_unimplemented(
    message = "`pgd_lock` cannot be taken in the context `{Self}`",
    label = "a page-table lock (or `pgd_lock` itself) is already held here",
    note = "lock order: pgd_lock -> page_table_lock, because vmalloc_sync_all takes every page_table_lock inside pgd_lock"
)]
pub trait MayTakePgdLock: Context {}
impl<I: IrqState> MayTakePgdLock for Cx<I, NoLock> {}

/// Lock order: page-table locks nest inside `pgd_lock` and not in each other.
#[diagnostic::on_unimplemented(
    message = "a page-table lock cannot be taken in the context `{Self}`",
    label = "another page-table lock is already held here",
    note = "lock order: pgd_lock -> page_table_lock, one page-table lock at a time"
)]
pub trait MayTakePageTableLock: Context {}
impl<I: IrqState> MayTakePageTableLock for Cx<I, NoLock> {}
impl<I: IrqState> MayTakePageTableLock for Cx<I, Pgd<NoLock>> {}

/// `pgd_lock` is held: kernel entries of listed pgds may be written.
#[diagnostic::on_unimplemented(
    message = "kernel entries are guarded by `pgd_lock`, which is not held in the context `{Self}`",
    label = "take `pgd_lock` first"
)]
pub trait HoldsPgdLock: Context {}
impl<I: IrqState, H: Held> HoldsPgdLock for Cx<I, Pgd<H>> {}
impl<I: IrqState, H: Held> HoldsPgdLock for Cx<I, Ptl<Pgd<H>>> {}

impl<M: Machine> Cpu<'_, M, Task> {
    /// Lends the whole CPU to `body`. Called on that CPU by what runs it, between operations: interrupts on, no lock
    /// held, no other token of this CPU in use; everything the types promise rests on that.
    ///
    /// For machines and for code that stands between a machine and the kernel ([`crate::operation::Code`]). Kernel
    /// code has no machine to call it with.
    pub fn boot<R>(
        machine: &M,
        body: impl for<'id> FnOnce(&mut Cpu<'id, M, Task>) -> R + CarriesNoCpu,
    ) -> R {
        body(&mut Cpu::begin(machine, Key(())))
    }
}

impl<'id, M, C> Cpu<'id, M, C> {
    /// The token of a context that begins here; the holder of a key says why it may.
    pub(crate) fn begin<K: Keyholder>(machine: &'id M, key: K) -> Self {
        Self {
            door: Door::new(machine, key),
            brand: PhantomData,
            context: PhantomData,
            stays: PhantomData,
        }
    }

    /// The door.
    pub(crate) fn m(&self) -> Door<'id, M> {
        self.door
    }

    /// The same whole CPU under the brand of an entry of its own: a system call.
    pub(crate) fn reenter(&mut self) -> Cpu<'_, M, C> {
        Cpu::begin(self.door.machine(Key(())), Key(()))
    }

    /// The token of a context inside this one. Used only while this one is borrowed.
    pub(crate) fn inside<D, K: Keyholder>(&mut self, _: K) -> Cpu<'id, M, D> {
        Cpu {
            door: self.door,
            brand: PhantomData,
            context: PhantomData,
            stays: PhantomData,
        }
    }
}

impl<M: Machine, C> Cpu<'_, M, C> {
    /// `smp_processor_id()`.
    pub fn id(&self) -> crate::id::CpuId {
        self.door.this_cpu()
    }
}
