//! The value of an expression.

use crate::expr::{Binary, Unary};
use crate::system::{CellId, X};

/// Something that knows the values of cells.
pub trait Cells {
    /// The value of a cell.
    fn cell(&self, cell: CellId) -> i64;
}

/// The value of `a op b`; `None` where there is none: a division by 0, a shift by less than 0 or more than 62, or a
/// result beyond 64 bits.
pub fn binary(op: Binary, a: i64, b: i64) -> Option<i64> {
    Some(match op {
        Binary::Add => a.checked_add(b)?,
        Binary::Sub => a.checked_sub(b)?,
        Binary::Mul => a.checked_mul(b)?,
        Binary::Div => a.checked_div(b)?,
        Binary::Rem => a.checked_rem(b)?,
        Binary::BitAnd => a & b,
        Binary::BitOr => a | b,
        Binary::BitXor => a ^ b,
        Binary::Shl => {
            let shift = u32::try_from(b).ok().filter(|&s| s <= 62)?;
            a.checked_mul(1 << shift)?
        }
        Binary::Shr => a >> u32::try_from(b).ok().filter(|&s| s <= 62)?,
        Binary::Eq => i64::from(a == b),
        Binary::Ne => i64::from(a != b),
        Binary::Lt => i64::from(a < b),
        Binary::Le => i64::from(a <= b),
        Binary::Gt => i64::from(a > b),
        Binary::Ge => i64::from(a >= b),
        Binary::And => i64::from(a != 0 && b != 0),
        Binary::Or => i64::from(a != 0 || b != 0),
    })
}

/// The value of `op a` on a machine with `cpus` CPUs.
pub fn unary(op: Unary, a: i64, cpus: usize) -> Option<i64> {
    Some(match op {
        Unary::Not => i64::from(a == 0),
        Unary::Neg => a.checked_neg()?,
        Unary::Complement => !a & ((1 << cpus) - 1),
        Unary::Weight => i64::from(a.count_ones()),
        Unary::First if a == 0 => cpus as i64,
        Unary::First => i64::from(a.trailing_zeros()),
    })
}

/// The value of an expression; `None` where it has none (see [`binary`]; an index out of its row).
pub fn value(x: &X, cells: &impl Cells, cpus: usize) -> Option<i64> {
    match x {
        X::Const(c) => Some(*c),
        X::Cell(r) => {
            let offset = match &r.index {
                None => 0,
                Some(index) => {
                    let i = value(index, cells, cpus)?;
                    u32::try_from(i).ok().filter(|&i| i < r.len)?
                }
            };
            Some(cells.cell(CellId(r.base.0 + offset)))
        }
        X::Unary(op, a) => unary(*op, value(a, cells, cpus)?, cpus),
        X::Binary(Binary::And, a, b) => {
            if value(a, cells, cpus)? == 0 {
                return Some(0);
            }
            Some(i64::from(value(b, cells, cpus)? != 0))
        }
        X::Binary(Binary::Or, a, b) => {
            if value(a, cells, cpus)? != 0 {
                return Some(1);
            }
            Some(i64::from(value(b, cells, cpus)? != 0))
        }
        X::Binary(op, a, b) => binary(*op, value(a, cells, cpus)?, value(b, cells, cpus)?),
        X::If(c, a, b) => {
            if value(c, cells, cpus)? != 0 {
                value(a, cells, cpus)
            } else {
                value(b, cells, cpus)
            }
        }
    }
}
