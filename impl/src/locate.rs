//! From a word's address back to its name: what a machine that announces or reports needs.

use std::boxed::Box;
use std::sync::OnceLock;
use std::vec;

use crate::kernel::{Kernel, Loc};
use crate::machine::Word;

const WORD: usize = size_of::<Word>();
const NOTHING: u8 = u8::MAX;
const _: () = assert!(Loc::COUNT < NOTHING as usize);

/// The name of a word of `kernel`, or `None` for a word that has none (an unused table entry, or not inside).
pub fn locate(kernel: &Kernel, word: &Word) -> Option<Loc> {
    static NAMES: OnceLock<Box<[u8]>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let mut names = vec![NOTHING; size_of::<Kernel>() / WORD].into_boxed_slice();
        for loc in Loc::all() {
            names[kernel.address_of(kernel.word(loc)) as usize / WORD] = loc.index() as u8;
        }
        names
    });
    let index = usize::try_from(kernel.address_of(word)).ok()? / WORD;
    Loc::from_index((*names.get(index)?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_at_its_own_word_and_nowhere_else() {
        static KERNEL: Kernel = Kernel::new();
        for loc in Loc::all() {
            assert_eq!(locate(&KERNEL, KERNEL.word(loc)), Some(loc));
            assert_eq!(Loc::from_index(loc.index()), Some(loc));
        }
        assert_eq!(Loc::from_index(Loc::COUNT), None);
        assert_eq!(locate(&KERNEL, &KERNEL.swapper_pg_dir.entries[0]), None);
        assert_eq!(locate(&KERNEL, &Word::new(0)), None);
    }
}
