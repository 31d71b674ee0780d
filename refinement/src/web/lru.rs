//! What was worked out and may be forgotten: a cache under a budget of bytes, by its own accounting.

/// Values by key, the one that was used last at the end.
pub struct Lru<K, V> {
    budget: u64,
    entries: Vec<Entry<K, V>>,
    evicted: u64,
}

struct Entry<K, V> {
    key: K,
    value: V,
    bytes: u64,
}

impl<K: PartialEq, V: Clone> Lru<K, V> {
    /// An empty one that never holds more than this.
    pub fn new(budget: u64) -> Lru<K, V> {
        Lru {
            budget,
            entries: Vec::new(),
            evicted: 0,
        }
    }

    /// The value, which counts as used.
    pub fn get(&mut self, key: &K) -> Option<V> {
        let at = self.entries.iter().position(|e| e.key == *key)?;
        let entry = self.entries.remove(at);
        let value = entry.value.clone();
        self.entries.push(entry);
        Some(value)
    }

    /// Puts a value in, and others out until all fit. One that does not fit alone is not kept: false.
    pub fn insert(&mut self, key: K, value: V, bytes: u64) -> bool {
        self.entries.retain(|e| e.key != key);
        if bytes > self.budget {
            return false;
        }
        while self.bytes() + bytes > self.budget {
            self.entries.remove(0);
            self.evicted += 1;
        }
        self.entries.push(Entry { key, value, bytes });
        true
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|e| e.bytes).sum()
    }

    /// Values held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The most bytes it ever holds.
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// How many values were put out for others.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut lru = Lru::new(10);
        assert!(lru.insert('a', 1, 4));
        assert!(lru.insert('b', 2, 4));
        assert_eq!(lru.get(&'a'), Some(1));
        assert!(lru.insert('c', 3, 4));
        assert_eq!(lru.get(&'b'), None);
        assert_eq!((lru.get(&'a'), lru.get(&'c')), (Some(1), Some(3)));
        assert_eq!((lru.bytes(), lru.len(), lru.evicted()), (8, 2, 1));
    }

    #[test]
    fn what_does_not_fit_alone_puts_nobody_out() {
        let mut lru = Lru::new(10);
        assert!(lru.insert('a', 1, 10));
        assert!(!lru.insert('b', 2, 11));
        assert_eq!((lru.get(&'a'), lru.get(&'b')), (Some(1), None));
    }

    proptest! {
        #[test]
        fn the_budget_is_never_exceeded(
            budget in 0u64..100,
            puts in proptest::collection::vec((0u8..20, 0u64..60), 0..200),
        ) {
            let mut lru = Lru::new(budget);
            for (key, bytes) in puts {
                let kept = lru.insert(key, bytes, bytes);
                prop_assert!(lru.bytes() <= budget);
                prop_assert_eq!(kept, lru.get(&key).is_some());
            }
        }
    }
}
