//! The analysis against the model, with every rule and with one left out.

use crate::*;

/// Every point a context of an explored state is at was found by the walk, and every wait between
/// two waiting contexts is an edge: the two lemmas of `docs/order.md`.
fn lemmas_hold(config: &Config) {
    let order = Order::of(&for_any_number(config).unwrap());
    let seen: Mutex<BTreeSet<String>> = Mutex::default();
    let walk = |level| move |id| Walk::of(config.program(id), level);
    let ids: BTreeSet<ProgramId> = config.reachable_programs().map(|p| p.id).collect();
    let walks =
        [Level::Task, Level::Irq].map(|l| ids.iter().copied().map(walk(l)).collect::<Vec<_>>());
    let observe = |p: &Protocol, state: &State| {
        for (who, ctx) in state.each_context(&p.config) {
            let walk = walks[who.level as usize]
                .iter()
                .find(|w| w.program.id == ctx.program);
            let irqs_on = match who.level {
                // An interrupted program had them on, or it would not have been interrupted.
                Level::Task if state.cpu(who.cpu).in_irq() => true,
                _ => state.cpu(who.cpu).irqs_on,
            };
            let held: BTreeSet<LockId> = ctx.held.iter().collect();
            let fits = walk.unwrap().points.iter().any(|point| {
                let locks = point
                    .held
                    .iter()
                    .map(|h| h.lock.resolve(ctx.mm, ctx.cursor));
                let locks: BTreeSet<LockId> = locks.collect();
                point.pc == ctx.pc && point.irqs_on == irqs_on && locks == held
            });
            if !fits {
                seen.lock()
                    .unwrap()
                    .insert(format!("{who} at {ctx:?} is no point of the walk"));
            }
        }
        for arc in arcs(&p.config, state) {
            if !order.graph.has(&arc.edge.0, &arc.edge.1) {
                let (from, to) = arc.edge;
                seen.lock()
                    .unwrap()
                    .insert(format!("{from} -> {to} is no edge"));
            }
        }
        0
    };
    let outcome = search(
        &Protocol::new(config.clone()),
        observe,
        &Options::threads(2),
    );
    assert!(outcome.complete);
    let seen = seen.into_inner().unwrap();
    assert!(
        seen.is_empty(),
        "{} {}: {seen:#?}",
        config.design,
        config.environment
    );
}

#[test]
fn every_wait_of_every_explored_state_is_an_edge() {
    for design in DESIGNS {
        for (env, workload) in [
            ("nosplit", "everything"),
            ("split", "everything"),
            ("split+thp", "splitting"),
            ("split+thp", "aging"),
            ("hypercall", "aging"),
        ] {
            lemmas_hold(&named(design.name, env, workload));
        }
    }
}

#[test]
fn every_wait_of_every_explored_state_is_an_edge_where_interrupts_free() {
    for design in DESIGNS {
        for workload in [
            "none=vmalloc_sync_all/mm0=page_referenced_one",
            "none=pgd_alloc/mm0=try_to_unmap_one",
        ] {
            lemmas_hold(&named(design.name, "nosplit+irq-free", workload));
        }
    }
}

/// Deviations that keep the assumptions are within the theorem as well.
#[test]
fn every_wait_of_every_explored_state_is_an_edge_with_deviations() {
    for variant in VARIANTS {
        for (design, env, workload) in [
            ("tracked", "nosplit", "aging"),
            ("v2.6.37", "nosplit+thp", "splitting"),
            ("tracked", "split+thp", "zap_page_range,split_huge_page"),
        ] {
            let config = deviating(design, env, workload, variant.variant);
            if Order::of(&config).proof() != Proof::OutOfScope {
                lemmas_hold(&config);
            }
        }
    }
}

/// Every combination of the axes, not only those with a name: 3 pgd_lock × 2 walks × 2 ptl × 4
/// flushes.
fn all_designs() -> impl Iterator<Item = Design> {
    let axes = |pgd_lock| move |walk_takes_ptl| (pgd_lock, walk_takes_ptl);
    PgdLock::NAMES
        .iter()
        .flat_map(move |p| [false, true].map(axes(p.1)))
        .flat_map(|(pgd_lock, walk_takes_ptl)| {
            Ptl::NAMES.iter().flat_map(move |ptl| {
                Flush::NAMES.iter().map(move |flush| Design {
                    pgd_lock,
                    walk_takes_ptl,
                    ptl: ptl.1,
                    flush: flush.1,
                })
            })
        })
}

/// Soundness beyond the named designs: no combination of axes is acyclic and deadlocked, and how
/// often a cycle is not realised in these bounds is no secret.
#[test]
fn no_combination_of_axes_is_acyclic_and_deadlocked() {
    let mut unrealised = Vec::new();
    let mut counts = [0; 3];
    for design in all_designs() {
        for (env, workload) in [
            ("nosplit", "aging"),
            ("nosplit", "unmapping"),
            ("split", "unmapping"),
            ("split+thp", "splitting"),
            (
                "irq-free",
                "none=vmalloc_sync_all/mm0=page_referenced_one_huge",
            ),
        ] {
            let config = config(design, env, workload, VariantSet::NONE);
            let proof = Order::of(&for_any_number(&config).unwrap()).proof();
            let deadlock = deadlocks(&config);
            assert!(
                proof != Proof::Acyclic || !deadlock,
                "{design} {env} {workload}"
            );
            counts[usize::from(proof == Proof::Cyclic) + usize::from(deadlock)] += 1;
            if proof == Proof::Cyclic && !deadlock {
                unrealised.push(format!("{design} | {env} | {workload}"));
            }
        }
    }
    let [acyclic, _, realised] = counts;
    let summary = format!(
        "{acyclic} acyclic, {realised} cyclic and realised, {} cyclic and not realised:\n{}",
        unrealised.len(),
        unrealised.join("\n")
    );
    insta::assert_snapshot!(summary);
}

/// An analysis without the rule calls a cell acyclic that deadlocks: the comparison of `matrix`
/// would reject it. With all rules the cell is cyclic.
#[track_caller]
fn rule_is_needed(rule: EdgeRule, config: &Config) {
    assert_eq!(Order::of(config).proof(), Proof::Cyclic, "{rule:?}");
    let wrong = Order::by(config, Rules::without(rule));
    assert_eq!(wrong.proof(), Proof::Acyclic, "{rule:?}");
    assert!(
        deadlocks(config),
        "{rule:?}: nothing hangs, so nothing would be noticed"
    );
}

#[test]
fn without_any_rule_that_deadlocks_need_a_deadlocking_cell_is_called_acyclic() {
    let seed = named("v2.6.37", "nosplit", "aging");
    rule_is_needed(EdgeRule::AckNode, &seed);
    rule_is_needed(EdgeRule::InterruptsOff, &seed);
    rule_is_needed(EdgeRule::Held, &seed);
    // B1: three CPUs, the walker outside every mask.
    let three = named("v2.6.37", "3-cpus", "three-cpus");
    rule_is_needed(EdgeRule::Held, &three);
    rule_is_needed(EdgeRule::InterruptsOff, &three);
    // B8, and C5 on one CPU's own lock.
    let b8 = "none=vmalloc_sync_all/mm0=page_referenced_one";
    let b8 = named("tracked-plain", "irq-free", b8);
    rule_is_needed(EdgeRule::Interrupted, &b8);
    rule_is_needed(EdgeRule::Held, &b8);
    let walks = "none=vmalloc_sync_all/none=vmalloc_sync_all";
    rule_is_needed(EdgeRule::Interrupted, &named("v2.6.38", "irq-free", walks));
    // C7: the interrupt writes above its own reader.
    rule_is_needed(EdgeRule::Readers, &named("rwlock", "irq-free", walks));
    // A CPU that has interrupts on takes one that spins for pgd_lock, and does not acknowledge:
    // the walker is in no mask, and irqsave page-table locks keep interrupts from their holders.
    let design = Design {
        ptl: Ptl::Irqsave,
        ..Design::named("v2.6.37").unwrap()
    };
    let handler = "none=page_referenced_one_pte@mm0/none=vmalloc_sync_all/mm0=idle";
    let handler = config(design, "nosplit+irq-free", handler, VariantSet::NONE);
    rule_is_needed(EdgeRule::Handler, &handler);
}

/// Polling is no wait to `State::stuck`, so it is not a deadlock but the end of progress.
#[test]
fn without_polling_a_livelock_is_called_acyclic() {
    let config = deviating("v2.6.37", "nosplit", "aging", Variant::TrylockRetry);
    assert_eq!(Order::of(&config).proof(), Proof::Cyclic);
    let wrong = Order::by(&config, Rules::without(EdgeRule::Polling));
    assert_eq!(wrong.proof(), Proof::Acyclic);
    let violated: Vec<_> = run(&config).violated().collect();
    assert!(violated.contains(&"progress") && !violated.contains(&"no_deadlock"));
}

/// No program here waits for the end of a split with a lock held or interrupts off, so no cell
/// can need these edges; they are there all the same.
#[test]
fn whoever_awaits_a_split_waits_for_what_the_splitter_waits_for() {
    let zap = "zap_page_range,split_huge_page";
    let config = deviating("v2.6.37", "split+thp", zap, Variant::ZapCoversHuge);
    let order = Order::of(&config);
    assert!(order.graph.has(&Node::Split, &PTL) && order.graph.has(&Node::Split, &ACK));
    let without = Order::by(&config, Rules::without(EdgeRule::Splitting));
    assert!(!without.graph.has(&Node::Split, &PTL));
    // With an interrupt that frees, the splitter may be below it.
    let config = deviating("v2.6.37", "irq-free", zap, Variant::ZapCoversHuge);
    assert!(Order::of(&config).graph.has(&Node::Split, &PGD));
}

/// A reader can wait for a reader: it queued while a writer owned the lock, behind a second
/// writer, and the reader ahead of both was served. So shared does hold shared back where
/// somebody writes.
#[test]
fn a_reader_waits_for_a_reader_with_a_writer_between_them() {
    use shootdown_spec::id::{Context, CpuId};
    use shootdown_spec::spinlock::{Acquired, Lock};
    let who = |cpu| Context {
        cpu: CpuId(cpu),
        level: Level::Task,
    };
    let mut lock = Lock::default();
    assert_eq!(
        lock.acquire(who(0), Mode::Exclusive, false),
        Acquired::Granted
    );
    for (cpu, mode) in [(1, Mode::Shared), (2, Mode::Exclusive), (3, Mode::Shared)] {
        assert_eq!(lock.acquire(who(cpu), mode, false), Acquired::Queued);
    }
    assert_eq!(lock.release(who(0)), [who(1)]);
    let waiters: Vec<_> = lock.waiters().map(|(who, _)| who).collect();
    assert_eq!(waiters, [who(2), who(3)]);

    let config = named("rwlock", "split+thp", "everything");
    assert!(Order::of(&config).graph.has(&PGD_READ, &PTL));
    let without = Rules::without(EdgeRule::ReadersBehindWriters);
    assert!(!Order::by(&config, without).graph.has(&PGD_READ, &PTL));
}

/// B12 and the control of B1: a CPU that starts on no mm and never switches is in no mask, so
/// nobody awaits it. With `switch_mm` it could be.
#[test]
fn a_cpu_outside_every_mask_owes_nobody_an_acknowledgement() {
    for workload in ["cry-wolf", "three-cpus-without-fork"] {
        let config = named("v2.6.37", "split+thp", workload);
        assert_eq!(Order::of(&config).proof(), Proof::Acyclic, "{workload}");
    }
    let switching = "mm0=page_referenced_one@mm0/none=vmalloc_sync_all,switch_mm";
    let config = named("v2.6.37", "split+thp", switching);
    assert_eq!(Order::of(&config).proof(), Proof::Cyclic);
    // It has to switch and then to walk: two operations.
    let mut environment = config.environment;
    environment.ops_per_cpu = 2;
    let two = Config::new(
        config.design,
        environment,
        config.workload,
        VariantSet::NONE,
    )
    .unwrap();
    assert!(deadlocks(&two));
}

/// Known to be too coarse: the walker has another mm loaded for good, so nobody who flushes mm0
/// awaits it. Classes do not tell masks apart.
#[test]
fn a_cpu_in_another_mask_is_taken_for_one_in_this() {
    let environment = Environment {
        mms: 2,
        ..Environment::named("nosplit").unwrap()
    };
    let workload = "mm0=try_to_unmap_one@mm0/mm1=vmalloc_sync_all";
    let workload = Workload::parse(workload, &environment).unwrap();
    let design = Design::named("v2.6.37").unwrap();
    let config = Config::new(design, environment, workload, VariantSet::NONE).unwrap();
    assert_eq!(Order::of(&config).proof(), Proof::Cyclic);
    assert!(!deadlocks(&config));
}

// ---- assumptions

/// Each assumption has a deviation that breaks it, or no program can.
#[test]
fn a_broken_assumption_is_out_of_scope_and_named() {
    for (variant, rule) in [
        (Variant::LostAck, Rule::HandlerAcknowledges),
        (Variant::BrokenSpinlock, Rule::LocksExclude),
        (Variant::IretKeepsIrqsOff, Rule::IretRestoresInterrupts),
    ] {
        let order = Order::of(&deviating("tracked", "split+thp", "everything", variant));
        let rules: Vec<_> = order.breaches.iter().map(|b| b.rule).collect();
        assert_eq!(rules, [rule], "{variant:?}");
        assert_eq!(order.proof(), Proof::OutOfScope);
    }
}

/// Every other deviation is within the theorem, for every named design; those that invert an order
/// or wait with interrupts off are cyclic.
#[test]
fn deviations_come_out_as_their_lines_say() {
    let mut table = String::new();
    for variant in VARIANTS {
        let proofs = DESIGNS.iter().map(|design| {
            let config = deviating(design.name, "nosplit+thp", "everything", variant.variant);
            Order::of(&for_any_number(&config).unwrap()).proof().name()
        });
        let proofs: Vec<_> = proofs.collect();
        table += &format!("{:<22} {}\n", variant.name, proofs.join(" | "));
    }
    insta::assert_snapshot!(table);
}

// ---- realisation

/// C8: the seed's interleaving has 11 steps (`docs/claims.md`). Its other cycle, over pgd_lock,
/// needs a CPU that spins for pgd_lock and is awaited: with two CPUs the walker is one, the ager
/// the other, and nobody is left.
#[test]
fn the_seeds_cycle_is_realised_and_the_one_over_pgd_lock_needs_a_third_cpu() {
    let config = named("v2.6.37", "split+thp", "aging");
    let order = Order::of(&config);
    assert_eq!(order.cycles, [vec![PTL, ACK], vec![PGD, PTL, ACK]]);
    let found = realise(&Protocol::new(config), &order, &Options::threads(2));
    assert_eq!(found.runs[0].as_ref().map(|t| t.actions.len()), Some(11));
    assert_eq!(found.runs[1], None);
    assert_eq!(
        (found.unexplained, found.longer, found.stopped),
        (None, None, None)
    );
    let config = named("v2.6.37", "3-cpus", "three-cpus");
    let order = Order::of(&config);
    assert_eq!(order.cycles, [[PGD, PTL, ACK]]);
    let found = realise(&Protocol::new(config), &order, &Options::threads(2));
    assert!(found.runs[0].is_some());
}

/// What a wrong analysis looks like from the model's side: a deadlock that no edge explains.
#[test]
fn a_deadlock_over_a_missing_edge_is_unexplained() {
    let config = named("v2.6.37", "nosplit", "aging");
    let wrong = Order::by(&config, Rules::without(EdgeRule::InterruptsOff));
    let found = realise(&Protocol::new(config), &wrong, &Options::threads(2));
    assert!(found.unexplained.is_some());
}

#[test]
fn lock_refs_have_the_class_of_the_locks_they_name() {
    use shootdown_spec::id::MmId;
    use shootdown_spec::program::Of;
    let mm = MmId(1);
    for lock in [
        LockRef::PgdLock,
        LockRef::PageTableLock(Of::Target),
        LockRef::SplitPtl(Of::Cursor),
    ] {
        assert_eq!(Class::from(lock), Class::from(lock.resolve(mm, mm)));
    }
}

/// What the sweep over all axes leaves as not realised is realised one bound further: with a
/// second mm, as the anon_vma lock lets one split per mm run; or with a third CPU in the mask.
#[test]
fn cycles_not_realised_in_the_sweep_are_realised_one_bound_further() {
    let irqsave = |pgd_lock, walk_takes_ptl, flush| Design {
        pgd_lock,
        walk_takes_ptl,
        ptl: Ptl::Irqsave,
        flush,
    };
    for pgd_lock in PgdLock::NAMES {
        for flush in [Flush::UnderLock, Flush::YoungAfterUnlock] {
            let one = config(
                irqsave(pgd_lock.1, false, flush),
                "split+thp",
                "splitting",
                VariantSet::NONE,
            );
            let mut two = one.environment;
            two.mms = 2;
            let two = Config::new(one.design, two, one.workload, VariantSet::NONE).unwrap();
            assert!(deadlocks(&two), "{}", two.design);
        }
    }
    let three = "none=vmalloc_sync_all/mm0=page_referenced_one_huge/mm0=page_referenced_one_huge";
    for walk in [false, true] {
        let design = irqsave(PgdLock::Irqsave, walk, Flush::UnderLock);
        assert!(
            deadlocks(&config(design, "split+thp", three, VariantSet::NONE)),
            "{design}"
        );
    }
}
