//! The value of an expression.

use crate::expr::Binary;
pub use crate::expr::{binary, unary};
use crate::system::{CellId, X};

/// Something that knows the values of cells.
pub trait Cells {
    /// The value of a cell.
    fn cell(&self, cell: CellId) -> i64;
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
