//! When a series of pictures is a hang.
//!
//! A hang is reported only if all of this holds:
//!
//! * Every picture of the series has every edge of the circle.
//! * No context of the circle has moved: none ended an operation, an interrupt or a wait ([`Picture::ticks`]), and all
//!   wait for the same.
//! * There are at least three pictures. Two agreeing ones still allow a wait that began between them; from the second on
//!   it is the same wait, a context that waits takes and gives back nothing, so what the third shows held is held.
//! * Each CPU of the circle has run meanwhile, long enough to look at what it waits for some hundred times. On a loaded
//!   machine a CPU that has long been let go may not have been given the time to notice.
//! * It has gone on for as long as the caller asked for.

use std::time::Duration;
use std::vec::Vec;

use super::{CpuReport, Edge, Picture};
use crate::id::CpuId;

/// The pictures that a hang needs at least.
const PICTURES: u32 = 3;

/// The processor time that each CPU of a circle must have used since the first picture.
const RAN: Duration = Duration::from_millis(1);

/// Nothing at all has moved for so long: a hang, although no circle is seen.
const STALLED: Duration = Duration::from_secs(10);

/// The processor time that each CPU must have used without anything moving.
const RAN_STALLED: Duration = Duration::from_millis(10);

/// What was seen of a machine so far.
#[derive(Debug)]
pub struct Watch {
    hang_after: Duration,
    suspect: Option<Suspect>,
    /// The last picture in which something had moved, and when it was taken.
    moved: Option<(Picture, Duration)>,
}

/// A circle that may be a hang.
#[derive(Debug)]
struct Suspect {
    cycle: Vec<Edge>,
    first: Picture,
    since: Duration,
    pictures: u32,
    /// Each of its CPUs had run long enough when the last picture was complete.
    ran: bool,
}

/// A hang.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hang {
    /// The waits that close a circle; empty if nothing moves and no circle was seen.
    pub cycle: Vec<Edge>,
    /// How long nothing had moved.
    pub stuck_for: Duration,
}

impl Watch {
    /// Nothing was seen yet. A circle must stand still for `hang_after`.
    pub fn new(hang_after: Duration) -> Self {
        Self {
            hang_after,
            suspect: None,
            moved: None,
        }
    }

    /// Takes the next picture in, taken `at` some time since the first; a hang if only that explains what was seen.
    pub fn look(&mut self, picture: &Picture, at: Duration) -> Option<Hang> {
        let suspect = self.suspect.take().filter(|s| s.stands_in(picture));
        let begun = || Suspect::in_picture(picture, at);
        let Some(mut suspect) = suspect.or_else(begun) else {
            return self.stalled(picture, at);
        };
        suspect.pictures += 1;
        let stuck_for = at.saturating_sub(suspect.since);
        if suspect.ran && suspect.pictures >= PICTURES && stuck_for >= self.hang_after {
            let cycle = suspect.cycle;
            return Some(Hang { cycle, stuck_for });
        }
        // Asked of a whole picture for the next one: this one's waits were read before its clocks.
        let mut cpus = suspect.cycle.iter().map(|e| e.from.cpu);
        suspect.ran = cpus.all(|cpu| picture.ran_since(&suspect.first, cpu) >= RAN);
        self.suspect = Some(suspect);
        self.stalled(picture, at)
    }

    /// Something moved that pictures do not show: the machine waits for the world outside it.
    pub fn moved(&mut self) {
        self.moved = None;
    }

    fn stalled(&mut self, picture: &Picture, at: Duration) -> Option<Hang> {
        let Some((last, since)) = &self.moved else {
            self.moved = Some((picture.clone(), at));
            return None;
        };
        if last.ticks != picture.ticks {
            self.moved = Some((picture.clone(), at));
            return None;
        }
        let stuck_for = at.saturating_sub(*since);
        let ran = |c: &CpuReport| picture.ran_since(last, c.cpu) >= RAN_STALLED;
        (stuck_for >= STALLED && picture.cpus.iter().all(ran)).then(|| Hang {
            cycle: Vec::new(),
            stuck_for,
        })
    }
}

impl Suspect {
    fn in_picture(picture: &Picture, at: Duration) -> Option<Self> {
        Some(Self {
            cycle: picture.cycle()?,
            first: picture.clone(),
            since: at,
            pictures: 0,
            ran: false,
        })
    }

    /// Whether the picture has the whole circle, and nobody in it has moved since the first.
    fn stands_in(&self, picture: &Picture) -> bool {
        let edges = picture.edges();
        let unmoved = |e: &Edge| {
            let i = e.from.cpu.index();
            picture.ticks[i] == self.first.ticks[i]
                && picture.cpus[i].waits == self.first.cpus[i].waits
        };
        self.cycle.iter().all(|e| edges.contains(e) && unmoved(e))
    }
}

impl Picture {
    /// The processor time that a CPU has used since an earlier picture.
    fn ran_since(&self, earlier: &Self, cpu: CpuId) -> Duration {
        self.ran[cpu.index()].saturating_sub(earlier.ran[cpu.index()])
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ContextId, Wait, Why};
    use super::*;
    use crate::event::Lock;
    use crate::id::{CpuMask, MmId};
    use std::vec;

    const PGD: Lock = Lock::PgdLock;
    const PTL: Lock = Lock::PageTable(MmId(0));

    /// Two CPUs that hold and want these, with so many ticks, having run for so many milliseconds.
    fn picture(cpus: [(&[Lock], Option<Lock>); 2], ticks: u64, ran_ms: [u64; 2]) -> Picture {
        let report = |(cpu, (holds, wants)): (u8, (&[Lock], Option<Lock>))| CpuReport {
            cpu: CpuId(cpu),
            running: None,
            in_irq: None,
            irqs_on: true,
            holds: [holds.to_vec(), vec![]],
            waits: [wants.map(Wait::Lock), None],
            pending: vec![],
        };
        Picture {
            cpus: (0u8..).zip(cpus).map(report).collect(),
            ticks: vec![ticks; 2],
            ran: ran_ms.map(Duration::from_millis).to_vec(),
        }
    }

    /// CPU0 has pgd_lock and wants the other; CPU1 the other way round.
    fn crossed(ran_ms: [u64; 2]) -> Picture {
        picture([(&[PGD], Some(PTL)), (&[PTL], Some(PGD))], 7, ran_ms)
    }

    /// A second of these, a picture every 2 ms.
    fn a_second_of(mut take: impl FnMut(u64) -> Picture) -> Option<Hang> {
        let mut watch = Watch::new(Duration::from_millis(300));
        (0..500).find_map(|n| watch.look(&take(n), Duration::from_millis(2 * n)))
    }

    #[test]
    fn a_circle_in_every_picture_whose_cpus_run_is_a_hang() {
        let hang = a_second_of(|n| crossed([n, n])).expect("it is one");
        assert_eq!(hang.stuck_for, Duration::from_millis(300));
        let context = |cpu| ContextId {
            cpu: CpuId(cpu),
            irq: false,
        };
        let edge = |from, to, lock| Edge {
            from: context(from),
            to: context(to),
            why: Why::Holds(lock),
        };
        assert_eq!(hang.cycle, [edge(0, 1, PTL), edge(1, 0, PGD)]);
    }

    #[test]
    fn a_torn_first_picture_is_no_hang_however_long_its_cpus_are_not_run() {
        // CPU1 gave its lock back after it was seen holding it, and is not given the time to go on.
        let after = || picture([(&[PGD], Some(PTL)), (&[], Some(PGD))], 7, [0, 0]);
        let torn_once = |n| if n == 0 { crossed([0, 0]) } else { after() };
        assert_eq!(a_second_of(torn_once), None);
        let torn_now_and_then = |n| match n % 50 {
            0 => crossed([n, n]),
            _ => after(),
        };
        assert_eq!(a_second_of(torn_now_and_then), None);
    }

    #[test]
    fn who_spins_for_a_ticket_lock_that_it_holds_is_a_torn_picture_every_time() {
        let torn = |n| picture([(&[PGD], Some(PGD)), (&[], Some(PGD))], 7, [n, n]);
        assert_eq!(a_second_of(torn), None);
    }

    #[test]
    fn who_takes_a_read_write_lock_again_for_writing_waits_for_itself() {
        let again = |n| {
            let holds = [Lock::PgdRead];
            picture([(&holds, Some(Lock::PgdWrite)), (&[], None)], 7, [n, n])
        };
        let hang = a_second_of(again).expect("it is one");
        assert_eq!(hang.cycle.len(), 1);
    }

    #[test]
    fn a_cpu_that_has_not_run_may_only_not_have_noticed() {
        assert_eq!(a_second_of(|n| crossed([n, 0])), None);
        assert_eq!(a_second_of(|n| crossed([0, n])), None);
        // As soon as it has run it is a hang: 1 ms at 600 ms, and one picture more.
        let late = |n| crossed([n, u64::from(n >= 300)]);
        let hang = a_second_of(late).expect("it is one");
        assert_eq!(hang.stuck_for, Duration::from_millis(602));
    }

    #[test]
    fn a_cpu_that_ended_a_wait_between_two_pictures_has_moved() {
        let moving = |n| Picture {
            ticks: vec![7, n / 100],
            ..crossed([n, n])
        };
        assert_eq!(a_second_of(moving), None);
    }

    #[test]
    fn few_pictures_far_apart_are_not_enough() {
        let mut watch = Watch::new(Duration::from_millis(300));
        let mut look = |n| watch.look(&crossed([n, n]), Duration::from_millis(n));
        assert_eq!((look(0), look(400)), (None, None));
        assert!(look(800).is_some());
    }

    #[test]
    fn standing_still_without_a_circle_takes_ten_seconds_of_running_cpus() {
        let idle = |ran| picture([(&[], None), (&[], None)], 7, [ran, ran]);
        let seconds = Duration::from_secs;
        let mut watch = Watch::new(seconds(1));
        assert_eq!(watch.look(&idle(0), seconds(0)), None);
        assert_eq!(watch.look(&idle(9000), seconds(9)), None);
        let hang = watch.look(&idle(9500), seconds(10)).expect("it is one");
        assert_eq!((hang.cycle, hang.stuck_for), (vec![], seconds(10)));
        // Stopped and continued: nobody has run.
        let mut watch = Watch::new(seconds(1));
        assert_eq!(watch.look(&idle(0), seconds(0)), None);
        assert_eq!(watch.look(&idle(5), seconds(60)), None);
        // They wait for the disk.
        watch.moved();
        assert_eq!(watch.look(&idle(9000), seconds(61)), None);
        assert_eq!(watch.look(&idle(9999), seconds(70)), None);
    }

    #[test]
    fn who_awaits_the_acks_of_a_cpu_with_interrupts_off_that_waits_for_it_hangs() {
        let seed = |n| {
            let mut picture = picture([(&[PGD], Some(PTL)), (&[PTL], None)], 7, [n, n]);
            picture.cpus[0].irqs_on = false;
            picture.cpus[1].waits[0] = Some(Wait::Acks(CpuMask::of(CpuId(0))));
            picture
        };
        let hang = a_second_of(seed).expect("the deadlock of 2011");
        let whys: Vec<Why> = hang.cycle.iter().map(|e| e.why).collect();
        assert_eq!(whys, [Why::Holds(PTL), Why::NoAck]);
    }
}
