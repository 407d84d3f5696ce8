//! One bucket to Arrow tables, batch by batch.

use arrow_array::RecordBatch;

use super::fault::Fault;
use super::records::{DEAD, ReadOptions, RecordReader, Step};
use crate::rows::{Projection, RowError, RowTables};

/// Batches with the names of their tables.
pub type Batches = Vec<(&'static str, RecordBatch)>;

/// When a batch is full.
#[derive(Debug, Clone, Copy)]
pub struct BatchRule {
    /// Rows over all tables.
    pub rows: usize,
    /// XDR bytes over all tables.
    pub bytes: usize,
}

/// Decodes one bucket.
pub struct Decoder {
    reader: RecordReader,
    tables: RowTables,
    with_dead: bool,
    rule: BatchRule,
    ledger_key: Vec<u8>,
}

impl Decoder {
    /// A decoder at the start of its bucket.
    ///
    /// # Errors
    /// When the decompressor cannot be made.
    pub fn new(
        options: ReadOptions,
        projection: &Projection,
        network_id: Option<[u8; 32]>,
        rule: BatchRule,
    ) -> Result<Self, Fault> {
        Ok(Self {
            reader: RecordReader::new(options)?,
            tables: RowTables::new(projection, network_id),
            with_dead: projection.has_table(crate::rows::DEAD),
            rule,
            ledger_key: Vec::new(),
        })
    }

    /// The reader below, for counts and hash.
    #[must_use]
    pub fn reader(&self) -> &RecordReader {
        &self.reader
    }

    /// Adds compressed bytes; the batches that they filled, without empty tables.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Batches, Fault> {
        self.reader.feed(chunk);
        let mut out = Vec::new();
        self.run(&mut out)?;
        Ok(out)
    }

    /// Ends the bucket; its last batches, without empty tables.
    ///
    /// # Errors
    /// See [`Fault`]; a wrong hash is found here.
    pub fn finish(&mut self) -> Result<Batches, Fault> {
        let mut out = Vec::new();
        self.finish_into(&mut out)?;
        self.cut(&mut out);
        Ok(out)
    }

    /// Ends a bucket that was to be one batch; all tables, empty ones too.
    ///
    /// # Errors
    /// See [`Fault`]; a wrong hash is found here.
    pub fn finish_whole(&mut self) -> Result<Batches, Fault> {
        let mut out = Vec::new();
        self.finish_into(&mut out)?;
        Ok(self.tables.take())
    }

    fn finish_into(&mut self, out: &mut Batches) -> Result<(), Fault> {
        self.reader.end();
        self.run(out)
    }

    fn cut(&mut self, out: &mut Batches) {
        out.extend(self.tables.take().into_iter().filter(|(_, batch)| batch.num_rows() > 0));
    }

    fn run(&mut self, out: &mut Batches) -> Result<(), Fault> {
        while self.reader.step()? == Step::Ready {
            let wanted = {
                let record = self.reader.current();
                if record.kind == DEAD {
                    self.with_dead
                } else {
                    self.tables.wants(record.entry_type())
                }
            };
            if wanted {
                self.push()?;
                if self.tables.rows() >= self.rule.rows || self.tables.bytes() >= self.rule.bytes {
                    self.cut(out);
                }
            }
        }
        Ok(())
    }

    fn push(&mut self) -> Result<(), Fault> {
        push_record(&mut self.tables, &self.reader, &mut self.ledger_key)
    }
}

/// Puts the current record of a reader into the tables.
///
/// # Errors
/// [`Fault::Xdr`] when the batch would outgrow Arrow's 32-bit offsets.
pub fn push_record(tables: &mut RowTables, reader: &RecordReader, ledger_key: &mut Vec<u8>) -> Result<(), Fault> {
    let record = reader.current();
    let kind = i8::try_from(record.kind).unwrap_or(i8::MIN);
    let pushed = if record.kind == DEAD {
        tables.push_dead(record.payload, kind)
    } else {
        ledger_key.clear();
        if tables.wants_key(record.entry_type()) {
            record
                .ledger_key(ledger_key)
                .map_err(|reject| reader.fault(reject.to_string()))?;
        }
        tables.push(record.payload, ledger_key, kind)
    };
    pushed.map_err(|error| reader.fault(reason_of(error)))
}

#[cold]
fn reason_of(error: RowError) -> String {
    match error {
        RowError::TooLarge => {
            "the batch outgrows the 32-bit offsets of its columns; lower batch_bytes, or the segments of a range"
                .to_owned()
        }
        RowError::Unreadable { what, pos } => format!("{what} unreadable at byte {pos} of the entry"),
    }
}
