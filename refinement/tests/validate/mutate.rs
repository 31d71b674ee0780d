//! Inputs that nobody wrote: good ones, edited at random.
//!
//! The same number gives the same input. `SHOOTDOWN_MUTATIONS=20000 cargo test mutated` makes more of them than the tests
//! do otherwise.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How many inputs each reader gets.
pub fn count() -> usize {
    let asked = std::env::var("SHOOTDOWN_MUTATIONS").ok();
    asked.map_or(200, |n| n.parse().expect("SHOOTDOWN_MUTATIONS is a number"))
}

/// A reader that takes longer for one input hangs: none takes a second.
const FOR_EVER: Duration = Duration::from_secs(60);

/// Text that means something to one reader or another, or nothing to any.
const PIECES: &[&[u8]] = &[
    b"",
    b"0",
    b"-1",
    b"255",
    b"256",
    b"4096",
    b"4294967296",
    b"18446744073709551615",
    b"18446744073709551616",
    b"1e999",
    b"NaN",
    b"null",
    b"true",
    b"\"",
    b"{",
    b"[[[[[[[[",
    b"}",
    b"]",
    b",",
    b";",
    b":",
    b"*",
    b"~",
    b"!",
    b"@",
    b"\\u0000",
    b"\\",
    b"\0",
    b"\xff\xfe",
    b"\xf0\x9f\x92\xa3",
    b"\r\n",
    b"\n\n",
    b"\t",
    b"\x1b[31m",
    b"CPU9",
    b"mm3",
    b"[000]",
    b" 0.000000: ",
];

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % n.max(1) as u64) as usize
    }

    /// A range within so many bytes, mostly a short one.
    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let at = self.below(len + 1);
        let most = [1, 4, 64, len][self.below(4)];
        at..(at + self.below(most + 1)).min(len)
    }
}

/// The input of that number.
fn mutated(number: usize, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut dice = Dice(number as u64);
    let mut bytes = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(4) {
        let len = bytes.len();
        match dice.below(9) {
            0 if len > 0 => {
                let at = dice.below(len);
                bytes[at] ^= 1 << dice.below(8);
            }
            1 if len > 0 => {
                let at = dice.below(len);
                bytes[at] = dice.below(256) as u8;
            }
            2 => bytes.truncate(dice.below(len + 1)),
            3 => drop(bytes.drain(dice.range(len))),
            4 => {
                let again = bytes[dice.range(len)].to_vec();
                let at = dice.below(len + 1);
                bytes.splice(at..at, again);
            }
            5 => {
                let piece = PIECES[dice.below(PIECES.len())];
                bytes.splice(dice.range(len), piece.iter().copied());
            }
            6 => {
                let other = &seeds[dice.below(seeds.len())];
                let piece = other[dice.range(other.len())].to_vec();
                bytes.splice(dice.range(len), piece);
            }
            7 => numbers(&mut dice, &mut bytes),
            _ => lines(&mut dice, &mut bytes),
        }
    }
    bytes
}

/// One number becomes another.
fn numbers(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let digits: Vec<usize> = (0..bytes.len())
        .filter(|&i| bytes[i].is_ascii_digit())
        .collect();
    let Some(&at) = digits.get(dice.below(digits.len())) else {
        return;
    };
    let len = bytes[at..]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let new = [0, 1, 2, 3, 7, 9, 31, 64, 128, u64::MAX][dice.below(10)];
    bytes.splice(at..at + len, new.to_string().into_bytes());
}

/// A line goes, comes again, or changes places with another.
fn lines(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let mut all: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
    let (one, other) = (dice.below(all.len()), dice.below(all.len()));
    match dice.below(3) {
        _ if all.is_empty() => return,
        0 => drop(all.remove(one)),
        1 => all.insert(other, all[one]),
        _ => all.swap(one, other),
    }
    *bytes = all.concat();
}

/// Gives the reader so many edited inputs. One that makes it panic, or that takes for ever, is written down.
pub fn each(reader: &str, seeds: &[Vec<u8>], read: impl Fn(&[u8]) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count() {
                break;
            }
            let input = mutated(number, seeds);
            let began = Instant::now();
            let went = catch_unwind(AssertUnwindSafe(|| read(&input)));
            let took = began.elapsed();
            if went.is_err() || took > FOR_EVER {
                let path =
                    std::env::temp_dir().join(format!("shootdown-mutated-{reader}-{number}"));
                let _ = std::fs::write(&path, &input);
                panic!("input {number}, {took:?}: {}", path.display());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
}
