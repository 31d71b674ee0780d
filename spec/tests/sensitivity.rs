//! Every checker is checked: for every property a model that is broken on purpose, in which
//! exactly that property falls and no other.
//!
//! Most fall alone. Where one cannot, the test says which others fall with it and why they must:
//!
//! * `no_deadlock` takes `progress` with it: a context that never moves again never finishes.
//! * `no_lock_cycle` takes `no_deadlock` with it: a context that waits for a member of the cycle waits for
//!   a wait cycle.
//! * The upstream rule takes the strict rule with it: a lock held across an IPI wait is held across
//!   an IPI wait, no matter which context waits for it.
//! * `progress` takes the strict rule with it, if it is not a deadlock: the only loop in these
//!   programs is the refused trylock, somebody must hold that lock for ever, and who holds a lock
//!   for ever without being deadlocked over locks awaits acknowledgements.

#[path = "sensitivity/clauses.rs"]
mod clauses;

use shootdown_spec::check::{CheckResult, check};
use shootdown_spec::config::Config;
use shootdown_spec::design::{DESIGNS, Design};
use shootdown_spec::environment::{ENVIRONMENTS, Environment};
use shootdown_spec::model::Protocol;
use shootdown_spec::property::{PROPERTIES, Property};
use shootdown_spec::search::{Fate, Options, search};
use shootdown_spec::state::State;
use shootdown_spec::variant::{VARIANTS, Variant, VariantSet};
use shootdown_spec::workload::Workload;

/// One configuration, deviating or not.
#[derive(Clone, Copy, Debug)]
struct Case {
    design: &'static str,
    env: &'static str,
    workload: &'static str,
    mms: u8,
    ops: u8,
    cpus: u8,
    variant: Option<Variant>,
}

/// A case in its environment's bounds, without a deviation.
const fn case(design: &'static str, env: &'static str, workload: &'static str) -> Case {
    Case {
        design,
        env,
        workload,
        mms: 0,
        ops: 1,
        cpus: 2,
        variant: None,
    }
}

impl Case {
    const fn mms(self, mms: u8) -> Case {
        Case { mms, ..self }
    }

    const fn ops(self, ops: u8) -> Case {
        Case { ops, ..self }
    }

    const fn cpus(self, cpus: u8) -> Case {
        Case { cpus, ..self }
    }

    const fn with(self, variant: Variant) -> Case {
        Case {
            variant: Some(variant),
            ..self
        }
    }

    fn protocol(&self) -> Protocol {
        let mut environment = Environment::named(self.env).unwrap();
        if self.mms > 0 {
            environment.mms = self.mms;
        }
        environment.ops_per_cpu = self.ops;
        environment.cpus = self.cpus;
        let workload = Workload::parse(self.workload, &environment).unwrap();
        let variants = self.variant.map_or(VariantSet::NONE, VariantSet::only);
        let design = Design::named(self.design).unwrap();
        Protocol::new(Config::new(design, environment, workload, variants).unwrap())
    }

    fn check(&self) -> CheckResult {
        let result = check(&self.protocol(), &Options::threads(2));
        assert!(result.complete, "{self:?}");
        result
    }
}

fn property(name: &str) -> &'static Property {
    Property::named(name).unwrap_or_else(|| panic!("{name}")).1
}

/// The case violates these properties and no other; without its deviation not the first of them.
/// Every counterexample ends in a state that violates what it is for.
fn breaks(case: Case, expected: &[&str]) -> CheckResult {
    let result = case.check();
    let mut expected_in_order: Vec<_> = PROPERTIES.iter().map(|p| p.name).collect();
    expected_in_order.retain(|name| expected.contains(name));
    assert_eq!(expected_in_order.len(), expected.len(), "{expected:?}");
    let violated: Vec<_> = result.violated().collect();
    assert_eq!(violated, expected_in_order, "{case:?}");
    let protocol = case.protocol();
    for name in violated.iter().filter(|name| **name != "progress") {
        let found = result.property(name).unwrap();
        let trace = &found.counterexample.as_ref().unwrap().trace;
        let last = *trace.states(&protocol).unwrap().last().unwrap();
        assert!(
            property(name).is_violated(&protocol.config, &last),
            "{case:?}: {name}"
        );
    }
    if case.variant.is_some() {
        let control = Case {
            variant: None,
            ..case
        };
        assert!(
            !control.check().violated().any(|name| name == expected[0]),
            "{case:?}: the deviation is not to blame"
        );
    }
    result
}

/// `progress` falls with it: a run that ends stuck does not finish.
#[test]
fn no_deadlock_falls_when_an_ack_is_lost() {
    let lost_ack = case("tracked", "split", "mm0=page_referenced_one/mm0=idle");
    let expected = &["no_deadlock", "progress"];
    breaks(lost_ack.with(Variant::LostAck), expected);
    // The first flush finds the target listening, the second finds it deaf.
    breaks(lost_ack.ops(2).with(Variant::IretKeepsIrqsOff), expected);
}

/// C5 on one CPU, no deviation needed: an interrupt spins for the `pgd_lock` that its own
/// interrupted code holds. Upstream and strict hold; nothing is awaited but locks.
#[test]
fn no_lock_cycle_falls_when_an_interrupt_wants_its_own_lock() {
    let own_lock = case("v2.6.38", "irq-free", "none=vmalloc_sync_all").cpus(1);
    breaks(own_lock, &["no_lock_cycle", "no_deadlock", "progress"]);
}

#[test]
fn the_strict_rule_falls_alone_when_aging_flushes_under_the_lock() {
    let aging = case("v2.6.38", "split", "mm0=page_referenced_one/mm0=idle");
    breaks(aging, &["no_lock_held_across_ipi_wait"]);
}

/// The target is idle, so that nothing comes of it but the broken rule.
#[test]
fn irqs_on_while_waiting_falls_alone_when_a_flush_turns_them_off() {
    let aging = case("woodman", "split", "mm0=page_referenced_one/mm0=idle");
    breaks(
        aging.with(Variant::FlushWithIrqsOff),
        &["irqs_on_while_waiting_for_ipi"],
    );
}

/// B12: the walk waits with interrupts off, but the flush does not need its CPU.
#[test]
fn the_upstream_rule_falls_with_the_strict_rule_only_when_it_cries_wolf() {
    let cry_wolf = case("v2.6.37", "nosplit", "cry-wolf").cpus(3);
    let expected = &[
        "no_irqs_off_wait_for_flush_lock",
        "no_lock_held_across_ipi_wait",
    ];
    breaks(cry_wolf, expected);
}

#[test]
fn mutual_exclusion_falls_alone_when_the_spinlock_is_broken() {
    let aging = case("tracked", "split", "mm0=page_referenced_one");
    breaks(aging.with(Variant::BrokenSpinlock), &["mutual_exclusion"]);
}

/// Nobody takes the locks in the right order here; with a walk beside it, it would deadlock too.
#[test]
fn lock_order_falls_alone_when_pgd_free_inverts_it() {
    let free = case("tracked", "split", "mm0=pgd_free@mm1/mm0=idle").mms(2);
    breaks(free.with(Variant::InvertedLockOrder), &["lock_order"]);
    let walk = case("tracked", "split", "mm0=pgd_free@mm1/mm0=vmalloc_sync_all").mms(2);
    let with_walk = walk.with(Variant::InvertedLockOrder);
    breaks(
        with_walk,
        &["lock_order", "no_lock_cycle", "no_deadlock", "progress"],
    );
}

/// In the second case the mm is the last one on the list, so that the walk has synced all others
/// before it meets the poisoned pointer.
#[test]
fn pgd_list_integrity_falls_alone_when_pgd_free_is_careless() {
    let free = case("tracked", "split", "mm0=pgd_free@mm1/mm0=idle").mms(2);
    breaks(
        free.with(Variant::ListDelAfterFree),
        &["pgd_list_integrity"],
    );
    let walk = case(
        "tracked",
        "split",
        "none=pgd_free@mm0/none=vmalloc_sync_all",
    )
    .mms(2);
    breaks(
        walk.with(Variant::FreeWithoutPgdLock),
        &["pgd_list_integrity"],
    );
}

/// The clone falls between the walk's store and its listing; the fault fills the head of the list,
/// where the broken walk ends.
#[test]
fn kernel_entries_synced_falls_alone_when_a_pgd_is_missed() {
    let fork = case("tracked", "split", "mm0=pgd_alloc/none=vmalloc_sync_all");
    breaks(
        fork.with(Variant::CloneBeforeLock),
        &["kernel_entries_synced"],
    );
    let fault = case(
        "tracked",
        "split",
        "none=vmalloc_sync_all/mm1=vmalloc_fault",
    )
    .mms(2);
    breaks(fault.with(Variant::EarlyBreak), &["kernel_entries_synced"]);
}

/// B3: the munmap finds nothing to clear and returns. The unmapper, which cleared, keeps the frame
/// until its own flush is done, and so nobody uses a freed one. B6: with each of the three ways to
/// get the counter wrong the tracked design does the same.
#[test]
fn no_stale_tlb_falls_alone_when_not_present_is_read_as_not_cached() {
    let expected = &["no_stale_tlb_after_return"];
    breaks(
        case(
            "deferred",
            "split",
            "mm0=try_to_unmap_one/mm0=zap_page_range",
        ),
        expected,
    );
    let race = case(
        "tracked",
        "split",
        "none=try_to_unmap_one/mm0=zap_page_range",
    );
    breaks(race.with(Variant::RaiseAfterUnlock), expected);
    breaks(race.with(Variant::ReadBeforeLock), expected);
    let overlap = "mm0=page_referenced_one/none=try_to_unmap_one/mm0=zap_page_range";
    let overlap = case("tracked", "split", overlap).cpus(3);
    breaks(overlap.with(Variant::FlagForCounter), expected);
}

/// An unmapper that returns has put the frame before: the unmapper that cleared it and left a translation
/// leaves one of a freed frame.
#[test]
fn no_stale_tlb_falls_with_no_use_of_freed_frame_when_a_flush_misses_a_cpu() {
    let expected = &["no_stale_tlb_after_return", "no_use_of_freed_frame"];
    let zap = case("tracked", "split", "mm0=zap_page_range/mm0=idle");
    breaks(zap.with(Variant::ZapSkipsFlush), expected);
    breaks(zap.with(Variant::SkipOneTarget), expected);
    // B7, v2.6.37's real switch_mm.
    let switch = case(
        "tracked",
        "split",
        "none=try_to_unmap_one@mm0/mm0=switch_mm@mm1",
    )
    .mms(2);
    breaks(switch.with(Variant::CpumaskClearFirst), expected);
    let lazy = "none=try_to_unmap_one/mm0=enter_lazy_tlb,leave_mm";
    let lazy = case("tracked", "split", lazy).ops(2);
    breaks(lazy.with(Variant::LeaveMmClearFirst), expected);
}

/// The flush comes, only too late.
#[test]
fn no_use_of_freed_frame_falls_alone_when_the_frame_is_put_before_the_flush() {
    let reclaim = case("tracked", "split", "none=try_to_unmap_one/mm0=idle");
    breaks(
        reclaim.with(Variant::FreeBeforeFlush),
        &["no_use_of_freed_frame"],
    );
}

#[test]
fn no_walker_on_reused_table_falls_alone_when_flushes_do_not_wait_for_fast_gup() {
    let expected = &["no_walker_on_reused_table"];
    let reclaim = case("tracked", "split", "none=try_to_unmap_one/mm0=gup_fast_pte");
    breaks(reclaim.with(Variant::GupIrqsOn), expected);
    let split = case(
        "tracked",
        "split+thp",
        "none=split_huge_page/mm0=gup_fast_huge",
    );
    breaks(split.with(Variant::GupIrqsOn), expected);
    // B11: the second splitter finds SPLITTING set and does not wait for the flush of the first.
    let two = "none=split_huge_page/none=split_huge_page/mm0=gup_fast_huge";
    breaks(
        case("tracked", "split+thp", two)
            .cpus(3)
            .with(Variant::NoAnonVmaLock),
        expected,
    );
    // B10, no deviation: the hypercall flushes, but awaits nobody.
    breaks(
        case(
            "tracked",
            "hypercall",
            "none=split_huge_page/mm0=gup_fast_huge",
        ),
        expected,
    );
}

/// C6, no deviation but the design's own: the walk does not take `page_table_lock`.
#[test]
fn no_write_to_pinned_pgd_falls_alone_when_the_walk_does_not_lock_the_mm() {
    let xen = case("v2.6.36", "xen", "none=vmalloc_sync_all/none=xen_pin");
    breaks(xen, &["no_write_to_pinned_pgd"]);
    let locked = case("v2.6.37", "xen", "none=vmalloc_sync_all/none=xen_pin");
    assert_eq!(locked.check().violated().count(), 0);
}

/// Page aging removes no translation, so that nothing depends on when the flush comes.
#[test]
fn ack_after_flush_falls_alone_when_the_handler_acknowledges_first() {
    let aging = case("tracked", "split", "mm0=page_referenced_one/mm0=idle");
    breaks(aging.with(Variant::AckBeforeFlush), &["ack_after_flush"]);
}

/// A livelock: the walk, interrupts off, tries and retries while the owner of the lock awaits its
/// acknowledgement. Every context can move or could if it were not for one that can, so nothing is
/// stuck. The strict rule is violated all along the loop, which is why it cannot hold here; that
/// it does not suffice shows `v2.6.38`, where the walk has interrupts on.
#[test]
fn progress_falls_with_the_strict_rule_only_when_the_walk_retries() {
    let aging = "none=page_referenced_one/mm0=vmalloc_sync_all";
    let retry = case("v2.6.37", "nosplit", aging).with(Variant::TrylockRetry);
    let result = retry.check();
    let strict = "no_lock_held_across_ipi_wait";
    assert_eq!(result.violated().collect::<Vec<_>>(), [strict, "progress"]);
    let lasso = result
        .property("progress")
        .unwrap()
        .counterexample
        .as_ref()
        .unwrap();
    let start = lasso.trace.loops_to.expect("a loop, not an end");
    let protocol = retry.protocol();
    let states = lasso.trace.states(&protocol).unwrap();
    let round = &states[start..];
    assert!(round.len() > 2 && round[0] == round[round.len() - 1]);
    for state in round {
        assert!(property(strict).is_violated(&protocol.config, state));
        assert!(state.stuck(&protocol.config).is_empty());
    }
    let irqs_on = case("v2.6.38", "nosplit", aging).with(Variant::TrylockRetry);
    assert_eq!(irqs_on.check().violated().collect::<Vec<_>>(), [strict]);
}

/// `zap-covers-huge` breaks nothing, as its entry in the table says: it flushes more often. Every
/// other deviation is in a test above.
#[test]
fn a_zap_that_covers_the_huge_pmd_breaks_nothing_and_hides_b3() {
    let zap = case(
        "tracked",
        "split+thp",
        "mm0=zap_page_range/none=split_huge_page",
    );
    assert_eq!(
        zap.with(Variant::ZapCoversHuge).check().violated().count(),
        0
    );
    let race = case(
        "deferred",
        "split+thp",
        "mm0=zap_page_range/mm0=try_to_unmap_one",
    );
    breaks(race, &["no_stale_tlb_after_return"]);
    assert_eq!(
        race.with(Variant::ZapCoversHuge).check().violated().count(),
        0
    );
}

/// A new property or deviation is not forgotten: this file names each.
#[test]
fn every_property_and_every_deviation_has_a_case() {
    let here = include_str!("sensitivity.rs");
    for property in PROPERTIES {
        assert!(
            here.contains(&format!("\"{}\"", property.name)),
            "{}",
            property.name
        );
    }
    for variant in VARIANTS {
        let used = here.contains(&format!("Variant::{:?}", variant.variant));
        assert!(used, "{}", variant.name);
    }
}

// How the properties relate (protocol.md §6, end), state by state.

const UPSTREAM_WITHOUT_STRICT: u64 = 1 << 0;
const STUCK: u64 = 1 << 1;
const STUCK_BUT_ALLOWED: u64 = 1 << 2;
const QUIESCENT: u64 = 1 << 3;
const CYCLE_NOT_STUCK: u64 = 1 << 4;
const UPSTREAM: u64 = 1 << 5;
const CYCLE: u64 = 1 << 6;
const IRQS_OFF: u64 = 1 << 7;

fn relations(protocol: &Protocol, state: &State) -> u64 {
    let config = &protocol.config;
    let violated = |name| property(name).is_violated(config, state);
    let strict = violated("no_lock_held_across_ipi_wait");
    let upstream = violated("no_irqs_off_wait_for_flush_lock");
    let irqs_off = violated("irqs_on_while_waiting_for_ipi");
    let cycle = violated("no_lock_cycle");
    let stuck = violated("no_deadlock");
    let quiescent = state.each_context(config).next().is_none();
    [
        (UPSTREAM_WITHOUT_STRICT, upstream && !strict),
        (STUCK, stuck),
        (STUCK_BUT_ALLOWED, stuck && !upstream && !irqs_off && !cycle),
        (QUIESCENT, quiescent),
        (CYCLE_NOT_STUCK, cycle && !stuck),
        (UPSTREAM, upstream),
        (CYCLE, cycle),
        (IRQS_OFF, irqs_off),
    ]
    .iter()
    .filter(|(_, holds)| *holds)
    .map(|(bit, _)| bit)
    .sum()
}

/// Explores the case and holds every state of it to the relations; returns which facts occurred.
fn relate(case: Case) -> u64 {
    let protocol = case.protocol();
    let outcome = search(&protocol, relations, &Options::threads(2).keeping_graph());
    assert!(outcome.complete);
    let graph = outcome.graph.as_ref().unwrap();
    let has = |state, fact| graph.facts(state) & fact != 0;
    // From which states can every CPU still come to rest?
    let rest = graph.fates(|state| has(state, QUIESCENT));
    let mut seen = 0;
    for state in 0..graph.states() {
        let text = || format!("state {state} of {case:?}");
        seen |= graph.facts(state);
        assert!(!has(state, UPSTREAM_WITHOUT_STRICT), "{}", text());
        assert!(!has(state, CYCLE_NOT_STUCK), "{}", text());
        // A deviation may hang in other ways: nothing is said about those.
        let allowed = case.variant.is_none() && has(state, STUCK_BUT_ALLOWED);
        assert!(!allowed, "{}", text());
        // The predicate is complete: whatever ends, ends at rest or is called stuck.
        let terminal = graph.targets(state).is_empty();
        assert!(!terminal || has(state, QUIESCENT | STUCK), "{}", text());
        // And it is sound: who is called stuck never finishes.
        assert!(
            !has(state, STUCK) || rest[state as usize] == Fate::Never,
            "{}",
            text()
        );
    }
    seen
}

/// Strict is violated wherever upstream is; a deadlock violates upstream, `irqs_on` or
/// `no_lock_cycle`; a lock cycle is a deadlock; `stuck` is exactly what never comes to rest.
/// Every one of these would hold of a model in which nothing happens, so each "if" must occur.
#[test]
fn properties_imply_each_other_as_the_protocol_says() {
    let mut seen = 0;
    for design in DESIGNS {
        for (env, workload) in [
            ("nosplit", "aging"),
            ("nosplit", "unmapping"),
            ("split+thp", "splitting"),
            ("split", "reclaim-vs-munmap"),
            ("split", "two-madvise"),
            ("split", "switching"),
            ("hypercall", "splitting"),
            ("xen", "none=vmalloc_sync_all/none=xen_pin"),
            (
                "irq-free",
                "mm0=page_referenced_one@mm0/none=vmalloc_sync_all",
            ),
        ] {
            assert!(ENVIRONMENTS.iter().any(|e| e.name == env));
            seen |= relate(case(design.name, env, workload));
        }
        seen |= relate(case(design.name, "nosplit", "three-cpus").cpus(3));
        seen |= relate(case(design.name, "nosplit", "cry-wolf").cpus(3));
    }
    let expected = STUCK | QUIESCENT | UPSTREAM | CYCLE;
    assert_eq!(seen & expected, expected);
    // No design turns interrupts off around a flush, nor loses an acknowledgement: with deviations.
    let aging = "mm0=page_referenced_one/mm0=page_referenced_one";
    for (design, workload, variant, occurs) in [
        (
            "woodman",
            aging,
            Variant::FlushWithIrqsOff,
            IRQS_OFF | STUCK,
        ),
        ("tracked", aging, Variant::LostAck, STUCK),
        ("tracked", aging, Variant::IretKeepsIrqsOff, IRQS_OFF),
        (
            "tracked",
            "mm0=page_referenced_one,vmalloc_sync_all",
            Variant::BrokenSpinlock,
            0,
        ),
        (
            "v2.6.37",
            "none=page_referenced_one/mm0=vmalloc_sync_all",
            Variant::TrylockRetry,
            0,
        ),
    ] {
        let seen = relate(case(design, "nosplit", workload).with(variant));
        assert_eq!(seen & occurs, occurs, "{variant:?}");
    }
    let free = "mm0=pgd_free@mm1/mm0=vmalloc_sync_all";
    let inverted = case("tracked", "split", free)
        .mms(2)
        .with(Variant::InvertedLockOrder);
    assert_ne!(relate(inverted) & CYCLE, 0);
}

/// B9: `v2.6.37` with page-table locks irqsave awaits acknowledgements with interrupts off, and two
/// CPUs that do so deadlock. This is the third of the three ways, without a deviation of a step.
#[test]
fn a_flush_under_an_irqsave_lock_deadlocks_by_irqs_off_alone() {
    let mut protocol = case("v2.6.37", "split", "mm0=page_referenced_one").protocol();
    let design = Design {
        ptl: shootdown_spec::design::Ptl::Irqsave,
        ..protocol.config.design
    };
    let (environment, workload) = (protocol.config.environment, protocol.config.workload);
    let config = Config::new(design, environment, workload, VariantSet::NONE);
    protocol.config = config.unwrap();
    let outcome = search(&protocol, relations, &Options::threads(2));
    let occurs = |fact: u64| outcome.hit(fact.trailing_zeros() as usize).is_some();
    assert!(occurs(STUCK) && occurs(IRQS_OFF) && !occurs(STUCK_BUT_ALLOWED));
}

/// Raises and drops of `mm->tlb_flush_pending` balance on every path, whichever two deviations come
/// together: on one CPU nobody else's raise can hide a missing one, a count below zero would
/// overflow, and at rest the count is zero.
#[test]
fn the_pending_counter_balances_under_any_two_deviations() {
    for programs in ["mm0=everything+madvise", "mm0=madvise_dontneed"] {
        let plain = case("tracked", "irq-free", programs)
            .cpus(1)
            .mms(1)
            .protocol();
        for (i, first) in VARIANTS.iter().enumerate() {
            for second in &VARIANTS[i..] {
                let config = &plain.config;
                let variants = VariantSet::only(first.variant).with(second.variant);
                let workload = config.workload.clone();
                let deviating = Config::new(config.design, config.environment, workload, variants);
                let unbalanced = |protocol: &Protocol, state: &State| {
                    let config = &protocol.config;
                    let raised = state.each_mm(config).any(|(_, mm)| mm.pending != 0);
                    u64::from(raised && state.is_finished(config))
                };
                let protocol = Protocol::new(deviating.unwrap());
                let outcome = search(&protocol, unbalanced, &Options::threads(1));
                assert!(outcome.hit(0).is_none(), "{programs}: {variants}");
            }
        }
    }
}
