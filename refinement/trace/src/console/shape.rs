//! Known shapes: which of the project's claims or scenarios a hang looks like, and the command that shows it.

use super::conclude::Verdict;
use super::graph::{Cycle, Wait, Waits};
use super::lockdep::{Report, Splat};
use super::situation::{Context, Situation, Who};
use serde::Serialize;

/// A shape with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Its name: a claim such as `C8`, or a scenario.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// The command that shows it.
    pub show: &'static str,
}

const C8: Shape = Shape {
    name: "C8",
    what: "the 2011 form: one CPU awaits acknowledgements under a lock that the other, interrupts off, spins for",
    show: "shootdown check --design v2.6.37 --env split+thp --workload page_referenced_one_huge,vmalloc_sync_all",
};
const B1: Shape = Shape {
    name: "B1",
    what: "the three-CPU form: the awaited CPU spins, interrupts off, for a lock whose holder spins for the waiter's lock",
    show: "shootdown check --design v2.6.37 --env split+thp --workload three-cpus",
};
const B8: Shape = Shape {
    name: "B8",
    what: "the inversion without any IPI: an interrupt takes a lock above code that holds another, and a second CPU takes them the other way",
    show: "shootdown matrix --claim B8",
};
const C5: Shape = Shape {
    name: "C5",
    what: "an interrupt spins for a lock that the code it interrupted holds; one CPU is enough (as rose-softirq); cured by spin_lock_irqsave, or _bh, in every user of the lock",
    show: "shootdown check --design v2.6.38 --env irq-free --cpus 1 --workload lifecycle",
};
const RENDEZVOUS: Shape = Shape {
    name: "clockevents-mtrr",
    what: "a rendezvous: everybody has to come, and one spins with interrupts off for a lock of somebody who came",
    show: "shootdown check spec/corpus/clockevents-mtrr.before.sd",
};
const STOPPED: Shape = Shape {
    name: "arm64-jump-label",
    what: "a cross-call inside stop_machine(): the others wait in it with interrupts off",
    show: "shootdown check spec/corpus/arm64-jump-label.before.sd",
};
const CROSS: Shape = Shape {
    name: "perf-pending-ipi",
    what: "cross-calls from interrupts: two CPUs wait for each other",
    show: "shootdown check spec/corpus/perf-pending-ipi.before.sd",
};
const HANDLER: Shape = Shape {
    name: "ehci-del-timer-sync",
    what: "waiting for a handler under the lock that the handler takes",
    show: "shootdown check spec/corpus/ehci-del-timer-sync.before.sd",
};
const TRIANGLE: Shape = Shape {
    name: "intel-rng",
    what: "the triangle: a reader with interrupts on, a writer that spins with interrupts off, and a third who needs both to answer",
    show: "shootdown check spec/corpus/intel-rng.before.sd",
};
const ORDER: Shape = Shape {
    name: "text-poke-hotplug",
    what: "locks taken in two orders; no IPI is part of it",
    show: "shootdown check spec/corpus/text-poke-hotplug.before.sd",
};

/// The shape of a verdict, if it is a known one.
#[must_use]
pub fn shape(verdict: &Verdict, waits: &Waits<'_>) -> Option<Shape> {
    let cycle = match verdict {
        Verdict::Cycle { cycle } | Verdict::CycleIf { cycle, .. } => cycle,
        _ => return None,
    };
    let deadlock = of_cycle(cycle, waits);
    deadlock.or_else(|| waits.log.splats.iter().find_map(of_report))
}

fn of_report(report: &Report) -> Option<Shape> {
    match report.splat {
        Splat::Inversion | Splat::SafeToUnsafe => Some(B8),
        Splat::Inconsistent => Some(C5),
        Splat::Circular => Some(ORDER),
        Splat::Recursive | Splat::Dept => None,
    }
}

fn of_cycle(cycle: &Cycle, waits: &Waits<'_>) -> Option<Shape> {
    if cycle.edges.iter().any(|e| !waits.of.contains_key(&e.from)) || waits.of.is_empty() {
        return None;
    }
    let of = |who: Who| -> Option<&Situation> { waits.of.get(&who).copied() };
    let count = |f: fn(&Wait) -> bool| cycle.edges.iter().filter(|e| f(&e.wait)).count();
    let acks = count(|w| matches!(w, Wait::Acks));
    let locks = count(|w| matches!(w, Wait::Lock(_)));
    let rendezvous = count(|w| matches!(w, Wait::Rendezvous));
    let first = of(cycle.edges.first()?.from)?;
    let write = cycle
        .edges
        .iter()
        .filter_map(|e| of(e.from))
        .any(|s| s.frames.iter().any(|f| f.function.contains("write_lock")));
    match (acks, locks, rendezvous) {
        _ if cycle.edges.iter().any(|e| e.wait == Wait::Handler) => Some(HANDLER),
        (0, 1, 0) if cycle.edges.len() == 1 && first.context != Context::Task => Some(C5),
        (1, 0, 0) if cycle.edges.len() == 1 => Some(CROSS),
        (_, 0, 0) if acks > 1 => Some(CROSS),
        (1.., _, 1..) => Some(STOPPED),
        (0, _, 1..) => Some(RENDEZVOUS),
        (1, 1, 0) if write => Some(TRIANGLE),
        (1, 1, 0) => Some(C8),
        (1, 2.., 0) => Some(B1),
        (0, 2.., 0)
            if cycle
                .edges
                .iter()
                .any(|e| of(e.from).is_some_and(|s| s.context != Context::Task)) =>
        {
            Some(B8)
        }
        (0, 2.., 0) => Some(ORDER),
        _ => None,
    }
}

/// Locks that are held while acknowledgements are awaited, by design or by accident.
const HELD_ACROSS_IPIS: [(&str, &str); 12] = [
    (
        "page_table_lock",
        "held across every flush that clears an entry",
    ),
    (
        "ptlock_ptr",
        "a split page-table lock: held across ptep_clear_flush",
    ),
    (
        "pgd_lock",
        "held across flush_tlb_all in __split_large_page since 4.20",
    ),
    ("cpa_lock", "held across flush_tlb_all of change_page_attr"),
    ("tlbstate_lock", "held in flush_tlb_others_ipi, to 3.5"),
    ("mmu_lock", "held across kvm_flush_remote_tlbs"),
    (
        "purge_lock",
        "held across the flush of __purge_vmap_area_lazy",
    ),
    ("kmap_lock", "held across flush_all_zero_pkmaps"),
    ("text_mutex", "held across text_poke_sync"),
    ("cpu_hotplug_lock", "held across stop_machine"),
    ("jump_label_mutex", "held across text_poke_sync"),
    ("i_mmap_rwsem", "held across try_to_unmap"),
];

/// What a report of lockdep's or DEPT's cannot say about IPIs.
#[must_use]
pub fn beside_ipis(report: &Report) -> String {
    let awaits = |name: &str| {
        super::table::does(name) == Some(super::table::Does::AwaitsAcks)
            || name.starts_with("on_each_cpu")
            || name.starts_with("flush_tlb_")
            || name == "kick_all_cpus_sync"
            || name == "stop_machine"
            || name == "text_poke_sync"
    };
    let functions = report
        .chain
        .iter()
        .flat_map(|(held, frames)| frames.iter().map(move |f| (held, f)));
    if let Some((held, frame)) = functions.clone().find(|(_, f)| awaits(&f.function)) {
        return format!(
            "{} (line {}) awaits acknowledgements where {} is taken: lockdep does not see that wait, and it closes a cycle with every lock held there that somebody waits for with interrupts off",
            frame.function, frame.line, held.class
        );
    }
    let dept = report.contexts.iter().find_map(|c| {
        let text = [&c.start, &c.wait, &c.event]
            .into_iter()
            .flatten()
            .find(|t| t.contains("csd") || t.contains("ipi") || t.contains("smp_call"))?;
        Some((text.clone(), c.line))
    });
    if let Some((text, line)) = dept {
        return format!("an IPI wait is part of the cycle itself: {text} (line {line})");
    }
    let edges = report.edges();
    let named = edges.iter().flat_map(|e| [&*e.held, &*e.wanted]);
    let classes: Vec<&str> = report
        .locks
        .iter()
        .map(|l| &*l.class)
        .chain(named)
        .collect();
    for class in classes {
        if let Some((name, why)) = HELD_ACROSS_IPIS
            .iter()
            .find(|(name, _)| class.contains(name))
        {
            // A dot in the first place: never taken with hardirqs on.
            let off = report.locks.iter().find(|l| {
                l.class == class && (l.usage.starts_with('.') || l.usage.starts_with('-'))
            });
            let how = match off {
                Some(lock) => format!(
                    ", and line {} says that it is taken with interrupts off",
                    lock.line
                ),
                None => "; nothing here says that somebody waits for it with interrupts off".into(),
            };
            return format!(
                "{name} is a lock that is {why}: an IPI wait closes a second cycle if anybody waits for it with interrupts off{how}"
            );
        }
    }
    "no IPI is needed for this cycle: none of its functions awaits acknowledgements, and none of its locks is known to be held across such a wait".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_scenarios_that_the_commands_name_exist() {
        let shapes = [
            C8, B1, B8, C5, RENDEZVOUS, STOPPED, CROSS, HANDLER, TRIANGLE, ORDER,
        ];
        let files: Vec<&str> = shapes
            .iter()
            .flat_map(|shape| shape.show.split_whitespace())
            .filter(|word| word.ends_with(".sd"))
            .collect();
        assert_eq!(files.len(), 6);
        for file in files {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../..")
                .join(file);
            assert!(path.exists(), "{file}");
        }
    }
}
