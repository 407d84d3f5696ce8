//! One bucket to segments: its verified records, framed as they were, cut by the range rule.

use super::fault::Fault;
use super::records::{ReadOptions, RecordReader, Step};
use super::split::{SegmentCounter, SegmentRule};

/// Consecutive records of one bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segment {
    /// Sort key of the first record.
    pub first_key: Vec<u8>,
    /// Number of records.
    pub records: u64,
    /// The records with their frame headers; never META.
    pub data: Vec<u8>,
}

/// Cuts one bucket.
pub struct Cutter {
    reader: RecordReader,
    counter: SegmentCounter,
    open: Segment,
}

impl Cutter {
    /// A cutter at the start of its bucket.
    ///
    /// # Errors
    /// When the decompressor cannot be made.
    pub fn new(options: ReadOptions, rule: SegmentRule) -> Result<Self, Fault> {
        Ok(Self {
            reader: RecordReader::new(options)?,
            counter: SegmentCounter::new(rule),
            open: Segment::default(),
        })
    }

    /// The reader below, for counts and hash.
    #[must_use]
    pub fn reader(&self) -> &RecordReader {
        &self.reader
    }

    /// Adds compressed bytes; the segments that they completed.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<Segment>, Fault> {
        self.reader.feed(chunk);
        self.run()
    }

    /// Ends the bucket; its last segments.
    ///
    /// # Errors
    /// See [`Fault`]; a wrong hash is found here.
    pub fn finish(&mut self) -> Result<Vec<Segment>, Fault> {
        self.reader.end();
        let mut done = self.run()?;
        if self.open.records > 0 {
            done.push(std::mem::take(&mut self.open));
        }
        Ok(done)
    }

    fn run(&mut self) -> Result<Vec<Segment>, Fault> {
        let mut done = Vec::new();
        while self.reader.step()? == Step::Ready {
            let record = self.reader.current();
            if self.counter.starts_segment(record.framed.len()) {
                let capacity = self.open.data.len() + 256;
                let next = Segment {
                    first_key: record.key.to_vec(),
                    records: 0,
                    data: Vec::with_capacity(capacity),
                };
                let full = std::mem::replace(&mut self.open, next);
                if full.records > 0 {
                    done.push(full);
                }
            }
            self.open.records += 1;
            self.open.data.extend_from_slice(record.framed);
        }
        Ok(done)
    }
}
