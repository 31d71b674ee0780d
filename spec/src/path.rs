//! The kernel paths, one file each, named after the kernel function.
//!
//! Every file opens with the function and version it follows, the locks it takes and in
//! which interrupt state, and where it differs from the C code.

mod flush_tlb_interrupt;
mod gup_fast;
mod lazy_tlb;
mod page_referenced_one;
mod pgd_alloc;
mod pgd_free;
mod split_huge_page;
mod switch_mm;
mod try_to_unmap_one;
mod user_access;
mod vmalloc_fault;
mod vmalloc_sync_all;
mod xen_pgd_pin;
mod zap_page_range;

use crate::config::Config;
use crate::program::{Entry, Program, ProgramId};
use crate::select::Select;

/// Builds the program `id` for a configuration.
///
/// # Panics
/// For [`ProgramId::None`].
pub fn build(id: ProgramId, config: &Config) -> Program {
    let s = Select { config };
    match id {
        ProgramId::None => panic!("no program has no steps"),
        ProgramId::VmallocSyncAll => vmalloc_sync_all::program(s),
        ProgramId::VmallocFault => vmalloc_fault::program(s),
        ProgramId::PgdAlloc => pgd_alloc::program(s),
        ProgramId::PgdFree => pgd_free::program(s),
        ProgramId::PageReferencedOnePte => page_referenced_one::program(s, Entry::Pte),
        ProgramId::PageReferencedOneHuge => page_referenced_one::program(s, Entry::Huge),
        ProgramId::TryToUnmapOne => try_to_unmap_one::program(s),
        ProgramId::ZapPageRange => zap_page_range::program(s, ProgramId::ZapPageRange),
        ProgramId::MadviseDontneed => zap_page_range::program(s, ProgramId::MadviseDontneed),
        ProgramId::SplitHugePage => split_huge_page::program(s),
        ProgramId::GupFastPte => gup_fast::program(s, Entry::Pte),
        ProgramId::GupFastHuge => gup_fast::program(s, Entry::Huge),
        ProgramId::SwitchMm => switch_mm::program(s),
        ProgramId::EnterLazyTlb => lazy_tlb::enter_lazy_tlb(s),
        ProgramId::LeaveMm => lazy_tlb::leave_mm(s),
        ProgramId::XenPgdPin => xen_pgd_pin::program(s, true),
        ProgramId::XenPgdUnpin => xen_pgd_pin::program(s, false),
        ProgramId::UserAccessPte => user_access::program(s, Entry::Pte),
        ProgramId::UserAccessHuge => user_access::program(s, Entry::Huge),
        ProgramId::FlushTlbInterrupt => flush_tlb_interrupt::program(s),
    }
}

/// The file under `path/` that writes the program down, without its suffix.
///
/// # Panics
/// For [`ProgramId::None`].
pub fn file(id: ProgramId) -> &'static str {
    match id {
        ProgramId::None => panic!("no program has no file"),
        ProgramId::PageReferencedOnePte | ProgramId::PageReferencedOneHuge => "page_referenced_one",
        ProgramId::MadviseDontneed => "zap_page_range",
        ProgramId::GupFastPte | ProgramId::GupFastHuge => "gup_fast",
        ProgramId::EnterLazyTlb | ProgramId::LeaveMm => "lazy_tlb",
        ProgramId::XenPgdPin | ProgramId::XenPgdUnpin => "xen_pgd_pin",
        ProgramId::UserAccessPte | ProgramId::UserAccessHuge => "user_access",
        other => other.name(),
    }
}

macro_rules! sources {
    ($($file:literal)*) => { &[$(($file, include_str!(concat!("path/", $file, ".rs")))),*] };
}

/// The files under `path/`, as they are written.
const SOURCES: &[(&str, &str)] = sources!(
    "flush_tlb_interrupt" "gup_fast" "lazy_tlb" "page_referenced_one" "pgd_alloc" "pgd_free"
    "split_huge_page" "switch_mm" "try_to_unmap_one" "user_access" "vmalloc_fault"
    "vmalloc_sync_all" "xen_pgd_pin" "zap_page_range"
);

/// What the file of a program opens with: kernel function and version, locks, differences.
///
/// # Panics
/// For [`ProgramId::None`].
pub fn header(id: ProgramId) -> impl Iterator<Item = &'static str> {
    let named = |(name, _): &&(&str, &str)| *name == file(id);
    let source = SOURCES.iter().find(named);
    let lines = source.map_or("", |(_, text)| text).lines();
    lines.map_while(|line| line.strip_prefix("//!").map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::PROGRAMS;
    use std::path::Path;

    #[test]
    fn every_program_has_a_file() {
        for program in PROGRAMS {
            let file = format!("src/path/{}.rs", file(program.id));
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            assert!(path.exists(), "{}", path.display());
            assert!(header(program.id).count() > 2, "{}", path.display());
        }
    }
}
