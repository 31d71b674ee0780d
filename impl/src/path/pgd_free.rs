//! `pgd_free` / `pgd_dtor`, and the rest of `__mmdrop` (`arch/x86/mm/pgtable.c`, `kernel/fork.c`, 2.6.38).
//!
//! Locks: `pgd_lock`, for writing. Interrupts: on in process context; the last `mmdrop` can also happen inside an
//! interrupt (where the environment has that), then with interrupts off and whatever the interrupted code holds held:
//! with a plain `pgd_lock` that may be `pgd_lock` itself. Unlisting comes first: a walker that found the pgd on the
//! list holds `pgd_lock`, so the memory is not freed under it.

use crate::cpu::{Cpu, MayTakePgdLock};
use crate::design::Design;
use crate::event::Event;
use crate::id::MmId;
use crate::machine::Machine;
use crate::mm::Life;

/// Unlists the pgd of an mm that nobody refers to, then frees the mm.
pub fn pgd_free<D: Design, M: Machine, C: MayTakePgdLock>(cpu: &mut Cpu<'_, M, C>, mm: MmId) {
    cpu.with_pgd_lock_to_change::<D::PgdLock, _>(|pgd_list, _| pgd_list.list_del(mm));
    free_mm(cpu, mm);
}

/// `free_mm` and the freeing of the pgd page: from here on the memory is somebody else's.
fn free_mm<M: Machine, C>(cpu: &mut Cpu<'_, M, C>, mm: MmId) {
    let m = cpu.m();
    m.store(&m.kernel().mms[mm.index()].life, Life::Freed as u64);
    m.observe(Event::MmFreed { mm });
}
