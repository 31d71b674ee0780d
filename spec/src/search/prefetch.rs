//! Telling the processor what will be read: a twentieth of a search's time over reading something of it early, which
//! waits for the memory once its queue of reads is full.

/// Has the processor fetch the beginning of an item that will be needed soon; no harm is done if there is no such item.
#[inline(always)]
pub(super) fn prefetch<T>(items: &[T], index: usize) {
    let item = items.as_ptr().wrapping_add(index);
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 has the instruction; it is a hint that changes nothing and faults at no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(item.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = item;
}
