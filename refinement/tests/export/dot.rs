//! DOT: what the graphs say. That Graphviz reads them, CI checks with Graphviz.

use super::{ANSWERED, SEED, SELF_DEADLOCK, THREE, run};
use shootdown_refinement::export::dot::{order, waits};

#[test]
fn the_seeds_wait_for_graph_is_a_red_cycle() {
    insta::assert_snapshot!(waits(&run(SEED)));
}

/// The edges of a cycle are red, and those that lead into it are not.
#[test]
fn red_is_who_can_never_move_again() {
    let red = |text: &str| {
        text.lines()
            .filter(|l| l.contains("->") && l.contains("#b00020"))
            .count()
    };
    // CPU1 awaits the ack of CPU0, which CPU0 does not give; CPU0 spins for the lock, which CPU1 holds.
    assert_eq!(red(&waits(&run(SEED))), 4);
    // The interrupt spins for pgd_lock; pgd_lock is held by what it interrupted; that is interrupted by it.
    assert_eq!(red(&waits(&run(SELF_DEADLOCK))), 3);
    // CPU0 awaits CPU2, which spins for pgd_lock, which CPU1 holds, which spins for page_table_lock, which CPU0 holds.
    assert_eq!(red(&waits(&run(THREE))), 6);
    assert_eq!(red(&waits(&run(ANSWERED))), 0);
}

#[test]
fn the_order_of_the_kernel_that_hung_has_a_red_cycle_and_that_of_the_tracked_design_has_none() {
    let seed = order(&run(SEED).protocol.config);
    insta::assert_snapshot!(seed);
    let tracked = SEED.replace("v2.6.37", "tracked").replace(
        "1:page_referenced_one_huge@mm0 1*4 0:vmalloc_sync_all 0*5;",
        ";",
    );
    let tracked = order(&run(&tracked).protocol.config);
    assert!(
        tracked.contains("acyclic") && !tracked.contains("#b00020"),
        "{tracked}"
    );
}
