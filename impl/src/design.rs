//! The design axes: the one place where the kernels that were, were proposed, and ours differ.
//!
//! Each axis is a sealed trait with one type per value, so a design is a type and the rules of [`crate::cpu`] can depend on
//! it; nothing is decided at run time. [`Axes`] is the same choice as a value, for command lines and traces, and
//! [`with_design`] turns a value into a type.
//!
//! | design | `pgd_lock` | walk takes ptl | `ptl` | flush | origin |
//! |---|---|---|---|---|---|
//! | [`V2_6_36`] | irqsave | no | plain | under lock | before 617d34d9e5d8 |
//! | [`V2_6_37`] | irqsave | yes | plain | under lock | 617d34d9e5d8 |
//! | [`V2_6_38`] | plain | yes | plain | under lock | a79e53d85683 |
//! | [`Rwlock`] | rwlock | yes | plain | under lock | considered in the thread |
//! | [`Woodman`] | irqsave | yes | plain | young after unlock | the mail's closing proposal |
//! | [`Deferred`] | irqsave | yes | plain | after unlock | the proposal for every flush |
//! | [`TrackedPlain`] | irqsave | yes | plain | after unlock, tracked | deferral made TLB-safe |
//! | [`Tracked`] | irqsave | yes | irqsave | after unlock, tracked | ours, the default |

use core::marker::PhantomData;

use crate::cpu::sealed::Sealed;
use crate::event::{Event, Lock};
use crate::flush::{AfterUnlock, Counter, Moment, NoCounter, PendingCounter, UnderLock};
use crate::irq::{IrqState, local_irq_restore, local_irq_save};
use crate::machine::{IrqFlags, Machine};
use crate::spinlock::{spin_lock, spin_unlock};

/// A design: a choice on every axis. Default is [`Tracked`].
pub trait Design: Sealed + 'static {
    /// How `pgd_lock` is taken.
    type PgdLock: PgdLocking;
    /// Whether the walk of `pgd_list` takes each mm's `page_table_lock` (617d34d9e5d8).
    const WALK_TAKES_PTL: bool;
    /// How page-table locks are taken.
    type PtLock: Spinning;
    /// When flushes happen.
    type Flush: FlushPolicy;
    /// The same as a value.
    const AXES: Axes;
}

/// How a spinlock is taken.
pub trait Spinning: Sealed + 'static {
    /// The interrupt state while it is held.
    type Inside<I: IrqState>: IrqState;
    /// What unlocking needs to know.
    type Flags: Copy;
    /// Before locking.
    fn save<M: Machine>(m: &M) -> Self::Flags;
    /// After unlocking.
    fn restore<M: Machine>(m: &M, flags: Self::Flags);
}

/// `spin_lock`: interrupts stay as they are.
pub struct Plain;
/// `spin_lock_irqsave`.
pub struct IrqSave;

impl Sealed for Plain {}
impl Sealed for IrqSave {}
impl Spinning for Plain {
    type Inside<I: IrqState> = I;
    type Flags = ();
    fn save<M: Machine>(_: &M) {}
    fn restore<M: Machine>(_: &M, (): ()) {}
}

impl Spinning for IrqSave {
    type Inside<I: IrqState> = I::Off;
    type Flags = IrqFlags;
    fn save<M: Machine>(m: &M) -> IrqFlags {
        local_irq_save(m)
    }
    fn restore<M: Machine>(m: &M, flags: IrqFlags) {
        local_irq_restore(m, flags);
    }
}

/// How `pgd_lock` is taken, by those who walk the list and by those who change it.
pub trait PgdLocking: Sealed + 'static {
    /// The interrupt state while it is held.
    type Inside<I: IrqState>: IrqState;
    /// What unlocking needs to know.
    type Flags: Copy;
    /// To walk.
    fn lock_to_walk<M: Machine>(m: &M) -> Self::Flags;
    /// After the walk.
    fn unlock_walk<M: Machine>(m: &M, flags: Self::Flags);
    /// To change.
    fn lock_to_change<M: Machine>(m: &M) -> Self::Flags;
    /// After the change.
    fn unlock_change<M: Machine>(m: &M, flags: Self::Flags);
}

/// `pgd_lock` as a spinlock, taken as `S` says.
pub struct PgdSpin<S>(PhantomData<S>);
/// `pgd_lock` as an rwlock: walkers read, alloc and free write, interrupts left alone.
pub struct PgdRw;

impl<S: Spinning> Sealed for PgdSpin<S> {}
impl Sealed for PgdRw {}
impl<S: Spinning> PgdLocking for PgdSpin<S> {
    type Inside<I: IrqState> = S::Inside<I>;
    type Flags = S::Flags;
    fn lock_to_walk<M: Machine>(m: &M) -> S::Flags {
        let flags = S::save(m);
        spin_lock(m, &m.kernel().pgd_lock, Lock::PgdLock);
        flags
    }
    fn unlock_walk<M: Machine>(m: &M, flags: S::Flags) {
        spin_unlock(m, &m.kernel().pgd_lock, Lock::PgdLock);
        S::restore(m, flags);
    }
    fn lock_to_change<M: Machine>(m: &M) -> S::Flags {
        Self::lock_to_walk(m)
    }
    fn unlock_change<M: Machine>(m: &M, flags: S::Flags) {
        Self::unlock_walk(m, flags);
    }
}

impl PgdLocking for PgdRw {
    type Inside<I: IrqState> = I;
    type Flags = ();
    fn lock_to_walk<M: Machine>(m: &M) {
        m.read_lock(m.kernel().pgd_rwlock.word());
        m.observe(Event::LockAcquired {
            lock: Lock::PgdRead,
        });
    }
    fn unlock_walk<M: Machine>(m: &M, (): ()) {
        m.read_unlock(m.kernel().pgd_rwlock.word());
        m.observe(Event::LockReleased {
            lock: Lock::PgdRead,
        });
    }
    fn lock_to_change<M: Machine>(m: &M) {
        m.write_lock(m.kernel().pgd_rwlock.word());
        m.observe(Event::LockAcquired {
            lock: Lock::PgdWrite,
        });
    }
    fn unlock_change<M: Machine>(m: &M, (): ()) {
        m.write_unlock(m.kernel().pgd_rwlock.word());
        m.observe(Event::LockReleased {
            lock: Lock::PgdWrite,
        });
    }
}

/// When the flush that a change of an entry calls for happens, by kind of change, and whether it is counted.
pub trait FlushPolicy: Sealed + 'static {
    /// After clearing ACCESSED (`page_referenced_one`).
    type Young: Moment;
    /// After removing or splitting an entry (`try_to_unmap_one`, `split_huge_page`).
    type Unmap: Moment;
    /// The per-mm count of flushes that are owed.
    type Pending: Counter;
}

/// Every flush before the unlock, as 2.6.38 did.
pub struct FlushUnderLock;
/// Only page aging flushes after the unlock.
pub struct YoungAfterUnlock;
/// Every flush after the unlock, and nothing else done about it.
pub struct FlushAfterUnlock;
/// Every flush after the unlock, announced by a per-mm counter.
pub struct AfterUnlockTracked;

impl Sealed for FlushUnderLock {}
impl Sealed for YoungAfterUnlock {}
impl Sealed for FlushAfterUnlock {}
impl Sealed for AfterUnlockTracked {}
impl FlushPolicy for FlushUnderLock {
    type Young = UnderLock;
    type Unmap = UnderLock;
    type Pending = NoCounter;
}
impl FlushPolicy for YoungAfterUnlock {
    type Young = AfterUnlock;
    type Unmap = UnderLock;
    type Pending = NoCounter;
}
impl FlushPolicy for FlushAfterUnlock {
    type Young = AfterUnlock;
    type Unmap = AfterUnlock;
    type Pending = NoCounter;
}
impl FlushPolicy for AfterUnlockTracked {
    type Young = AfterUnlock;
    type Unmap = AfterUnlock;
    type Pending = PendingCounter;
}

/// Any combination of the axes.
pub struct Combined<P, const WALK_TAKES_PTL: bool, T, F>(PhantomData<(P, T, F)>);

impl<P, const W: bool, T, F> Sealed for Combined<P, W, T, F> {}
impl<P: PgdAxis, const W: bool, T: PtlAxisType, F: FlushAxisType> Design for Combined<P, W, T, F> {
    type PgdLock = P;
    const WALK_TAKES_PTL: bool = W;
    type PtLock = T;
    type Flush = F;
    const AXES: Axes = Axes {
        pgd_lock: P::VALUE,
        walk_takes_ptl: W,
        ptl: T::VALUE,
        flush: F::VALUE,
    };
}

/// Before 617d34d9e5d8.
pub type V2_6_36 = Combined<PgdSpin<IrqSave>, false, Plain, FlushUnderLock>;
/// 617d34d9e5d8; with huge pages the kernel of the mail.
pub type V2_6_37 = Combined<PgdSpin<IrqSave>, true, Plain, FlushUnderLock>;
/// a79e53d85683, the fix that was merged.
pub type V2_6_38 = Combined<PgdSpin<Plain>, true, Plain, FlushUnderLock>;
/// Considered in the thread.
pub type Rwlock = Combined<PgdRw, true, Plain, FlushUnderLock>;
/// The mail's closing proposal, to the letter.
pub type Woodman = Combined<PgdSpin<IrqSave>, true, Plain, YoungAfterUnlock>;
/// The proposal applied to every flush, naively.
pub type Deferred = Combined<PgdSpin<IrqSave>, true, Plain, FlushAfterUnlock>;
/// Deferral made TLB-safe.
pub type TrackedPlain = Combined<PgdSpin<IrqSave>, true, Plain, AfterUnlockTracked>;
/// Ours, the default: page-table locks irqsave, every flush after the unlock, a pending counter.
pub type Tracked = Combined<PgdSpin<IrqSave>, true, IrqSave, AfterUnlockTracked>;

macro_rules! axis {
    ($(#[$doc:meta])* $name:ident, $trait:ident: $bound:ident { $($(#[$vdoc:meta])* $value:ident = $text:literal is $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub enum $name { $($(#[$vdoc])* #[cfg_attr(feature = "serde", serde(rename = $text))] $value),* }

        impl $name {
            /// Every value of the axis.
            pub const ALL: &'static [Self] = &[$(Self::$value),*];

            /// Its name on the command line and in traces.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$value => $text),* }
            }
        }

        /// The types that stand for the values of the axis.
        pub trait $trait: $bound {
            /// The value.
            const VALUE: $name;
        }
        $(impl $trait for $type { const VALUE: $name = $name::$value; })*
    };
}

axis! {
    /// How `pgd_lock` is taken.
    PgdLockAxis, PgdAxis: PgdLocking {
        /// `spin_lock_irqsave`.
        Irqsave = "irqsave" is PgdSpin<IrqSave>,
        /// `spin_lock`.
        Plain = "plain" is PgdSpin<Plain>,
        /// `read_lock` and `write_lock`.
        Rwlock = "rwlock" is PgdRw,
    }
}
axis! {
    /// How page-table locks are taken.
    PtlAxis, PtlAxisType: Spinning {
        /// `spin_lock`.
        Plain = "plain" is Plain,
        /// `spin_lock_irqsave`.
        Irqsave = "irqsave" is IrqSave,
    }
}
axis! {
    /// When flushes happen.
    FlushAxis, FlushAxisType: FlushPolicy {
        /// Before the unlock.
        UnderLock = "under_lock" is FlushUnderLock,
        /// Only the accessed-bit flush after it.
        YoungAfterUnlock = "young_after_unlock" is YoungAfterUnlock,
        /// Every flush after it.
        AfterUnlock = "after_unlock" is FlushAfterUnlock,
        /// Every flush after it, with a pending counter.
        AfterUnlockTracked = "after_unlock_tracked" is AfterUnlockTracked,
    }
}

/// A design as a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Axes {
    /// How `pgd_lock` is taken.
    pub pgd_lock: PgdLockAxis,
    /// Whether the walk takes each `page_table_lock`.
    pub walk_takes_ptl: bool,
    /// How page-table locks are taken.
    pub ptl: PtlAxis,
    /// When flushes happen.
    pub flush: FlushAxis,
}

/// The named designs.
pub const NAMED: &[(&str, Axes)] = &[
    ("v2.6.36", V2_6_36::AXES),
    ("v2.6.37", V2_6_37::AXES),
    ("v2.6.38", V2_6_38::AXES),
    ("rwlock", Rwlock::AXES),
    ("woodman", Woodman::AXES),
    ("deferred", Deferred::AXES),
    ("tracked-plain", TrackedPlain::AXES),
    ("tracked", Tracked::AXES),
];

impl Axes {
    /// The design of this name.
    pub fn named(name: &str) -> Option<Self> {
        NAMED
            .iter()
            .find(|(n, _)| *n == name)
            .map(|&(_, axes)| axes)
    }

    /// Its name, if it has one.
    pub fn name(self) -> Option<&'static str> {
        NAMED
            .iter()
            .find(|&&(_, axes)| axes == self)
            .map(|&(name, _)| name)
    }

    /// Every combination.
    pub fn all() -> impl Iterator<Item = Self> {
        PgdLockAxis::ALL.iter().flat_map(|&pgd_lock| {
            [false, true].into_iter().flat_map(move |walk_takes_ptl| {
                PtlAxis::ALL.iter().flat_map(move |&ptl| {
                    FlushAxis::ALL.iter().map(move |&flush| Self {
                        pgd_lock,
                        walk_takes_ptl,
                        ptl,
                        flush,
                    })
                })
            })
        })
    }
}

impl Default for Axes {
    fn default() -> Self {
        Tracked::AXES
    }
}

/// Code that wants a design as a type.
pub trait DesignVisitor {
    /// What it makes of it.
    type Output;
    /// Is called with the design.
    fn visit<D: Design>(self) -> Self::Output;
}

/// Calls the visitor with the type of this design.
pub fn with_design<V: DesignVisitor>(axes: Axes, visitor: V) -> V::Output {
    fn flush<P: PgdAxis, const W: bool, T: PtlAxisType, V: DesignVisitor>(
        axes: Axes,
        v: V,
    ) -> V::Output {
        match axes.flush {
            FlushAxis::UnderLock => v.visit::<Combined<P, W, T, FlushUnderLock>>(),
            FlushAxis::YoungAfterUnlock => v.visit::<Combined<P, W, T, YoungAfterUnlock>>(),
            FlushAxis::AfterUnlock => v.visit::<Combined<P, W, T, FlushAfterUnlock>>(),
            FlushAxis::AfterUnlockTracked => v.visit::<Combined<P, W, T, AfterUnlockTracked>>(),
        }
    }
    fn rest<P: PgdAxis, V: DesignVisitor>(axes: Axes, v: V) -> V::Output {
        match (axes.walk_takes_ptl, axes.ptl) {
            (false, PtlAxis::Plain) => flush::<P, false, Plain, V>(axes, v),
            (true, PtlAxis::Plain) => flush::<P, true, Plain, V>(axes, v),
            (false, PtlAxis::Irqsave) => flush::<P, false, IrqSave, V>(axes, v),
            (true, PtlAxis::Irqsave) => flush::<P, true, IrqSave, V>(axes, v),
        }
    }
    match axes.pgd_lock {
        PgdLockAxis::Irqsave => rest::<PgdSpin<IrqSave>, V>(axes, visitor),
        PgdLockAxis::Plain => rest::<PgdSpin<Plain>, V>(axes, visitor),
        PgdLockAxis::Rwlock => rest::<PgdRw, V>(axes, visitor),
    }
}
