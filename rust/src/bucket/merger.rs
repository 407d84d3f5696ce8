//! The k-way merge of a bucket list: newest record of a key wins, DEAD hides, cut into key ranges as it goes.

use std::collections::HashSet;

use super::decoder::{Batches, push_record};
use super::fault::{Fault, hex};
use super::heap::{KeyHeap, Keys};
use super::records::{DEAD, INIT, ReadOptions, RecordReader, Step};
use super::split::{RangeCounter, SegmentCounter, SegmentRule};
use crate::rows::{ENTRY_TYPES, Projection, RowTables};

/// Warnings about the INIT rule that are kept with their names.
const KEPT_WARNINGS: usize = 100;

/// How the merged keys are cut into ranges.
#[derive(Debug, Clone)]
pub enum Ranges {
    /// All ranges, found on the way by the range rule.
    Discover {
        segment: SegmentRule,
        segments_per_range: u64,
    },
    /// One range, given by its number and its bounds (lower included, upper not).
    One {
        index: u64,
        lower: Option<Vec<u8>>,
        upper: Option<Vec<u8>>,
    },
}

/// How to merge.
#[derive(Debug, Clone)]
pub struct MergeOptions {
    pub ranges: Ranges,
    /// Ranges whose rows nobody needs: they are counted, not built.
    pub skip: HashSet<u64>,
    /// Makes the INIT rule fatal.
    pub strict_algebra: bool,
}

/// An INITENTRY whose next older record of the key is INIT or LIVE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlgebraWarning {
    pub newer: String,
    pub older: String,
    /// LedgerKey XDR in hexadecimal digits.
    pub key: String,
    pub text: String,
}

/// One finished key range.
pub struct MergedRange {
    pub index: u64,
    pub first_key: Vec<u8>,
    pub last: bool,
    pub skipped: bool,
    /// Live entries by LedgerEntryType.
    pub entries: [u64; ENTRY_TYPES.len()],
    pub records_read: u64,
    /// Every table of the projection once; none of a skipped range.
    pub batches: Batches,
}

/// What the merger needs or has.
pub enum Progress {
    /// This source wants bytes or its end.
    Wants(usize),
    Range(Box<MergedRange>),
    Done,
}

struct Source {
    reader: RecordReader,
    counter: Option<SegmentCounter>,
    starts_segment: bool,
}

impl Keys for Vec<Source> {
    fn key(&self, source: usize) -> &[u8] {
        self[source].reader.key()
    }
}

#[derive(Default)]
struct OpenRange {
    index: u64,
    first_key: Option<Vec<u8>>,
    skipped: bool,
    entries: [u64; ENTRY_TYPES.len()],
    records_read: u64,
}

/// Merges the buckets of a list, newest first.
pub struct Merger {
    sources: Vec<Source>,
    options: MergeOptions,
    numbering: Option<RangeCounter>,
    heap: KeyHeap,
    /// Sources without a current record.
    waiting: Vec<usize>,
    /// Sources whose current record has the lowest key, newest first; taken off the heap.
    group: Vec<usize>,
    tables: RowTables,
    open: OpenRange,
    done: bool,
    ledger_key: Vec<u8>,
    warnings: Vec<AlgebraWarning>,
    warning_count: u64,
}

impl Merger {
    /// A merger before its first record.
    ///
    /// # Errors
    /// When a decompressor cannot be made.
    pub fn new(
        sources: Vec<ReadOptions>,
        options: MergeOptions,
        projection: &Projection,
        network_id: Option<[u8; 32]>,
    ) -> Result<Self, Fault> {
        let (numbering, segment, index) = match &options.ranges {
            Ranges::Discover {
                segment,
                segments_per_range,
            } => (Some(RangeCounter::new(*segments_per_range)), Some(*segment), 0),
            Ranges::One { index, .. } => (None, None, *index),
        };
        let sources = sources
            .into_iter()
            .map(|read| {
                Ok(Source {
                    reader: RecordReader::new(read)?,
                    counter: segment.map(SegmentCounter::new),
                    starts_segment: false,
                })
            })
            .collect::<Result<Vec<_>, Fault>>()?;
        let skipped = options.skip.contains(&index);
        Ok(Self {
            waiting: (0..sources.len()).rev().collect(),
            heap: KeyHeap::with_capacity(sources.len()),
            group: Vec::with_capacity(sources.len()),
            tables: RowTables::new(projection, network_id),
            open: OpenRange {
                index,
                skipped,
                ..OpenRange::default()
            },
            done: false,
            ledger_key: Vec::new(),
            warnings: Vec::new(),
            warning_count: 0,
            sources,
            options,
            numbering,
        })
    }

    /// Gives a source compressed bytes; false when there is no such source or it was ended.
    pub fn feed(&mut self, source: usize, chunk: &[u8]) -> bool {
        match self.sources.get_mut(source) {
            Some(source) if !source.reader.is_ended() => {
                source.reader.feed(chunk);
                true
            }
            _ => false,
        }
    }

    /// Says that a source has no more bytes; false when there is no such source.
    pub fn end(&mut self, source: usize) -> bool {
        self.sources.get_mut(source).map(|source| source.reader.end()).is_some()
    }

    /// The reader of a source, for counts and hash.
    #[must_use]
    pub fn reader(&self, source: usize) -> Option<&RecordReader> {
        self.sources.get(source).map(|source| &source.reader)
    }

    /// The first warnings about the INIT rule.
    #[must_use]
    pub fn warnings(&self) -> &[AlgebraWarning] {
        &self.warnings
    }

    /// How often the INIT rule was broken.
    #[must_use]
    pub fn warning_count(&self) -> u64 {
        self.warning_count
    }

    /// Merges until a source starves, a range is finished or all is done.
    ///
    /// # Errors
    /// See [`Fault`]. The merger must not be used afterwards.
    pub fn advance(&mut self) -> Result<Progress, Fault> {
        if self.done {
            return Ok(Progress::Done);
        }
        if self.numbering.is_none() && self.open.skipped {
            return Ok(Progress::Range(Box::new(self.close_last())));
        }
        loop {
            if let Some(starved) = self.refill()? {
                return Ok(Progress::Wants(starved));
            }
            if self.group.is_empty() {
                if !self.heap.pop_lowest(&self.sources, &mut self.group) {
                    return Ok(Progress::Range(Box::new(self.close_last())));
                }
                if let Some(range) = self.meet_border() {
                    return Ok(Progress::Range(Box::new(range)));
                }
            }
            self.take_group()?;
        }
    }

    /// Gives every waiting source a record; the first source that starves.
    fn refill(&mut self) -> Result<Option<usize>, Fault> {
        while let Some(&index) = self.waiting.last() {
            match self.step(index)? {
                Step::Starved => return Ok(Some(index)),
                Step::End => {}
                Step::Ready => self.heap.push(&self.sources, index),
            }
            self.waiting.pop();
        }
        Ok(None)
    }

    /// Moves a source to its next record inside the bounds.
    fn step(&mut self, index: usize) -> Result<Step, Fault> {
        let source = &mut self.sources[index];
        loop {
            let step = source.reader.step()?;
            if step != Step::Ready {
                return Ok(step);
            }
            if let Some(counter) = &mut source.counter {
                source.starts_segment = counter.starts_segment(source.reader.current().framed.len());
            }
            if let Ranges::One { lower, upper, .. } = &self.options.ranges {
                let key = source.reader.key();
                if lower.as_deref().is_some_and(|lower| key < lower) {
                    continue;
                }
                if upper.as_deref().is_some_and(|upper| key >= upper) {
                    return Ok(Step::End);
                }
            }
            return Ok(Step::Ready);
        }
    }

    /// Called once for each new lowest key: the range before it, if the key opens a new one.
    fn meet_border(&mut self) -> Option<MergedRange> {
        let opened = match &mut self.numbering {
            Some(numbering) if self.group.iter().any(|&source| self.sources[source].starts_segment) => {
                numbering.candidate()
            }
            _ => None,
        };
        let finished = match opened {
            Some(index) if index > self.open.index => {
                let range = self.close(false);
                self.open = OpenRange {
                    index,
                    skipped: self.options.skip.contains(&index),
                    ..OpenRange::default()
                };
                Some(range)
            }
            _ => None,
        };
        if self.open.first_key.is_none() {
            self.open.first_key = Some(self.sources[self.group[0]].reader.key().to_vec());
        }
        finished
    }

    fn close(&mut self, last: bool) -> MergedRange {
        let open = std::mem::take(&mut self.open);
        let bound = match &self.options.ranges {
            Ranges::One { lower, .. } => lower.clone(),
            Ranges::Discover { .. } => None,
        };
        MergedRange {
            index: open.index,
            first_key: bound.or(open.first_key).unwrap_or_default(),
            last,
            skipped: open.skipped,
            entries: open.entries,
            records_read: open.records_read,
            batches: if open.skipped { Vec::new() } else { self.tables.take() },
        }
    }

    fn close_last(&mut self) -> MergedRange {
        self.done = true;
        let last = !matches!(&self.options.ranges, Ranges::One { upper: Some(_), .. });
        self.close(last)
    }

    /// Uses the records of the lowest key and moves their sources on, as far as their bytes go.
    fn take_group(&mut self) -> Result<(), Fault> {
        self.open.records_read += self.group.len() as u64;
        if self.group.len() > 1 {
            self.check_init_pairs()?;
        }
        let newest = &self.sources[self.group[0]].reader;
        let record = newest.current();
        if record.kind != DEAD {
            let entry_type = record.entry_type();
            if let Some(count) = usize::try_from(entry_type)
                .ok()
                .and_then(|at| self.open.entries.get_mut(at))
            {
                *count += 1;
            }
            if !self.open.skipped && self.tables.wants(entry_type) {
                push_record(&mut self.tables, newest, &mut self.ledger_key)?;
            }
        }
        while let Some(index) = self.group.pop() {
            match self.step(index)? {
                Step::Ready => self.heap.push(&self.sources, index),
                Step::Starved => self.waiting.push(index),
                Step::End => {}
            }
        }
        Ok(())
    }

    fn check_init_pairs(&mut self) -> Result<(), Fault> {
        for pair in 1..self.group.len() {
            let (newer, older) = (self.group[pair - 1], self.group[pair]);
            let kinds = [newer, older].map(|source| self.sources[source].reader.current().kind);
            if kinds[0] == INIT && kinds[1] != DEAD {
                self.warn(newer, older, kinds[1])?;
            }
        }
        Ok(())
    }

    #[cold]
    fn warn(&mut self, newer: usize, older: usize, older_kind: i32) -> Result<(), Fault> {
        self.warning_count += 1;
        if !self.options.strict_algebra && self.warnings.len() >= KEPT_WARNINGS {
            return Ok(());
        }
        let record = self.sources[newer].reader.current();
        let entry_type = usize::try_from(record.entry_type())
            .ok()
            .and_then(|at| ENTRY_TYPES.get(at))
            .unwrap_or(&"?");
        let mut key = Vec::new();
        // A record that a reader returned has a key; without one the warning has an empty key.
        let _ = record.ledger_key(&mut key);
        let [newer, older] = [newer, older].map(|source| self.sources[source].reader.name().to_owned());
        let older_kind = if older_kind == INIT { "INITENTRY" } else { "LIVEENTRY" };
        let text = format!(
            "{entry_type} key {}: INITENTRY in bucket {newer}, but the next older record, in bucket {older}, is {older_kind}; expected DEADENTRY or none",
            hex(&key)
        );
        if self.options.strict_algebra {
            return Err(Fault::Algebra(text));
        }
        self.warnings.push(AlgebraWarning {
            newer,
            older,
            key: hex(&key),
            text,
        });
        Ok(())
    }
}
