//! Edges and cycles worked out by hand, and how cycles are printed.

use crate::*;

/// The walk holds pgd_lock and takes nothing inside. Page aging (both branches), unmap and split
/// await acknowledgements under their lock. With interrupts off CPUs spin for pgd_lock only.
/// So: both page-table locks -> ack, ack -> pgd_lock, and nothing leads on from there.
#[test]
fn v2_6_36_waits_in_one_direction() {
    let config = named("v2.6.36", "split+thp", "everything");
    assert_eq!(edges(&config), [(PTL, ACK), (SPLIT_PTL, ACK), (ACK, PGD)]);
    // An interrupt that frees takes pgd_lock above either page-table lock; pgd_lock itself is held
    // with interrupts off.
    let config = named("v2.6.36", "irq-free", "everything");
    assert_eq!(
        edges(&config),
        [
            (PTL, PGD),
            (PTL, ACK),
            (SPLIT_PTL, PGD),
            (SPLIT_PTL, ACK),
            (ACK, PGD)
        ]
    );
    assert_eq!(Order::of(&config).proof(), Proof::Acyclic);
}

/// The walk spins for page_table_lock inside pgd_lock, interrupts off: pgd_lock -> page_table_lock
/// and ack -> page_table_lock are new. Cycles: page_table_lock with ack, and all three (a context that
/// spins for pgd_lock does not acknowledge either).
#[test]
fn v2_6_37_has_the_seeds_cycle_and_the_one_over_pgd_lock() {
    let config = named("v2.6.37", "split+thp", "everything");
    let all = [
        (PGD, PTL),
        (PTL, ACK),
        (SPLIT_PTL, ACK),
        (ACK, PGD),
        (ACK, PTL),
    ];
    assert_eq!(edges(&config), all);
    assert_eq!(
        Order::of(&config).cycles,
        [vec![PTL, ACK], vec![PGD, PTL, ACK]]
    );
    // C3: split locks and no huge pages. Nobody flushes under page_table_lock any more.
    let config = named("v2.6.37", "split", "everything");
    let without = [(PGD, PTL), (SPLIT_PTL, ACK), (ACK, PGD), (ACK, PTL)];
    assert_eq!(edges(&config), without);
    assert_eq!(Order::of(&config).proof(), Proof::Acyclic);
    // B2: by hypercall nobody awaits anybody.
    let config = named("v2.6.37", "hypercall", "everything");
    assert_eq!(edges(&config), [(PGD, PTL)]);
}

/// Interrupts stay on at every wait, so ack leads nowhere. C5: the interrupt that frees takes
/// pgd_lock above everything, pgd_lock included.
#[test]
fn v2_6_38_is_acyclic_exactly_without_interrupts_that_free() {
    for env in ENVIRONMENTS {
        let config = named("v2.6.38", env.name, "everything");
        let expected = match env.environment.pgd_free_in_irq {
            true => Proof::Cyclic,
            false => Proof::Acyclic,
        };
        assert_eq!(Order::of(&config).proof(), expected, "{}", env.name);
    }
    let config = named("v2.6.38", "split+thp", "everything");
    assert_eq!(edges(&config), [(PGD, PTL), (PTL, ACK), (SPLIT_PTL, ACK)]);
    let order = Order::of(&named("v2.6.38", "irq-free", "everything"));
    assert_eq!(order.cycles[0], [PGD]);
    let kinds: BTreeSet<_> = order.graph.witnesses(&PGD, &PGD).map(|w| w.kind).collect();
    assert_eq!(kinds, BTreeSet::from([Kind::Interrupted]));
}

/// Nothing is awaited under a lock, so no edge leads to ack. Interrupts are off around every
/// page-table lock, so none comes above one.
#[test]
fn tracked_is_acyclic_everywhere() {
    for env in ENVIRONMENTS {
        for workload in ["everything", "everything+madvise"] {
            let order = Order::of(&named("tracked", env.name, workload));
            assert_eq!(order.proof(), Proof::Acyclic, "{} {workload}", env.name);
        }
    }
    let config = named("tracked", "irq-free", "everything");
    assert_eq!(
        edges(&config),
        [(PGD, PTL), (ACK, PGD), (ACK, PTL), (ACK, SPLIT_PTL)]
    );
}

/// B8: with plain page-table locks the interrupt comes above them, while the walk holds pgd_lock
/// and spins for one. No acknowledgement is in that cycle.
#[test]
fn tracked_plain_has_the_cycle_without_an_ipi() {
    let order = Order::of(&named("tracked-plain", "irq-free", "everything"));
    assert_eq!(order.cycles, [[PGD, PTL]]);
    let kind = |a, b| order.graph.witnesses(a, b).next().unwrap().kind;
    assert_eq!(
        (kind(&PGD, &PTL), kind(&PTL, &PGD)),
        (Kind::Held, Kind::Interrupted)
    );
    let order = Order::of(&named("tracked-plain", "split+thp", "everything"));
    assert_eq!(order.proof(), Proof::Acyclic);
}

/// Readers are told apart: a walk waits for pgd_lock to read, pgd_free to write.
#[test]
fn an_rwlock_has_two_nodes_and_deadlocks_on_its_writer_in_an_interrupt() {
    let order = Order::of(&named("rwlock", "irq-free", "everything"));
    // A writer waits for a reader that is interrupted by a writer. Whoever wants to
    // read waits for it as well, queued behind a writer.
    assert!(order.graph.has(&PGD, &PGD) && order.graph.has(&PGD_READ, &PGD));
    // pgd_lock is inside itself; an interrupt above a page-table lock that the walk spins for has
    // it the other way round; and one on a CPU that is awaited under that lock.
    let cycles = [vec![PGD], vec![PGD, PTL], vec![PGD, PTL, ACK]];
    assert_eq!(order.cycles, cycles);
    // With the walk alone, nobody ever waits for pgd_lock: readers do not hold readers back.
    let aging = named("rwlock", "split+thp", "aging");
    assert_eq!(edges(&aging), [(PTL, ACK), (SPLIT_PTL, ACK)]);
}

/// The cells of the summary, all named designs and environments.
#[test]
fn every_named_cell_comes_out_as_the_claims_say() {
    let mut table = String::new();
    for design in DESIGNS {
        for env in ENVIRONMENTS {
            let proof = Order::of(&named(design.name, env.name, "everything")).proof();
            table += &format!("{:<14} {:<17} {proof}\n", design.name, env.name);
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn cycles_are_printed_with_the_lines_that_make_them() {
    for (name, design, env) in [
        ("seed", "v2.6.37", "split+thp"),
        ("own_lock", "v2.6.38", "irq-free"),
        ("without_ipi", "tracked-plain", "irq-free"),
    ] {
        let order = Order::of(&named(design, env, "everything"));
        let texts: Vec<_> = order
            .cycles
            .iter()
            .map(|c| cycle_text(&order.graph, c))
            .collect();
        insta::assert_snapshot!(name, texts.join("\n"));
    }
}
