//! Small cells that reach every line of the kernel code, each explored to its end beside the protocol: the tests that
//! mutations of the code are held against (`.cargo/mutants.toml`, docs/mutants.md).
//!
//! Here and not under `tests/`, because cargo builds the binary for those, once a mutation. Each cell is a place where
//! what it is named for shows; all of them take a few seconds without optimisation.

use std::sync::Arc;

use shootdown_impl::design::{Deferred, Design, Rwlock, Tracked, V2_6_36, V2_6_37, V2_6_38};
use shootdown_impl::operation::KernelCode;
use shootdown_spec::config::Config;
use shootdown_spec::design::Design as SpecDesign;
use shootdown_spec::environment::Environment;
use shootdown_spec::property::PROPERTIES;
use shootdown_spec::search::{Options, search};
use shootdown_spec::variant::VariantSet;
use shootdown_spec::workload::Workload;

use crate::relation::joint::{Joint, MISFIT_BIT, NOTICED_BIT, Refinement, STUCK_DIFFERS_BIT};

struct Cell {
    env: &'static str,
    mms: u8,
    ops: u8,
    workload: &'static str,
}

const fn cell(env: &'static str, workload: &'static str) -> Cell {
    Cell {
        env,
        mms: 1,
        ops: 1,
        workload,
    }
}

impl Cell {
    const fn mms(self, mms: u8) -> Cell {
        Cell { mms, ..self }
    }
    const fn ops(self, ops: u8) -> Cell {
        Cell { ops, ..self }
    }

    /// Explores it; nothing may misfit or be stuck on one side only. What is violated, and whether the machine noticed
    /// something.
    #[track_caller]
    fn explore<D: Design>(&self) -> Vec<&'static str> {
        let name = D::AXES.name().expect("a named design");
        let design = SpecDesign::named(name).expect("both sides have it");
        let environment = Environment {
            mms: self.mms,
            ops_per_cpu: self.ops,
            ..Environment::named(self.env).expect("a named environment")
        };
        let workload = Workload::parse(self.workload, &environment).expect("a workload");
        let config = Config::new(design, environment, workload, VariantSet::NONE);
        let config = config.expect("a configuration");
        let mut r = Refinement::new(config, Arc::new(KernelCode::<D>::new()));
        // Mutated code may run away: far more than the largest cell has is as bad as a misfit.
        let options = Options {
            max_states: Some(200_000),
            ..Options::default()
        };
        let facts = |r: &Refinement, s: &Joint| r.facts(s);
        let (outcome, _) = r.settled(|r| search(r, facts, &options));
        let at = format!("{name} in {}: {}", self.env, self.workload);
        for bit in [MISFIT_BIT, STUCK_DIFFERS_BIT] {
            assert!(outcome.hit(bit).is_none(), "{at}: bit {bit}");
        }
        assert!(outcome.complete, "{at}: {:?}", outcome.stopped);
        assert_eq!(r.code.code.nondeterminism(), None, "{at}");
        let hit = |bit: usize| outcome.hit(bit).is_some();
        let violated = PROPERTIES.iter().enumerate().filter(|(i, _)| hit(*i));
        let noticed = hit(NOTICED_BIT).then_some("noticed by the machine");
        violated.map(|(_, p)| p.name).chain(noticed).collect()
    }

    #[track_caller]
    fn holds<D: Design>(&self) {
        let violated = self.explore::<D>();
        assert!(violated.is_empty(), "{violated:?} in {}", self.workload);
    }
}

#[test]
fn aging_unmapping_and_munmap() {
    for workload in [
        "none=page_referenced_one@mm0/mm0=try_to_unmap_one",
        "mm0=zap_page_range/mm0=try_to_unmap_one",
        "mm0=madvise_dontneed/mm0=madvise_dontneed",
        "mm0=page_referenced_one/mm0=user_access_pte",
        "mm0=gup_fast_pte/none=try_to_unmap_one@mm0",
    ] {
        cell("split", workload).holds::<Tracked>();
    }
    // A page that somebody cleared already: nothing to flush, nothing to free.
    cell(
        "split",
        "mm0=page_referenced_one,try_to_unmap_one,zap_page_range/none=idle",
    )
    .ops(3)
    .holds::<Tracked>();
    cell("nosplit", "mm0=page_referenced_one/none=vmalloc_sync_all").holds::<Tracked>();
}

#[test]
fn huge_pages() {
    for workload in [
        "mm0=page_referenced_one_huge/mm0=split_huge_page",
        "mm0=gup_fast_huge/none=split_huge_page@mm0",
        "mm0=user_access_huge/none=split_huge_page@mm0",
    ] {
        cell("split+thp", workload).holds::<Tracked>();
    }
    cell(
        "split+thp",
        "mm0=split_huge_page,gup_fast_huge,page_referenced_one_huge/none=idle",
    )
    .ops(3)
    .holds::<Tracked>();
}

#[test]
fn address_spaces_come_go_and_are_switched() {
    cell("split", "none=switch_mm/mm0=try_to_unmap_one")
        .mms(2)
        .ops(2)
        .holds::<Tracked>();
    cell(
        "split",
        "none=try_to_unmap_one@mm0/mm0=enter_lazy_tlb,leave_mm,switch_mm@mm0",
    )
    .ops(2)
    .holds::<Tracked>();
    cell("split", "none=try_to_unmap_one@mm0/mm0=switch_mm@mm1")
        .mms(2)
        .holds::<Tracked>();
    cell("split", "mm0=pgd_alloc/none=vmalloc_sync_all").holds::<Tracked>();
    cell("split", "none=pgd_free/none=vmalloc_sync_all")
        .mms(2)
        .holds::<Tracked>();
    cell("split", "none=pgd_alloc,pgd_free@mm0/none=idle")
        .ops(2)
        .holds::<Tracked>();
    cell("split", "none=pgd_free/none=idle")
        .mms(2)
        .ops(2)
        .holds::<Tracked>();
    cell("split", "mm0=vmalloc_fault/none=vmalloc_sync_all")
        .ops(2)
        .holds::<Tracked>();
    cell(
        "irq-free",
        "none=vmalloc_sync_all/mm0=page_referenced_one_pte@mm0",
    )
    .mms(2)
    .holds::<Tracked>();
}

#[test]
fn hypercalls_and_pinned_tables() {
    cell("hypercall", "none=try_to_unmap_one@mm0/mm0=user_access_pte").holds::<Tracked>();
    cell(
        "hypercall",
        "none=page_referenced_one_huge@mm0/mm0=user_access_huge",
    )
    .holds::<Tracked>();
    cell("xen", "none=vmalloc_sync_all/none=xen_pin")
        .ops(2)
        .holds::<Tracked>();
}

#[test]
fn designs_of_the_past_flush_under_the_lock_and_deadlock_as_the_protocol_does() {
    let strict = "no_lock_held_across_ipi_wait";
    let aging = cell("nosplit", "mm0=page_referenced_one/mm0=vmalloc_sync_all");
    assert!(aging.explore::<V2_6_37>().contains(&"no_deadlock"));
    assert_eq!(aging.explore::<V2_6_38>(), [strict]);
    assert_eq!(aging.explore::<V2_6_36>(), [strict]);
    let unmapping = cell("split", "mm0=try_to_unmap_one/mm0=zap_page_range");
    assert_eq!(unmapping.explore::<V2_6_38>(), [strict]);
    assert!(
        unmapping
            .explore::<Deferred>()
            .contains(&"no_stale_tlb_after_return")
    );
    let splitting = cell("split+thp", "mm0=split_huge_page/mm0=gup_fast_huge");
    assert_eq!(splitting.explore::<V2_6_38>(), [strict]);
    let forking = cell("split", "none=pgd_alloc/none=vmalloc_sync_all");
    forking.holds::<Rwlock>();
    cell("split", "none=pgd_free/none=vmalloc_sync_all")
        .mms(2)
        .holds::<Rwlock>();
}
