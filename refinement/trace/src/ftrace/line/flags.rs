//! The FLAGS column: `d..1.`, `...2`, `1dN.h3..`.
//!
//! | kernel | places |
//! |---|---|
//! | up to 5.15 | interrupts, need-resched, context, preemption depth |
//! | 5.16 and later | and migration depth |
//! | PREEMPT_RT's patches, 3.x to 5.15 | interrupts, need-resched, need-resched-lazy, context, preemption depth, lazy depth, migration depth |
//!
//! The context is the only place with `h`, `H`, `s`, `z` or `Z` in it, so it is found without a header; a header that says
//! where it is ([`Legend`]) is believed.

use super::{Flags, Legend, Level};

/// Reads the column; none if these are no flags.
pub fn flags(token: &[u8], legend: &Legend) -> Option<Flags> {
    if !(3..=9).contains(&token.len()) || !token.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let (irqs_off, bh_off) = match token[0] {
        b'.' => (Some(false), false),
        b'b' => (Some(false), true),
        b'd' => (Some(true), false),
        b'D' => (Some(true), true),
        b'X' => (None, false),
        _ => return None,
    };
    if !matches!(token[1], b'.' | b'?' | b'-' | b'a'..=b'z' | b'A'..=b'Z') {
        return None;
    }
    let context = |at: usize| token.get(at).copied().and_then(level);
    let level = match legend.context {
        Some(at) => context(at)?,
        None => match context(2) {
            Some(Level::Task) => context(3)
                .filter(|_| token.len() >= 6)
                .unwrap_or(Level::Task),
            Some(level) => level,
            // Lazy need-resched comes first.
            None if token.len() >= 6 => context(3)?,
            None => return None,
        },
    };
    Some(Flags {
        irqs_off,
        bh_off,
        level,
    })
}

fn level(byte: u8) -> Option<Level> {
    match byte {
        b'.' | b'-' => Some(Level::Task),
        b's' => Some(Level::Softirq),
        b'h' | b'H' => Some(Level::Hardirq),
        b'z' | b'Z' => Some(Level::Nmi),
        _ => None,
    }
}
