//! What declarations are called by: their places in a [`Protocol`](crate::Protocol).

/// Index of a [`Var`](crate::Var) in [`Protocol::vars`](crate::Protocol::vars).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VarId(pub u32);

/// Index of a [`Lock`](crate::Lock) in [`Protocol::locks`](crate::Protocol::locks).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockId(pub u32);

/// Index of a [`Source`](crate::Source) in [`Protocol::sources`](crate::Protocol::sources).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);
