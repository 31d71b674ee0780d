//! Why finding nothing would mean less than it could: what is missing of the record, and what its events cannot tell.
//!
//! | | |
//! |---|---|
//! | [`gaps`] | events that were lost or overwritten, CPUs that are recorded for a part of the time: a user may accept them |
//! | [`blind`] | kinds of events that are not there at all, and waits that are still on: nothing can make up for them |

use super::counts::Counts;
use super::hang::{End, Wait};
use super::line::{Legend, Shape};
use super::machine::{CpuRecord, Machine};
use super::place::{Time, Unit};
use super::watch::Seen;

/// Traces shorter than this, in microseconds, are judged whole: no CPU need have an event.
const SHORT: u64 = 100_000;

/// Events that a CPU would have printed before its first one, at its own rate, so that they must be missing.
const EXPECTED: u64 = 200;

/// A wait that is on for so long where the trace ends, in microseconds, is no coincidence.
const LONG_WAIT: u64 = 100_000;

/// What is missing, with the numbers.
pub fn gaps(
    machine: &Machine,
    cpus: &[CpuRecord],
    counts: &Counts,
    legend: &Legend,
) -> Vec<String> {
    let mut list = Vec::new();
    if machine.gaps() > 0 {
        let lost: u64 = cpus.iter().map(|cpu| cpu.lost_in_gaps).sum();
        list.push(format!(
            "events were lost in {} places, {lost} that are counted beside {} that are here",
            machine.gaps(),
            counts.events
        ));
    }
    if let Some((buffer, written)) = counts.entries
        && written > buffer
    {
        list.push(format!(
            "{} older events were overwritten, {buffer} are here",
            written - buffer
        ));
    }
    let seen = cpus.iter().filter(|cpu| cpu.events > 0).count();
    if let Some(all) = legend.cpus.map(usize::from).filter(|all| *all > seen) {
        list.push(format!(
            "the machine has {all} CPUs, and {} of them no event here",
            all - seen
        ));
    }
    let first = cpus.iter().filter_map(|c| c.first_time).min();
    let last = cpus.iter().filter_map(|c| c.last_time).max();
    let Some((first, last)) = first.zip(last) else {
        return list;
    };
    for cpu in cpus {
        let Some((from, to)) = cpu.first_time.zip(cpu.last_time) else {
            list.push(format!("CPU{} has no event here, only lost ones", cpu.cpu));
            continue;
        };
        let seen = || seen_for(cpu.cpu, from, to, first, last);
        if cpu.lost_before > 0 {
            list.push(format!(
                "{}: {} events before that were overwritten",
                seen(),
                cpu.lost_before
            ));
        } else if late(cpu.events, [first, from, to, last]) {
            list.push(seen());
        }
    }
    list
}

fn seen_for(cpu: u16, from: Time, to: Time, first: Time, last: Time) -> String {
    match to.since(from).zip(last.since(first)) {
        Some((window, all)) => format!("CPU{cpu} is recorded for {window} of {all}"),
        None => format!("CPU{cpu} is recorded only from {from} on"),
    }
}

/// Is a CPU with so many events between `from` and `to` recorded for a part of the time only?
fn late(events: u64, [first, from, to, last]: [Time; 4]) -> bool {
    let all = last.value.saturating_sub(first.value);
    if first.unit == Unit::Count || all < SHORT {
        return false;
    }
    let window = to.value.saturating_sub(from.value).max(1);
    let before = from.value.saturating_sub(first.value);
    let dense = events >= 20
        && before > all / 10
        && u128::from(events) * u128::from(before) / u128::from(window) >= u128::from(EXPECTED);
    dense || (events >= 2 && window < all / 10)
}

/// What these events cannot tell.
pub fn blind(seen: &Seen, shape: Option<Shape>, end: &End, latest: Option<Time>) -> Vec<String> {
    let mut list = Vec::new();
    let locks = seen.acquires + seen.acquired + seen.contended;
    if locks + seen.contentions + seen.csd + seen.tlb[0] == 0 {
        list.push(
            "there is no event of a lock, of a request or of a flush in it, so nothing to judge"
                .into(),
        );
        return list;
    }
    if locks == 0 && seen.no_locks == 0 {
        list.push(match seen.contentions {
            0 => "no lock event is in it (events/lock, for which a kernel needs lockdep)".into(),
            n => format!(
                "of locks there are only {n} contention events: who waits, not who holds, nor what is held across a flush"
            ),
        });
    }
    if seen.irq_states == 0 {
        list.push("nothing says whether interrupts are off: neither flags nor irq_disable".into());
    }
    if seen.csd == 0 {
        let shown = match (seen.tlb[0], seen.ipis) {
            (0, 0) => "no csd, tlb or IPI event is in it, so no flush can be seen".to_string(),
            (0, ipis) => format!(
                "there is no csd event: which of {ipis} IPIs are awaited is told by their callsite alone"
            ),
            (_, 0) if seen.flushes_sent == 0 && seen.tlb[1] > 0 => format!(
                "there is no csd event: {} flushes are answered, and who asked is not recorded",
                seen.tlb[1]
            ),
            _ => format!(
                "there is no csd event: {} remote flushes are told by tlb_flush alone, and flushes of kernel mappings by nothing",
                seen.flushes_sent
            ),
        };
        list.push(shown);
    }
    if shape == Some(Shape::Lttng) {
        list.push("LTTng has no event of interrupts going off, of csds or of flushes: record with `trace-cmd` or `perf`".into());
    }
    for standing in &end.standing {
        let open = match &standing.wait {
            Wait::Lock { .. } => standing.irqs_off,
            Wait::Acknowledgements { .. } => true,
            Wait::Interrupt => false,
        };
        let long = |end: Time| {
            end.unit != Unit::Count && end.value.saturating_sub(standing.since().value) >= LONG_WAIT
        };
        if let Some(waited) = standing
            .waited
            .as_ref()
            .filter(|_| open && latest.is_some_and(long))
        {
            list.push(format!(
                "{} has waited for {waited} where the trace ends, and for whom is not known",
                standing.who()
            ));
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(values: [u64; 4]) -> [Time; 4] {
        values.map(|value| Time {
            value,
            unit: Unit::Seconds,
        })
    }

    /// 40 ms of 2.3 s, at 1 event in 40 us.
    #[test]
    fn a_cpu_that_is_seen_for_the_last_moments_is_late_and_an_idle_one_is_not() {
        assert!(late(1000, times([0, 2_260_000, 2_300_000, 2_300_000])));
        assert!(!late(1000, times([0, 10_000, 2_300_000, 2_300_000])));
        // It had six events in the second half: it slept.
        assert!(!late(6, times([0, 1_000_000, 2_300_000, 2_300_000])));
        // And in so short a trace anything may be.
        assert!(!late(10, times([0, 8_000, 8_010, 8_020])));
    }
}
