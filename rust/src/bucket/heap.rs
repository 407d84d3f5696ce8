//! A small binary heap of sources, ordered by their current keys and, for equal keys, newest source first.

/// Where the heap finds the current key of a source.
pub trait Keys {
    /// Key of the current record of `source`.
    fn key(&self, source: usize) -> &[u8];
}

/// Sources that have a current record.
#[derive(Debug, Default)]
pub struct KeyHeap {
    sources: Vec<usize>,
    /// The source taken last, when it may go back to the root without a search; see [`KeyHeap::pop_lowest`].
    hole: bool,
}

impl KeyHeap {
    /// An empty heap for so many sources.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            sources: Vec::with_capacity(capacity),
            hole: false,
        }
    }

    /// Adds a source.
    pub fn push<K: Keys>(&mut self, keys: &K, source: usize) {
        if self.hole {
            // The root is free: one sift down from there, which stops at once while the same source stays the lowest.
            self.hole = false;
            self.sources[0] = source;
            self.sift_down(keys);
            return;
        }
        self.sources.push(source);
        let mut at = self.sources.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 2;
            if !before(keys, self.sources[at], self.sources[parent]) {
                break;
            }
            self.sources.swap(at, parent);
            at = parent;
        }
    }

    /// Takes all sources with the lowest key, newest first, to the end of `group`; false when the heap is empty.
    ///
    /// The root stays as a hole until the next push or pop, so that putting the same source back costs little.
    pub fn pop_lowest<K: Keys>(&mut self, keys: &K, group: &mut Vec<usize>) -> bool {
        self.close_hole(keys);
        let Some(&lowest) = self.sources.first() else {
            return false;
        };
        group.push(lowest);
        self.hole = true;
        while self.child_equals(keys, lowest) {
            self.close_hole(keys);
            group.push(self.sources[0]);
            self.hole = true;
        }
        true
    }

    fn child_equals<K: Keys>(&self, keys: &K, source: usize) -> bool {
        let key = keys.key(source);
        self.sources.iter().skip(1).take(2).any(|&child| keys.key(child) == key)
    }

    fn close_hole<K: Keys>(&mut self, keys: &K) {
        if !std::mem::take(&mut self.hole) {
            return;
        }
        self.sources.swap_remove(0);
        self.sift_down(keys);
    }

    fn sift_down<K: Keys>(&mut self, keys: &K) {
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= self.sources.len() {
                return;
            }
            let right_first = right < self.sources.len() && before(keys, self.sources[right], self.sources[left]);
            let child = if right_first { right } else { left };
            if !before(keys, self.sources[child], self.sources[at]) {
                return;
            }
            self.sources.swap(at, child);
            at = child;
        }
    }
}

fn before<K: Keys>(keys: &K, a: usize, b: usize) -> bool {
    keys.key(a).cmp(keys.key(b)).then(a.cmp(&b)).is_lt()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Keys for Vec<Vec<u8>> {
        fn key(&self, source: usize) -> &[u8] {
            &self[source]
        }
    }

    #[test]
    fn equal_keys_come_together_newest_first() {
        let keys: Vec<Vec<u8>> = [&b"b"[..], b"a", b"c", b"a", b"b", b"a"]
            .iter()
            .map(|k| k.to_vec())
            .collect();
        let mut heap = KeyHeap::with_capacity(keys.len());
        for source in [3, 0, 5, 2, 4, 1] {
            heap.push(&keys, source);
        }
        let mut groups = Vec::new();
        loop {
            let mut group = Vec::new();
            if !heap.pop_lowest(&keys, &mut group) {
                break;
            }
            groups.push(group);
        }
        assert_eq!(groups, [vec![1, 3, 5], vec![0, 4], vec![2]]);
    }

    #[test]
    fn a_source_put_back_finds_its_place() {
        let mut keys: Vec<Vec<u8>> = [[1u8], [4], [9]].iter().map(|k| k.to_vec()).collect();
        let mut heap = KeyHeap::with_capacity(3);
        (0..3).for_each(|source| heap.push(&keys, source));
        let mut seen = Vec::new();
        loop {
            let mut group = Vec::new();
            if !heap.pop_lowest(&keys, &mut group) {
                break;
            }
            for source in group {
                seen.push(keys[source][0]);
                if keys[source][0] < 12 {
                    keys[source][0] += 3;
                    heap.push(&keys, source);
                }
            }
        }
        assert_eq!(seen, [1, 4, 4, 7, 7, 9, 10, 10, 12, 13, 13]);
    }
}
