//! Designs, environments and programs: the specification's names to the implementation's.

use shootdown_impl::design::{Axes, FlushAxis, PgdLockAxis, PtlAxis};
use shootdown_impl::environment;
use shootdown_spec::design::{Design, Flush, PgdLock, Ptl};
use shootdown_spec::environment::{Environment, FlushBackend};
use shootdown_spec::program::ProgramId;

/// The design's axes, as the implementation calls them.
pub fn axes(design: &Design) -> Axes {
    Axes {
        pgd_lock: match design.pgd_lock {
            PgdLock::Irqsave => PgdLockAxis::Irqsave,
            PgdLock::Plain => PgdLockAxis::Plain,
            PgdLock::Rwlock => PgdLockAxis::Rwlock,
        },
        walk_takes_ptl: design.walk_takes_ptl,
        ptl: match design.ptl {
            Ptl::Plain => PtlAxis::Plain,
            Ptl::Irqsave => PtlAxis::Irqsave,
        },
        flush: match design.flush {
            Flush::UnderLock => FlushAxis::UnderLock,
            Flush::YoungAfterUnlock => FlushAxis::YoungAfterUnlock,
            Flush::AfterUnlock => FlushAxis::AfterUnlock,
            Flush::AfterUnlockTracked => FlushAxis::AfterUnlockTracked,
        },
    }
}

/// The design with these axes: the inverse of [`axes`].
pub fn design(axes: &Axes) -> Design {
    Design {
        pgd_lock: match axes.pgd_lock {
            PgdLockAxis::Irqsave => PgdLock::Irqsave,
            PgdLockAxis::Plain => PgdLock::Plain,
            PgdLockAxis::Rwlock => PgdLock::Rwlock,
        },
        walk_takes_ptl: axes.walk_takes_ptl,
        ptl: match axes.ptl {
            PtlAxis::Plain => Ptl::Plain,
            PtlAxis::Irqsave => Ptl::Irqsave,
        },
        flush: match axes.flush {
            FlushAxis::UnderLock => Flush::UnderLock,
            FlushAxis::YoungAfterUnlock => Flush::YoungAfterUnlock,
            FlushAxis::AfterUnlock => Flush::AfterUnlock,
            FlushAxis::AfterUnlockTracked => Flush::AfterUnlockTracked,
        },
    }
}

/// The environment of a machine on which `alive` mms live at the start; one operation per CPU.
pub fn environment_of(environment: &environment::Environment, alive: u8) -> Environment {
    Environment {
        cpus: environment.cpus,
        mms: alive,
        ops_per_cpu: 1,
        split_ptlocks: environment.split_ptlocks,
        thp: environment.thp,
        flush_backend: match environment.flush_backend {
            environment::FlushBackend::Ipi => FlushBackend::Ipi,
            environment::FlushBackend::Hypercall => FlushBackend::Hypercall,
        },
        xen_pin: environment.xen_pin,
        pgd_free_in_irq: environment.pgd_free_in_irq,
    }
}

/// The environment. The specification counts the mms that live at the start, the implementation slots: one more, so
/// that `pgd_alloc` always has one to fill. `ops_per_cpu` is not part of the implementation's.
pub fn environment(environment: &Environment) -> environment::Environment {
    environment::Environment {
        cpus: environment.cpus,
        mms: environment.mms.saturating_add(1),
        split_ptlocks: environment.split_ptlocks,
        thp: environment.thp,
        flush_backend: match environment.flush_backend {
            FlushBackend::Ipi => environment::FlushBackend::Ipi,
            FlushBackend::Hypercall => environment::FlushBackend::Hypercall,
        },
        xen_pin: environment.xen_pin,
        pgd_free_in_irq: environment.pgd_free_in_irq,
    }
}

/// A program as the implementation has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Implemented {
    /// The program of the specification.
    pub program: ProgramId,
    /// The name of the operation that runs it; the two branches of a kernel function are one operation. `None`: nobody
    /// starts it, interrupts do.
    pub operation: Option<&'static str>,
    /// The file, from the repository's root.
    pub file: &'static str,
}

macro_rules! implemented {
    ($($program:ident => $operation:expr, $file:literal;)*) => {
        /// Every program of the specification.
        pub const PROGRAMS: &[Implemented] = &[$(Implemented {
            program: ProgramId::$program,
            operation: $operation,
            file: concat!("impl/src/path/", $file, ".rs"),
        }),*];
    };
}

implemented! {
    VmallocSyncAll => Some("vmalloc_sync_all"), "vmalloc_sync_all";
    VmallocFault => Some("vmalloc_fault"), "vmalloc_fault";
    PgdAlloc => Some("pgd_alloc"), "pgd_alloc";
    PgdFree => Some("pgd_free"), "pgd_free";
    PageReferencedOnePte => Some("page_referenced_one"), "page_referenced_one";
    PageReferencedOneHuge => Some("page_referenced_one"), "page_referenced_one";
    TryToUnmapOne => Some("try_to_unmap_one"), "try_to_unmap_one";
    ZapPageRange => Some("zap_page_range"), "zap_page_range";
    MadviseDontneed => Some("madvise_dontneed"), "zap_page_range";
    SplitHugePage => Some("split_huge_page"), "split_huge_page";
    GupFastPte => Some("gup_fast"), "gup_fast";
    GupFastHuge => Some("gup_fast"), "gup_fast";
    SwitchMm => Some("switch_mm"), "switch_mm";
    EnterLazyTlb => Some("enter_lazy_tlb"), "lazy_tlb";
    LeaveMm => Some("leave_mm"), "lazy_tlb";
    XenPgdPin => Some("xen_pgd_pin"), "xen_pgd_pin";
    XenPgdUnpin => Some("xen_pgd_unpin"), "xen_pgd_pin";
    UserAccessPte => Some("user_access"), "user_access";
    UserAccessHuge => Some("user_access"), "user_access";
    FlushTlbInterrupt => None, "flush_tlb";
}

/// The implementation of a program.
pub fn implemented(program: ProgramId) -> Option<&'static Implemented> {
    PROGRAMS.iter().find(|p| p.program == program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shootdown_impl::operation::Operation;
    use shootdown_spec::design::DESIGNS;
    use shootdown_spec::program;
    use std::path::Path;

    #[test]
    fn named_designs_have_the_same_name_on_both_sides() {
        for d in DESIGNS {
            assert_eq!(axes(&d.design).name(), Some(d.name));
            assert_eq!(design(&axes(&d.design)), d.design);
        }
        assert_eq!(DESIGNS.len(), shootdown_impl::design::NAMED.len());
    }

    #[test]
    fn every_axis_value_has_the_same_name_on_both_sides() {
        for &pgd_lock in PgdLock::NAMES {
            for &ptl in Ptl::NAMES {
                for &flush in Flush::NAMES {
                    let mapped = axes(&Design {
                        pgd_lock: pgd_lock.1,
                        walk_takes_ptl: false,
                        ptl: ptl.1,
                        flush: flush.1,
                    });
                    assert_eq!(
                        [
                            mapped.pgd_lock.name(),
                            mapped.ptl.name(),
                            mapped.flush.name()
                        ],
                        [pgd_lock.0, ptl.0, flush.0]
                    );
                }
            }
        }
    }

    #[test]
    fn every_program_is_implemented_by_a_file_and_an_operation_that_exist() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let operations: Vec<_> = (0..Operation::COUNT)
            .filter_map(|c| Operation::from_code(c).map(Operation::program))
            .collect();
        assert_eq!(PROGRAMS.len(), program::PROGRAMS.len());
        for p in program::PROGRAMS {
            let i = implemented(p.id).expect(p.name);
            assert!(root.join(i.file).is_file(), "{}", i.file);
            assert!(i.operation.is_none_or(|o| operations.contains(&o)), "{i:?}");
            assert!(i.operation.is_none_or(|o| p.name.starts_with(o)), "{i:?}");
        }
    }
}
