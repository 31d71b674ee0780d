//! The interrupt line: a signal may hit between any two accesses of its CPU, and nothing that was posted is lost.
//!
//! The CPU's thread looks whether it was signalled before each of its accesses and runs the handler there, so that loom
//! tries every place. Signals do not nest and do not pile up, as with `sigaction`.

use std::cell::Cell;

use loom::sync::Arc;
use loom::sync::atomic::Ordering::SeqCst;
use loom::sync::atomic::{AtomicBool, AtomicU32};
use loom::thread;

use shootdown_impl::host::line::{Line, Post, disable, on_signal, open, raise, uninterrupted};

/// What senders see of a CPU.
struct Shared {
    inbox: AtomicU32,
    signalled: AtomicBool,
    /// What a sender wants looked at.
    wish: AtomicU32,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inbox: AtomicU32::new(0),
            signalled: AtomicBool::new(false),
            wish: AtomicU32::new(0),
        })
    }
}

impl Post for Shared {
    fn post(&self, bit: u32) -> u32 {
        self.inbox.fetch_or(1 << bit, SeqCst)
    }
    fn signal(&self) {
        // Read-modify-write, like the CPU's: of a plain store loom also tries what no machine does, that a later exchange
        // does not see it because an earlier one, that did not see it either, was "later" still.
        self.signalled.swap(true, SeqCst);
    }
}

/// A CPU, on its own thread.
struct Cpu {
    shared: Arc<Shared>,
    irqs_off: Cell<bool>,
    in_hardware: Cell<bool>,
    deferred: Cell<bool>,
    /// It runs its signal handler: another signal waits.
    handling: Cell<bool>,
    /// It is where no interrupt may come.
    critical: Cell<bool>,
    served: Cell<u32>,
    /// The last wish that a handler saw, where that is asked for.
    saw: Cell<Option<u32>>,
}

impl Cpu {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            irqs_off: Cell::new(false),
            in_hardware: Cell::new(false),
            deferred: Cell::new(false),
            handling: Cell::new(false),
            critical: Cell::new(false),
            served: Cell::new(0),
            saw: Cell::new(None),
        }
    }

    /// Here a signal may hit.
    fn point(&self) {
        if !self.handling.get() && self.shared.signalled.swap(false, SeqCst) {
            self.handling.set(true);
            on_signal(self);
            self.handling.set(false);
        }
    }
}

impl Line for Cpu {
    fn irqs_off(&self) -> bool {
        self.point();
        self.irqs_off.get()
    }
    fn set_irqs_off(&self, off: bool) {
        self.point();
        self.irqs_off.set(off);
    }
    fn in_hardware(&self) -> bool {
        self.point();
        self.in_hardware.get()
    }
    fn set_in_hardware(&self, inside: bool) {
        self.point();
        self.in_hardware.set(inside);
    }
    fn deferred(&self) -> bool {
        self.point();
        self.deferred.get()
    }
    fn set_deferred(&self, deferred: bool) {
        self.point();
        self.deferred.set(deferred);
    }
    fn posted(&self) -> u32 {
        self.point();
        self.shared.inbox.load(SeqCst)
    }
    fn take(&self, bit: u32) {
        self.point();
        self.shared.inbox.fetch_and(!(1 << bit), SeqCst);
    }
    fn fence(&self) {}
    fn aborted(&self) -> bool {
        false
    }
    fn serve(&self, bit: u32) {
        assert!(!self.critical.get(), "an interrupt where none may come");
        assert!(self.irqs_off.get(), "a handler runs with interrupts off");
        if self.saw.get().is_some() {
            self.saw.set(Some(self.shared.wish.load(SeqCst)));
        }
        self.served.set(self.served.get() | 1 << bit);
    }
}

/// Two senders, each with an interrupt of its own, and a CPU that does `work`. All are served in the end.
fn nothing_is_lost(work: fn(&Cpu)) {
    nothing_is_lost_of(2, work);
}

fn nothing_is_lost_of(senders: u32, work: fn(&Cpu)) {
    loom::model(move || {
        let shared = Shared::new();
        let threads: Vec<_> = (0..senders)
            .map(|bit| {
                let shared = shared.clone();
                thread::spawn(move || raise(&*shared, bit))
            })
            .collect();
        let cpu = Cpu::new(shared.clone());
        work(&cpu);
        threads.into_iter().for_each(|s| s.join().unwrap());
        // What was signalled and has not hit yet hits now.
        cpu.point();
        assert!(!cpu.irqs_off.get() && !cpu.in_hardware.get());
        let all = (1 << senders) - 1;
        assert_eq!(cpu.served.get(), all, "an interrupt was lost");
        assert_eq!(shared.inbox.load(SeqCst), 0);
    });
}

fn critically(cpu: &Cpu) {
    cpu.critical.set(true);
    cpu.point();
    cpu.critical.set(false);
}

fn with_irqs_off(cpu: &Cpu, open: fn(&Cpu)) {
    assert!(disable(cpu, || ()));
    critically(cpu);
    open(cpu);
}

#[test]
fn whoever_turns_interrupts_off_is_left_alone_and_loses_none() {
    nothing_is_lost(|cpu| with_irqs_off(cpu, open));
}

#[test]
fn what_the_hardware_does_in_one_go_is_not_split_and_loses_none() {
    nothing_is_lost(|cpu| uninterrupted(cpu, || critically(cpu)));
}

#[test]
fn hardware_inside_a_section_without_interrupts_leaves_them_off() {
    nothing_is_lost_of(1, |cpu| {
        assert!(disable(cpu, || ()));
        cpu.critical.set(true);
        uninterrupted(cpu, || cpu.point());
        cpu.point();
        cpu.critical.set(false);
        open(cpu);
    });
}

/// The same interrupt once more while it is served: it is served again, or sees the second wish the first time.
#[test]
fn an_interrupt_that_comes_again_while_it_is_served_is_not_lost() {
    loom::model(|| {
        let shared = Shared::new();
        let sender = {
            let shared = shared.clone();
            thread::spawn(move || {
                for wish in 1..=2 {
                    shared.wish.store(wish, SeqCst);
                    raise(&*shared, 0);
                }
            })
        };
        let cpu = Cpu::new(shared);
        cpu.saw.set(Some(0));
        with_irqs_off(&cpu, open);
        sender.join().unwrap();
        cpu.point();
        assert_eq!(cpu.saw.get(), Some(2), "an interrupt was lost");
    });
}

#[test]
fn an_idle_cpu_serves_what_comes() {
    nothing_is_lost(|_| ());
}

/// `open` with one thing wrong in it.
fn broken_open(cpu: &Cpu, looks: bool, again: bool, clears_first: bool) {
    loop {
        cpu.set_irqs_off(false);
        if !looks || !cpu.deferred() {
            return;
        }
        cpu.set_irqs_off(true);
        if clears_first {
            cpu.set_deferred(false);
        }
        while cpu.posted() != 0 {
            let bit = cpu.posted().trailing_zeros();
            cpu.take(bit);
            cpu.serve(bit);
        }
        if !clears_first {
            cpu.set_deferred(false);
        }
        if !again {
            cpu.set_irqs_off(false);
            return;
        }
    }
}

#[test]
fn the_broken_ones_are_right_but_for_what_is_broken() {
    nothing_is_lost_of(1, |cpu| {
        with_irqs_off(cpu, |cpu| broken_open(cpu, true, true, true));
    });
}

#[test]
#[should_panic(expected = "an interrupt was lost")]
fn not_looking_at_what_was_deferred_loses_it() {
    nothing_is_lost(|cpu| with_irqs_off(cpu, |cpu| broken_open(cpu, false, true, true)));
}

#[test]
#[should_panic(expected = "an interrupt was lost")]
fn looking_once_loses_what_comes_meanwhile() {
    nothing_is_lost(|cpu| with_irqs_off(cpu, |cpu| broken_open(cpu, true, false, true)));
}

#[test]
#[should_panic(expected = "an interrupt was lost")]
fn forgetting_after_serving_loses_what_came_in_between() {
    nothing_is_lost(|cpu| with_irqs_off(cpu, |cpu| broken_open(cpu, true, true, false)));
}

#[test]
#[should_panic(expected = "an interrupt was lost")]
fn looking_before_interrupts_are_on_loses_what_comes_in_between() {
    nothing_is_lost(|cpu| {
        with_irqs_off(cpu, |cpu| {
            let deferred = cpu.deferred();
            cpu.set_irqs_off(false);
            if deferred {
                open(cpu);
            }
        });
    });
}

#[test]
#[should_panic(expected = "an interrupt was lost")]
fn hardware_that_does_not_look_behind_itself_loses_what_came() {
    nothing_is_lost(|cpu| {
        cpu.set_in_hardware(true);
        critically(cpu);
        cpu.set_in_hardware(false);
    });
}

#[test]
#[should_panic(expected = "an interrupt where none may come")]
fn hardware_that_does_not_announce_itself_is_split() {
    nothing_is_lost(critically);
}
