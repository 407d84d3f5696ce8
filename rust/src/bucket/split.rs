//! The range rule: where a bucket's segments start and which of their starts open a key range.

/// When a record starts a new segment of its bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentRule {
    /// Records after which the next one starts a segment.
    pub records: u64,
    /// Framed record bytes after which the next record starts a segment.
    pub bytes: u64,
}

/// Follows one bucket record by record (META does not count).
#[derive(Debug, Clone)]
pub struct SegmentCounter {
    rule: SegmentRule,
    records: u64,
    bytes: u64,
}

impl SegmentCounter {
    /// A counter before the bucket's first record.
    #[must_use]
    pub fn new(rule: SegmentRule) -> Self {
        Self {
            rule,
            records: 0,
            bytes: 0,
        }
    }

    /// Counts a record of `framed` bytes (header included); true when it starts a segment.
    pub fn starts_segment(&mut self, framed: usize) -> bool {
        let first = self.records == 0;
        let full = self.records >= self.rule.records || self.bytes >= self.rule.bytes;
        if first || full {
            self.records = 0;
            self.bytes = 0;
        }
        self.records += 1;
        self.bytes += framed as u64;
        first || full
    }
}

/// Numbers the candidates (distinct segment starts of all buckets in key order) and says which ones open a range.
#[derive(Debug, Clone)]
pub struct RangeCounter {
    per_range: u64,
    candidates: u64,
}

impl RangeCounter {
    /// A counter before the first candidate; `per_range` candidates make a range.
    #[must_use]
    pub fn new(per_range: u64) -> Self {
        Self {
            per_range: per_range.max(1),
            candidates: 0,
        }
    }

    /// Counts a candidate; the number of the range that it opens, if it opens one.
    pub fn candidate(&mut self) -> Option<u64> {
        let number = self.candidates;
        self.candidates += 1;
        number.is_multiple_of(self.per_range).then(|| number / self.per_range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_start_at_the_record_after_a_full_one() {
        let mut counter = SegmentCounter::new(SegmentRule { records: 3, bytes: 100 });
        let starts: Vec<bool> = [10, 10, 10, 10, 95, 1, 1]
            .iter()
            .map(|n| counter.starts_segment(*n))
            .collect();
        assert_eq!(starts, [true, false, false, true, false, true, false]);
    }

    #[test]
    fn every_nth_candidate_opens_a_range() {
        let mut counter = RangeCounter::new(2);
        let opened: Vec<Option<u64>> = (0..5).map(|_| counter.candidate()).collect();
        assert_eq!(opened, [Some(0), None, Some(1), None, Some(2)]);
    }
}
