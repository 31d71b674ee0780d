//! Locks.

use super::{Arg, Call, Does, Sort, Value, With};
use shootdown_ir::Mode::{Exclusive, Shared};

/// `NAME_lock`, `_bh`, `_irq`, `_irqsave`, the trylocks and the unlocks of a lock that spins.
macro_rules! spinning {
    ($prefix:literal, $sort:ident, $mode:ident, $what:literal) => {
        [
            Call {
                name: concat!($prefix, "_lock"),
                forms: &[&[Arg::Object(Sort::$sort)]],
                does: Does::Lock($mode, With::Plain),
                doc: concat!("takes ", $what, "; preemption goes off; waits spinning"),
            },
            Call {
                name: concat!($prefix, "_lock_bh"),
                forms: &[&[Arg::Object(Sort::$sort)]],
                does: Does::Lock($mode, With::Bh),
                doc: concat!("turns bottom halves off, then takes ", $what),
            },
            Call {
                name: concat!($prefix, "_lock_irq"),
                forms: &[&[Arg::Object(Sort::$sort)]],
                does: Does::Lock($mode, With::Irq),
                doc: concat!("turns interrupts off, then takes ", $what),
            },
            Call {
                name: concat!($prefix, "_lock_irqsave"),
                forms: &[&[Arg::Object(Sort::$sort), Arg::Flags]],
                does: Does::Lock($mode, With::Save),
                doc: concat!(
                    "saves the interrupt flag and turns interrupts off, then takes ",
                    $what
                ),
            },
            Call {
                name: concat!($prefix, "_trylock"),
                forms: &[&[Arg::Object(Sort::$sort)]],
                does: Does::TryLock($mode, With::Plain),
                doc: concat!("takes ", $what, " if nobody is ahead: 1, else 0"),
            },
            Call {
                name: concat!($prefix, "_trylock_bh"),
                forms: &[&[Arg::Object(Sort::$sort)]],
                does: Does::TryLock($mode, With::Bh),
                doc: "as _trylock; if it is taken, bottom halves stay off",
            },
            Call {
                name: concat!($prefix, "_trylock_irq"),
                forms: &[&[Arg::Object(Sort::$sort)]],
                does: Does::TryLock($mode, With::Irq),
                doc: "as _trylock; if it is taken, interrupts stay off",
            },
            Call {
                name: concat!($prefix, "_trylock_irqsave"),
                forms: &[&[Arg::Object(Sort::$sort), Arg::Flags]],
                does: Does::TryLock($mode, With::Save),
                doc: "as _trylock; if it is taken, interrupts stay off and their state is saved",
            },
            Call {
                name: concat!($prefix, "_unlock"),
                forms: &[&[Arg::Object(Sort::$sort)]],
                does: Does::Unlock($mode, With::Plain),
                doc: concat!("releases ", $what),
            },
            Call {
                name: concat!($prefix, "_unlock_bh"),
                forms: &[&[Arg::Object(Sort::$sort)]],
                does: Does::Unlock($mode, With::Bh),
                doc: concat!("releases ", $what, ", then turns bottom halves on"),
            },
            Call {
                name: concat!($prefix, "_unlock_irq"),
                forms: &[&[Arg::Object(Sort::$sort)]],
                does: Does::Unlock($mode, With::Irq),
                doc: concat!("releases ", $what, ", then turns interrupts on"),
            },
            Call {
                name: concat!($prefix, "_unlock_irqrestore"),
                forms: &[&[Arg::Object(Sort::$sort), Arg::Flags]],
                does: Does::Unlock($mode, With::Save),
                doc: concat!(
                    "releases ",
                    $what,
                    ", then restores the saved interrupt flag"
                ),
            },
        ]
    };
}

const MUTEX: &[&[Arg]] = &[&[Arg::Object(Sort::Mutex)]];
const NESTED_MUTEX: &[&[Arg]] = &[&[Arg::Object(Sort::Mutex), Arg::Ignored]];
const RWSEM: &[&[Arg]] = &[&[Arg::Object(Sort::RwSem)]];
const NESTED_RWSEM: &[&[Arg]] = &[&[Arg::Object(Sort::RwSem), Arg::Ignored]];
const SEM: &[&[Arg]] = &[&[Arg::Object(Sort::Sem)]];
const SEQCOUNT: &[&[Arg]] = &[&[Arg::Object(Sort::Seqcount)]];
const SEQLOCK: &[&[Arg]] = &[&[Arg::Object(Sort::Seqlock)]];
const SEQLOCK_FLAGS: &[&[Arg]] = &[&[Arg::Object(Sort::Seqlock), Arg::Flags]];

const fn join<const N: usize>(groups: &[&[Call]], rest: &[Call]) -> [Call; N] {
    let mut all = [rest[0]; N];
    let (mut at, mut group) = (0, 0);
    while group < groups.len() {
        let mut i = 0;
        while i < groups[group].len() {
            all[at] = groups[group][i];
            at += 1;
            i += 1;
        }
        group += 1;
    }
    let mut i = 0;
    while i < rest.len() {
        all[at] = rest[i];
        at += 1;
        i += 1;
    }
    assert!(at == N);
    all
}

const fn call(
    name: &'static str,
    forms: &'static [&'static [Arg]],
    does: Does,
    doc: &'static str,
) -> Call {
    Call {
        name,
        forms,
        does,
        doc,
    }
}

const REST: &[Call] = &[
    call(
        "spin_lock_nested",
        &[&[Arg::Object(Sort::Spin), Arg::Ignored]],
        Does::Lock(Exclusive, With::Plain),
        "spin_lock() with lockdep's subclass, which is not looked at",
    ),
    call(
        "spin_lock_irqsave_nested",
        &[&[Arg::Object(Sort::Spin), Arg::Flags, Arg::Ignored]],
        Does::Lock(Exclusive, With::Save),
        "spin_lock_irqsave() with lockdep's subclass",
    ),
    call(
        "spin_lock_bh_nested",
        &[&[Arg::Object(Sort::Spin), Arg::Ignored]],
        Does::Lock(Exclusive, With::Bh),
        "spin_lock_bh() with lockdep's subclass",
    ),
    call(
        "raw_spin_lock_nested",
        &[&[Arg::Object(Sort::RawSpin), Arg::Ignored]],
        Does::Lock(Exclusive, With::Plain),
        "raw_spin_lock() with lockdep's subclass",
    ),
    call(
        "spin_is_locked",
        &[&[Arg::Object(Sort::Spin)]],
        Does::Value(Value::IsLocked),
        "1 if anybody holds the lock",
    ),
    call(
        "raw_spin_is_locked",
        &[&[Arg::Object(Sort::RawSpin)]],
        Does::Value(Value::IsLocked),
        "1 if anybody holds the lock",
    ),
    call(
        "mutex_lock",
        MUTEX,
        Does::Lock(Exclusive, With::Plain),
        "takes a mutex; waits sleeping",
    ),
    call(
        "mutex_lock_nested",
        NESTED_MUTEX,
        Does::Lock(Exclusive, With::Plain),
        "mutex_lock() with lockdep's subclass",
    ),
    call(
        "mutex_lock_io",
        MUTEX,
        Does::Lock(Exclusive, With::Plain),
        "mutex_lock()",
    ),
    call(
        "rt_mutex_lock",
        MUTEX,
        Does::Lock(Exclusive, With::Plain),
        "mutex_lock(); priorities are not modelled",
    ),
    call(
        "mutex_lock_interruptible",
        MUTEX,
        Does::LockInterruptible(Exclusive),
        "takes a mutex: 0, or a signal comes first: -EINTR (-4)",
    ),
    call(
        "mutex_lock_killable",
        MUTEX,
        Does::LockInterruptible(Exclusive),
        "as mutex_lock_interruptible()",
    ),
    call(
        "mutex_trylock",
        MUTEX,
        Does::TryLock(Exclusive, With::Plain),
        "takes a mutex if it is free: 1, else 0",
    ),
    call(
        "rt_mutex_trylock",
        MUTEX,
        Does::TryLock(Exclusive, With::Plain),
        "takes a mutex if it is free: 1, else 0",
    ),
    call(
        "mutex_unlock",
        MUTEX,
        Does::Unlock(Exclusive, With::Plain),
        "releases a mutex",
    ),
    call(
        "rt_mutex_unlock",
        MUTEX,
        Does::Unlock(Exclusive, With::Plain),
        "releases a mutex",
    ),
    call(
        "mutex_is_locked",
        MUTEX,
        Does::Value(Value::IsLocked),
        "1 if anybody holds the mutex",
    ),
    call(
        "down_read",
        RWSEM,
        Does::Lock(Shared, With::Plain),
        "takes an rw_semaphore for reading; waits sleeping, behind waiting writers",
    ),
    call(
        "down_read_nested",
        NESTED_RWSEM,
        Does::Lock(Shared, With::Plain),
        "down_read() with lockdep's subclass",
    ),
    call(
        "down_read_interruptible",
        RWSEM,
        Does::LockInterruptible(Shared),
        "down_read(): 0, or a signal comes first: -EINTR (-4)",
    ),
    call(
        "down_read_killable",
        RWSEM,
        Does::LockInterruptible(Shared),
        "as down_read_interruptible()",
    ),
    call(
        "down_read_trylock",
        RWSEM,
        Does::TryLock(Shared, With::Plain),
        "takes an rw_semaphore for reading if nobody is ahead: 1, else 0",
    ),
    call(
        "up_read",
        RWSEM,
        Does::Unlock(Shared, With::Plain),
        "ends down_read()",
    ),
    call(
        "down_write",
        RWSEM,
        Does::Lock(Exclusive, With::Plain),
        "takes an rw_semaphore for writing; waits sleeping",
    ),
    call(
        "down_write_nested",
        NESTED_RWSEM,
        Does::Lock(Exclusive, With::Plain),
        "down_write() with lockdep's subclass",
    ),
    call(
        "down_write_killable",
        RWSEM,
        Does::LockInterruptible(Exclusive),
        "down_write(): 0, or a signal comes first: -EINTR (-4)",
    ),
    call(
        "down_write_trylock",
        RWSEM,
        Does::TryLock(Exclusive, With::Plain),
        "takes an rw_semaphore for writing if it is free: 1, else 0",
    ),
    call(
        "up_write",
        RWSEM,
        Does::Unlock(Exclusive, With::Plain),
        "ends down_write()",
    ),
    call(
        "downgrade_write",
        RWSEM,
        Does::Downgrade,
        "the writer becomes a reader",
    ),
    call(
        "rwsem_is_locked",
        RWSEM,
        Does::Value(Value::IsLocked),
        "1 if anybody holds it",
    ),
    call(
        "percpu_down_read",
        RWSEM,
        Does::Lock(Shared, With::Plain),
        "down_read(); the fast path is not modelled",
    ),
    call(
        "percpu_up_read",
        RWSEM,
        Does::Unlock(Shared, With::Plain),
        "up_read()",
    ),
    call(
        "percpu_down_write",
        RWSEM,
        Does::Lock(Exclusive, With::Plain),
        "down_write()",
    ),
    call(
        "percpu_up_write",
        RWSEM,
        Does::Unlock(Exclusive, With::Plain),
        "up_write()",
    ),
    call(
        "down",
        SEM,
        Does::Down(false),
        "takes one of a semaphore's count; waits sleeping",
    ),
    call(
        "down_interruptible",
        SEM,
        Does::Down(true),
        "down(): 0, or a signal comes first: -EINTR (-4)",
    ),
    call(
        "down_killable",
        SEM,
        Does::Down(true),
        "as down_interruptible()",
    ),
    call(
        "down_trylock",
        SEM,
        Does::DownTry,
        "takes one of the count if there is one: 0, else 1 (the reverse of mutex_trylock)",
    ),
    call("up", SEM, Does::Up, "gives one back; from any context"),
    call(
        "lockdep_assert_held",
        &[&[Arg::AnyLock]],
        Does::AssertHeld,
        "an assertion that the lock is held",
    ),
    call(
        "lockdep_assert_held_write",
        &[&[Arg::AnyLock]],
        Does::AssertHeld,
        "an assertion that the lock is held",
    ),
    call(
        "lockdep_assert_held_read",
        &[&[Arg::AnyLock]],
        Does::AssertHeld,
        "an assertion that the lock is held",
    ),
    call(
        "assert_spin_locked",
        &[&[Arg::AnyLock]],
        Does::AssertHeld,
        "an assertion that the lock is held",
    ),
    call(
        "read_seqcount_begin",
        SEQCOUNT,
        Does::SeqBegin,
        "waits spinning for the writer to end; gives the count",
    ),
    call(
        "raw_seqcount_begin",
        SEQCOUNT,
        Does::SeqBeginRaw,
        "gives the count without waiting; a section that began under a writer is repeated",
    ),
    call(
        "read_seqcount_retry",
        &[&[Arg::Object(Sort::Seqcount), Arg::Value]],
        Does::Value(Value::SeqRetry),
        "1 if a writer came since the count was read",
    ),
    call(
        "write_seqcount_begin",
        SEQCOUNT,
        Does::SeqWriteBegin,
        "the count becomes odd; the caller keeps other writers out",
    ),
    call(
        "write_seqcount_end",
        SEQCOUNT,
        Does::SeqWriteEnd,
        "the count becomes even",
    ),
    call(
        "read_seqbegin",
        SEQLOCK,
        Does::SeqBegin,
        "waits spinning for the writer to end; gives the count",
    ),
    call(
        "read_seqretry",
        &[&[Arg::Object(Sort::Seqlock), Arg::Value]],
        Does::Value(Value::SeqRetry),
        "1 if a writer came since the count was read",
    ),
    call(
        "write_seqlock",
        SEQLOCK,
        Does::SeqLock(With::Plain),
        "takes the spinlock, then the count becomes odd",
    ),
    call(
        "write_seqlock_bh",
        SEQLOCK,
        Does::SeqLock(With::Bh),
        "write_seqlock() with bottom halves off",
    ),
    call(
        "write_seqlock_irq",
        SEQLOCK,
        Does::SeqLock(With::Irq),
        "write_seqlock() with interrupts off",
    ),
    call(
        "write_seqlock_irqsave",
        SEQLOCK_FLAGS,
        Does::SeqLock(With::Save),
        "write_seqlock() with interrupts off, their state saved",
    ),
    call(
        "write_sequnlock",
        SEQLOCK,
        Does::SeqUnlock(With::Plain),
        "the count becomes even, then the spinlock is released",
    ),
    call(
        "write_sequnlock_bh",
        SEQLOCK,
        Does::SeqUnlock(With::Bh),
        "ends write_seqlock_bh()",
    ),
    call(
        "write_sequnlock_irq",
        SEQLOCK,
        Does::SeqUnlock(With::Irq),
        "ends write_seqlock_irq()",
    ),
    call(
        "write_sequnlock_irqrestore",
        SEQLOCK_FLAGS,
        Does::SeqUnlock(With::Save),
        "ends write_seqlock_irqsave()",
    ),
    call(
        "read_seqlock_excl",
        SEQLOCK,
        Does::SeqLockExcl(With::Plain),
        "a reader that keeps writers out: takes the spinlock",
    ),
    call(
        "read_seqlock_excl_bh",
        SEQLOCK,
        Does::SeqLockExcl(With::Bh),
        "read_seqlock_excl() with bottom halves off",
    ),
    call(
        "read_seqlock_excl_irq",
        SEQLOCK,
        Does::SeqLockExcl(With::Irq),
        "read_seqlock_excl() with interrupts off",
    ),
    call(
        "read_seqlock_excl_irqsave",
        SEQLOCK_FLAGS,
        Does::SeqLockExcl(With::Save),
        "read_seqlock_excl() with interrupts off, their state saved",
    ),
    call(
        "read_sequnlock_excl",
        SEQLOCK,
        Does::SeqUnlockExcl(With::Plain),
        "ends read_seqlock_excl()",
    ),
    call(
        "read_sequnlock_excl_bh",
        SEQLOCK,
        Does::SeqUnlockExcl(With::Bh),
        "ends read_seqlock_excl_bh()",
    ),
    call(
        "read_sequnlock_excl_irq",
        SEQLOCK,
        Does::SeqUnlockExcl(With::Irq),
        "ends read_seqlock_excl_irq()",
    ),
    call(
        "read_sequnlock_excl_irqrestore",
        SEQLOCK_FLAGS,
        Does::SeqUnlockExcl(With::Save),
        "ends read_seqlock_excl_irqsave()",
    ),
    call(
        "cpus_read_lock",
        &[&[]],
        Does::Hotplug(false, true),
        "keeps CPUs from coming and going: the CPU hotplug lock for reading",
    ),
    call(
        "cpus_read_unlock",
        &[&[]],
        Does::Hotplug(false, false),
        "ends cpus_read_lock()",
    ),
    call(
        "cpus_write_lock",
        &[&[]],
        Does::Hotplug(true, true),
        "the CPU hotplug lock for writing, as _cpu_up() and _cpu_down() take it",
    ),
    call(
        "cpus_write_unlock",
        &[&[]],
        Does::Hotplug(true, false),
        "ends cpus_write_lock()",
    ),
];

const COUNT: usize = 4 * 12 + REST.len();

/// The lock calls.
pub static CALLS: &[Call] = &join::<COUNT>(
    &[
        &spinning!("spin", Spin, Exclusive, "a spinlock_t"),
        &spinning!("raw_spin", RawSpin, Exclusive, "a raw_spinlock_t"),
        &spinning!("read", Rw, Shared, "an rwlock_t for reading"),
        &spinning!("write", Rw, Exclusive, "an rwlock_t for writing"),
    ],
    REST,
);
