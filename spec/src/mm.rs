//! An mm: its life, its masks, its entries and the frames they map.
//!
//! [`Mm::handle`] is everything a CPU can ask of an mm, each request one atomic access as the
//! hardware or a bit operation makes it. Guards that the kernel gets from sleeping locks and
//! reference counts (mmap_sem, anon_vma, `mm_count`) are answered here too: see
//! [`MmRequest::Begin`].

mod supply;

use crate::id::{CpuId, CpuSet};
use crate::program::{Entry, ProgramId};
use crate::variant::{Variant, VariantSet};
use serde::Serialize;
use std::fmt;
use zerocopy::{Immutable, IntoBytes};

/// How far an mm's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, IntoBytes, Immutable)]
#[repr(u8)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// A slot for `pgd_alloc` to fill.
    Unborn,
    /// `pgd_alloc` owns it; it has no pgd yet.
    Forking,
    /// Alive: its pgd exists.
    Alive,
    /// The last reference is gone, `pgd_free` is at work.
    Dying,
    /// Freed.
    Freed,
}

/// A user entry, as the bits that matter.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, IntoBytes, Immutable)]
#[repr(C)]
pub struct UserEntry {
    /// `_PAGE_PRESENT`.
    pub present: bool,
    /// `_PAGE_ACCESSED`.
    pub accessed: bool,
    /// `_PAGE_DIRTY`.
    pub dirty: bool,
    /// `_PAGE_SPLITTING`; only for the huge pmd.
    pub splitting: bool,
    /// The pmd points to a table of ptes now; only for the huge pmd.
    pub table: bool,
}

impl UserEntry {
    const MAPPED: UserEntry = UserEntry {
        present: true,
        // Young, so that page aging has something to flush.
        accessed: true,
        dirty: false,
        splitting: false,
        table: false,
    };
}

/// The frame an entry maps.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, IntoBytes, Immutable)]
#[repr(C)]
pub struct Frame {
    /// References: one of the mapping, one of each fast-GUP user.
    pub refs: u8,
    /// The last reference was put: the frame may be anybody's now.
    pub freed: bool,
    /// The compound page was split; only for the huge pmd's frame.
    pub split: bool,
}

/// One mm slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, IntoBytes, Immutable)]
#[repr(C)]
pub struct Mm {
    /// How far its life has come.
    pub life: Life,
    /// `mm_cpumask`: the CPUs that a flush must reach.
    pub cpumask: CpuSet,
    /// CPUs whose `active_mm` this is, lazy ones included: each holds a reference.
    pub active: CpuSet,
    /// References of running programs that name it.
    pub named: u8,
    /// The kernel half's one entry is present.
    pub kernel_entry: bool,
    /// The page is read-only for the guest (Xen).
    pub pinned: bool,
    /// A pin or unpin is under way: nobody may switch to the mm.
    pub pinning: bool,
    /// mmap_sem held for writing by a munmap.
    pub zapping: bool,
    /// Running `split_huge_page`; more than one only without the anon_vma lock.
    pub splitting: u8,
    /// Flushes owed after an unlock (tracked designs).
    pub pending: u8,
    /// The user entries, by [`Entry`].
    pub entries: [UserEntry; 2],
    /// The frames behind them, by [`Entry`].
    pub frames: [Frame; 2],
}

/// What a CPU asks of an mm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MmRequest {
    /// May this program start on the mm? Takes a reference and the sleeping locks.
    Begin(ProgramId),
    /// The program is over: drops the reference and the sleeping locks. No reply.
    End(ProgramId),
    /// Read `mm_cpumask`.
    Cpumask,
    /// Set or clear the asking CPU's bit.
    SetCpumask(bool),
    /// The asking CPU's `active_mm` starts or stops being this mm. No reply.
    Active(bool),
    /// Read the kernel entry.
    ReadKernelEntry,
    /// Read whether the page is pinned.
    ReadPinned,
    /// Store the kernel entry.
    WriteKernelEntry,
    /// Come alive with this kernel entry.
    Clone(bool),
    /// Go: entries, frames and all.
    Free,
    /// Turn the page read-only or writable.
    SetPinned(bool),
    /// Test and clear ACCESSED.
    TestAndClearYoung(Entry),
    /// Get and clear the entry.
    GetAndClear(Entry),
    /// Set SPLITTING.
    SetSplitting,
    /// Read SPLITTING.
    TestSplitting,
    /// Make the pmd not-present.
    PmdNotPresent,
    /// Point the pmd to a table.
    PmdPopulate,
    /// Split the compound page.
    SplitCompound,
    /// Read the entry without locks.
    GupRead(Entry),
    /// Take a reference on the frame.
    GetPage(Entry),
    /// Put one.
    PutPage(Entry),
    /// Raise, drop or read the pending counter.
    Pending(PendingOp),
    /// The hardware walker reads the entry to cache it: sets ACCESSED.
    Walk(Entry),
    /// A store from user mode: sets ACCESSED and DIRTY if the entry is present.
    Store(Entry),
}

/// Operations on the counter of pending flushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PendingOp {
    /// Add one.
    Raise,
    /// Take one off.
    Drop,
    /// Is it non-zero?
    Read,
}

/// The mm's answer.
#[expect(
    missing_docs,
    reason = "the fields are named in the sentence of the reply"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MmReply {
    /// It is done.
    Done,
    /// The answer to a question, or whether something was there to be changed.
    Bool(bool),
    /// The mask asked for.
    Mask(CpuSet),
    /// The pmd maps a huge page; it was splitting already.
    Splitting { huge: bool, already: bool },
}

impl Mm {
    /// A slot that `pgd_alloc` may fill.
    pub const UNBORN: Mm = Mm {
        life: Life::Unborn,
        cpumask: CpuSet::EMPTY,
        active: CpuSet::EMPTY,
        named: 0,
        kernel_entry: false,
        pinned: false,
        pinning: false,
        zapping: false,
        splitting: 0,
        pending: 0,
        entries: [UserEntry {
            present: false,
            accessed: false,
            dirty: false,
            splitting: false,
            table: false,
        }; 2],
        frames: [Frame {
            refs: 0,
            freed: false,
            split: false,
        }; 2],
    };

    /// An mm that is alive at the start: entries mapped and young, kernel entry not synced yet.
    pub fn initial(thp: bool) -> Mm {
        let frame = Frame {
            refs: 1,
            ..Frame::default()
        };
        let mut mm = Mm {
            life: Life::Alive,
            ..Mm::UNBORN
        };
        mm.entries[Entry::Pte as usize] = UserEntry::MAPPED;
        mm.frames[Entry::Pte as usize] = frame;
        if thp {
            mm.entries[Entry::Huge as usize] = UserEntry::MAPPED;
            mm.frames[Entry::Huge as usize] = frame;
        }
        mm
    }

    /// The entry.
    pub fn entry(&self, entry: Entry) -> &UserEntry {
        &self.entries[entry as usize]
    }

    /// Would the hardware walker find a translation of this size?
    pub fn translates(&self, entry: Entry) -> bool {
        let e = self.entry(entry);
        e.present && !e.table
    }

    /// The frame behind the entry.
    pub fn frame(&self, entry: Entry) -> &Frame {
        &self.frames[entry as usize]
    }

    /// Could the program start on this mm now?
    pub fn may_begin(&self, program: ProgramId, variants: VariantSet) -> bool {
        use ProgramId::*;
        let alive = self.life == Life::Alive;
        match program {
            PgdAlloc => self.life == Life::Unborn,
            PgdFree => alive && self.active.is_empty() && self.named == 0 && !self.pinned,
            XenPgdPin => alive && self.active.is_empty() && !self.pinning && !self.pinned,
            XenPgdUnpin => alive && self.active.is_empty() && !self.pinning && self.pinned,
            SwitchMm => alive && !self.pinning,
            ZapPageRange => alive && !self.zapping,
            SplitHugePage => alive && (self.splitting == 0 || variants.has(Variant::NoAnonVmaLock)),
            _ => alive,
        }
    }

    /// Answers one request of `cpu`.
    pub fn handle(&mut self, cpu: CpuId, request: MmRequest, variants: VariantSet) -> MmReply {
        match request {
            MmRequest::Begin(program) => {
                let may = self.may_begin(program, variants);
                if may {
                    self.begin(program);
                }
                MmReply::Bool(may)
            }
            MmRequest::End(program) => self.end(program),
            MmRequest::Cpumask => MmReply::Mask(self.cpumask),
            MmRequest::SetCpumask(on) => {
                if on {
                    self.cpumask.insert(cpu);
                } else {
                    self.cpumask.remove(cpu);
                }
                MmReply::Done
            }
            MmRequest::Active(on) => {
                if on {
                    self.active.insert(cpu);
                } else {
                    self.active.remove(cpu);
                }
                MmReply::Done
            }
            MmRequest::ReadKernelEntry => MmReply::Bool(self.kernel_entry),
            MmRequest::ReadPinned => MmReply::Bool(self.pinned),
            MmRequest::WriteKernelEntry => {
                // A store into a freed page would corrupt its next owner, not this mm.
                self.kernel_entry |= self.life != Life::Freed;
                MmReply::Done
            }
            MmRequest::Clone(kernel_entry) => {
                self.kernel_entry = kernel_entry;
                self.life = Life::Alive;
                MmReply::Done
            }
            MmRequest::Free => {
                *self = Mm {
                    life: Life::Freed,
                    named: self.named,
                    ..Mm::UNBORN
                };
                MmReply::Done
            }
            MmRequest::SetPinned(on) => {
                self.pinned = on;
                MmReply::Done
            }
            MmRequest::Pending(op) => self.pending(op, variants.has(Variant::FlagForCounter)),
            _ => self.handle_user(request),
        }
    }

    fn begin(&mut self, program: ProgramId) {
        self.named += 1;
        match program {
            ProgramId::PgdAlloc => self.life = Life::Forking,
            ProgramId::PgdFree => self.life = Life::Dying,
            ProgramId::XenPgdPin | ProgramId::XenPgdUnpin => self.pinning = true,
            ProgramId::ZapPageRange => self.zapping = true,
            ProgramId::SplitHugePage => self.splitting += 1,
            _ => {}
        }
    }

    fn end(&mut self, program: ProgramId) -> MmReply {
        self.named -= 1;
        match program {
            ProgramId::XenPgdPin | ProgramId::XenPgdUnpin => self.pinning = false,
            ProgramId::ZapPageRange => self.zapping = false,
            ProgramId::SplitHugePage => self.splitting -= 1,
            _ => {}
        }
        MmReply::Done
    }

    fn pending(&mut self, op: PendingOp, flag: bool) -> MmReply {
        match op {
            PendingOp::Raise if flag => self.pending = 1,
            PendingOp::Raise => self.pending += 1,
            PendingOp::Drop if flag => self.pending = 0,
            PendingOp::Drop => self.pending -= 1,
            PendingOp::Read => return MmReply::Bool(self.pending != 0),
        }
        MmReply::Done
    }

    /// Requests that touch user entries and frames.
    fn handle_user(&mut self, request: MmRequest) -> MmReply {
        let huge = |mm: &Mm| mm.translates(Entry::Huge);
        match request {
            MmRequest::TestAndClearYoung(entry) => {
                let young = self.translates(entry)
                    && !self.entry(entry).splitting
                    && self.entry(entry).accessed;
                if young {
                    self.entries[entry as usize].accessed = false;
                }
                MmReply::Bool(young)
            }
            MmRequest::GetAndClear(entry) => {
                let was = self.translates(entry);
                if was {
                    self.entries[entry as usize] = UserEntry::default();
                }
                MmReply::Bool(was)
            }
            MmRequest::SetSplitting => {
                let reply = MmReply::Splitting {
                    huge: huge(self),
                    already: self.entry(Entry::Huge).splitting,
                };
                self.entries[Entry::Huge as usize].splitting |= huge(self);
                reply
            }
            MmRequest::TestSplitting => MmReply::Bool(self.entry(Entry::Huge).splitting),
            MmRequest::PmdNotPresent => {
                let pmd = &mut self.entries[Entry::Huge as usize];
                pmd.present &= pmd.table;
                MmReply::Done
            }
            MmRequest::PmdPopulate => {
                self.entries[Entry::Huge as usize] = UserEntry {
                    present: true,
                    table: true,
                    ..UserEntry::default()
                };
                MmReply::Done
            }
            MmRequest::SplitCompound => {
                self.frames[Entry::Huge as usize].split = true;
                MmReply::Done
            }
            MmRequest::GupRead(entry) => {
                MmReply::Bool(self.translates(entry) && !self.entry(entry).splitting)
            }
            MmRequest::GetPage(entry) => {
                self.frames[entry as usize].refs += 1;
                MmReply::Done
            }
            MmRequest::PutPage(entry) => {
                let frame = &mut self.frames[entry as usize];
                frame.refs -= 1;
                frame.freed |= frame.refs == 0;
                MmReply::Done
            }
            MmRequest::Walk(entry) => {
                let found = self.translates(entry);
                self.entries[entry as usize].accessed |= found;
                MmReply::Bool(found)
            }
            MmRequest::Store(entry) => {
                let found = self.translates(entry);
                self.entries[entry as usize].accessed |= found;
                self.entries[entry as usize].dirty |= found;
                MmReply::Bool(found)
            }
            _ => unreachable!("{request:?} does not touch user entries"),
        }
    }
}

impl fmt::Debug for UserEntry {
    /// The bits that are set, `-` for none: P A D S(plitting) T(able).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = [
            (self.present, "P"),
            (self.accessed, "A"),
            (self.dirty, "D"),
            (self.splitting, "S"),
            (self.table, "T"),
        ];
        let set: String = bits.iter().filter(|b| b.0).map(|b| b.1).collect();
        f.write_str(if set.is_empty() { "-" } else { &set })
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refs", self.refs)?;
        if self.freed {
            write!(f, " FREED")?;
        }
        if self.split {
            write!(f, " split")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Mm {
    /// One line: what differs from rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus = |set: CpuSet| set.iter().map(|c| c.0).collect::<Vec<_>>();
        write!(
            f,
            "{:?} cpumask={:?} active={:?} named={} kernel_entry={}",
            self.life,
            cpus(self.cpumask),
            cpus(self.active),
            self.named,
            self.kernel_entry as u8,
        )?;
        for entry in Entry::ALL {
            write!(
                f,
                " {entry}={:?} ({:?})",
                self.entry(entry),
                self.frame(entry)
            )?;
        }
        if self.pending != 0 {
            write!(f, " pending={}", self.pending)?;
        }
        let marks = [
            (self.pinned, "pinned"),
            (self.pinning, "pinning"),
            (self.zapping, "zapping"),
            (self.splitting != 0, "splitting"),
        ];
        for (_, name) in marks.iter().filter(|m| m.0) {
            write!(f, " {name}")?;
        }
        Ok(())
    }
}
