//! A machine that is bent in one place: what a fault does is written as the door calls it changes.
//!
//! [`Bent`] stands between the code and its machine; every door call goes to the [`Fault`], which by default hands it
//! on. The code under test has no switches and does not know. A fault's only memory is [`Bent::note`], new in every
//! run of a piece of code, so that the code stays a function of its answers.

use std::cell::Cell;

use std::sync::Arc;

use shootdown_impl::cpu::{CarriesNoCpu, Cpu, Task};
use shootdown_impl::design::{Axes, Design, Rwlock, Tracked};
use shootdown_impl::environment::Environment;
use shootdown_impl::event::{Event, Lock};
use shootdown_impl::id::{CpuId, CpuMask, MmId};
use shootdown_impl::irq::Vector;
use shootdown_impl::kernel::{Kernel, Loc};
use shootdown_impl::machine::{IrqFlags, Machine, Word};
use shootdown_impl::operation::{Code, KernelCode, Operation};
use shootdown_impl::page_table::Entry;
use shootdown_impl::spinlock::{Draw, Ticket};
use shootdown_impl::tlb::{Access, AccessKind, Scope, Slot, TlbState};

use crate::code::automaton::Runnable;

macro_rules! door {
    ($(fn $name:ident($($arg:ident: $type:ty),*) $(-> $out:ty)?;)*) => {
        /// A fault: the door calls that it changes.
        pub trait Fault: Send + Sync {
            /// Is this operation replaced by [`Self::path`]?
            fn replaces(&self, _: Operation) -> bool {
                false
            }
            /// The wrong path.
            fn path(&self, _: &Bent<'_>, _: Operation) {}
            /// What the kernel believes to be built with.
            fn env(&self, env: Environment) -> Environment {
                env
            }
            $(
                #[doc = concat!("[`Machine::", stringify!($name), "`] as the fault has it.")]
                fn $name(&self, at: &Bent<'_>, $($arg: $type),*) $(-> $out)? {
                    at.machine.$name($($arg),*)
                }
            )*
        }

        impl Machine for Bent<'_> {
            fn kernel(&self) -> &Kernel {
                self.machine.kernel()
            }
            fn env(&self) -> &Environment {
                &self.env
            }
            fn this_cpu(&self) -> CpuId {
                self.machine.this_cpu()
            }
            $(fn $name(&self, $($arg: $type),*) $(-> $out)? {
                self.fault.$name(self, $($arg),*)
            })*
        }
    };
}

door! {
    fn load(word: &Word) -> u64;
    fn load_stable(word: &Word) -> u64;
    fn store(word: &Word, value: u64);
    fn fetch_or(word: &Word, bits: u64) -> u64;
    fn fetch_and(word: &Word, bits: u64) -> u64;
    fn fetch_add(word: &Word, delta: u64) -> u64;
    fn hypervisor_store(word: &Word, value: u64);
    fn ticket_draw(lock: &Word) -> Draw;
    fn ticket_wait(lock: &Word, ticket: Ticket);
    fn ticket_release(lock: &Word);
    fn read_lock(lock: &Word);
    fn read_unlock(lock: &Word);
    fn write_lock(lock: &Word);
    fn write_unlock(lock: &Word);
    fn await_zero(word: &Word);
    fn local_irq_save() -> IrqFlags;
    fn local_irq_restore(flags: IrqFlags);
    fn send_ipi(to: CpuId);
    fn tlb_state() -> TlbState;
    fn flush_tlb_local(scope: Scope);
    fn load_cr3(mm: MmId);
    fn set_lazy();
    fn clear_lazy();
    fn leave_mm(mask: &Word);
    fn hypercall_flush(mask: &Word, mm: MmId, scope: Scope);
    fn user_access(slot: Slot, kind: AccessKind) -> Access;
    fn begin(operation: Operation);
    fn end(operation: Operation);
    fn observe(event: Event);
}

/// The bent machine, for one run of a piece of code.
pub struct Bent<'m> {
    /// The machine as it should be.
    pub machine: &'m dyn Machine,
    fault: &'m dyn Fault,
    env: Environment,
    /// The operation that runs, unless a handler does.
    pub operation: Option<Operation>,
    /// The handler that runs.
    pub vector: Option<Vector>,
    /// What the fault wants to remember within this run; 0 at its beginning.
    pub note: Cell<u64>,
}

impl Bent<'_> {
    /// Which word it is. `None`: a word that has no name.
    pub fn loc(&self, word: &Word) -> Option<Loc> {
        let kernel = self.machine.kernel();
        Loc::all().find(|&loc| std::ptr::eq(kernel.word(loc), word))
    }

    /// The word of that name.
    pub fn word(&self, loc: Loc) -> &Word {
        self.machine.kernel().word(loc)
    }

    /// This CPU, as a mask.
    pub fn me(&self) -> u64 {
        CpuMask::of(self.this_cpu()).word()
    }

    /// Lends the whole CPU to a part of a wrong path, whatever the rest of it has done at the bare door: what the types
    /// refuse to kernel code is written like this.
    pub fn cpu<R>(
        &self,
        part: impl for<'id> FnOnce(&mut Cpu<'id, Self, Task>) -> R + CarriesNoCpu,
    ) -> R {
        Cpu::boot(self, part)
    }

    /// A part of a wrong path inside the pte's lock, taken irqsave as the default design does.
    pub fn with_pte_lock<R>(&self, mm: MmId, part: impl FnOnce() -> R) -> R {
        let (lock, loc) = if self.env.split_ptlocks {
            (Lock::Pte(mm), Loc::PteLock(mm))
        } else {
            (Lock::PageTable(mm), Loc::PageTableLock(mm))
        };
        let flags = self.local_irq_save();
        self.lock(lock, self.word(loc));
        let result = part();
        self.unlock(lock, self.word(loc));
        self.local_irq_restore(flags);
        result
    }

    /// `ptep_test_and_clear_young`, under the pte's lock.
    pub fn test_and_clear_young(&self, mm: MmId, slot: Slot) -> bool {
        let entry = self.word(Loc::UserEntry(mm, slot));
        let old = Entry(self.fetch_and(entry, !Entry::ACCESSED));
        let young = old.present() && old.young();
        self.observe(Event::ClearYoung { mm, slot, young });
        young
    }

    /// `ptep_get_and_clear`, under the pte's lock.
    pub fn get_and_clear(&self, mm: MmId) -> Entry {
        let slot = Slot::Pte;
        let old = Entry(self.fetch_and(self.word(Loc::UserEntry(mm, slot)), 0));
        let frame = old.frame();
        self.observe(Event::GetAndClear { mm, slot, frame });
        old
    }

    /// `inc_tlb_flush_pending`.
    pub fn raise_pending(&self, mm: MmId) {
        self.fetch_add(self.word(Loc::FlushPending(mm)), 1);
        self.observe(Event::PendingRaised { mm });
    }

    /// `dec_tlb_flush_pending`.
    pub fn drop_pending(&self, mm: MmId) {
        self.fetch_add(self.word(Loc::FlushPending(mm)), 1u64.wrapping_neg());
        self.observe(Event::PendingDropped { mm });
    }

    /// Takes a spinlock without asking the types.
    pub fn lock(&self, lock: Lock, word: &Word) {
        if let Draw::Behind(ticket) = self.machine.ticket_draw(word) {
            self.machine.observe(Event::LockWait { lock });
            self.machine.ticket_wait(word, ticket);
        }
        self.machine.observe(Event::LockAcquired { lock });
    }

    /// Lets go of it.
    pub fn unlock(&self, lock: Lock, word: &Word) {
        self.machine.ticket_release(word);
        self.machine.observe(Event::LockReleased { lock });
    }

    /// Remembers.
    pub fn set(&self, note: u64) {
        self.note.set(note);
    }

    /// Whether the note is this.
    pub fn noted(&self, note: u64) -> bool {
        self.note.get() == note
    }
}

/// A design's code on a bent machine.
struct Mutated<D> {
    code: KernelCode<D>,
    fault: &'static dyn Fault,
}

impl<D> Mutated<D> {
    fn on<'m>(
        &'m self,
        machine: &'m dyn Machine,
        operation: Option<Operation>,
        vector: Option<Vector>,
    ) -> Bent<'m> {
        Bent {
            machine,
            fault: self.fault,
            env: self.fault.env(*machine.env()),
            operation,
            vector,
            note: Cell::new(0),
        }
    }
}

impl<D: Design> Code for Mutated<D> {
    fn operation<M: Machine>(&self, machine: &M, operation: Operation) {
        let bent = self.on(machine, Some(operation), None);
        if self.fault.replaces(operation) {
            bent.begin(operation);
            self.fault.path(&bent, operation);
            bent.end(operation);
        } else {
            self.code.operation(&bent, operation);
        }
    }

    fn interrupt<M: Machine>(&self, machine: &M, vector: Vector) {
        self.code
            .interrupt(&self.on(machine, None, Some(vector)), vector);
    }
}

fn mutated<D: Design>(fault: &'static dyn Fault) -> Arc<dyn Runnable> {
    Arc::new(Mutated::<D> {
        code: KernelCode::new(),
        fault,
    })
}

/// What the catalogue needs of a design. All 48 of them would take the compiler longer than the rest of the crate.
struct Compiled {
    axes: Axes,
    right: fn() -> Arc<dyn Runnable>,
    wrong: fn(&'static dyn Fault) -> Arc<dyn Runnable>,
}

const COMPILED: &[Compiled] = &[
    Compiled {
        axes: Tracked::AXES,
        right: policy::<Tracked>,
        wrong: mutated::<Tracked>,
    },
    Compiled {
        axes: Rwlock::AXES,
        right: policy::<Rwlock>,
        wrong: mutated::<Rwlock>,
    },
];

fn compiled(axes: Axes) -> &'static Compiled {
    let found = COMPILED.iter().find(|c| c.axes == axes);
    found.expect("every design of the catalogue is in the table above, says its test")
}

/// The design's code with the fault between it and the machine.
///
/// # Panics
/// For a design that no fault of the catalogue names.
pub fn bent(axes: Axes, fault: &'static dyn Fault) -> Arc<dyn Runnable> {
    (compiled(axes).wrong)(fault)
}

/// The design's code as it should be.
///
/// # Panics
/// As [`bent`].
pub fn straight(axes: Axes) -> Arc<dyn Runnable> {
    (compiled(axes).right)()
}

/// The code of another design: for faults that are a choice on an axis.
pub fn policy<D: Design>() -> Arc<dyn Runnable> {
    Arc::new(KernelCode::<D>::new())
}
