//! Properties of several clauses: each clause is broken by itself, in a state that the protocol reaches but for the one
//! thing that breaks it. Without the clause its case here holds, whatever falls beside it elsewhere.
//!
//! One clause of `pgd_list_integrity` has no case, since there cannot be one: a walker on a freed pgd stands on one that is
//! not listed, or on one that is listed and freed, and both are clauses of their own.

use super::{Case, case, property};
use shootdown_spec::id::{Context, CpuId, Level, LockId, MmId};
use shootdown_spec::mm::Life;
use shootdown_spec::model::Protocol;
use shootdown_spec::program::{Mode, Op, ProgramId, Reg};
use shootdown_spec::spinlock::Lock;
use shootdown_spec::state::State;
use stateright::Model as _;
use std::collections::HashSet;

/// The first state, breadth first, of which this is true.
fn reach(case: Case, wanted: impl Fn(&Protocol, &State) -> bool) -> (Protocol, State) {
    let protocol = case.protocol();
    let mut level = protocol.init_states();
    let mut seen: HashSet<State> = level.iter().copied().collect();
    while !level.is_empty() {
        if let Some(found) = level.iter().find(|s| wanted(&protocol, s)) {
            let found = *found;
            return (protocol, found);
        }
        let mut next = Vec::new();
        for state in level {
            let mut actions = Vec::new();
            protocol.actions(&state, &mut actions);
            let reached = actions.into_iter();
            next.extend(reached.filter_map(|a| protocol.next_state(&state, a)));
        }
        next.retain(|state| seen.insert(*state));
        level = next;
    }
    panic!("{case:?} never comes there");
}

fn falls(name: &str, protocol: &Protocol, state: &State) -> bool {
    property(name).is_violated(&protocol.config, state)
}

const CPU0: Context = Context {
    cpu: CpuId(0),
    level: Level::Task,
};
const CPU1: Context = Context {
    cpu: CpuId(1),
    level: Level::Task,
};

#[test]
fn mutual_exclusion_falls_clause_by_clause() {
    let name = "mutual_exclusion";
    let walk = case("rwlock", "split", "none=vmalloc_sync_all/none=pgd_alloc");
    let pgd_lock = |s: &State| {
        let held = s.cpu(CpuId(0)).context(Level::Task).held;
        let mut all = held.iter().filter(|l| !l.is_page_table_lock());
        all.next().map(LockId::index)
    };
    let (protocol, good) = reach(walk, |_, s| pgd_lock(s).is_some());
    let lock = pgd_lock(&good).unwrap();
    assert!(!falls(name, &protocol, &good));
    // Who believes to hold it does not own it: nobody does.
    let mut state = good;
    state.locks[lock] = Lock::default();
    assert!(state.locks[lock].holders().next().is_none());
    assert!(falls(name, &protocol, &state));
    // An owner and a reader at once, each of whom believes so only if it is so: nobody else believes anything.
    let mut state = good;
    let owners = &mut state.locks[lock];
    *owners = Lock::default();
    owners.acquire(CPU1, Mode::Exclusive, false);
    owners.acquire(CPU0, Mode::Shared, true);
    assert_eq!(owners.holders().count(), 2);
    assert!(falls(name, &protocol, &state));
    // Two readers are no violation.
    let mut state = good;
    let owners = &mut state.locks[lock];
    *owners = Lock::default();
    owners.acquire(CPU1, Mode::Shared, false);
    owners.acquire(CPU0, Mode::Shared, false);
    assert!(!falls(name, &protocol, &state));
}

#[test]
fn pgd_list_integrity_falls_clause_by_clause() {
    let name = "pgd_list_integrity";
    // CPU0 stands on mm0 while CPU1 is about to free mm1, which excuses what is half done.
    let walk = case(
        "tracked",
        "split",
        "none=vmalloc_sync_all/none=pgd_free@mm1",
    )
    .mms(2);
    let at_work = |s: &State| {
        let walks = s.cpu(CpuId(0)).context(Level::Task).cursor == MmId(0);
        let frees = s.cpu(CpuId(1)).context(Level::Task).program == ProgramId::PgdFree;
        walks && frees && s.mm(MmId(1)).life != Life::Freed
    };
    let (protocol, good) = reach(walk, |_, s| at_work(s));
    assert!(!falls(name, &protocol, &good));
    // The walker's pgd is not listed.
    let mut state = good;
    state.list.del(MmId(0));
    assert!(falls(name, &protocol, &state));
    // A freed pgd is listed; nobody stands on it.
    let mut state = good;
    state.list.add(MmId(1));
    state.mms[1].life = Life::Freed;
    assert!(falls(name, &protocol, &state));
    // Nobody allocates or frees: what is listed is alive, and what is alive is listed.
    let (protocol, quiet) = reach(walk, |_, s| {
        s.cpu(CpuId(0)).context(Level::Task).cursor == MmId(0)
            && s.cpu(CpuId(1)).context(Level::Task).program != ProgramId::PgdFree
    });
    assert!(!falls(name, &protocol, &quiet));
    let mut state = quiet;
    state.mms[1].life = Life::Dying;
    assert!(falls(name, &protocol, &state));
    let mut state = quiet;
    state.list.del(MmId(1));
    assert!(falls(name, &protocol, &state));
}

#[test]
fn ack_after_flush_falls_only_if_every_clause_of_it_is_so() {
    let name = "ack_after_flush";
    let handler = |s: &State| *s.cpu(CpuId(1)).context(Level::Irq);
    let next = |p: &Protocol, s: &State| s.cpu(CpuId(1)).next_op(&p.config, Level::Irq);
    let aging = case("tracked", "split", "mm0=page_referenced_one/mm0=idle");
    // It has flushed and acknowledges: good.
    let (protocol, flushed) = reach(aging, |p, s| next(p, s) == Some(Op::Ack));
    assert!(handler(&flushed).reg(Reg::Flushed));
    assert!(!falls(name, &protocol, &flushed));
    // It has not flushed and does not acknowledge yet: good.
    let (protocol, before) = reach(aging, |p, s| next(p, s) == Some(Op::FlushRequested));
    assert!(!handler(&before).reg(Reg::Flushed));
    assert!(!falls(name, &protocol, &before));
    // It has not flushed and acknowledges: bad, but for a CPU that has another mm loaded, or none.
    let hasty = aging.with(shootdown_spec::variant::Variant::AckBeforeFlush);
    let (protocol, bad) = reach(hasty, |p, s| next(p, s) == Some(Op::Ack));
    assert!(falls(name, &protocol, &bad));
    let mut left = bad;
    left.cpus[1].loaded = false;
    assert!(!falls(name, &protocol, &left));
    let mut switched = bad;
    switched.cpus[1].active = MmId::NONE;
    assert!(!falls(name, &protocol, &switched));
}
