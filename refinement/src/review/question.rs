//! What is to be decided.

use super::document::{Block, Part};

pub fn part() -> Part {
    let text = |t: &str| Block::Text(t.into());
    Part {
        title: "The question".into(),
        blocks: vec![
            text(
                "In February 2011 Larry Woodman reported that a kernel with transparent huge pages hangs. One CPU ages a \
                 page: it takes the mm's `page_table_lock`, clears the ACCESSED bit, sends a TLB-flush IPI to every other \
                 CPU that runs the mm and spins until all have answered, *still holding the lock*. Another runs \
                 `vmalloc_sync_all`: interrupts off, `pgd_lock` taken, it comes to the same `page_table_lock`, spins, and \
                 never answers. Three facts make the hang, and removing any one removes it:",
            ),
            Block::List(vec![
                "a lock is held while acknowledgements are awaited;".into(),
                "somebody waits for that lock with interrupts off;".into(),
                "that somebody owes one of the acknowledgements, or holds up somebody who does."
                    .into(),
            ]),
            text(
                "The fix that was merged, a79e53d85683 in v2.6.38, removes the second: nine functions take `pgd_lock` \
                 without turning interrupts off. The mail's last paragraph asks for the removal of the first: change the \
                 entry under the lock, release it, and only then send the IPIs. `tracked` is that proposal, carried \
                 through until nothing breaks.",
            ),
            text(
                "**To decide: which of the two, and what has to stay true for it to stay right?** This review answers \
                 from an executable specification of the kernel paths, checked exhaustively within bounds, from a proof \
                 about their lock order for any number of CPUs, and from a Rust implementation that was explored beside \
                 the specification, step by step.",
            ),
        ],
    }
}
