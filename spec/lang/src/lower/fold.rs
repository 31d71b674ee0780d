//! Expressions, simplified as they are built.

use shootdown_ir::{Binary, Expr, Unary};

/// A constant.
pub(crate) fn number(value: i64) -> Expr {
    Expr::Const(value)
}

/// The value of an expression that is constant.
pub(crate) fn constant(e: &Expr) -> Option<i64> {
    match e {
        Expr::Const(value) => Some(*value),
        _ => None,
    }
}

/// `a op b`
pub(crate) fn binary(op: Binary, a: Expr, b: Expr) -> Expr {
    if let (Some(x), Some(y)) = (constant(&a), constant(&b))
        && let Some(value) = apply(op, x, y)
    {
        return Expr::Const(value);
    }
    match (op, constant(&a), constant(&b)) {
        (Binary::Add | Binary::BitOr | Binary::BitXor, Some(0), _) => return b,
        (
            Binary::Add | Binary::Sub | Binary::BitOr | Binary::BitXor | Binary::Shl | Binary::Shr,
            _,
            Some(0),
        ) => return a,
        (Binary::Mul | Binary::Div, _, Some(1)) => return a,
        (Binary::Mul, Some(1), _) => return b,
        (Binary::BitAnd, Some(0), _) | (Binary::And, Some(0), _) => return Expr::Const(0),
        (Binary::And, Some(_), _) => return truth(b),
        (Binary::Or, Some(0), _) => return truth(b),
        (Binary::Or, Some(_), _) => return Expr::Const(1),
        _ => {}
    }
    a.op(op, b)
}

/// `op a` on a machine with `all` as the mask of its CPUs.
pub(crate) fn unary(op: Unary, a: Expr, all: i64) -> Expr {
    match (op, constant(&a)) {
        (Unary::Not, _) => a.not(),
        (Unary::Neg, Some(x)) => x
            .checked_neg()
            .map_or(Expr::Unary(op, Box::new(a)), Expr::Const),
        (Unary::Complement, Some(x)) => Expr::Const(!x & all),
        (Unary::Weight, Some(x)) => Expr::Const(i64::from(x.count_ones())),
        (Unary::First, Some(0)) => Expr::Const(i64::from(all.count_ones())),
        (Unary::First, Some(x)) => Expr::Const(i64::from(x.trailing_zeros())),
        _ => Expr::Unary(op, Box::new(a)),
    }
}

/// `a != 0`, as 0 or 1.
pub(crate) fn truth(a: Expr) -> Expr {
    if is_truth(&a) {
        return a;
    }
    binary(Binary::Ne, a, number(0))
}

/// Whether it is 0 or 1 in any case.
pub(crate) fn is_truth(a: &Expr) -> bool {
    match a {
        Expr::Const(value) => matches!(value, 0 | 1),
        Expr::IrqsDisabled | Expr::InInterrupt | Expr::IsLocked(..) | Expr::IsActive(_) => true,
        Expr::Unary(Unary::Not, _) => true,
        Expr::Binary(op, ..) => matches!(
            op,
            Binary::Eq
                | Binary::Ne
                | Binary::Lt
                | Binary::Le
                | Binary::Gt
                | Binary::Ge
                | Binary::And
                | Binary::Or
        ),
        Expr::If(_, a, b) => is_truth(a) && is_truth(b),
        _ => false,
    }
}

/// Bit `n` of `word`, as 0 or 1.
pub(crate) fn bit(word: Expr, n: Expr) -> Expr {
    binary(Binary::BitAnd, binary(Binary::Shr, word, n), number(1))
}

/// `1 << n`
pub(crate) fn one_bit(n: Expr) -> Expr {
    binary(Binary::Shl, number(1), n)
}

fn apply(op: Binary, a: i64, b: i64) -> Option<i64> {
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
            a.checked_mul(1i64.checked_shl(u32::try_from(b).ok().filter(|&b| b <= 62)?)?)?
        }
        Binary::Shr => a >> u32::try_from(b).ok().filter(|&b| b <= 62)?,
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
