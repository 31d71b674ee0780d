//! Hole 6: a policy that turns interrupts off and says that they are on. Policies and contexts are sealed.
use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::{Axes, Design, FlushPolicy, IrqSave, PgdLocking, PgdSpin, Spinning, Tracked};
use shootdown_impl::flush::{Flush, Moment, NoCounter, UnderLock};
use shootdown_impl::irq::IrqState;
use shootdown_impl::machine::{IrqFlags, Machine};

struct Lies;

impl Spinning for Lies {
    type Inside<I: IrqState> = I;
    type Flags = IrqFlags;
    fn save<M: Machine>(m: &M) -> IrqFlags {
        m.local_irq_save()
    }
    fn restore<M: Machine>(_: &M, _: IrqFlags) {}
}

impl PgdLocking for Lies {
    type Inside<I: IrqState> = I;
    type Flags = ();
    fn lock_to_walk<M: Machine>(_: &M) {}
    fn unlock_walk<M: Machine>(_: &M, (): ()) {}
    fn lock_to_change<M: Machine>(_: &M) {}
    fn unlock_change<M: Machine>(_: &M, (): ()) {}
}

impl Moment for Lies {
    const AFTER_UNLOCK: bool = true;
    fn under_lock<M: Machine, C>(_: &mut Cpu<'_, M, C>, _: &Flush) {}
    fn after_unlock<M: Machine>(_: &mut Cpu<'_, M, Task>, _: &Flush) {}
}

impl FlushPolicy for Lies {
    type Young = UnderLock;
    type Unmap = UnderLock;
    type Pending = NoCounter;
}

impl Design for Lies {
    type PgdLock = PgdSpin<IrqSave>;
    const WALK_TAKES_PTL: bool = true;
    type PtLock = IrqSave;
    type Flush = <Tracked as Design>::Flush;
    const AXES: Axes = Tracked::AXES;
}

impl IrqState for Lies {
    type Off = shootdown_impl::irq::IrqsOn;
}

fn main() {}
