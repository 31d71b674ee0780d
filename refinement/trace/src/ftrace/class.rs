//! Lock classes, by name, and the part each plays.

use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::fmt;

/// The part that a class plays in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A page-table lock: one per mm, or one per page-table page.
    PageTableLock,
    /// `pgd_lock`.
    PgdLock,
    /// Any other lock.
    Other,
}

impl Part {
    /// By the name of the class.
    ///
    /// | name | kernel |
    /// |---|---|
    /// | `ptlock_ptr(ptdesc)` (6.5 on), `ptlock_ptr(page)` (5.8 on), `&(ptlock_ptr(page))->rlock` (3.13 on) | split locks, of ptes and pmds alike |
    /// | `&(&page->ptl)->rlock`, `__pte_lockptr(page)`, `__pte_lockptr(new)` (2.6.15 to 3.12) | the same |
    /// | `&mm->page_table_lock`, `&(&mm->page_table_lock)->rlock`, `init_mm.page_table_lock` | one per mm |
    /// | `pgd_lock`, `(pgd_lock)`, `pgd_lock.rlock` | |
    pub fn of(name: &str) -> Part {
        let member = |at: usize| {
            !name[at + 5..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        };
        let split = name.contains("ptlock_ptr(")
            || name.contains("pte_lockptr(")
            || name.contains("pmd_lockptr(")
            || name.find("->ptl").is_some_and(member);
        if split || name.contains("page_table_lock") {
            Part::PageTableLock
        } else if matches!(
            name,
            "pgd_lock" | "(pgd_lock)" | "pgd_lock.rlock" | "&(&pgd_lock)->rlock"
        ) || name.starts_with("(pgd_lock)")
        {
            Part::PgdLock
        } else {
            Part::Other
        }
    }

    /// Do its waiters sleep? By the names that kernels give to mutexes and semaphores; RT's spinlocks are not told.
    pub fn sleeps(name: &str) -> bool {
        const SLEEPING: &[&str] = &[
            "mutex",
            "rwsem",
            "_sem",
            "mmap_lock",
            "vm_lock",
            "sb_writers",
            "_completion)",
            "fs_reclaim",
        ];
        SLEEPING.iter().any(|word| name.contains(word))
    }

    /// Is the strict rule about it?
    pub fn watched(self) -> bool {
        self != Part::Other
    }
}

/// A class by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(u16);

/// What is known of a class.
#[derive(Clone, Debug)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Its part.
    pub part: Part,
    /// It was seen to print `lock_acquired`, so `lock_acquire` is only the attempt.
    pub prints_acquired: bool,
}

/// How many classes are told apart; lockdep has room for 8192. Further ones are one class, which has no part.
const MOST: usize = 8192;

/// Every class of a trace.
#[derive(Debug, Default)]
pub struct Classes {
    list: Vec<Class>,
    by_name: HashMap<String, ClassId>,
}

impl Classes {
    /// The class of this name.
    pub fn id(&mut self, name: &str) -> ClassId {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let name = if self.list.len() < MOST {
            name
        } else {
            "(too many classes)"
        };
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let id = ClassId(self.list.len() as u16);
        self.list.push(Class {
            name: super::place::printable(name),
            part: Part::of(name),
            prints_acquired: false,
        });
        self.by_name.insert(name.to_string(), id);
        id
    }

    /// What is known of it.
    pub fn get(&self, id: ClassId) -> &Class {
        &self.list[usize::from(id.0)]
    }

    /// The same, to learn.
    pub fn get_mut(&mut self, id: ClassId) -> &mut Class {
        &mut self.list[usize::from(id.0)]
    }

    /// Its name, to keep.
    pub fn name(&self, id: ClassId) -> Name {
        let class = self.get(id);
        Name {
            name: class.name.clone(),
            part: class.part,
        }
    }
}

/// The name of a class, with its part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// As the trace has it.
    pub name: String,
    /// The part.
    pub part: Part,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_table_locks_are_known_by_any_kernels_name_for_them() {
        for name in [
            "ptlock_ptr(ptdesc)",
            "ptlock_ptr(page)",
            "&mm->page_table_lock",
            "&(&mm->page_table_lock)->rlock",
            "init_mm.page_table_lock",
            "&(ptlock_ptr(page))->rlock",
            "&(&page->ptl)->rlock",
            "&(&(page)->ptl)->rlock",
            "__pte_lockptr(new)",
            "&page->ptl",
        ] {
            assert_eq!(Part::of(name), Part::PageTableLock, "{name}");
        }
        assert_eq!(Part::of("pgd_lock"), Part::PgdLock);
        for name in [
            "&mm->mmap_lock",
            "lock",
            "key",
            "cpa_lock",
            "&pgdat->lru_lock",
            "&dev->ptlock",
            "&ctx->ptl_cache",
        ] {
            assert_eq!(Part::of(name), Part::Other, "{name}");
        }
    }

    #[test]
    fn there_is_room_for_a_bounded_number_of_classes() {
        let mut classes = Classes::default();
        let ids: Vec<ClassId> = (0..MOST + 10)
            .map(|n| classes.id(&format!("lock{n}")))
            .collect();
        assert_eq!(ids[MOST], ids[MOST + 9]);
        assert_ne!(ids[0], ids[1]);
        assert_eq!(classes.id("lock7"), ids[7]);
    }
}
