//! A CPU's own hardware: segments, the interrupt table, the flag, the local APIC, and starting the other CPUs.

use core::arch::asm;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, SeqCst};

use shootdown_impl::id::{CpuId, NR_CPUS};

use crate::clock;
use crate::memory::direct;
use crate::port::outb;

/// Vectors of interrupts that free mms (`Vector::PgdFree`), one for each mm.
pub const PGD_FREE: u8 = 0xe0;
/// The vector of the look at whether this machine caches translations ([`crate::probe`]).
pub const PROBE: u8 = 0xe8;
/// `INVALIDATE_TLB_VECTOR_START` of 2.6.37 (`irq_vectors.h`): the flush IPIs, one vector for each sender.
pub const FLUSH_TLB: u8 = 0xf0;
/// `SPURIOUS_APIC_VECTOR`.
const SPURIOUS: u8 = 0xff;
/// NMIs, by the vector they come as.
const NMI: usize = 2;

const LAPIC: u64 = 0xfee0_0000;
const IOAPIC: u64 = 0xfec0_0000;

const KERNEL_CS: u16 = 8;
/// The first TSS descriptor, of two slots each.
const FIRST_TSS: usize = 4;
const STACK: usize = 32 << 10;
/// Where the other CPUs start, below 1 MiB.
const TRAMPOLINE: u64 = 0x8_0000;

unsafe extern "C" {
    static ap_begin: u8;
    static ap_end: u8;
    fn interrupt_stubs();
    fn exception_stubs();
    fn nmi_stub();
}

/// The stack that the next CPU starts on; boot.s reads it.
#[unsafe(no_mangle)]
static AP_STACK: AtomicU64 = AtomicU64::new(0);

#[repr(C, align(16))]
#[derive(Clone, Copy)]
struct Gate {
    offset_low: u16,
    selector: u16,
    ist: u8,
    kind: u8,
    offset_middle: u16,
    offset_high: u32,
    zero: u32,
}

#[repr(C, packed(4))]
#[derive(Clone, Copy)]
struct Tss {
    reserved: u32,
    rsp: [u64; 3],
    reserved2: u64,
    ist: [u64; 7],
    reserved3: u64,
    reserved4: u16,
    io_map: u16,
}

#[repr(C, align(16))]
struct Stack([u8; STACK]);

/// What a CPU's stacks are for.
#[derive(Clone, Copy)]
enum On {
    Base = 0,
    Interrupt = 1,
    Nmi = 2,
    Exception = 3,
}

static mut IDT: [Gate; 256] = [Gate {
    offset_low: 0,
    selector: 0,
    ist: 0,
    kind: 0,
    offset_middle: 0,
    offset_high: 0,
    zero: 0,
}; 256];
static mut GDT: [u64; FIRST_TSS + 2 * NR_CPUS] = {
    let mut gdt = [0; FIRST_TSS + 2 * NR_CPUS];
    // As in boot.s: 64-bit code, data.
    gdt[1] = 0x00af_9a00_0000_ffff;
    gdt[2] = 0x00cf_9200_0000_ffff;
    gdt
};
static mut TSS: [Tss; NR_CPUS] = [Tss {
    reserved: 0,
    rsp: [0; 3],
    reserved2: 0,
    ist: [0; 7],
    reserved3: 0,
    reserved4: 0,
    io_map: size_of::<Tss>() as u16,
}; NR_CPUS];
static mut STACKS: [[Stack; 4]; NR_CPUS] = [const { [const { Stack([0; STACK]) }; 4] }; NR_CPUS];

#[repr(C, packed)]
struct TableRegister {
    limit: u16,
    base: u64,
}

fn stack_top(cpu: usize, what: On) -> u64 {
    // SAFETY: only its address is taken.
    let stack = unsafe { &raw const STACKS[cpu][what as usize] };
    stack.addr() as u64 + STACK as u64
}

/// Fills the interrupt table. Once, by the first CPU, before any other runs.
pub fn fill_idt() {
    let gate = |vector: usize, entry: u64, on: On| {
        let gate = Gate {
            offset_low: entry as u16,
            selector: KERNEL_CS,
            ist: on as u8,
            kind: 0x8e, // present, interrupt gate: entered with interrupts off
            offset_middle: (entry >> 16) as u16,
            offset_high: (entry >> 32) as u32,
            zero: 0,
        };
        // SAFETY: only the first CPU is here, and the table is not loaded yet.
        unsafe { IDT[vector] = gate };
    };
    let address = |entry: unsafe extern "C" fn()| (entry as *const ()).addr() as u64;
    for vector in 0..32 {
        gate(
            vector,
            address(exception_stubs) + 16 * vector as u64,
            On::Exception,
        );
    }
    gate(NMI, address(nmi_stub), On::Nmi);
    for n in 0..32 {
        gate(
            0xe0 + n,
            address(interrupt_stubs) + 16 * n as u64,
            On::Interrupt,
        );
    }
}

/// Loads this CPU's tables and turns its local APIC on. Interrupts stay off.
pub fn set_up() {
    let cpu = (lapic_read(0x20) >> 24) as usize;
    // SAFETY: each CPU writes its own TSS and descriptor, before it uses them; the IDT is complete.
    unsafe {
        for on in [On::Interrupt, On::Nmi, On::Exception] {
            TSS[cpu].ist[on as usize - 1] = stack_top(cpu, on);
        }
        let tss = (&raw const TSS[cpu]).addr() as u64;
        let limit = size_of::<Tss>() as u64 - 1;
        let slot = FIRST_TSS + 2 * cpu;
        GDT[slot] = limit | (tss & 0xff_ffff) << 16 | 0x89 << 40 | (tss >> 24 & 0xff) << 56;
        GDT[slot + 1] = tss >> 32;
        let gdt = TableRegister {
            limit: (size_of::<[u64; FIRST_TSS + 2 * NR_CPUS]>() - 1) as u16,
            base: (&raw const GDT).addr() as u64,
        };
        let idt = TableRegister {
            limit: (size_of::<[Gate; 256]>() - 1) as u16,
            base: (&raw const IDT).addr() as u64,
        };
        asm!("lgdt [{}]", "ltr {:x}", "lidt [{}]", in(reg) &gdt, in(reg) slot * 8, in(reg) &idt, options(nostack));
    }
    lapic_write(0xf0, 0x100 | u32::from(SPURIOUS));
    lapic_write(0x80, 0);
}

/// `smp_processor_id()`: from the task register, which needs no memory.
pub fn this_cpu() -> CpuId {
    let selector: u64;
    // SAFETY: reads a register.
    unsafe { asm!("str {}", out(reg) selector, options(nomem, nostack, preserves_flags)) };
    CpuId(((selector as usize / 8 - FIRST_TSS) / 2) as u8)
}

/// Whether interrupts are on.
pub fn interrupts_on() -> bool {
    let flags: u64;
    // SAFETY: reads the flags.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags) };
    flags & RFLAGS_IF != 0
}

/// `X86_EFLAGS_IF`.
pub const RFLAGS_IF: u64 = 1 << 9;

/// `cli`: whether interrupts were on.
pub fn cli() -> bool {
    let were_on = interrupts_on();
    // SAFETY: turns interrupts off. Not `nomem`: no access moves out of what follows.
    unsafe { asm!("cli", options(nostack)) };
    were_on
}

/// `sti`. What is pending is served before it returns.
pub fn sti() {
    // SAFETY: the interrupt table is loaded since `set_up`; the nop ends the shadow of one instruction.
    unsafe { asm!("sti", "nop", options(nostack)) };
}

/// Something that no interrupt splits.
pub fn uninterrupted<R>(body: impl FnOnce() -> R) -> R {
    let were_on = cli();
    let result = body();
    if were_on {
        sti();
    }
    result
}

fn lapic_read(register: u64) -> u32 {
    // SAFETY: the local APIC is there, in the direct map.
    unsafe { direct::<u32>(LAPIC + register).read_volatile() }
}

fn lapic_write(register: u64, value: u32) {
    // SAFETY: as above; the registers written here change no memory of ours.
    unsafe { direct::<u32>(LAPIC + register).write_volatile(value) }
}

/// End of interrupt (`ack_APIC_irq`).
pub fn ack_apic_irq() {
    lapic_write(0xb0, 0);
}

/// Of 32 vectors from 0xe0 on, those that are pending in this CPU's interrupt request register.
pub fn pending() -> u32 {
    lapic_read(0x200 + 0x10 * (0xe0 / 32))
}

fn icr(to: CpuId, command: u32) {
    uninterrupted(|| {
        while lapic_read(0x300) & 0x1000 != 0 {}
        lapic_write(0x310, u32::from(to.0) << 24);
        lapic_write(0x300, command);
    });
}

/// Makes a vector pending on a CPU, this one included.
pub fn send(to: CpuId, vector: u8) {
    icr(to, 0x4000 | u32::from(vector));
}

/// Interrupts a CPU whatever its flag is.
pub fn send_nmi(to: CpuId) {
    icr(to, 0x4400);
}

/// Starts a CPU: INIT, SIPI, SIPI. It runs `start_of_ap`; the caller waits for it.
pub fn start(cpu: CpuId, is_up: impl Fn() -> bool) -> bool {
    // SAFETY: the trampoline's page is ordinary memory that nothing else uses.
    unsafe {
        let length = (&raw const ap_end).addr() - (&raw const ap_begin).addr();
        // In the direct map: it is linked at its physical address.
        let from = direct::<u8>((&raw const ap_begin).addr() as u64);
        core::ptr::copy_nonoverlapping(from, direct::<u8>(TRAMPOLINE), length);
    }
    AP_STACK.store(stack_top(cpu.index(), On::Base), SeqCst);
    icr(cpu, 0x4500);
    clock::delay_us(10_000);
    for _ in 0..2 {
        icr(cpu, 0x4600 | (TRAMPOLINE >> 12) as u32);
        let until = clock::since_boot_us() + 1_000_000;
        while clock::since_boot_us() < until {
            if is_up() {
                return true;
            }
            core::sync::atomic::fence(Acquire);
        }
    }
    false
}

/// Has the timer interrupt the first CPU as an NMI, so many times a second (`nmi_watchdog=1`, by the I/O APIC): it comes
/// whether or not interrupts are off.
pub fn start_nmi_timer(hz: u32) {
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    let divisor = (1_193_182 / hz) as u16;
    outb(0x43, 0x34);
    outb(0x40, divisor as u8);
    outb(0x40, (divisor >> 8) as u8);
    // The timer is interrupt 0 of the PIC and pin 2 of the I/O APIC.
    let pin = 2;
    for (register, value) in [(0x11 + 2 * pin, 0), (0x10 + 2 * pin, 0x400)] {
        // SAFETY: the I/O APIC is there, in the direct map.
        unsafe {
            direct::<u32>(IOAPIC).write_volatile(register);
            direct::<u32>(IOAPIC + 0x10).write_volatile(value);
        }
    }
}
