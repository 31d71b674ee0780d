//! A CPU's interrupt line, as the host machine has it: a flag for `cli`, one for what the hardware does in one go, one for
//! a signal that came meanwhile, and the inbox.
//!
//! The signal hits between any two accesses of its own CPU, and senders post at any time. Nothing may be lost: whatever is
//! posted is served as soon as interrupts are on. The protocol is generic over the words, so that loom checks it as it is
//! (`impl/tests/loom/line.rs`).

/// The words of one CPU's line, and what is done with an interrupt.
///
/// The three flags are touched by the CPU's own thread and the signal handler on it; the inbox by senders, too.
pub trait Line {
    /// The interrupt flag, inverted.
    fn irqs_off(&self) -> bool;
    /// Sets it.
    fn set_irqs_off(&self, off: bool);
    /// Is the hardware in the middle of something?
    fn in_hardware(&self) -> bool;
    /// Sets it. Sequentially consistent where it is set: see [`uninterrupted`].
    fn set_in_hardware(&self, inside: bool);
    /// Has a signal come while it could not be served?
    fn deferred(&self) -> bool;
    /// Sets it.
    fn set_deferred(&self, deferred: bool);
    /// What was posted and not served: acquire.
    fn posted(&self) -> u32;
    /// Takes a bit out of the inbox: sequentially consistent.
    fn take(&self, bit: u32);
    /// Keeps the compiler from moving accesses across: what is between two of these, the handler sees done or not begun.
    fn fence(&self);
    /// The machine is being taken down: nothing more is served.
    fn aborted(&self) -> bool;
    /// Runs the handler of one interrupt.
    fn serve(&self, bit: u32);
}

/// A sender's side of a line.
pub trait Post {
    /// Adds a bit to the inbox, sequentially consistent; what was in it.
    fn post(&self, bit: u32) -> u32;
    /// Signals the CPU's thread.
    fn signal(&self);
}

/// Makes an interrupt pending. Only the first one signals: others are found when it is served, and signals cannot pile
/// up.
pub fn raise<P: Post>(line: &P, bit: u32) {
    if line.post(bit) == 0 {
        line.signal();
    }
}

/// The signal has hit the CPU's thread.
pub fn on_signal<L: Line>(line: &L) {
    if line.irqs_off() || line.in_hardware() {
        line.set_deferred(true);
        return;
    }
    line.set_irqs_off(true);
    line.fence();
    serve_posted(line);
    line.fence();
    line.set_irqs_off(false);
}

/// Serves all pending interrupts, one after the other, with interrupts off.
fn serve_posted<L: Line>(line: &L) {
    loop {
        let posted = line.posted();
        if posted == 0 || line.aborted() {
            return;
        }
        let bit = posted.trailing_zeros();
        line.take(bit);
        line.serve(bit);
    }
}

/// `cli`; `mask` is done before the flag is set. Whether interrupts were on.
#[inline]
pub fn disable<L: Line>(line: &L, mask: impl FnOnce()) -> bool {
    let on = !line.irqs_off();
    if on {
        mask();
        line.set_irqs_off(true);
        line.fence();
    }
    on
}

/// `sti`: clears the flag and serves what was deferred while it was set, until there is nothing left.
#[inline]
pub fn open<L: Line>(line: &L) {
    loop {
        line.fence();
        line.set_irqs_off(false);
        line.fence();
        if !line.deferred() {
            return;
        }
        line.set_irqs_off(true);
        line.fence();
        line.set_deferred(false);
        serve_posted(line);
    }
}

/// Something the hardware does in one go: no interrupt in the middle of it.
///
/// Sequentially consistent for a hypercall's sake: it clears a translation and then looks at the flag, while this CPU
/// announces itself and then looks at the translation; one must see the other.
#[inline]
pub fn uninterrupted<L: Line, R>(line: &L, action: impl FnOnce() -> R) -> R {
    line.set_in_hardware(true);
    line.fence();
    let result = action();
    line.fence();
    line.set_in_hardware(false);
    line.fence();
    if line.deferred() && !line.irqs_off() {
        open(line);
    }
    result
}
