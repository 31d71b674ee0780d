//! What one CPU does next: chosen by chance, within the rules that keep mms alive while they are in use.

use std::format;
use std::string::String;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicI32};
use std::vec;
use std::vec::Vec;

use crate::env::Environment;
use crate::event::Observer;
use crate::host::{Host, HostCpu, MmClaim};
use crate::id::{CpuId, MmId, NR_MMS};
use crate::irq::Vector;
use crate::kernel::Loc;
use crate::operation::{Code, Operation};
use crate::tlb::{AccessKind, Slot};

/// What the chooser knows of a program: its name, how often it is chosen, where it makes sense.
struct Program {
    name: &'static str,
    weight: u32,
    sensible: fn(&Environment) -> bool,
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

const PROGRAMS: &[Program] = &[
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
pub(super) struct Mix {
    chosen: Vec<&'static Program>,
    total: u32,
    mmap_sem: [AtomicI32; NR_MMS],
    anon_vma: [AtomicBool; NR_MMS],
}

impl Mix {
    /// These programs, or all that make sense here.
    pub fn new(names: &[String], env: &Environment) -> Result<Self, String> {
        for name in names {
            match PROGRAMS.iter().find(|p| p.name == name) {
                None => {
                    let known: Vec<&str> = PROGRAMS.iter().map(|p| p.name).collect();
                    return Err(format!(
                        "there is no program `{name}`; the programs are {}",
                        known.join(", ")
                    ));
                }
                Some(p) if !(p.sensible)(env) => {
                    return Err(format!(
                        "`{name}` makes no sense in this environment (thp, xen_pin or mms)"
                    ));
                }
                Some(_) => {}
            }
        }
        let wanted = |p: &&Program| {
            let named = names.is_empty()
                || names.iter().any(|n| n == p.name)
                || ENVIRONMENT.contains(&p.name);
            named && (p.sensible)(env)
        };
        let chosen: Vec<&Program> = PROGRAMS.iter().filter(wanted).collect();
        let total = chosen.iter().map(|p| p.weight).sum();
        Ok(Self {
            chosen,
            total,
            mmap_sem: [const { AtomicI32::new(0) }; NR_MMS],
            anon_vma: [const { AtomicBool::new(false) }; NR_MMS],
        })
    }

    /// The programs' names, in the order of [`Driver::by_program`].
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.chosen.iter().map(|p| p.name)
    }
}

/// The chooser of one CPU.
pub(super) struct Driver<'m> {
    mix: &'m Mix,
    random: u64,
    /// How often each program ran.
    pub by_program: Vec<u64>,
}

impl<'m> Driver<'m> {
    pub fn new(mix: &'m Mix, seed: u64, cpu: CpuId) -> Self {
        let random = seed
            .wrapping_add(u64::from(cpu.0) + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            | 1;
        Self {
            mix,
            random,
            by_program: vec![0; mix.chosen.len()],
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

    fn any_mm(&mut self, host: &Host) -> MmId {
        MmId(self.below(host.env().mms.into()) as u8)
    }

    fn any_slot(&mut self, host: &Host) -> Slot {
        if host.env().thp && self.below(2) == 1 {
            Slot::Huge
        } else {
            Slot::Pte
        }
    }

    /// Chooses one operation and runs it, if the rules allow it now.
    pub fn one<C: Code, O: Observer>(&mut self, cpu: &HostCpu<'_, C, O>) {
        let mut at = self.below(self.mix.total);
        let mut chosen = 0;
        while let Some(rest) = at.checked_sub(self.mix.chosen[chosen].weight) {
            at = rest;
            chosen += 1;
        }
        if self.attempt(cpu, self.mix.chosen[chosen].name) {
            self.by_program[chosen] += 1;
        }
    }

    fn attempt<C: Code, O: Observer>(&mut self, cpu: &HostCpu<'_, C, O>, name: &str) -> bool {
        let host = cpu.host;
        let state = host.tlb_state(cpu.id);
        let run = |operation| {
            cpu.code.operation(cpu, operation);
            true
        };
        match name {
            "vmalloc_sync_all" => run(Operation::VmallocSyncAll),
            "pgd_alloc" => {
                let mm = self.any_mm(host);
                host.claim(mm, MmClaim::Unused) && {
                    host.recycle(mm);
                    run(Operation::PgdAlloc(mm));
                    host.unclaim(mm, true);
                    true
                }
            }
            "pgd_free" => {
                let mm = self.any_mm(host);
                host.claim(mm, MmClaim::Unreferenced) && {
                    // xen_exit_mmap() has unpinned it by then.
                    if host.word(Loc::Pinned(mm)) != 0 {
                        host.unclaim(mm, true);
                        return false;
                    }
                    if host.env().pgd_free_in_irq && self.below(2) == 0 {
                        // Whoever takes the interrupt ends the claim.
                        let to = CpuId(self.below(host.env().cpus.into()) as u8);
                        host.raise(to, Vector::PgdFree(mm));
                    } else {
                        run(Operation::PgdFree(mm));
                        host.unclaim(mm, false);
                    }
                    true
                }
            }
            "xen_pgd_pin" | "xen_pgd_unpin" => {
                let mm = self.any_mm(host);
                host.claim(mm, MmClaim::Unreferenced) && {
                    let pinned = host.word(Loc::Pinned(mm)) != 0;
                    run(if pinned {
                        Operation::XenPgdUnpin(mm)
                    } else {
                        Operation::XenPgdPin(mm)
                    });
                    host.unclaim(mm, true);
                    true
                }
            }
            "page_referenced_one" | "try_to_unmap_one" | "split_huge_page" => {
                let (mm, slot) = (self.any_mm(host), self.any_slot(host));
                host.mmget(mm) && {
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
                    host.mmput(mm);
                    ran
                }
            }
            "switch_mm" => {
                let next = self.any_mm(host);
                host.mmget(next) && {
                    run(Operation::SwitchMm(next));
                    // The reference of the mm that was active before: the CPU has one, not two.
                    if let Some(prev) = state.active_mm {
                        host.mmput(prev);
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

    fn on_own_mm<C: Code, O: Observer>(
        &mut self,
        cpu: &HostCpu<'_, C, O>,
        name: &str,
        mm: MmId,
    ) -> bool {
        let slot = self.any_slot(cpu.host);
        let run = |operation| {
            cpu.code.operation(cpu, operation);
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
