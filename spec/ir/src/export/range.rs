//! Between which bounds a value stays, whatever the state.

use crate::expr::{Binary, Unary};
use crate::system::{System, X};

/// The most a value may be away from 0: what 32 bits hold.
const MOST: i64 = i32::MAX as i64;

fn narrow(lo: i64, hi: i64) -> Option<(i64, i64)> {
    (-MOST <= lo && hi <= MOST).then_some((lo, hi))
}

/// The least and the greatest value the expression can have where it has one; `None` if it, or a part of it, may be beyond
/// 32 bits.
pub fn range(x: &X, system: &System) -> Option<(i64, i64)> {
    match x {
        X::Const(c) => narrow(*c, *c),
        X::Cell(r) => {
            if let Some(index) = &r.index {
                range(index, system)?;
            }
            let cells = r.cells().map(|c| &system.cells[c.0 as usize]);
            let (lo, hi) = cells.fold((i64::MAX, i64::MIN), |(lo, hi), c| {
                (lo.min(c.lo), hi.max(c.hi))
            });
            narrow(lo, hi)
        }
        X::Unary(op, a) => {
            let (lo, hi) = range(a, system)?;
            match op {
                Unary::Not => Some((0, 1)),
                Unary::Neg => Some((-hi, -lo)),
                Unary::Complement => Some((0, (1 << system.cpus) - 1)),
                // Of a negative number all 64 bits count.
                Unary::Weight | Unary::First if lo < 0 => None,
                Unary::Weight => Some((0, 31)),
                Unary::First => Some((0, 31.max(system.cpus as i64))),
            }
        }
        X::Binary(op, a, b) => {
            let (a, b) = (range(a, system)?, range(b, system)?);
            let (lo, hi) = binary(*op, a, b)?;
            narrow(lo, hi)
        }
        X::If(c, a, b) => {
            range(c, system)?;
            let (a, b) = (range(a, system)?, range(b, system)?);
            Some((a.0.min(b.0), a.1.max(b.1)))
        }
    }
}

/// The least and the greatest of the values at the corners.
fn corners(a: (i64, i64), b: (i64, i64), f: impl Fn(i64, i64) -> i64) -> (i64, i64) {
    let all = [f(a.0, b.0), f(a.0, b.1), f(a.1, b.0), f(a.1, b.1)];
    let least = all.iter().copied().fold(i64::MAX, i64::min);
    (least, all.into_iter().fold(i64::MIN, i64::max))
}

fn binary(op: Binary, a: (i64, i64), b: (i64, i64)) -> Option<(i64, i64)> {
    // As many ones as the larger needs.
    let ones = |v: i64| (1i64 << (i64::BITS - v.max(0).leading_zeros())) - 1;
    Some(match op {
        Binary::Add => (a.0 + b.0, a.1 + b.1),
        Binary::Sub => (a.0 - b.1, a.1 - b.0),
        Binary::Mul => corners(a, b, |x, y| x * y),
        Binary::Div => {
            let most = a.0.abs().max(a.1.abs());
            (-most, most)
        }
        Binary::Rem => {
            let most = b.0.abs().max(b.1.abs());
            (if a.0 < 0 { -most } else { 0 }, most)
        }
        Binary::BitAnd if b.0 >= 0 => (0, if a.0 >= 0 { a.1.min(b.1) } else { b.1 }),
        Binary::BitAnd if a.0 >= 0 => (0, a.1),
        Binary::BitOr | Binary::BitXor if a.0 >= 0 && b.0 >= 0 => (0, ones(a.1.max(b.1))),
        Binary::BitAnd | Binary::BitOr | Binary::BitXor => {
            let most = [a.0, a.1, b.0, b.1]
                .into_iter()
                .map(|v| ones(v.abs()))
                .max()?;
            (-most - 1, most)
        }
        Binary::Shl => {
            let (least, most) = (b.0.clamp(0, 62), b.1.clamp(0, 62));
            if most > 31 {
                return None;
            }
            corners(a, (least, most), |x, y| x << y)
        }
        Binary::Shr => corners(a, (b.0.clamp(0, 62), b.1.clamp(0, 62)), |x, y| x >> y),
        _ => (0, 1),
    })
}
