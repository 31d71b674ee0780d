//! What one CPU does next in a long run: chosen by chance, within the rules that keep mms alive while they are in use.
//!
//! For machines that run for real ([`Driven`]): the host's threads and bare metal. Without allocation.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Release, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicI64};

use crate::environment::Environment;
use crate::id::{CpuId, MmId, NR_MMS};
use crate::kernel::{Kernel, Loc, compound_frame, small_frame};
use crate::machine::Machine;
use crate::mm::Life;
use crate::operation::Operation;
use crate::page_table::Entry;
use crate::tlb::{AccessKind, Slot};

/// What an attempt to claim an mm for itself asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MmClaim {
    /// A slot nobody uses, to allocate in.
    Unused,
    /// A live mm that nobody refers to, to free or pin it.
    Unreferenced,
}

const UNUSED: i64 = -1;
const CLAIMED: i64 = -2;

/// Who refers to the mms, so that none is freed in use: `mm_count`, and the claim of the one that frees.
pub struct MmRefs([AtomicI64; NR_MMS]);

impl MmRefs {
    /// No slot is in use.
    pub const fn new() -> Self {
        Self([const { AtomicI64::new(UNUSED) }; NR_MMS])
    }

    /// The first so many mms are alive, and nobody refers to them.
    pub fn boot(&self, alive: u8) {
        let alive = self.0.iter().take(alive.into());
        alive.for_each(|refs| refs.store(0, SeqCst));
    }

    /// `mmget_not_zero`, but a count of zero still lives: takes a reference on a live mm that nobody has claimed.
    pub fn get(&self, mm: MmId) -> bool {
        self.0[mm.index()]
            .fetch_update(AcqRel, Acquire, |n| (n >= 0).then_some(n + 1))
            .is_ok()
    }

    /// Gives a reference back.
    pub fn put(&self, mm: MmId) {
        self.0[mm.index()].fetch_sub(1, AcqRel);
    }

    /// Claims an mm for one operation that nobody else may be in the way of.
    pub fn claim(&self, mm: MmId, claim: MmClaim) -> bool {
        let from = if claim == MmClaim::Unused { UNUSED } else { 0 };
        self.0[mm.index()]
            .compare_exchange(from, CLAIMED, AcqRel, Acquire)
            .is_ok()
    }

    /// Ends a claim: the mm is alive, or its slot unused, from here on.
    pub fn unclaim(&self, mm: MmId, alive: bool) {
        self.0[mm.index()].store(if alive { 0 } else { UNUSED }, Release);
    }
}

impl Default for MmRefs {
    fn default() -> Self {
        Self::new()
    }
}

/// Prepares a claimed, unused slot for `pgd_alloc`: fresh tables and frames, as `mm_init` leaves them. Slots and
/// their frames are used again here, which the specification never does.
pub fn recycle(kernel: &Kernel, env: &Environment, mm: MmId) {
    let set = |loc: Loc, value: u64| kernel.word(loc).atomic().store(value, SeqCst);
    set(Loc::KernelEntry(mm), 0);
    set(
        Loc::UserEntry(mm, Slot::Pte),
        Entry::user(small_frame(mm)).0,
    );
    set(Loc::FrameRefs(small_frame(mm)), 1);
    if env.thp {
        set(
            Loc::UserEntry(mm, Slot::Huge),
            Entry::huge(compound_frame(mm)).0,
        );
        set(Loc::FrameRefs(compound_frame(mm)), 1);
        set(Loc::Compound(compound_frame(mm)), 1);
    }
    set(Loc::Pinned(mm), 0);
    set(Loc::Life(mm), Life::Fresh as u64);
}

/// On which mm each CPU starts: most share an mm, the last live one is left free to be dropped.
pub fn placement(cpu: CpuId, alive: u8) -> MmId {
    MmId(cpu.0 % (alive / 2).max(1))
}

/// How many mms are alive at the start: one slot stays free, so that `pgd_alloc` has something to do from there on.
pub fn alive_at_start(env: &Environment) -> u8 {
    env.mms.saturating_sub(1).max(1)
}

/// A CPU that can be told what to do.
pub trait Driven: Machine {
    /// Who refers to the mms of its machine.
    fn refs(&self) -> &MmRefs;
    /// [`recycle`], and what the machine's checks need to know of it.
    fn recycle(&self, mm: MmId);
    /// Whether the mm's pgd page is pinned.
    fn is_pinned(&self, mm: MmId) -> bool;
    /// Runs an operation.
    fn operation(&self, operation: Operation);
    /// Makes an interrupt pending that frees the mm.
    fn raise_pgd_free(&self, to: CpuId, mm: MmId);
}

/// What the chooser knows of a program: its name, how often it is chosen, where it makes sense.
pub struct Program {
    /// The protocol's name for it.
    pub name: &'static str,
    weight: u32,
    sensible: fn(&Environment) -> bool,
}

impl Program {
    /// Whether it makes sense in this environment.
    pub fn is_sensible(&self, env: &Environment) -> bool {
        (self.sensible)(env)
    }
}

const fn program(name: &'static str, weight: u32, sensible: fn(&Environment) -> bool) -> Program {
    Program {
        name,
        weight,
        sensible,
    }
}

fn always(_: &Environment) -> bool {
    true
}

/// How many programs there are to choose from.
pub const NR_PROGRAMS: usize = 17;

/// The programs that a CPU can choose from.
pub const PROGRAMS: [Program; NR_PROGRAMS] = [
    program("vmalloc_sync_all", 2, always),
    program("vmalloc_fault", 1, always),
    program("pgd_alloc", 2, |env| env.mms > 1),
    program("pgd_free", 2, |env| env.mms > 1),
    program("page_referenced_one", 4, always),
    program("try_to_unmap_one", 2, always),
    program("zap_page_range", 2, always),
    program("madvise_dontneed", 2, always),
    program("split_huge_page", 2, |env| env.thp),
    program("gup_fast", 3, always),
    program("switch_mm", 2, always),
    program("enter_lazy_tlb", 1, always),
    program("leave_mm", 1, always),
    program("xen_pgd_pin", 1, |env| env.xen_pin),
    program("xen_pgd_unpin", 1, |env| env.xen_pin),
    // What user mode and the fault handler do is always in the mix: without it nothing is ever young or mapped.
    program("user_access", 8, always),
    program("handle_mm_fault", 4, always),
];
const ENVIRONMENT: [&str; 2] = ["user_access", "handle_mm_fault"];

/// Which programs run, and the sleeping locks they would take.
pub struct Mix {
    /// Bit n: the n-th of [`PROGRAMS`].
    chosen: u32,
    total: u32,
    mmap_sem: [AtomicI32; NR_MMS],
    anon_vma: [AtomicBool; NR_MMS],
}

impl Mix {
    /// Those of the programs with a bit in `wanted` that make sense here (none: all), and what is always in the mix.
    pub fn new(wanted: u32, env: &Environment) -> Self {
        let (mut chosen, mut total) = (0, 0);
        for (n, program) in PROGRAMS.iter().enumerate() {
            let named = wanted == 0 || wanted >> n & 1 == 1 || ENVIRONMENT.contains(&program.name);
            if named && program.is_sensible(env) {
                chosen |= 1 << n;
                total += program.weight;
            }
        }
        Self {
            chosen,
            total,
            mmap_sem: [const { AtomicI32::new(0) }; NR_MMS],
            anon_vma: [const { AtomicBool::new(false) }; NR_MMS],
        }
    }

    /// The programs that run: the place of each in [`PROGRAMS`].
    pub fn programs(&self) -> impl Iterator<Item = usize> + use<> {
        let chosen = self.chosen;
        (0..NR_PROGRAMS).filter(move |n| chosen >> n & 1 == 1)
    }
}

/// The chooser of one CPU.
pub struct Driver<'m> {
    mix: &'m Mix,
    cpus: u8,
    random: u64,
    /// How often each of [`PROGRAMS`] ran.
    pub by_program: [u64; NR_PROGRAMS],
}

impl<'m> Driver<'m> {
    /// Of this CPU; the same seed makes the same choices.
    pub fn new(mix: &'m Mix, seed: u64, cpu: CpuId, env: &Environment) -> Self {
        let random = seed
            .wrapping_add(u64::from(cpu.0) + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            | 1;
        Self {
            mix,
            cpus: env.cpus,
            random,
            by_program: [0; NR_PROGRAMS],
        }
    }

    /// How many operations it has run.
    pub fn done(&self) -> u64 {
        self.by_program.iter().sum()
    }

    fn below(&mut self, n: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ((self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % u64::from(n.max(1))) as u32
    }

    fn any_mm(&mut self, cpu: &impl Driven) -> MmId {
        MmId(self.below(cpu.env().mms.into()) as u8)
    }

    fn any_slot(&mut self, cpu: &impl Driven) -> Slot {
        if cpu.env().thp && self.below(2) == 1 {
            Slot::Huge
        } else {
            Slot::Pte
        }
    }

    /// Chooses one operation and runs it, if the rules allow it now.
    pub fn one(&mut self, cpu: &impl Driven) {
        let mut at = self.below(self.mix.total);
        for chosen in self.mix.programs() {
            let Some(rest) = at.checked_sub(PROGRAMS[chosen].weight) else {
                if self.attempt(cpu, PROGRAMS[chosen].name) {
                    self.by_program[chosen] += 1;
                }
                return;
            };
            at = rest;
        }
    }

    fn attempt(&mut self, cpu: &impl Driven, name: &str) -> bool {
        let (refs, state) = (cpu.refs(), cpu.tlb_state());
        let run = |operation| {
            cpu.operation(operation);
            true
        };
        match name {
            "vmalloc_sync_all" => run(Operation::VmallocSyncAll),
            "pgd_alloc" => {
                let mm = self.any_mm(cpu);
                refs.claim(mm, MmClaim::Unused) && {
                    cpu.recycle(mm);
                    run(Operation::PgdAlloc(mm));
                    refs.unclaim(mm, true);
                    true
                }
            }
            "pgd_free" => {
                let mm = self.any_mm(cpu);
                refs.claim(mm, MmClaim::Unreferenced) && {
                    // xen_exit_mmap() has unpinned it by then.
                    if cpu.is_pinned(mm) {
                        refs.unclaim(mm, true);
                        return false;
                    }
                    if cpu.env().pgd_free_in_irq && self.below(2) == 0 {
                        // The CPU that takes the interrupt ends the claim.
                        let to = CpuId(self.below(self.cpus.into()) as u8);
                        cpu.raise_pgd_free(to, mm);
                    } else {
                        run(Operation::PgdFree(mm));
                        refs.unclaim(mm, false);
                    }
                    true
                }
            }
            "xen_pgd_pin" | "xen_pgd_unpin" => {
                let mm = self.any_mm(cpu);
                refs.claim(mm, MmClaim::Unreferenced) && {
                    run(if cpu.is_pinned(mm) {
                        Operation::XenPgdUnpin(mm)
                    } else {
                        Operation::XenPgdPin(mm)
                    });
                    refs.unclaim(mm, true);
                    true
                }
            }
            "page_referenced_one" | "try_to_unmap_one" | "split_huge_page" => {
                let (mm, slot) = (self.any_mm(cpu), self.any_slot(cpu));
                refs.get(mm) && {
                    let ran = match name {
                        "page_referenced_one" => run(Operation::PageReferencedOne(mm, slot)),
                        "try_to_unmap_one" => run(Operation::TryToUnmapOne(mm)),
                        _ => {
                            let anon_vma = &self.mix.anon_vma[mm.index()];
                            !anon_vma.swap(true, Acquire) && {
                                run(Operation::SplitHugePage(mm));
                                anon_vma.store(false, Release);
                                true
                            }
                        }
                    };
                    refs.put(mm);
                    ran
                }
            }
            "switch_mm" => {
                let next = self.any_mm(cpu);
                refs.get(next) && {
                    run(Operation::SwitchMm(next));
                    // The reference of the mm that was active before: the CPU has one, not two.
                    if let Some(prev) = state.active_mm {
                        refs.put(prev);
                    }
                    true
                }
            }
            "leave_mm" => state.lazy && run(Operation::LeaveMm),
            _ => state
                .current_mm()
                .is_some_and(|mm| self.on_own_mm(cpu, name, mm)),
        }
    }

    fn on_own_mm(&mut self, cpu: &impl Driven, name: &str, mm: MmId) -> bool {
        let slot = self.any_slot(cpu);
        let run = |operation| {
            cpu.operation(operation);
            true
        };
        let mmap_sem = &self.mix.mmap_sem[mm.index()];
        match name {
            "vmalloc_fault" => run(Operation::VmallocFault),
            "gup_fast" => run(Operation::GupFast(slot)),
            "enter_lazy_tlb" => run(Operation::EnterLazyTlb),
            "handle_mm_fault" => run(Operation::HandleMmFault(slot)),
            "user_access" => {
                let kind = if self.below(2) == 0 {
                    AccessKind::Load
                } else {
                    AccessKind::Store
                };
                run(Operation::UserAccess(slot, kind))
            }
            // munmap: mmap_sem for writing
            "zap_page_range" => {
                mmap_sem.compare_exchange(0, -1, AcqRel, Acquire).is_ok() && {
                    run(Operation::ZapPageRange);
                    mmap_sem.store(0, Release);
                    true
                }
            }
            // madvise: mmap_sem for reading
            "madvise_dontneed" => {
                mmap_sem
                    .fetch_update(AcqRel, Acquire, |n| (n >= 0).then_some(n + 1))
                    .is_ok()
                    && {
                        run(Operation::MadviseDontneed);
                        mmap_sem.fetch_sub(1, AcqRel);
                        true
                    }
            }
            _ => false,
        }
    }
}
