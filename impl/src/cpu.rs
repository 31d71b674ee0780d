//! Context as a value: the CPU is a token, and what it may do depends on the token's type.
//!
//! Whoever starts a CPU gets one [`Cpu`] in the context [`Task`]: interrupts on, nothing held. Turning interrupts
//! off, entering an interrupt and taking a lock borrow it mutably and hand out a narrower one, so while a guard lives
//! the wider token cannot be used, and the narrower one cannot do what its context forbids:
//!
//! | needs | bound | so this does not compile |
//! |---|---|---|
//! | awaiting IPI acknowledgements | [`MayAwaitAcks`] | with a lock held, or with interrupts off, or in an interrupt |
//! | taking `pgd_lock` | [`MayTakePgdLock`] | inside a page-table lock, or twice |
//! | taking a page-table lock | [`MayTakePageTableLock`] | inside another one |
//! | writing a kernel entry | [`HoldsPgdLock`] | without `pgd_lock` |
//!
//! A token is one reference to the machine, which code without tokens needs as well; the context is a zero-sized
//! type. `tests/zero_cost.rs` compares the machine code.

use core::marker::PhantomData;

use crate::irq::{IrqState, IrqsOn};
use crate::machine::Machine;

/// A CPU in a context. Neither `Copy` nor `Clone`: there is one per context, and a narrower one borrows a wider.
pub struct Cpu<'c, M, C> {
    machine: &'c M,
    borrow: PhantomData<&'c mut ()>,
    context: PhantomData<fn() -> C>,
}

/// A context: in which state interrupts are, and what is held.
pub struct Cx<I, H>(PhantomData<fn() -> (I, H)>);

/// The context a CPU starts in and returns to between operations.
pub type Task = Cx<IrqsOn, NoLock>;

/// The parts of a context.
pub trait Context {
    /// Interrupts on, off, or inside one.
    type Irq: IrqState;
    /// The locks held, innermost outermost.
    type Held: Held;
}

impl<I: IrqState, H: Held> Context for Cx<I, H> {
    type Irq = I;
    type Held = H;
}

/// Which locks are held.
pub trait Held {}

/// No spinlock is held.
pub struct NoLock;
/// `pgd_lock` is held, inside what `H` says.
pub struct Pgd<H>(PhantomData<fn() -> H>);
/// A page-table lock (`page_table_lock` or a pte page's) is held, inside what `H` says.
pub struct Ptl<H>(PhantomData<fn() -> H>);

impl Held for NoLock {}
impl<H: Held> Held for Pgd<H> {}
impl<H: Held> Held for Ptl<H> {}

/// The strict rule: only the whole CPU may wait for other CPUs.
#[diagnostic::on_unimplemented(
    message = "IPI acknowledgements cannot be awaited in the context `{Self}`",
    label = "this CPU holds a lock, or has interrupts off, or is in an interrupt",
    note = "another CPU may be spinning for that lock with interrupts off, and then never acknowledges: drop the guard first, \
            flush after the unlock"
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

impl<'c, M: Machine> Cpu<'c, M, Task> {
    /// The whole CPU. Called once per CPU, by what starts it, with interrupts on and no lock held; everything the
    /// types promise rests on that.
    pub fn boot(machine: &'c M) -> Self {
        Self::forge(machine)
    }
}

impl<'c, M, C> Cpu<'c, M, C> {
    /// A token out of nothing: for the places where a context begins, each of which says why it may.
    pub(crate) fn forge(machine: &'c M) -> Self {
        Self {
            machine,
            borrow: PhantomData,
            context: PhantomData,
        }
    }

    /// The door.
    pub(crate) fn m(&self) -> &'c M {
        self.machine
    }

    /// The token of a context that borrows this one.
    pub(crate) fn narrow<D>(&mut self) -> Cpu<'_, M, D> {
        Cpu::forge(self.machine)
    }
}

impl<M: Machine, C> Cpu<'_, M, C> {
    /// `smp_processor_id()`.
    pub fn id(&self) -> crate::id::CpuId {
        self.machine.this_cpu()
    }
}
