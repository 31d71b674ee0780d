//! The scenario language: 15 to 50 lines that look like the kernel's own code, read, checked and lowered.
//!
//! [`parse`] gives a [`Protocol`], which everything that runs, proves, draws or exports one reads, and
//! [`Diagnostics`] about the text.
//!
//! # Errors and warnings
//!
//! An error says that no search could give a statement a meaning; nothing is lowered. What the search decides (sleeping in
//! atomic context, an acknowledgement awaited with interrupts off, a lock taken twice, locks left behind) is a warning, so
//! that a scenario that is wrong on purpose still reaches it.
//!
//! # Where the kernel decides, and where the language does
//!
//! * `on any`, and no `on`: an instance on every CPU. A work item or a stopper without `times` runs when it is queued; an
//!   irq, softirq, timer or NMI without `times` runs when it is raised, or, if nothing raises it, again and again.
//! * `flags` of `spin_lock_irqsave()` need no declaration. An `int` holds -128 to 127 (unsigned: 0 to 255) and the constants
//!   that are assigned to it, unless `in a..b` says more; leaving a range that nobody declared ends the search as incomplete.
//! * A local variable is fresh in every call; a constant initial value is no step outside of loops.
//! * A call with a result is a step of its own before the statement it stands in, except as the whole value of an assignment
//!   or the whole condition. `&&` and `||` keep their order.
//! * `while (c) cpu_relax();` and `while (c);` are one wait; so is `while (test_and_set_bit(...)) cpu_relax();`, which takes
//!   the bit in the step in which it is free. `while (c) schedule();` sleeps.
//! * `wait_event(queue, c)` notices `c` when it begins and at a wake-up, as the kernel does; `wait_event(c)` at once.
//! * `_interruptible`: a signal may come before the wait, not in it. `_timeout`: the wait always ends.
//! * `on_each_cpu()` sends, runs the function here with interrupts off, then waits (since 4.20; before, it waited first).
//!   `smp_call_function_any()` takes this CPU if it is in the set, else the first.
//! * `stop_machine(f)` runs `f` on CPU0, in the lock step of `multi_cpu_stop()`. Nobody else's `stop_machine()` runs meanwhile;
//!   the CPU hotplug lock is taken where the file writes it.
//! * Sequence counts wrap at 16. A completion holds at most 254.
//! * `synchronize_rcu()` waits for reader sections only; a region with preemption or interrupts off is none unless it is
//!   written as one (`rcu_read_lock_sched()`), although kernels since 5.0 wait for it, too.
//! * All work items share a worker a CPU; a tasklet may run on two CPUs at once.

mod ast;
pub mod calls;
pub mod code;
pub mod diagnostic;
mod flow;
mod lexer;
mod lower;
mod nearest;
mod parser;
mod render;
pub mod source;
mod token;
pub mod words;

pub use code::{CODES, Code};
pub use diagnostic::{Diagnostic, Diagnostics, Label, Severity};
pub use lower::PROPERTIES;
pub use source::{SourceFile, Span};
pub use words::{calls, keywords, new_template, refused};

use shootdown_ir::Protocol;

/// The most bytes of a scenario.
pub const LARGEST: usize = 1 << 20;

/// A scenario that can be checked.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it says.
    pub protocol: Protocol,
    /// What its text already shows: warnings only.
    pub warnings: Diagnostics,
}

/// Reads a scenario. `file_name` is what diagnostics call it.
///
/// # Errors
///
/// Everything that is wrong with it, at most ten errors, and the warnings found on the way.
pub fn parse(text: &str, file_name: &str) -> Result<Checked, Box<Diagnostics>> {
    parse_with(text, file_name, None)
}

/// As [`parse`], with this memory, whatever the file says.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_with(
    text: &str,
    file_name: &str,
    memory: Option<shootdown_ir::Memory>,
) -> Result<Checked, Box<Diagnostics>> {
    if text.len() > LARGEST {
        let message = format!(
            "this file has {} bytes; a scenario has at most {LARGEST}",
            text.len()
        );
        return Err(unread(file_name, &code::TOO_LARGE, message));
    }
    if let Some(at) = text.bytes().position(|byte| byte == 0) {
        return Err(unread(
            file_name,
            &code::BINARY,
            format!("this is no text: byte {at} is 0"),
        ));
    }
    let mut out = Diagnostics::new(SourceFile::new(file_name, text));
    let tokens = lexer::tokens(text, &mut out);
    let file = parser::parse(&tokens, &mut out);
    let mut protocol = lower::lower(&file, &mut out, memory);
    if let Some(protocol) = &mut protocol {
        flow::check(protocol, &mut out);
        flow::own_locks(protocol);
        if protocol.memory == shootdown_ir::Memory::Tso {
            protocol.add_store_buffers();
        }
    }
    out.sort();
    match protocol {
        Some(protocol) => Ok(Checked {
            protocol,
            warnings: out,
        }),
        None => {
            // What an error hides is not unused.
            out.list.retain(|d| !d.code.name.starts_with("unused"));
            Err(Box::new(out))
        }
    }
}

/// Reads a scenario from bytes that need not be text.
///
/// # Errors
///
/// As [`parse`]; bytes that are not UTF-8 are an error of their own.
pub fn parse_bytes(bytes: &[u8], file_name: &str) -> Result<Checked, Box<Diagnostics>> {
    parse_bytes_with(bytes, file_name, None)
}

/// As [`parse_bytes`], with this memory, whatever the file says.
///
/// # Errors
///
/// As [`parse_bytes`].
pub fn parse_bytes_with(
    bytes: &[u8],
    file_name: &str,
    memory: Option<shootdown_ir::Memory>,
) -> Result<Checked, Box<Diagnostics>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_with(text, file_name, memory),
        Err(error) => {
            let at = error.valid_up_to();
            Err(unread(
                file_name,
                &code::BINARY,
                format!("this is no text: byte {at} is not UTF-8"),
            ))
        }
    }
}

fn unread(name: &str, code: &'static Code, message: String) -> Box<Diagnostics> {
    let mut out = Diagnostics::new(SourceFile::new(name, ""));
    out.push(Diagnostic::new(code, Span::default(), message));
    Box::new(out)
}

/// What `shootdown explain CODE` says.
#[must_use]
pub fn explain(code: &str) -> Option<&'static str> {
    code::find(code).map(|code| code.explain)
}
