//! The pieces that all layouts are made of: names, locks, frames.

use crate::export::lockdep::{Acquired, Bit, Class, Place, Report, Usage};
use crate::export::run::Run;
use shootdown_spec::id::{Context, Level};
use shootdown_spec::order;
use shootdown_spec::order::Step;

/// The class as lockdep names it today, or named it in 2.6.38: what stood in `spin_lock_init`.
pub fn name(class: Class, old: bool) -> String {
    let name = match (class, old) {
        (Class::Lock(order::Class::PgdLock), _) => "pgd_lock",
        (Class::Lock(order::Class::PageTableLock), false) => "&mm->page_table_lock",
        (Class::Lock(order::Class::PageTableLock), true) => "&(&mm->page_table_lock)->rlock",
        (Class::Lock(order::Class::SplitPtl), false) => "ptlock_ptr(ptdesc)",
        (Class::Lock(order::Class::SplitPtl), true) => "&(__pte_lockptr(page))->rlock",
        (Class::Ack(cpu), _) => return format!("ipi_ack({cpu})"),
    };
    name.to_string()
}

/// `{hardirq-write, hardirq-read, softirq-write, softirq-read}`. The model has no softirqs: they are on where
/// interrupts are.
pub fn usage_chars(usage: Option<&Usage>) -> String {
    let has = |bit| usage.is_some_and(|u| u.bits.contains_key(&bit));
    let char_of = |on, used_in| match (on, used_in) {
        (true, true) => '?',
        (true, false) => '+',
        (false, true) => '-',
        (false, false) => '.',
    };
    [
        char_of(has(Bit::HardirqOnW), has(Bit::InHardirqW)),
        char_of(has(Bit::HardirqOnR), has(Bit::InHardirqR)),
        char_of(has(Bit::HardirqOnW), false),
        char_of(has(Bit::HardirqOnR), false),
    ]
    .into_iter()
    .collect()
}

/// A line of a program as a frame.
pub fn frame(run: &Run, step: &Step) -> String {
    let length = run.protocol.config.program(step.program).lines.len();
    format!(
        "{}+{}/{length} [{}]  {}",
        step.function,
        step.pc,
        step.program.name(),
        step.source
    )
}

/// The frames of a place, innermost first.
pub fn frames(run: &Run, place: &Place) -> Vec<String> {
    let own = match &place.at {
        Some(step) => frame(run, step),
        None => format!("<interrupt taken on {}>", place.who.cpu),
    };
    let mut frames = vec![own];
    match (place.who.level, &place.over) {
        (Level::Irq, Some(step)) => frames.push(format!("<interrupt> {}", frame(run, step))),
        (Level::Irq, None) => frames.push("<interrupt> user mode, or idle".to_string()),
        (Level::Task, _) => {}
    }
    frames
}

/// The task: what it runs, and where.
pub fn task(run: &Run, who: Context, n: usize) -> String {
    let task = Context {
        level: Level::Task,
        ..who
    };
    let program = match run.stands_at(n - 1, task) {
        Some(step) => step.program.name(),
        None => "user",
    };
    format!("{program}/{}", who.cpu)
}

/// Where in the frames a lock was taken, in one line.
pub fn site(run: &Run, acquired: &Acquired) -> String {
    match &acquired.place.at {
        Some(step) => frame(run, step),
        None => "interrupt entry".to_string(),
    }
}

/// The lock itself: a model has no addresses.
pub fn instance(acquired: &Acquired) -> String {
    acquired.lock.map_or("-".to_string(), |l| l.to_string())
}

/// The design, in place of a kernel's release.
pub fn kernel(run: &Run) -> String {
    format!("{} [model]", run.protocol.config.design)
}

/// `[HC0[0]:SC0[0]:HE1:SE1]`: in a hard interrupt, in a soft one, each enabled.
pub fn contexts(report: &Report) -> String {
    let hard = u8::from(report.by.place.who.level == Level::Irq);
    let enabled = u8::from(report.irqs_on);
    format!("[HC{hard}[{hard}]:SC0[0]:HE{enabled}:SE1]")
}

/// Whether the pseudo lock is worth listing: only where the report is about it.
pub fn listed(report: &Report) -> Vec<&Acquired> {
    let acks = report.needs_acks();
    let held = report.held.iter();
    held.filter(|h| acks || h.lock.is_some()).collect()
}
