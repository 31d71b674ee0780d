//! What can be waited for, by class.

use super::Step;
use crate::id::LockId;
use crate::program::{LockRef, Mode};
use serde::Serialize;
use std::fmt;

/// A lock class: the locks that play the same part, as lockdep's classes do. There is one
/// `pgd_lock`; of the others one per mm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// `pgd_lock`.
    PgdLock,
    /// `page_table_lock` of any mm.
    PageTableLock,
    /// The split lock of any mm's pte.
    SplitPtl,
}

impl From<LockRef> for Class {
    fn from(lock: LockRef) -> Class {
        match lock {
            LockRef::PgdLock => Class::PgdLock,
            LockRef::PageTableLock(_) => Class::PageTableLock,
            LockRef::SplitPtl(_) => Class::SplitPtl,
        }
    }
}

impl From<LockId> for Class {
    fn from(lock: LockId) -> Class {
        match lock {
            LockId::PgdLock => Class::PgdLock,
            LockId::PageTableLock(_) => Class::PageTableLock,
            LockId::SplitPtl(_) => Class::SplitPtl,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::PgdLock => "pgd_lock",
            Class::PageTableLock => "page_table_lock",
            Class::SplitPtl => "ptl(pte)",
        })
    }
}

/// Something a context can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// A lock of this class, to be taken in this mode.
    Lock(Class, Mode),
    /// Another CPU's acknowledgement of a flush IPI. lockdep has no such node.
    Ack,
    /// The end of a split (`wait_split_huge_page`).
    Split,
}

impl Node {
    /// Is it a lock?
    pub fn is_lock(self) -> bool {
        matches!(self, Node::Lock(..))
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Lock(class, Mode::Exclusive) => write!(f, "{class}"),
            Node::Lock(class, Mode::Shared) => write!(f, "{class}(read)"),
            Node::Ack => f.write_str("IPI acknowledgement"),
            Node::Split => f.write_str("end of a split"),
        }
    }
}

impl Serialize for Node {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why an edge is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A program holds the lock while it waits.
    Held,
    /// A program waits with interrupts off, and so does not acknowledge.
    InterruptsOff,
    /// A program holds the lock with interrupts on, and an interrupt there waits.
    Interrupted,
    /// An interrupt handler waits, and meanwhile its CPU does not acknowledge.
    Handler,
    /// The context that splits waits meanwhile, itself or in an interrupt.
    Splitting,
}

/// The program lines that make an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Witness {
    /// Which rule.
    pub kind: Kind,
    /// Where what is waited for begins to be withheld: the lock is taken, or interrupts go off.
    /// None in a handler, which has them off from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withholds: Option<Step>,
    /// The line that waits.
    pub waits: Step,
}
