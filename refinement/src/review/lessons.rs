//! What the checker teaches beyond the thread. The words are written by hand; each lesson rests on claims, and says
//! so if they did not come out in this run.

use super::document::{Block, Part, Table};
use super::findings::{Cell, Findings, count};
use super::runs::Runs;
use shootdown_spec::verdict::Verdict;

/// Interrupts that took `pgd_lock` after the fix that needs there to be none: when, path, found by, repair.
const BROKEN: [[&str; 4]; 4] = [
    [
        "2011, released in v2.6.38",
        "KVM guest: the async page-fault \"page ready\" handler calls `mmdrop` with interrupts off, and it may be the last",
        "reading the source, for this project",
        "the handler's reference is gone today; in which commit was not confirmed",
    ],
    [
        "July 2016",
        "RCU softirq: `delayed_put_task_struct` → `free_signal_struct` → `__mmdrop` → `pgd_free`",
        "lockdep",
        "7283094ec3db: the last `mmdrop` goes to a workqueue",
    ],
    [
        "May 2020",
        "`pcpu_alloc` → `sync_global_pgds` under locks that a softirq takes",
        "lockdep",
        "the patch was dropped, the sync redesigned",
    ],
    [
        "July 2025",
        "timer softirq → `mmdrop` → `pgd_free`",
        "lockdep, by the kernel test robot",
        "a drop delayed through RCU was proposed",
    ],
];

pub fn part(findings: &Findings, runs: &Runs<'_>) -> Part {
    let lessons = [
        letter(findings, runs),
        naive(findings, runs),
        nobody(findings, runs),
        inversion(findings, runs),
        wolf(findings, runs),
        two_at_once(findings, runs),
    ];
    Part {
        title: "What the checker teaches beyond the thread".into(),
        blocks: lessons.into_iter().flatten().collect(),
    }
}

/// A lesson under its heading, unless a claim that it rests on did not come out.
fn lesson(findings: &Findings, title: &str, claims: &[&str], blocks: Vec<Block>) -> Vec<Block> {
    let mut all = vec![Block::Heading(title.into())];
    if findings.stand(claims) {
        all.extend(blocks);
    } else {
        all.push(Block::Text(format!(
            "**Not borne out by this run:** it rests on {}, and not all cells of these came out as expected.",
            claims.join(", ")
        )));
    }
    all
}

/// The cell of a claim.
fn cell<'a>(findings: &'a Findings, claim: &str, design: &str, workload: &str) -> Option<&'a Cell> {
    let cells = &findings.claim(claim)?.cells;
    cells
        .iter()
        .find(|c| c.design == design && c.workload == workload)
}

fn states(cell: Option<&Cell>) -> String {
    count(cell.map_or(0, Cell::states))
}

/// `holds`, or whatever else came out.
fn word(cell: Option<&Cell>, property: &str) -> &'static str {
    cell.and_then(|c| c.verdict(property))
        .map_or("was not decided", Verdict::name)
}

fn text(text: String) -> Block {
    Block::Text(text)
}

fn letter(f: &Findings, runs: &Runs<'_>) -> Vec<Block> {
    let (unmapping, splitting) = (
        cell(f, "C9", "woodman", "unmapping"),
        cell(f, "C9", "woodman", "splitting"),
    );
    let aging = cell(f, "C9", "woodman", "aging");
    lesson(
        f,
        "The letter of the proposal is not enough",
        &["C2", "C9"],
        vec![text(format!(
            "The mail asks that `pmdp_clear_flush_young_notify` release the lock before it sends IPIs. That cures page \
                 aging (`woodman`: `no_deadlock` {} in {} states). But page aging is not the only path that awaits \
                 acknowledgements under a page-table lock. With locks not split `try_to_unmap_one` deadlocks {}; with \
                 huge pages `split_huge_page` does, {}. Step for step it is the original with another function on the \
                 CPU that waits. To be a cure the proposal has to cover every flush under a page-table lock.",
            word(aging, "no_deadlock"),
            states(aging),
            runs.told(unmapping, "no_deadlock"),
            runs.told(splitting, "no_deadlock"),
        ))],
    )
}

fn naive(f: &Findings, runs: &Runs<'_>) -> Vec<Block> {
    let deferred = cell(f, "B3", "deferred", "reclaim-vs-munmap");
    let flag = f.claim("B6").and_then(|c| {
        c.cells
            .iter()
            .find(|c| c.violates("no_stale_tlb_after_return"))
    });
    lesson(
        f,
        "Naive deferral trades the hang for a stale translation",
        &["B3", "B4", "B6"],
        vec![
            text(format!(
                "Cover every flush (`deferred`), and `no_deadlock` {} here; but `no_stale_tlb_after_return` falls {}. \
                 Reclaim clears a pte and unlocks, its flush still to come; munmap finds the pte empty, flushes nothing \
                 and returns, while a TLB still translates the address. What the lock gave for free, and deferral takes \
                 away, is the inference *not present, hence not cached*. Only the accessed-bit flush may move without \
                 more ado: it removes no translation (B4).",
                word(deferred, "no_deadlock"),
                runs.told(deferred, "no_stale_tlb_after_return"),
            )),
            text(format!(
                "The kernel learnt this the long way: 3ea277194daa (2017, reclaim against mprotect and munmap), \
                 99baac21e458 and 56236a59556c (2017, parallel madvise), 60bae7370896 (2022, migration; literally unlock, \
                 then flush). The repair that mainline arrived at is the one in `tracked`: a count of pending flushes, \
                 raised under the lock and read under it. It has to be a count: 16af97dc5a89 turned the flag into one, and \
                 with a flag the checker finds the hole {} (B6).",
                runs.told(flag, "no_stale_tlb_after_return"),
            )),
        ],
    )
}

fn nobody(f: &Findings, runs: &Runs<'_>) -> Vec<Block> {
    let fixed = cell(f, "C4", "v2.6.38", "lifecycle");
    let one_cpu = f
        .claim("C5")
        .and_then(|c| c.cells.iter().find(|c| c.environment.cpus == 1));
    let two_cpus = f
        .claim("C5")
        .and_then(|c| c.cells.iter().find(|c| c.environment.cpus == 2));
    let mut table = Table::new([
        "when",
        "who took `pgd_lock` from an interrupt",
        "found by",
        "repair",
    ]);
    for row in BROKEN {
        table.row(row);
    }
    lesson(
        f,
        "The merged fix needs \"nobody takes pgd_lock from an interrupt\"",
        &["C4", "C5"],
        vec![
            text(format!(
                "`v2.6.38` {} `no_deadlock` and {} the upstream rule ({} states with forks and frees), though a page-table \
                 lock is still held across the wait. Let one interrupt drop the last reference of an mm, and one CPU is \
                 enough: it spins for the `pgd_lock` that the code below it holds, {}. With two CPUs the upstream rule falls \
                 as well, {}: the handler is a waiter with interrupts off.",
                keeps(fixed, "no_deadlock"),
                keeps(fixed, "no_irqs_off_wait_for_flush_lock"),
                states(fixed),
                runs.told(one_cpu, "no_deadlock"),
                runs.told(two_cpus, "no_irqs_off_wait_for_flush_lock"),
            )),
            text(
                "That nobody does so was established in 2011 by a `VM_BUG_ON` that did not fire. It has been broken four \
                 times since:"
                    .into(),
            ),
            Block::Table(table),
            text(
                "A fifth attempt, `mmdrop` from the CPU-offline IPI in January 2020, ended in review, with a79e53d85683 \
                 cited. Lockdep finds this class once the path has run, because it is a rule about locks and interrupts. It \
                 cannot find the original deadlock: waiting for an IPI is no lock to it, and a lock taken with interrupts \
                 off outside an interrupt is nothing to it. Sources: the commits named, and the lists' reports of them; \
                 v2.6.38's KVM path was read in the source (`arch/x86/kernel/kvm.c`)."
                    .into(),
            ),
        ],
    )
}

fn keeps(cell: Option<&Cell>, property: &str) -> &'static str {
    match cell.and_then(|c| c.verdict(property)) {
        Some(Verdict::Holds) => "keeps",
        Some(Verdict::Violated) => "breaks",
        _ => "does not decide",
    }
}

fn inversion(f: &Findings, runs: &Runs<'_>) -> Vec<Block> {
    let plain = cell(f, "B8", "tracked-plain", "lifecycle");
    let irqsave = cell(f, "B9", "tracked", "lifecycle");
    let hung = f
        .claim("B9")
        .and_then(|c| c.cells.iter().find(|c| c.design == "v2.6.37"));
    lesson(
        f,
        "The inversion without any IPI, and why tracked takes page-table locks irqsave",
        &["B8", "B9"],
        vec![text(format!(
            "Deferral leaves one ingredient in place: the walk still spins for page-table locks inside `pgd_lock`, interrupts \
             off. With an interrupt that takes `pgd_lock` no IPI is needed any more: `tracked-plain` falls {} though nobody \
             awaits anything. `tracked` takes page-table locks with interrupts off, so that nothing can interrupt code that \
             holds one: `no_lock_cycle` {} in {} states, and the order is acyclic for any number of CPUs. Only a design that \
             awaits nothing under these locks can do that: `v2.6.37` with irqsave page-table locks deadlocks by IPI {}.",
            runs.told(plain, "no_lock_cycle"),
            word(irqsave, "no_lock_cycle"),
            states(irqsave),
            runs.told(hung, "no_deadlock"),
        ))],
    )
}

fn wolf(f: &Findings, runs: &Runs<'_>) -> Vec<Block> {
    let wolf = cell(f, "B12", "v2.6.37", "cry-wolf");
    let three = cell(f, "B1", "v2.6.37", "three-cpus");
    lesson(
        f,
        "The rule the fix keeps is stricter than it need be, and needed all the same",
        &["B1", "B12"],
        vec![text(format!(
            "The upstream rule looks at locks and interrupt flags, not at who is in which `mm_cpumask`. A walker that runs no \
             mm breaks it {} and yet nothing can deadlock ({} states). Let the third CPU fork, and the same beginning ends in \
             a deadlock {}. So the rule cries wolf in states from which one more program makes it true, and it can be checked \
             by reading one function at a time.",
            runs.told(wolf, "no_irqs_off_wait_for_flush_lock"),
            states(wolf),
            runs.told(three, "no_deadlock"),
        ))],
    )
}

fn two_at_once(f: &Findings, runs: &Runs<'_>) -> Vec<Block> {
    let madvise = cell(f, "B11", "v2.6.38", "two-madvise");
    let tracked = cell(f, "B11", "tracked", "two-madvise");
    let unguarded = |design| {
        let cells = &f.claim("B11")?.cells;
        cells
            .iter()
            .find(|c| c.design == design && !c.variants.is_empty())
    };
    lesson(
        f,
        "Two at once: one hole the counter closes, one it opens",
        &["B11"],
        vec![text(format!(
            "Two `madvise(MADV_DONTNEED)` of one range hold mmap_sem only for reading. In `v2.6.38` the second returns while \
             the first still owes its flush, {}: mainline's bug of 2017, independent of this deadlock. In `tracked` \
             `no_stale_tlb_after_return` {}. The other way round, two splits of one huge page that nothing serialises are \
             safe under the lock (`v2.6.37`: `no_walker_on_reused_table` {}) and not after it (`tracked` falls {}): the \
             anon_vma lock, which serialises them in the kernel, becomes something that `tracked` depends on.",
            runs.told(madvise, "no_stale_tlb_after_return"),
            word(tracked, "no_stale_tlb_after_return"),
            word(unguarded("v2.6.37"), "no_walker_on_reused_table"),
            runs.told(unguarded("tracked"), "no_walker_on_reused_table"),
        ))],
    )
}
