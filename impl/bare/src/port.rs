//! Input and output: the serial console, the debug port, and the way out.
//!
//! People read the console (COM1). Programs read the debug port (0xe9), to which [`crate::out`] writes.

use core::arch::asm;
use core::fmt;

const COM1: u16 = 0x3f8;
const DEBUG: u16 = 0xe9;
const DEBUG_EXIT: u16 = 0xf4;

/// Writes a byte to a port.
pub fn outb(port: u16, value: u8) {
    // SAFETY: no port that this crate writes to changes memory.
    unsafe {
        asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags))
    }
}

/// Reads a byte from a port.
pub fn inb(port: u16) -> u8 {
    let value;
    // SAFETY: reading the ports that this crate reads has no effect on memory.
    unsafe {
        asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags))
    }
    value
}

/// Reads 32 bits from a port.
pub fn inl(port: u16) -> u32 {
    let value;
    // SAFETY: as for `inb`.
    unsafe {
        asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags))
    }
    value
}

fn outl(port: u16, value: u32) {
    // SAFETY: as for `outb`.
    unsafe {
        asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags))
    }
}

/// Writes bytes to the debug port.
pub fn debug(bytes: &[u8]) {
    // SAFETY: the bytes are read; the port changes no memory; the direction flag is clear.
    unsafe {
        asm!("rep outsb", in("dx") DEBUG, inout("rsi") bytes.as_ptr() => _, inout("rcx") bytes.len() => _,
            options(readonly, nostack, preserves_flags));
    }
}

/// The serial console.
pub struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while inb(COM1 + 5) & 0x20 == 0 {}
            outb(COM1, byte);
        }
        Ok(())
    }
}

/// How the machine ends.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Exit {
    /// All was said on the debug port.
    Told = 0,
    /// It panicked, or an exception came that nobody expects.
    Panic = 1,
}

/// Ends the machine: QEMU exits with twice the value and one.
pub fn exit(how: Exit) -> ! {
    outl(DEBUG_EXIT, how as u32);
    loop {
        // SAFETY: stops this CPU, which has nothing left to do.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}

/// A line on the console, with the time since boot as printk has it.
#[macro_export]
macro_rules! kernel_log {
    ($($argument:tt)*) => {{
        use core::fmt::Write as _;
        let us = $crate::clock::since_boot_us();
        // The console takes whatever it is given.
        let _ = writeln!($crate::port::Serial, "[{:5}.{:06}] {}", us / 1_000_000, us % 1_000_000, format_args!($($argument)*));
    }};
}
