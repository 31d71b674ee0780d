//! Exported runs: each format against its own rules, on known runs and on random ones.

#[path = "export/ci.rs"]
mod ci;
#[path = "export/dot.rs"]
mod dot;
#[path = "export/itf.rs"]
mod itf;
#[path = "export/lockdep.rs"]
mod lockdep;
#[path = "export/perfetto.rs"]
mod perfetto;
#[path = "export/rv.rs"]
mod rv;
#[path = "export/shiviz.rs"]
mod shiviz;
#[path = "export/splat.rs"]
mod splat;

use proptest::prelude::*;
use shootdown_refinement::export::Run;
use shootdown_spec::config::Config;
use shootdown_spec::model::Protocol;
use shootdown_spec::schedule::Schedule;
use shootdown_spec::state::State;
use shootdown_spec::trace::Trace;
use stateright::Model as _;

/// C8: the deadlock of the mail. CPU1 holds page_table_lock and awaits CPU0's ack; CPU0 spins for it, IF=0.
const SEED: &str = "v2.6.37;cpus=2,mms=1;workload=aging;start=mm0,mm0;1:page_referenced_one_huge@mm0 1*4 \
                    0:vmalloc_sync_all 0*5;";
/// C5: an interrupt frees an mm on a CPU that holds pgd_lock with interrupts on.
const SELF_DEADLOCK: &str = "v2.6.38;cpus=2,mms=2,pgd_free_in_irq=on;workload=lifecycle;start=mm0,mm0;0:pgd_alloc@mm2 0 \
                             0!free@mm1 0;";
/// C7: the same with readers: the walk reads pgd_lock, the interrupt writes it.
const READER: &str = "rwlock;cpus=2,mms=2,pgd_free_in_irq=on;workload=lifecycle;start=mm0,mm0;0:vmalloc_sync_all 0*2 \
                      0!free@mm1 0;";
/// B8: no IPI takes part. The walk asks for page_table_lock last.
const INVERSION: &str = "tracked-plain;cpus=2,mms=2,pgd_free_in_irq=on;workload=lifecycle;start=mm1,mm1;\
                         0:vmalloc_sync_all 0*4 1:page_referenced_one_huge@mm1 1 1!free@mm0 1*2 0;";
/// B8 in another order: the interrupt asks for pgd_lock last.
const INVERSION_IRQ_LAST: &str = "tracked-plain;cpus=2,mms=2,pgd_free_in_irq=on;workload=lifecycle;start=mm1,mm1;\
                                  0:vmalloc_sync_all 0*4 1:page_referenced_one_huge@mm1 1 0 1!free@mm0 1*2;";
/// B1: three CPUs; the one that does not answer spins for pgd_lock.
const THREE: &str = "v2.6.37;cpus=3,mms=1;workload=three-cpus;start=mm0,none,mm0;0:page_referenced_one_huge@mm0 0*4 \
                     1:vmalloc_sync_all 1*5 2:pgd_alloc@mm1 2*2;";
/// B3: a translation outlives munmap: nobody waits for anybody.
const STALE: &str = "deferred;cpus=2,mms=1;workload=reclaim-vs-munmap;start=mm0,mm0;0:try_to_unmap_one@mm0 0 0~pte 0*2 \
                     1:zap_page_range@mm0 1*3;";
/// An IPI that is taken and acknowledged.
const ANSWERED: &str = "v2.6.38;cpus=2,mms=1;workload=aging;start=mm0,mm0;1:page_referenced_one_huge@mm0 1*4 0!1 0*3 1*3;";

const KNOWN: [&str; 8] = [
    SEED,
    SELF_DEADLOCK,
    READER,
    INVERSION,
    INVERSION_IRQ_LAST,
    THREE,
    STALE,
    ANSWERED,
];

fn run(schedule: &str) -> Run {
    let schedule: Schedule = schedule.parse().expect("it is one");
    Run::new(Protocol::new(schedule.config), schedule.trace, None).expect("it is possible")
}

/// Configurations that have everything between them: IPIs, hypercalls, readers, interrupts that free, deviations.
fn configs() -> Vec<Config> {
    let config = |head: &str, workload: &str| {
        let text = format!("{head};workload={workload};start=mm0,mm0;;");
        text.parse::<Schedule>()
            .unwrap_or_else(|e| panic!("{text}: {e}"))
            .config
    };
    vec![
        config("v2.6.37;cpus=2,mms=1,ops=2", "everything"),
        config("v2.6.37;cpus=2,mms=2,pgd_free_in_irq=on", "everything"),
        config("v2.6.38;cpus=2,mms=2,pgd_free_in_irq=on", "everything"),
        config("rwlock;cpus=2,mms=2,pgd_free_in_irq=on", "everything"),
        config(
            "tracked-plain;cpus=2,mms=2,pgd_free_in_irq=on",
            "everything",
        ),
        config("woodman;cpus=2,mms=1,split=off", "everything"),
        config(
            "v2.6.36;cpus=2,mms=1,flush_backend=hypercall,xen_pin=on",
            "everything",
        ),
    ]
}

/// A random run of one of them: each number picks what happens next.
fn random_run(config: &Config, picks: &[u16]) -> Run {
    let protocol = Protocol::new(config.clone());
    let starts = config.starts();
    let start = starts[picks.first().map_or(0, |p| usize::from(*p)) % starts.len()];
    let mut state = State::initial(config, &start);
    let mut trace = Trace {
        start,
        actions: Vec::new(),
        loops_to: None,
    };
    for pick in picks {
        let mut actions = Vec::new();
        protocol.actions(&state, &mut actions);
        if actions.is_empty() {
            break;
        }
        let action = actions[usize::from(*pick) % actions.len()];
        state = protocol.next_state(&state, action).expect("it was listed");
        trace.actions.push(action);
    }
    Run::new(protocol, trace, None).expect("the model allowed every step")
}

/// Random runs of every configuration.
fn runs() -> impl Strategy<Value = Run> {
    let picks = proptest::collection::vec(any::<u16>(), 0..60);
    (0..configs().len(), picks).prop_map(|(i, picks)| random_run(&configs()[i], &picks))
}
