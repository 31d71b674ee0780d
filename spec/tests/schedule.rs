//! Schedules: whatever is written can be read back, and nothing that is read panics.

use proptest::prelude::*;
use shootdown_spec::config::Config;
use shootdown_spec::design::{Design, Flush, PgdLock, Ptl};
use shootdown_spec::environment::{Environment, FlushBackend};
use shootdown_spec::id::{CpuId, MmId};
use shootdown_spec::model::{Action, Protocol};
use shootdown_spec::program::ProgramId;
use shootdown_spec::schedule::{MAX_ACTIONS, Schedule, ScheduleError};
use shootdown_spec::state::State;
use shootdown_spec::trace::Trace;
use shootdown_spec::variant::{VARIANTS, VariantSet};
use shootdown_spec::workload::{WORKLOADS, Workload};
use stateright::Model;

/// The seed's interleaving by hand: CPU1 is in the walk with interrupts off (6 steps: the
/// start, init_mm's entry, irq flag, pgd_lock, the first pgd, spinning for its lock), CPU0 has
/// aged the huge pmd (start, lock, test-and-clear, local flush, IPI).
const DEADLOCK: &str = "v2.6.37;cpus=2,mms=1;workload=aging;start=mm0,mm0;\
    0:page_referenced_one_huge@mm0 0 1:vmalloc_sync_all 1*5 0*3;";

fn read(text: &str) -> Schedule {
    Schedule::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn refused(text: &str) -> ScheduleError {
    Schedule::parse(text).expect_err(text)
}

#[test]
fn a_schedule_written_by_hand_replays_the_deadlock_and_is_written_the_same_way() {
    let schedule = read(DEADLOCK);
    assert_eq!(schedule.to_string(), DEADLOCK);
    let protocol = Protocol::new(schedule.config.clone());
    let states = schedule.trace.states(&protocol).expect("it is possible");
    // 2 starts and 1 + 5 + 3 steps, and the state before the first.
    assert_eq!(states.len(), 1 + 2 + 9);
    let stuck = |s: &State| !s.stuck(&protocol.config).is_empty();
    assert!(stuck(&states[11]) && !stuck(&states[10]));
}

#[test]
fn every_kind_of_action_and_a_loop_are_read() {
    let text = "rwlock;cpus=3,mms=2,ops=2,split=off,pgd_free_in_irq=on;workload=everything;variants=early-break,lost-ack;\
        start=mm0,none,mm0;0:switch_mm@mm1 0~pte 2~pmd 1!0 [ 1!free@mm1 2:vmalloc_sync_all 2*12 ];";
    let schedule = read(text);
    let cpu = CpuId;
    assert_eq!(
        schedule.trace.actions[..6],
        [
            Action::Start {
                cpu: cpu(0),
                program: ProgramId::SwitchMm,
                mm: MmId(1)
            },
            Action::Fill {
                cpu: cpu(0),
                entry: shootdown_spec::program::Entry::Pte
            },
            Action::Fill {
                cpu: cpu(2),
                entry: shootdown_spec::program::Entry::Huge
            },
            Action::Ipi {
                cpu: cpu(1),
                from: cpu(0)
            },
            Action::IrqFree {
                cpu: cpu(1),
                mm: MmId(1)
            },
            Action::Start {
                cpu: cpu(2),
                program: ProgramId::VmallocSyncAll,
                mm: MmId::NONE
            },
        ]
    );
    assert_eq!(schedule.trace.actions.len(), 6 + 12);
    assert_eq!(schedule.trace.loops_to, Some(4));
    assert_eq!(schedule.to_string(), text);
}

#[test]
fn a_design_without_a_name_is_written_by_its_axes() {
    let axes = "pgd_lock=plain,walk_takes_ptl=no,ptl=irqsave,flush=after_unlock";
    let schedule = read(&format!("{axes};cpus=1,mms=1;workload=aging;start=none;;"));
    assert_eq!(schedule.config.design.name(), None);
    assert!(schedule.to_string().starts_with(axes));
    // The axes of a named design are written by name.
    let axes = "flush=under_lock,pgd_lock=plain,walk_takes_ptl=yes,ptl=plain";
    let schedule = read(&format!("{axes};cpus=1,mms=1;workload=aging;start=none;;"));
    assert!(schedule.to_string().starts_with("v2.6.38;"));
}

#[test]
fn line_breaks_and_blanks_that_mail_puts_in_do_no_harm() {
    let wrapped = DEADLOCK.replace(' ', "\n  ").replace(";s", ";\n s");
    assert_eq!(read(&format!("  {wrapped}\n")), read(DEADLOCK));
}

#[test]
fn bad_input_is_told_with_its_column_and_what_would_do() {
    let cases = [
        ("", "column 1: no design is called ``"),
        (
            "v2.6.39;",
            "column 1: no design is called `v2.6.39`, did you mean `v2.6.3",
        ),
        (
            "tracked;cpu=2",
            "column 9: no environment axis is called `cpu`, did you mean `cpus`?",
        ),
        ("tracked;cpus=two", "column 14: `two` is not a number"),
        ("tracked;cpus=2,cpus=2", "column 16: `cpus` is given twice"),
        (
            "tracked;cpus=2",
            "column 15: the workload is missing: was the schedule cut off?",
        ),
        (
            "tracked;cpus=2;workload=agin;",
            "column 25: no program or workload is called `agin`, did you mean `aging`?",
        ),
        (
            "tracked;cpus=0;workload=aging;start=;;",
            "column 9: cpus must be 1 to 4, not 0",
        ),
        (
            "tracked;cpus=2;workload=aging;variants=lost-ak;",
            "column 40: no variant is called `lost-ak`, did you mean `lost-ack`?",
        ),
        (
            "tracked;cpus=2;workload=aging;start=mm0;;",
            "column 37: `mm0` is not a placement of 2 CPUs: mm0 or none for each",
        ),
        (
            "tracked;cpus=2;workload=aging;start=mm0,mm9;;",
            "column 41: `mm9` is not an mm: mm0 to mm3",
        ),
        (
            "tracked;cpus=2;workload=aging;start=mm0,mm0;0 2;",
            "column 47: `2` is not an action of CPU 0 to 1",
        ),
        (
            "tracked;cpus=2;workload=aging;start=mm0,mm0;0!3;",
            "column 47: `3` is not an interrupt",
        ),
        (
            "tracked;cpus=2;workload=aging;start=mm0,mm0;0:pgd_aloc;",
            "column 47: no program is called `pgd_aloc`, did you mean `pgd_alloc`?",
        ),
        (
            "tracked;cpus=2;workload=aging;start=mm0,mm0;0*0;",
            "column 47: `0` is not a number of steps",
        ),
        (
            "tracked;cpus=2;workload=aging;start=mm0,mm0;0 [ ];",
            "column 49: `]` is not the end of a loop with actions in it",
        ),
        (
            "tracked;cpus=2;workload=aging;start=mm0,mm0;[ 0;",
            "column 48: the `]` that ends the loop is missing",
        ),
        (
            "tracked;cpus=2;workload=aging;start=mm0,mm0;0",
            "column 46: the `;` at the end is missing: was the schedule cut off?",
        ),
        (
            "tracked;cpus=2;workload=aging;start=mm0,mm0;0;1",
            "column 47: `1` is not part of a schedule",
        ),
        (
            "tracked;cpus=2,xen_pin=on;workload=aging;start=mm0,mm0;;",
            "column 9: xen_pin needs flush_backend=hypercall",
        ),
        ("pgd_lock=plain;", "column 15: walk_takes_ptl is missing"),
    ];
    for (text, message) in cases {
        let error = refused(text).to_string();
        assert!(error.starts_with(message), "{text}\n{error}\n{message}");
    }
}

#[test]
fn absurd_counts_are_refused_before_anything_is_allocated() {
    let prefix = "tracked;cpus=2;workload=aging;start=mm0,mm0;";
    let most = format!("0*{MAX_ACTIONS}");
    assert_eq!(
        read(&format!("{prefix}{most};")).trace.actions.len(),
        MAX_ACTIONS
    );
    refused(&format!("{prefix}{most} 1;"));
    refused(&format!("{prefix}0*99999999999999999999999;"));
}

#[test]
fn a_schedule_cut_off_anywhere_is_refused_with_a_column_within_it() {
    for text in [
        DEADLOCK,
        "deferred;cpus=2,mms=2;workload=tlb;variants=lost-ack;start=none,mm1;1~pte [ 0*3 ];",
    ] {
        read(text);
        for end in 0..text.len() {
            let error = refused(&text[..end]);
            assert!(
                (1..=end + 1).contains(&error.column()),
                "{} {error}",
                &text[..end]
            );
        }
    }
}

#[test]
fn a_schedule_that_does_not_fit_is_refused_with_the_false_guard() {
    let text = DEADLOCK.replace("0*3;", "0*4;");
    let schedule = read(&text);
    let error = schedule
        .trace
        .states(&Protocol::new(schedule.config.clone()));
    assert_eq!(
        error.expect_err("CPU0 waits there").to_string(),
        "step 12: CPU0 steps is not possible here: CPU0 awaits the acknowledgement of CPU1"
    );
}

fn designs() -> impl Strategy<Value = Design> {
    (0..3usize, any::<bool>(), 0..2usize, 0..4usize).prop_map(|(l, walk_takes_ptl, p, f)| Design {
        pgd_lock: PgdLock::NAMES[l].1,
        walk_takes_ptl,
        ptl: Ptl::NAMES[p].1,
        flush: Flush::NAMES[f].1,
    })
}

fn environments() -> impl Strategy<Value = Environment> {
    (1..=4u8, 1..=3u8, 1..=4u8, any::<[bool; 5]>()).prop_map(|(cpus, mms, ops_per_cpu, on)| {
        Environment {
            cpus,
            mms,
            ops_per_cpu,
            split_ptlocks: on[0],
            thp: on[1],
            flush_backend: FlushBackend::NAMES[usize::from(on[2])].1,
            xen_pin: on[3],
            pgd_free_in_irq: on[4],
        }
    })
}

fn workloads() -> impl Strategy<Value = String> {
    let by_hand = [
        "pgd_alloc,pgd_free",
        " mm0 = try_to_unmap_one@mm0 , gup_fast/any=idle",
        "none=vmalloc_sync_all/zap_page_range/pgd_alloc",
    ];
    let names = WORKLOADS.iter().map(|w| w.name).chain(by_hand);
    prop::sample::select(names.map(str::to_string).collect::<Vec<_>>())
}

prop_compose! {
    /// A random walk in a random configuration, now and then with a loop at its end.
    fn schedules()(
        design in designs(),
        environment in environments(),
        text in workloads(),
        deviations in prop::collection::vec(0..VARIANTS.len(), 0..3),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..60),
        start in any::<prop::sample::Index>(),
        loops in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) -> Option<Schedule> {
        let workload = Workload::parse(&text, &environment).ok()?;
        let variants = deviations.iter().fold(VariantSet::NONE, |s, i| s.with(VARIANTS[*i].variant));
        let config = Config::new(design, environment, workload, variants).ok()?;
        let protocol = Protocol::new(config.clone());
        let start = *start.get(config.starts());
        let mut state = State::initial(&config, &start);
        let mut taken = Vec::new();
        for pick in &picks {
            let mut actions = Vec::new();
            protocol.actions(&state, &mut actions);
            if actions.is_empty() {
                break;
            }
            let action = *pick.get(&actions);
            state = protocol.next_state(&state, action)?;
            taken.push(action);
        }
        let loops_to = loops.filter(|_| !taken.is_empty()).map(|l| l.index(taken.len()));
        Some(Schedule { config, trace: Trace { start, actions: taken, loops_to } })
    }
}

fn real_schedules() -> impl Strategy<Value = Schedule> {
    schedules().prop_filter_map("contradictory axes", |s| s)
}

fn judge(text: &str) {
    match Schedule::parse(text) {
        Ok(schedule) => {
            assert_eq!(read(&schedule.to_string()), schedule);
            // Whether it fits or not, replaying does not panic.
            let protocol = Protocol::new(schedule.config.clone());
            let _ = schedule.trace.states(&protocol);
        }
        Err(error) => {
            let length = text.chars().count();
            assert!(
                (1..=length + 1).contains(&error.column()),
                "{text}: {error}"
            );
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("column {}: ", error.column()))
            );
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(schedule in real_schedules()) {
        let text = schedule.to_string();
        prop_assert!(!text.contains(['\n', '\'', '"', '\\', '$', '`']), "{}", text);
        prop_assert_eq!(&read(&text), &schedule);
        prop_assert_eq!(read(&text).to_string(), text);
    }

    #[test]
    fn truncations_are_refused(schedule in real_schedules(), end in any::<prop::sample::Index>()) {
        let text = schedule.to_string();
        let end = end.index(text.len());
        let error = refused(&text[..end]);
        prop_assert!((1..=end + 1).contains(&error.column()), "{}", error);
    }

    #[test]
    fn mutations_never_panic(
        schedule in real_schedules(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), "[0-9a-z:;,=*!~@\\[\\] é\n]{0,2}", 0..3usize), 1..4),
    ) {
        let mut text: Vec<char> = schedule.to_string().chars().collect();
        for (at, new, cut) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, new.chars());
        }
        judge(&text.into_iter().collect::<String>());
    }

    #[test]
    fn random_strings_never_panic(text in "\\PC{0,40}", tail in "(tracked|v2\\.6\\.37|[a-z0-9;=,]{0,9})(;[\\PC]{0,12}){0,6}") {
        judge(&text);
        judge(&tail);
    }
}
