//! What keeps a long run supplied with mms and pages, and is no step of the protocol.
//!
//! The programs only ever take away: an entry that was cleared stays clear, a freed slot stays
//! free. A recorded run of hours needs a page-fault handler that maps pages again, an allocator
//! that hands a freed slot to the next `pgd_alloc`, and user code that touches pages. The checker
//! never calls any of this; a reader of such a run does, where the record says so.

use super::{Frame, Life, Mm, UserEntry};
use crate::program::Entry;

impl Mm {
    /// A slot as `pgd_alloc` finds it in a run that uses slots again: not born, its pages mapped,
    /// neither accessed nor dirty.
    pub fn supplied(thp: bool) -> Mm {
        let mut mm = Mm {
            life: Life::Unborn,
            ..Mm::initial(thp)
        };
        mm.age();
        mm
    }

    /// Nothing is accessed or dirty any more.
    pub fn age(&mut self) {
        for entry in &mut self.entries {
            (entry.accessed, entry.dirty) = (false, false);
        }
    }

    /// The page-fault handler takes the free frame behind the entry: one reference, its own.
    /// `false`, and nothing changed, if the frame is in use.
    pub fn allocate(&mut self, entry: Entry) -> bool {
        let free = self.frame(entry).refs == 0;
        if free {
            self.frames[entry as usize] = Frame {
                refs: 1,
                ..Frame::default()
            };
        }
        free
    }

    /// The page-fault handler maps the frame behind the entry, which has the mapping's reference
    /// and no other; a compound page that was split becomes whole. `false`, and nothing changed,
    /// if the entry maps a page already or the frame has another count.
    pub fn map(&mut self, entry: Entry) -> bool {
        let whole = UserEntry {
            present: true,
            ..UserEntry::default()
        };
        let can =
            !self.translates(entry) && !self.entry(entry).splitting && self.frame(entry).refs == 1;
        if can {
            self.entries[entry as usize] = whole;
            self.frames[entry as usize].split = false;
        }
        can
    }

    /// A walk by the hardware: sets ACCESSED, for a store DIRTY as well. `false` if the entry
    /// translates nothing.
    pub fn walk(&mut self, entry: Entry, store: bool) -> bool {
        let found = self.translates(entry);
        if found {
            let entry = &mut self.entries[entry as usize];
            entry.accessed = true;
            entry.dirty |= store;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleared_page_can_be_mapped_again_once_its_frame_is_free() {
        let mut mm = Mm::supplied(true);
        assert!(mm.translates(Entry::Pte) && !mm.entry(Entry::Pte).accessed);
        assert!(!mm.map(Entry::Pte), "it is mapped");
        mm.entries[0] = UserEntry::default();
        assert!(!mm.allocate(Entry::Pte), "the frame has a reference");
        mm.frames[0].refs = 0;
        mm.frames[0].freed = true;
        assert!(mm.allocate(Entry::Pte) && mm.map(Entry::Pte));
        assert_eq!(mm, Mm::supplied(true));
    }

    #[test]
    fn a_split_page_becomes_whole() {
        let mut mm = Mm::supplied(true);
        mm.entries[1].table = true;
        mm.frames[1].split = true;
        assert!(!mm.walk(Entry::Huge, true), "a table is not followed");
        assert!(mm.map(Entry::Huge));
        assert_eq!(mm, Mm::supplied(true));
        assert!(mm.walk(Entry::Huge, true));
        assert!(mm.entry(Entry::Huge).accessed && mm.entry(Entry::Huge).dirty);
    }
}
