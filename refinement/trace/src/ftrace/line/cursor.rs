//! Reads a line from left to right.

use super::super::place::{Time, Unit};
use super::Malformed;

/// Where in a line.
pub struct Cursor<'a> {
    /// The line.
    pub bytes: &'a [u8],
    /// What is read next.
    pub at: usize,
}

/// How many blanks, tabs included, there are at the start.
pub fn blanks(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|b| matches!(**b, b' ' | b'\t'))
        .count()
}

/// A number of at most 19 digits, which cannot overflow.
pub fn decimal(digits: &[u8]) -> Option<u64> {
    let fits = !digits.is_empty() && digits.len() <= 19 && digits.iter().all(u8::is_ascii_digit);
    fits.then(|| digits.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
}

impl<'a> Cursor<'a> {
    /// The next byte, to look at.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Goes on if this byte is next.
    pub fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Goes over blanks.
    pub fn blanks(&mut self) {
        self.at += blanks(&self.bytes[self.at..]);
    }

    /// What there is of such bytes.
    pub fn take(&mut self, which: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        let n = rest.iter().take_while(|b| which(**b)).count();
        self.at += n;
        &rest[..n]
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// A number.
    pub fn number(&mut self) -> Option<u64> {
        decimal(self.take(|b| b.is_ascii_digit()))
    }

    /// Something is wrong here.
    pub fn wrong<T>(&self, reason: &'static str) -> Result<T, Malformed> {
        Err(Malformed {
            column: self.at + 1,
            reason,
        })
    }

    /// `6.310243`, `6.310243417`, `23930`, `2829493us`.
    pub fn time(&mut self) -> Result<Time, Malformed> {
        let at = self.at;
        let Some(whole) = self.number() else {
            self.at = at;
            return self.wrong(if self.peek().is_none() {
                "the line ends before the time"
            } else {
                "this is no time"
            });
        };
        if self.eat(b'.') {
            let digits = self.take(|b| b.is_ascii_digit());
            let micros = (0..6).fold(0, |n, i| {
                n * 10 + u64::from(digits.get(i).map_or(0, |d| d - b'0'))
            });
            return Ok(Time {
                value: whole.saturating_mul(1_000_000).saturating_add(micros),
                unit: Unit::Seconds,
            });
        }
        if self.eat(b'u') {
            if !self.eat(b's') {
                return self.wrong("the time is neither in `us` nor a plain number");
            }
            return Ok(Time {
                value: whole,
                unit: Unit::Micros,
            });
        }
        Ok(Time {
            value: whole,
            unit: Unit::Count,
        })
    }
}
