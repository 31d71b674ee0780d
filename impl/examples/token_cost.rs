//! The same path twice: with tokens and sections, and written by hand against the bare door. `tests/zero_cost.rs`
//! compares the machine code of the two functions; running this does nothing of interest.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

use shootdown_impl::cpu::{Cpu, Task};
use shootdown_impl::design::{IrqSave, Tracked};
use shootdown_impl::environment::Environment;
use shootdown_impl::event::Event;
use shootdown_impl::id::{CpuId, MmId};
use shootdown_impl::kernel::Kernel;
use shootdown_impl::machine::{IrqFlags, Machine, Word};
use shootdown_impl::operation::Operation;
use shootdown_impl::page_table::{Entry, PTE_INDEX, PTE_PMD_INDEX};
use shootdown_impl::path::flush_tlb::flush_tlb_page;
use shootdown_impl::path::page_referenced_one::page_referenced_one;
use shootdown_impl::spinlock::{Draw, Ticket, ticket};
use shootdown_impl::tlb::{Access, AccessKind, Scope, Slot, TlbState};

/// One CPU, its door as plain atomics. Not inlined, so that what is compared is the code between the door calls.
pub struct Bare {
    kernel: Kernel,
    env: Environment,
    irqs_off: AtomicBool,
}

impl Machine for Bare {
    fn kernel(&self) -> &Kernel {
        &self.kernel
    }
    fn env(&self) -> &Environment {
        &self.env
    }
    fn this_cpu(&self) -> CpuId {
        CpuId(0)
    }
    #[inline(never)]
    fn load(&self, word: &Word) -> u64 {
        word.atomic().load(SeqCst)
    }
    #[inline(never)]
    fn load_stable(&self, word: &Word) -> u64 {
        word.atomic().load(SeqCst)
    }
    #[inline(never)]
    fn store(&self, word: &Word, value: u64) {
        word.atomic().store(value, SeqCst);
    }
    #[inline(never)]
    fn fetch_or(&self, word: &Word, bits: u64) -> u64 {
        word.atomic().fetch_or(bits, SeqCst)
    }
    #[inline(never)]
    fn fetch_and(&self, word: &Word, bits: u64) -> u64 {
        word.atomic().fetch_and(bits, SeqCst)
    }
    #[inline(never)]
    fn fetch_add(&self, word: &Word, delta: u64) -> u64 {
        word.atomic().fetch_add(delta, SeqCst)
    }
    fn hypervisor_store(&self, word: &Word, value: u64) {
        self.store(word, value);
    }
    #[inline(never)]
    fn ticket_draw(&self, lock: &Word) -> Draw {
        ticket::draw(lock.atomic())
    }
    #[inline(never)]
    fn ticket_wait(&self, lock: &Word, mine: Ticket) {
        while !ticket::is_served(lock.atomic(), mine) {}
    }
    #[inline(never)]
    fn ticket_release(&self, lock: &Word) {
        ticket::release(lock.atomic());
    }
    fn read_lock(&self, _: &Word) {}
    fn read_unlock(&self, _: &Word) {}
    fn write_lock(&self, _: &Word) {}
    fn write_unlock(&self, _: &Word) {}
    fn await_zero(&self, _: &Word) {}
    #[inline(never)]
    fn local_irq_save(&self) -> IrqFlags {
        IrqFlags {
            enabled: !self.irqs_off.swap(true, SeqCst),
        }
    }
    #[inline(never)]
    fn local_irq_restore(&self, flags: IrqFlags) {
        self.irqs_off.store(!flags.enabled, SeqCst);
    }
    fn send_ipi(&self, _: CpuId) {}
    fn tlb_state(&self) -> TlbState {
        TlbState::default()
    }
    fn flush_tlb_local(&self, _: Scope) {}
    fn load_cr3(&self, _: MmId) {}
    fn set_lazy(&self) {}
    fn clear_lazy(&self) {}
    fn leave_mm(&self, _: &Word) {}
    fn hypercall_flush(&self, _: &Word, _: MmId, _: Scope) {}
    fn user_access(&self, _: Slot, _: AccessKind) -> Access {
        Access::Fault
    }
    fn begin(&self, _: Operation) {}
    fn end(&self, _: Operation) {}
    fn observe(&self, _: Event) {}
}

/// The flush, out of line: it is the same in both.
#[inline(never)]
fn flush(cpu: &mut Cpu<'_, Bare, Task>, mm: MmId) {
    flush_tlb_page(cpu, mm);
}

/// `page_referenced_one` of the default design, as the library has it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn with_tokens(m: &Bare, mm: u8) {
    let mm = MmId(mm & 7);
    Cpu::boot(m, |cpu| {
        let flush_owed = cpu.with_pte_lock::<IrqSave, _>(mm, |pte, _| pte.test_and_clear_young());
        if flush_owed {
            flush(cpu, mm);
        }
    });
}

/// The same, with nothing but the door.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn by_hand(m: &Bare, mm: u8) {
    let mm = MmId(mm & 7);
    let split = m.env().split_ptlocks;
    let flags = m.local_irq_save();
    let of = &m.kernel().mms[mm.index()];
    let lock = if split {
        of.pte_lock.word()
    } else {
        of.page_table_lock.word()
    };
    if let Draw::Behind(ticket) = m.ticket_draw(lock) {
        m.ticket_wait(lock, ticket);
    }
    let tables = &m.kernel().tables[mm.index()];
    let pmd = m.load_stable(&tables.pmd.entries[PTE_PMD_INDEX]);
    let table = m
        .kernel()
        .table_at(pmd & Entry::ADDRESS)
        .unwrap_or(&tables.pte);
    let old = Entry(m.fetch_and(&table.entries[PTE_INDEX], !Entry::ACCESSED));
    let young = old.present() && old.young();
    m.ticket_release(lock);
    m.local_irq_restore(flags);
    if young {
        Cpu::boot(m, |cpu| flush(cpu, mm));
    }
}

fn main() {
    let machine = Box::new(Bare {
        kernel: Kernel::new(),
        env: Environment::default(),
        irqs_off: false.into(),
    });
    with_tokens(black_box(&machine), black_box(0));
    by_hand(black_box(&machine), black_box(0));
    Cpu::boot(&*machine, |cpu| {
        page_referenced_one::<Tracked, _>(cpu, MmId(0))
    });
}
