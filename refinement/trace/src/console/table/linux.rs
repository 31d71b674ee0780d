//! Linux, 2.6.32 to 6.17.

mod places;
mod waits;

use super::Entry;

/// The functions of Linux that matter.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    waits::ENTRIES.iter().chain(places::ENTRIES)
}
