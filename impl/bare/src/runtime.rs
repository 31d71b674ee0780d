//! What an operating system's C library would have given compiled code.

use core::arch::asm;
use core::panic::PanicInfo;

use crate::port;

/// Copies `n` bytes.
///
/// # Safety
/// As C's `memcpy`: both are valid for `n` bytes and do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller's promise; the direction flag is clear wherever Rust code runs.
    unsafe {
        asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    to
}

/// Fills `n` bytes.
///
/// # Safety
/// As C's `memset`: valid for `n` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") byte as u8,
            options(nostack, preserves_flags));
    }
    to
}

/// Copies `n` bytes that may overlap.
///
/// # Safety
/// As C's `memmove`: both are valid for `n` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if to.addr() <= from.addr() {
        // SAFETY: the caller's promise; forwards, a byte is read before it is written over.
        return unsafe { memcpy(to, from, n) };
    }
    // SAFETY: the caller's promise; backwards, a byte is read before it is written over. No interrupt is served with
    // the direction flag set that does not clear it first.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") n => _,
            inout("rdi") to.wrapping_add(n).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(n).wrapping_sub(1) => _, options(nostack));
    }
    to
}

/// Compares `n` bytes.
///
/// # Safety
/// As C's `memcmp`: both are valid for `n` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    for i in 0..n {
        // SAFETY: the caller's promise. Volatile, so that the compiler does not make a call to memcmp of it.
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

/// Named by the prebuilt core; nothing unwinds here.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    crate::kernel_log!("Kernel panic - not syncing: {info}");
    port::exit(port::Exit::Panic)
}
