//! Runs a closure over the items of a slice, on several threads if that pays.

use std::cell::OnceCell;
use std::num::NonZeroUsize;

use rayon::ThreadPool;
use rayon::prelude::*;

use super::table::SHARDS;

/// A pool that is only started when there is enough to do: most searches have a few thousand states.
pub(super) struct Workers {
    threads: usize,
    pool: OnceCell<Option<ThreadPool>>,
}

impl Workers {
    /// Of more threads than there are shards, or many times the cores, the rest would only be in the way.
    pub(super) fn new(threads: NonZeroUsize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Workers {
            threads: threads.get().min(SHARDS).min(4 * cores),
            pool: OnceCell::new(),
        }
    }

    /// Calls `f` once with every item and its index. `worthwhile`: is there enough work for more than one thread?
    pub(super) fn each<T: Send>(
        &self,
        items: &mut [T],
        worthwhile: bool,
        f: impl Fn(usize, &mut T) + Sync,
    ) {
        let pool = if worthwhile && self.threads > 1 && items.len() > 1 {
            self.pool.get_or_init(|| self.start()).as_ref()
        } else {
            None
        };
        match pool {
            Some(pool) => pool.install(|| {
                items
                    .par_iter_mut()
                    .with_max_len(1)
                    .enumerate()
                    .for_each(|(i, item)| f(i, item));
            }),
            None => items
                .iter_mut()
                .enumerate()
                .for_each(|(i, item)| f(i, item)),
        }
    }

    fn start(&self) -> Option<ThreadPool> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .thread_name(|i| format!("search-{i}"))
            .build();
        match pool {
            Ok(pool) => Some(pool),
            Err(error) => {
                // Same result, only slower: not a reason to give up.
                tracing::warn!(%error, threads = self.threads, "searching on one thread");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_threads_are_started_than_are_of_use() {
        let threads = |asked| Workers::new(NonZeroUsize::new(asked).unwrap()).threads;
        assert_eq!((threads(1), threads(2)), (1, 2));
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        assert_eq!(threads(1024), SHARDS.min(4 * cores));
    }
}
