//! Expressions over declared state.

use crate::id::{LockId, SourceId, VarId};

/// An operator with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// `!a`: 1 if `a` is 0, else 0.
    Not,
    /// `-a`.
    Neg,
    /// `~a` within the mask of all configured CPUs: the complement of a set of CPUs.
    Complement,
    /// `cpumask_weight(a)`: how many bits are set.
    Weight,
    /// `cpumask_first(a)`: the lowest set bit; the number of CPUs if there is none.
    First,
}

/// An operator with two operands. Comparisons and connectives give 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`; by 0 it is an error of the step (property `range`).
    Div,
    /// `a % b`; as for [`Div`](Self::Div).
    Rem,
    /// `a & b`
    BitAnd,
    /// `a | b`
    BitOr,
    /// `a ^ b`
    BitXor,
    /// `a << b`
    Shl,
    /// `a >> b`
    Shr,
    /// `a == b`
    Eq,
    /// `a != b`
    Ne,
    /// `a < b`
    Lt,
    /// `a <= b`
    Le,
    /// `a > b`
    Gt,
    /// `a >= b`
    Ge,
    /// `a && b`
    And,
    /// `a || b`
    Or,
}

/// Where a value is kept: a variable, or an element of one.
///
/// A per-CPU variable is an array with one element for each CPU; `x` without an index, read on a CPU, is
/// `Place { var: x, index: Some(Expr::ThisCpu) }`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The variable.
    pub var: VarId,
    /// The element, for an array or a per-CPU variable; counted from 0.
    pub index: Option<Box<Expr>>,
}

impl Place {
    /// A scalar variable.
    pub fn of(var: VarId) -> Place {
        Place { var, index: None }
    }

    /// An element of an array or a per-CPU variable.
    pub fn at(var: VarId, index: Expr) -> Place {
        Place {
            var,
            index: Some(Box::new(index)),
        }
    }
}

/// A value computed from the state in which a step is taken. Evaluated in 64 bits, signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// A constant.
    Const(i64),
    /// `smp_processor_id()`: the number of the CPU that executes the step.
    ThisCpu,
    /// A variable or an element of one.
    Load(Place),
    /// `irqs_disabled()`: 1 if interrupts are off on this CPU.
    IrqsDisabled,
    /// `in_interrupt()`: 1 in a softirq, hardirq, IPI or NMI handler, and where bottom halves are off.
    InInterrupt,
    /// 1 if the lock element is held by anybody, in any mode: `spin_is_locked(l)`.
    IsLocked(LockId, Option<Box<Expr>>),
    /// 1 if a handler of the source runs on any CPU, or is pending on one.
    IsActive(SourceId),
    /// One operand.
    Unary(Unary, Box<Expr>),
    /// Two operands. `&&` and `||` do not evaluate what is not needed.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `c ? a : b`
    If(Box<Expr>, Box<Expr>, Box<Expr>),
}

impl Expr {
    /// A variable without an index.
    pub fn var(var: VarId) -> Expr {
        Expr::Load(Place::of(var))
    }

    /// `!self`
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "`!` on an expression would read as Rust's own negation"
    )]
    pub fn not(self) -> Expr {
        match self {
            Expr::Const(c) => Expr::Const(i64::from(c == 0)),
            Expr::Unary(Unary::Not, inner)
                if matches!(
                    *inner,
                    Expr::Binary(
                        Binary::Eq
                            | Binary::Ne
                            | Binary::Lt
                            | Binary::Le
                            | Binary::Gt
                            | Binary::Ge
                            | Binary::And
                            | Binary::Or,
                        ..
                    ) | Expr::Unary(Unary::Not, _)
                ) =>
            {
                *inner
            }
            other => Expr::Unary(Unary::Not, Box::new(other)),
        }
    }

    /// `self op other`
    #[must_use]
    pub fn op(self, op: Binary, other: Expr) -> Expr {
        Expr::Binary(op, Box::new(self), Box::new(other))
    }

    /// `self == other`
    #[must_use]
    pub fn equals(self, other: Expr) -> Expr {
        self.op(Binary::Eq, other)
    }

    /// Calls `f` on this expression and on every expression inside it.
    pub fn each(&self, f: &mut impl FnMut(&Expr)) {
        f(self);
        match self {
            Expr::Const(_)
            | Expr::ThisCpu
            | Expr::IrqsDisabled
            | Expr::InInterrupt
            | Expr::IsActive(_) => {}
            Expr::Load(place) => {
                if let Some(index) = &place.index {
                    index.each(f);
                }
            }
            Expr::IsLocked(_, index) => {
                if let Some(index) = index {
                    index.each(f);
                }
            }
            Expr::Unary(_, a) => a.each(f),
            Expr::Binary(_, a, b) => {
                a.each(f);
                b.each(f);
            }
            Expr::If(c, a, b) => {
                c.each(f);
                a.each(f);
                b.each(f);
            }
        }
    }
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
