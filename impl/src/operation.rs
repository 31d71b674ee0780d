//! The operations a CPU can be asked to run, as one list; and running one.

use crate::cpu::{Cpu, Task};
use crate::design::{Axes, Design, DesignVisitor, with_design};
use crate::id::MmId;
use crate::irq::Vector;
use crate::machine::Machine;
use crate::path;
use crate::tlb::{AccessKind, Slot};

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident $(($($type:ident),*))? = $program:literal, $make:expr, $count:literal;)*) => {
        /// One run of one kernel path. Paths that act on the caller's own mm find it in the CPU, as `current->mm`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
        pub enum Operation { $($(#[$doc])* $name $(($($type),*))?),* }

        impl Operation {
            /// The program's name in the protocol.
            pub const fn program(self) -> &'static str {
                match self { $(Self::$name { .. } => $program),* }
            }

            /// How many operations there are.
            pub const COUNT: u8 = 0 $(+ $count)*;

            /// A dense number below [`Self::COUNT`].
            pub const fn code(self) -> u8 {
                let mut first = 0;
                $(
                    if matches!(self, Self::$name { .. }) {
                        return first + self.place();
                    }
                    first += $count;
                )*
                u8::MAX
            }

            /// The operation with this code, the codes being dense from 0.
            pub fn from_code(code: u8) -> Option<Self> {
                let mut code = code;
                $(
                    if code < $count {
                        let make: fn(u8) -> Self = $make;
                        return Some(make(code));
                    }
                    code -= $count;
                )*
                let _ = code;
                None
            }
        }
    };
}

const SLOTS: [Slot; 2] = Slot::ALL;

operations! {
    /// Sets the kernel entry in `init_mm` and in every listed pgd.
    VmallocSyncAll = "vmalloc_sync_all", |_| Self::VmallocSyncAll, 1;
    /// Copies the kernel entry into the own mm from the fault handler.
    VmallocFault = "vmalloc_fault", |_| Self::VmallocFault, 1;
    /// Gives birth to this mm.
    PgdAlloc(MmId) = "pgd_alloc", |c| Self::PgdAlloc(MmId(c)), 8;
    /// Frees this mm.
    PgdFree(MmId) = "pgd_free", |c| Self::PgdFree(MmId(c)), 8;
    /// Ages a page of this mm.
    PageReferencedOne(MmId, Slot) = "page_referenced_one", |c| Self::PageReferencedOne(MmId(c / 2), SLOTS[c as usize % 2]), 16;
    /// Unmaps the page behind this mm's pte.
    TryToUnmapOne(MmId) = "try_to_unmap_one", |c| Self::TryToUnmapOne(MmId(c)), 8;
    /// Unmaps from the own mm and returns to user mode.
    ZapPageRange = "zap_page_range", |_| Self::ZapPageRange, 1;
    /// The same code, not excluded against itself.
    MadviseDontneed = "madvise_dontneed", |_| Self::MadviseDontneed, 1;
    /// Splits this mm's huge page.
    SplitHugePage(MmId) = "split_huge_page", |c| Self::SplitHugePage(MmId(c)), 8;
    /// Takes a reference on a page of the own mm without a lock.
    GupFast(Slot) = "gup_fast", |c| Self::GupFast(SLOTS[c as usize]), 2;
    /// Switches to this mm.
    SwitchMm(MmId) = "switch_mm", |c| Self::SwitchMm(MmId(c)), 8;
    /// Becomes lazy.
    EnterLazyTlb = "enter_lazy_tlb", |_| Self::EnterLazyTlb, 1;
    /// A lazy CPU leaves its mm.
    LeaveMm = "leave_mm", |_| Self::LeaveMm, 1;
    /// Pins this mm's pgd page.
    XenPgdPin(MmId) = "xen_pgd_pin", |c| Self::XenPgdPin(MmId(c)), 8;
    /// Unpins it.
    XenPgdUnpin(MmId) = "xen_pgd_unpin", |c| Self::XenPgdUnpin(MmId(c)), 8;
    /// User mode touches a page of the own mm.
    UserAccess(Slot, AccessKind) = "user_access", |c| Self::UserAccess(SLOTS[c as usize % 2], KINDS[c as usize / 2]), 4;
    /// Maps a fresh page into the own mm. Keeps long runs supplied; not one of the specification's programs.
    HandleMmFault(Slot) = "handle_mm_fault", |c| Self::HandleMmFault(SLOTS[c as usize]), 2;
}

const KINDS: [AccessKind; 2] = [AccessKind::Load, AccessKind::Store];

const _: () = assert!(crate::id::NR_MMS == 8, "the counts above list 8 mms");

impl Operation {
    /// Its place among the operations of the same program.
    const fn place(self) -> u8 {
        match self {
            Self::PageReferencedOne(mm, slot) => mm.0 * 2 + slot as u8,
            Self::GupFast(slot) | Self::HandleMmFault(slot) => slot as u8,
            Self::UserAccess(slot, kind) => kind as u8 * 2 + slot as u8,
            _ => match self.names() {
                Some(mm) => mm.0,
                None => 0,
            },
        }
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).filter_map(Self::from_code)
    }

    /// The mm the operation names; those on the own mm name none.
    pub const fn names(self) -> Option<MmId> {
        match self {
            Self::PgdAlloc(mm)
            | Self::PgdFree(mm)
            | Self::PageReferencedOne(mm, _)
            | Self::TryToUnmapOne(mm)
            | Self::SplitHugePage(mm)
            | Self::SwitchMm(mm)
            | Self::XenPgdPin(mm)
            | Self::XenPgdUnpin(mm) => Some(mm),
            _ => None,
        }
    }

    /// Whether it acts on the caller's own mm and so needs one.
    pub const fn needs_current_mm(self) -> bool {
        matches!(
            self,
            Self::VmallocFault
                | Self::ZapPageRange
                | Self::MadviseDontneed
                | Self::GupFast(_)
                | Self::UserAccess(..)
                | Self::HandleMmFault(_)
        )
    }
}

impl core::fmt::Display for Operation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.program())?;
        match self {
            Self::PageReferencedOne(mm, Slot::Huge) => write!(f, "({mm}, huge)"),
            Self::GupFast(Slot::Huge) | Self::HandleMmFault(Slot::Huge) => f.write_str("(huge)"),
            Self::UserAccess(slot, kind) => write!(f, "({slot:?}, {kind:?})"),
            _ => match self.names() {
                Some(mm) => write!(f, "({mm})"),
                None => Ok(()),
            },
        }
    }
}

/// Opens the door to say where an operation begins and ends.
pub(crate) struct Key(());

/// Runs one operation of the design `D` on this CPU, from its beginning to its end.
pub fn run<D: Design, M: Machine>(cpu: &mut Cpu<'_, M, Task>, operation: Operation) {
    let machine = cpu.m().machine(Key(()));
    machine.begin(operation);
    match operation {
        Operation::VmallocSyncAll => path::vmalloc_sync_all::vmalloc_sync_all::<D, M>(cpu),
        Operation::VmallocFault => path::vmalloc_fault::vmalloc_fault(cpu),
        Operation::PgdAlloc(mm) => path::pgd_alloc::pgd_alloc::<D, M>(cpu, mm),
        Operation::PgdFree(mm) => path::pgd_free::pgd_free::<D, M, _>(cpu, mm),
        Operation::PageReferencedOne(mm, Slot::Pte) => {
            path::page_referenced_one::page_referenced_one::<D, M>(cpu, mm);
        }
        Operation::PageReferencedOne(mm, Slot::Huge) => {
            path::page_referenced_one::page_referenced_one_huge::<D, M>(cpu, mm);
        }
        Operation::TryToUnmapOne(mm) => path::try_to_unmap_one::try_to_unmap_one::<D, M>(cpu, mm),
        Operation::ZapPageRange => {
            cpu.syscall(|call| path::zap_page_range::zap_page_range::<D, M>(call));
        }
        Operation::MadviseDontneed => {
            cpu.syscall(|call| path::zap_page_range::madvise_dontneed::<D, M>(call));
        }
        Operation::SplitHugePage(mm) => path::split_huge_page::split_huge_page::<D, M>(cpu, mm),
        Operation::GupFast(slot) => path::gup_fast::gup_fast(cpu, slot),
        Operation::SwitchMm(mm) => path::switch_mm::switch_mm(cpu, mm),
        Operation::EnterLazyTlb => path::lazy_tlb::enter_lazy_tlb(cpu),
        Operation::LeaveMm => path::lazy_tlb::leave_mm(cpu),
        Operation::XenPgdPin(mm) => path::xen_pgd_pin::xen_pgd_pin::<D, M>(cpu, mm),
        Operation::XenPgdUnpin(mm) => path::xen_pgd_pin::xen_pgd_unpin::<D, M>(cpu, mm),
        Operation::UserAccess(slot, kind) => path::user_access::user_access(cpu, slot, kind),
        Operation::HandleMmFault(slot) => path::handle_mm_fault::handle_mm_fault::<D, M>(cpu, slot),
    }
    machine.end(operation);
}

/// Handles one interrupt in the design `D`, on the CPU it came to.
pub(crate) fn handle<D: Design, M: Machine>(machine: &M, vector: Vector) {
    crate::irq::interrupt(machine, vector, |cpu| match vector {
        Vector::FlushTlb(from) => path::flush_tlb::flush_tlb_interrupt(cpu, from),
        Vector::PgdFree(mm) => path::pgd_free::pgd_free::<D, M, _>(cpu, mm),
    });
}

/// The code a machine runs: kernel code of some design, or a broken variant of it that a test wraps around the
/// machine. Deterministic: what it does depends only on what the door answers.
pub trait Code: Send + Sync + 'static {
    /// Runs an operation on the CPU the machine stands for.
    fn operation<M: Machine>(&self, machine: &M, operation: Operation);
    /// Handles an interrupt on it.
    fn interrupt<M: Machine>(&self, machine: &M, vector: Vector);
}

/// The kernel's code as the design `D` has it.
pub struct KernelCode<D>(core::marker::PhantomData<fn() -> D>);

impl<D> Clone for KernelCode<D> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<D> Copy for KernelCode<D> {}

impl<D> KernelCode<D> {
    /// The code.
    pub const fn new() -> Self {
        Self(core::marker::PhantomData)
    }
}

impl<D> Default for KernelCode<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Design> Code for KernelCode<D> {
    fn operation<M: Machine>(&self, machine: &M, operation: Operation) {
        // Between operations a CPU is whole: each begins with interrupts on and nothing held.
        Cpu::boot(machine, |cpu| run::<D, M>(cpu, operation));
    }
    fn interrupt<M: Machine>(&self, machine: &M, vector: Vector) {
        handle::<D, M>(machine, vector);
    }
}

/// The kernel's code of a design chosen at run time.
impl Code for Axes {
    fn operation<M: Machine>(&self, machine: &M, operation: Operation) {
        struct Run<'m, M>(&'m M, Operation);
        impl<M: Machine> DesignVisitor for Run<'_, M> {
            type Output = ();
            fn visit<D: Design>(self) {
                let Self(machine, operation) = self;
                Cpu::boot(machine, |cpu| run::<D, M>(cpu, operation));
            }
        }
        with_design(*self, Run(machine, operation));
    }
    fn interrupt<M: Machine>(&self, machine: &M, vector: Vector) {
        struct Handle<'m, M>(&'m M, Vector);
        impl<M: Machine> DesignVisitor for Handle<'_, M> {
            type Output = ();
            fn visit<D: Design>(self) {
                handle::<D, M>(self.0, self.1);
            }
        }
        with_design(*self, Handle(machine, vector));
    }
}
