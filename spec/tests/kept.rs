//! A search that is kept and gone on with finds what one finds that was never stopped: counts, levels, facts, first levels.

use shootdown_ir::keep::{Keep, ResumeError, Standing, Writes};
use shootdown_ir::levels::{self, Found, Stopped};
use shootdown_ir::packed::Packed;
use shootdown_ir::sweep;
use shootdown_spec::config::Config;
use shootdown_spec::design::Design;
use shootdown_spec::environment::Environment;
use shootdown_spec::lower::facts::Facts;
use shootdown_spec::lower::lower;
use shootdown_spec::variant::{Variant, VariantSet};
use shootdown_spec::workload::Workload;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn config(design: &str, env: &str, workload: &str) -> Config {
    let environment = Environment::named(env).expect("a named environment");
    let workload = Workload::parse(workload, &environment).expect("a workload of it");
    let design = Design::named(design).expect("a named design");
    Config::new(design, environment, workload, VariantSet::NONE).expect("it makes sense")
}

/// Keeps everything in memory, whenever it is asked.
#[derive(Debug, Default)]
struct All {
    kept: Mutex<Vec<(Standing, Vec<u8>)>>,
    /// Raised after so many.
    cancel: Option<(usize, AtomicBool)>,
}

impl Keep for All {
    fn is_due(&self) -> bool {
        true
    }

    fn keep(&self, standing: Standing, write: Writes<'_>) {
        let mut bytes = Vec::new();
        write(&mut bytes).expect("there is memory");
        let mut kept = self.kept.lock().expect("nobody panics");
        kept.push((standing, bytes));
        if let Some((after, cancel)) = &self.cancel
            && kept.len() >= *after
        {
            cancel.store(true, Relaxed);
        }
    }
}

/// What must not depend on where it was stopped.
fn told(found: &Found) -> impl PartialEq + std::fmt::Debug {
    (
        found.stopped,
        (found.distinct, found.generated, found.terminal),
        found.levels.clone(),
        (found.counts.clone(), found.first.clone()),
        (found.ends, found.not_lowered),
    )
}

/// Searches with and without stops.
fn resumed(config: &Config, threads: usize) {
    let lowered = lower(config).expect("it can be lowered");
    let machine = lowered.machine();
    let packed = Packed::new(&machine);
    let facts = Facts::new(&lowered, &packed);
    let options = levels::Options {
        threads,
        ..levels::Options::default()
    };
    let whole = levels::run(&packed, &facts, options).expect("it fits");
    let all = All::default();
    let keep = Some(&all as &dyn Keep);
    let kept = levels::run(&packed, &facts, levels::Options { keep, ..options });
    assert_eq!(
        told(&kept.expect("it fits")),
        told(&whole),
        "kept at every turn"
    );
    let all = all.kept.into_inner().expect("nobody panics");
    // Between levels, and between chunks of 256 states.
    assert!(all.len() > whole.levels.len() + 5, "{} times", all.len());
    let (last, _) = all.last().expect("there are some");
    assert!(last.complete && last.states == whole.distinct, "{last:?}");
    let mut before = 0;
    for (i, (standing, bytes)) in all.iter().enumerate() {
        assert!(standing.states >= before && standing.states <= whole.distinct);
        before = standing.states;
        // The first and last, and some between.
        if i % 11 == 0 || i < 3 || i + 3 > all.len() {
            let from = &mut bytes.as_slice();
            let found = levels::resume(&packed, &facts, options, from).expect("it is whole");
            assert_eq!(told(&found), told(&whole), "from {standing:?}");
        }
    }
}

#[test]
fn a_search_gone_on_with_from_anywhere_finds_the_same() {
    resumed(&config("v2.6.37", "nosplit", "everything"), 1);
    resumed(&config("tracked", "nosplit", "aging"), 2);
}

#[test]
fn a_search_that_is_stopped_again_and_again_finds_the_same() {
    let config = config("v2.6.37", "nosplit", "everything");
    let lowered = lower(&config).expect("it can be lowered");
    let machine = lowered.machine();
    let packed = Packed::new(&machine);
    let facts = Facts::new(&lowered, &packed);
    let options = levels::Options {
        threads: 2,
        ..levels::Options::default()
    };
    let whole = levels::run(&packed, &facts, options).expect("it fits");
    let mut from: Option<Vec<u8>> = None;
    for turn in 1.. {
        let all = All {
            cancel: Some((5, AtomicBool::new(false))),
            ..All::default()
        };
        let options = levels::Options {
            keep: Some(&all),
            cancel: all.cancel.as_ref().map(|(_, cancel)| cancel),
            ..options
        };
        let found = match &from {
            None => levels::run(&packed, &facts, options).expect("it fits"),
            Some(bytes) => levels::resume(&packed, &facts, options, &mut bytes.as_slice())
                .expect("it is whole"),
        };
        if found.stopped.is_none() {
            assert!(turn > 5, "{turn} turns");
            assert_eq!(told(&found), told(&whole));
            break;
        }
        assert_eq!(found.stopped, Some(Stopped::Cancelled));
        let kept = all.kept.lock().expect("nobody panics");
        let (standing, bytes) = kept.last().expect("there are some");
        assert_eq!(standing.states, found.distinct, "what is known is kept");
        from = Some(bytes.clone());
    }
}

#[test]
fn what_is_of_another_configuration_or_cut_short_is_refused() {
    let [one, other] = ["v2.6.37", "v2.6.38"].map(|design| config(design, "nosplit+thp", "aging"));
    let of_one = lower(&one).expect("it can be lowered");
    let machine = of_one.machine();
    let packed = Packed::new(&machine);
    let facts = Facts::new(&of_one, &packed);
    let all = All::default();
    let options = levels::Options {
        keep: Some(&all),
        ..levels::Options::default()
    };
    levels::run(&packed, &facts, options).expect("it fits");
    let kept = all.kept.lock().expect("nobody panics");
    let bytes = &kept[kept.len() / 2].1;
    let options = levels::Options::default();
    for cut in (0..bytes.len()).step_by(997) {
        let found = levels::resume(&packed, &facts, options, &mut &bytes[..cut]);
        assert!(matches!(found, Err(ResumeError::Io(_))), "{cut} bytes");
    }
    let of_other = lower(&other).expect("it can be lowered");
    let machine = of_other.machine();
    let packed = Packed::new(&machine);
    let facts = Facts::new(&of_other, &packed);
    let found = levels::resume(&packed, &facts, options, &mut bytes.as_slice());
    assert!(matches!(found, Err(ResumeError::Other)));
}

/// A sweep, and the search by levels: what both tell.
fn both(found: &Found) -> impl PartialEq + std::fmt::Debug {
    (
        found.stopped,
        (found.distinct, found.generated, found.terminal),
        (found.counts.clone(), found.ends.0, found.not_lowered),
    )
}

#[test]
fn a_sweep_finds_what_a_search_by_levels_finds_and_holds_less() {
    for (design, env, workload) in [
        ("v2.6.37", "split+thp", "reclaim-vs-munmap"),
        ("tracked", "nosplit", "everything"),
        ("rwlock", "nosplit", "vmalloc_sync_all,pgd_alloc"),
        ("v2.6.36", "xen", "vmalloc_sync_all,xen_pgd_pin"),
    ] {
        let config = config(design, env, workload);
        let lowered = lower(&config).expect("it can be lowered");
        let machine = lowered.machine();
        let packed = Packed::new(&machine);
        let facts = Facts::new(&lowered, &packed);
        let by_levels = levels::run(&packed, &facts, levels::Options::default());
        let by_levels = by_levels.expect("it fits");
        for threads in [1, 2] {
            let options = levels::Options {
                threads,
                ..levels::Options::default()
            };
            let swept = sweep::run(&packed, &facts, options).expect("it fits");
            assert_eq!(both(&swept), both(&by_levels), "{design} {env} {workload}");
            // Not all at once, and more than one.
            assert!(swept.peak_states > 1 && swept.peak_states < swept.distinct);
            assert!(swept.ranks > 10);
        }
    }
}

#[test]
fn a_sweep_gone_on_with_from_anywhere_finds_the_same() {
    let config = config("v2.6.37", "nosplit", "reclaim-vs-munmap");
    let lowered = lower(&config).expect("it can be lowered");
    let machine = lowered.machine();
    let packed = Packed::new(&machine);
    let facts = Facts::new(&lowered, &packed);
    let options = levels::Options {
        threads: 2,
        ..levels::Options::default()
    };
    let whole = sweep::run(&packed, &facts, options).expect("it fits");
    let all = All::default();
    let keep = Some(&all as &dyn Keep);
    sweep::run(&packed, &facts, levels::Options { keep, ..options }).expect("it fits");
    // A cut in the middle of a rank, too.
    let memory = Some(whole.peak_bytes / 2);
    let cut = sweep::run(
        &packed,
        &facts,
        levels::Options {
            keep,
            memory,
            ..options
        },
    );
    assert_eq!(cut.expect("it fits").stopped, Some(Stopped::Memory));
    let all = all.kept.into_inner().expect("nobody panics");
    assert!(all.len() > 20, "{} times", all.len());
    for (i, (standing, bytes)) in all.iter().enumerate() {
        if i % 5 == 0 || i + 3 > all.len() {
            let found = sweep::resume(&packed, &facts, options, &mut bytes.as_slice());
            let found = found.expect("it is whole");
            assert_eq!(both(&found), both(&whole), "from {standing:?}");
        }
    }
    let by_levels = levels::resume(&packed, &facts, options, &mut all[3].1.as_slice());
    assert!(matches!(by_levels, Err(ResumeError::Way(..))));
}

#[test]
fn where_the_rank_does_not_fall_a_sweep_ends() {
    let environment = Environment::named("split+thp").expect("a named environment");
    let workload = Workload::parse("aging", &environment).expect("a workload of it");
    let design = Design::named("v2.6.37").expect("a named design");
    let retries = VariantSet::only(Variant::TrylockRetry);
    let config = Config::new(design, environment, workload, retries).expect("it makes sense");
    let lowered = lower(&config).expect("it can be lowered");
    let machine = lowered.machine();
    let packed = Packed::new(&machine);
    let facts = Facts::new(&lowered, &packed);
    let swept = sweep::run(&packed, &facts, levels::Options::default()).expect("it fits");
    assert!(swept.not_lowered > 0);
    assert_eq!(swept.stopped, Some(Stopped::Rises));
}
