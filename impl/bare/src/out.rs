//! What the machine tells the program that started it, through the debug port.
//!
//! Two kinds of message, told apart by the first byte:
//!
//! | first byte | then |
//! |---|---|
//! | `T` | a fact: a line of text up to `\n` |
//! | `0x80`, or-ed with `8` in an interrupt, and with the CPU | a record: the length of the event, its bytes ([`Event::pack`], low end first), and two numbers in groups of 7 bits, low end first: how much the event's number is above that of the last record of this CPU, and how much above `since` |
//!
//! A change here needs one in its reader, `refinement/src/bare/port.rs`.

use core::fmt;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicUsize};

use shootdown_impl::event::Event;
use shootdown_impl::id::{CpuId, NR_CPUS};

use crate::cpu::{cli, sti};
use crate::port;

/// Most bytes of a record.
const RECORD: usize = 1 + 1 + 8 + 10 + 10;
/// Bytes that a CPU keeps before it sends them.
const KEPT: usize = 4096;
/// Events of each CPU that are kept for a hang's report when nothing is recorded.
const LOOK_BACK: usize = 16;

/// The order of all events: docs/trace-format.md.
static CLOCK: AtomicU64 = AtomicU64::new(0);
/// Whether everything is recorded, or only kept for a look back.
static RECORDING: AtomicBool = AtomicBool::new(false);
/// Somebody uses the port.
static BUSY: AtomicBool = AtomicBool::new(false);
static BUFFERS: [Buffer; NR_CPUS] = [const { Buffer::new() }; NR_CPUS];

struct Buffer {
    /// What the clock said before the door call that is under way.
    since: AtomicU64,
    /// Bytes of records, in words of one byte each so that they may be looked at from another CPU.
    bytes: [core::sync::atomic::AtomicU8; KEPT],
    length: AtomicUsize,
    /// The number of the last record.
    last: AtomicU64,
    /// The last events: number, since, event and whether in an interrupt.
    kept: [[AtomicU64; 3]; LOOK_BACK],
    count: AtomicUsize,
}

impl Buffer {
    const fn new() -> Self {
        Self {
            since: AtomicU64::new(0),
            bytes: [const { core::sync::atomic::AtomicU8::new(0) }; KEPT],
            length: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            kept: [const { [const { AtomicU64::new(0) }; 3] }; LOOK_BACK],
            count: AtomicUsize::new(0),
        }
    }

    fn push(&self, byte: u8) {
        let at = self.length.load(Relaxed);
        if let Some(place) = self.bytes.get(at) {
            place.store(byte, Relaxed);
            self.length.store(at + 1, Relaxed);
        }
    }

    fn number(&self, mut n: u64) {
        while n >= 0x80 {
            self.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.push(n as u8);
    }

    fn record(&self, cpu: CpuId, irq: bool, [seq, since, word]: [u64; 3]) {
        self.push(0x80 | u8::from(irq) << 3 | cpu.0);
        let length = (8 - word.leading_zeros() as usize / 8).max(1);
        self.push(length as u8);
        word.to_le_bytes()[..length]
            .iter()
            .for_each(|b| self.push(*b));
        self.number(seq - self.last.swap(seq, Relaxed));
        self.number(seq - since.min(seq));
    }

    fn send(&self) {
        let length = self.length.swap(0, Relaxed);
        let mut bytes = [0; KEPT];
        for (byte, from) in bytes.iter_mut().zip(&self.bytes[..length]) {
            *byte = from.load(Relaxed);
        }
        port::debug(&bytes[..length]);
    }
}

const IRQ: u64 = 1 << 63;

/// Records everything from here on.
pub fn record() {
    RECORDING.store(true, SeqCst);
}

/// Whether a CPU is sending: what waits for the port waits for the world outside.
pub fn is_busy() -> bool {
    BUSY.load(Relaxed)
}

/// What the clock says: a door call is about to happen.
pub fn before(cpu: CpuId) {
    BUFFERS[cpu.index()]
        .since
        .store(CLOCK.load(SeqCst), Relaxed);
}

/// An interrupt is about to be served; the answer is for [`resume`].
pub fn suspend(cpu: CpuId) -> u64 {
    BUFFERS[cpu.index()].since.load(Relaxed)
}

/// The interrupt is over.
pub fn resume(cpu: CpuId, since: u64) {
    BUFFERS[cpu.index()].since.store(since, Relaxed);
}

/// Takes note of an event.
pub fn event(cpu: CpuId, irq: bool, event: Event) {
    let buffer = &BUFFERS[cpu.index()];
    let since = buffer.since.load(Relaxed);
    let were_on = cli();
    let seq = CLOCK.fetch_add(1, SeqCst);
    let record = [seq, since, event.pack()];
    if RECORDING.load(Relaxed) {
        buffer.record(cpu, irq, record);
        if buffer.length.load(Relaxed) > KEPT - RECORD {
            exclusive(|| buffer.send());
        }
    } else {
        let at = buffer.count.load(Relaxed);
        let place = &buffer.kept[at % LOOK_BACK];
        let words = [seq, since, record[2] | if irq { IRQ } else { 0 }];
        place
            .iter()
            .zip(words)
            .for_each(|(p, w)| p.store(w, Relaxed));
        buffer.count.store(at + 1, Relaxed);
    }
    if were_on {
        sti();
    }
}

/// Uses the port alone. Interrupts are off.
fn exclusive(body: impl FnOnce()) {
    while BUSY.swap(true, Acquire) {
        core::hint::spin_loop();
    }
    body();
    BUSY.store(false, Release);
}

/// Sends what a CPU still has: all its records, or its last events. The CPU is done, or parked.
pub fn rest(cpu: CpuId) {
    let buffer = &BUFFERS[cpu.index()];
    if !RECORDING.load(Relaxed) {
        let count = buffer.count.load(Relaxed);
        for at in count.saturating_sub(LOOK_BACK)..count {
            let [seq, since, word] = buffer.kept[at % LOOK_BACK]
                .each_ref()
                .map(|w| w.load(Relaxed));
            buffer.record(cpu, word & IRQ != 0, [seq, since, word & !IRQ]);
        }
    }
    buffer.send();
}

struct Port;

impl fmt::Write for Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        port::debug(text.as_bytes());
        Ok(())
    }
}

/// Does something while no other CPU tells anything.
pub fn alone(body: impl FnOnce()) {
    let were_on = cli();
    exclusive(body);
    if were_on {
        sti();
    }
}

/// Tells a fact. Not from an NMI while others may be telling something: see [`fact_alone`].
pub fn fact(fact: fmt::Arguments<'_>) {
    alone(|| fact_alone(fact));
}

/// Tells a fact while no other CPU can.
pub fn fact_alone(fact: fmt::Arguments<'_>) {
    use fmt::Write as _;
    // The port takes whatever it is given.
    let _ = writeln!(Port, "T{fact}");
}

/// Tells a fact, made as by `format!`.
#[macro_export]
macro_rules! fact {
    ($($argument:tt)*) => { $crate::out::fact(format_args!($($argument)*)) };
}
