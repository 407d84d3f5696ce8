//! RFC 5531 record marking: cuts an uncompressed stream into records and hashes it in the same pass.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::fault::Fault;
use super::inflate::{Compression, Inflate, Pulled};

/// Bytes inflated at a time: small enough to stay in the second-level cache between inflating, hashing and decoding.
const PIECE: usize = 256 << 10;
const HEADER: usize = 4;
const LAST_FRAGMENT: u32 = 0x8000_0000;

/// What a stream may hold at most, and what it must hash to.
#[derive(Debug, Clone)]
pub struct FrameLimits {
    /// Largest record body in bytes.
    pub max_record: usize,
    /// Largest uncompressed stream in bytes.
    pub max_inflated: Option<u64>,
    /// SHA-256 that the whole uncompressed stream must have.
    pub expected_sha256: Option<[u8; 32]>,
}

/// Outcome of asking for the next record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Body of the record as a range of [`FrameReader::bytes`], valid until the next call.
    Record(Range<usize>),
    /// More input is needed.
    Starved,
    /// The stream is complete and its hash is right.
    End,
}

/// A push parser from compressed chunks to record bodies.
pub struct FrameReader {
    inflate: Inflate,
    limits: FrameLimits,
    hasher: Sha256,
    digest: Option<[u8; 32]>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Position in the uncompressed stream of `buffer[0]`.
    base: u64,
    records: u64,
}

impl FrameReader {
    /// A reader at the start of its stream.
    ///
    /// # Errors
    /// When the decompressor cannot be made.
    pub fn new(compression: Compression, limits: FrameLimits) -> Result<Self, Fault> {
        let inflate = Inflate::new(compression).map_err(|reason| Fault::Xdr {
            offset: 0,
            record_index: 0,
            entry_type: None,
            reason,
        })?;
        Ok(Self {
            inflate,
            limits,
            hasher: Sha256::new(),
            digest: None,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            base: 0,
            records: 0,
        })
    }

    /// Adds compressed bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.inflate.feed(chunk);
    }

    /// Says that no more bytes will come.
    pub fn end(&mut self) {
        self.inflate.end();
    }

    /// Whether the end of input was announced.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.inflate.is_ended()
    }

    /// Uncompressed bytes seen so far.
    #[must_use]
    pub fn uncompressed(&self) -> u64 {
        self.base + self.end as u64
    }

    /// SHA-256 of the whole stream, once it ended.
    #[must_use]
    pub fn sha256(&self) -> Option<[u8; 32]> {
        self.digest
    }

    /// The buffer that the ranges of [`Next::Record`] index.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Records returned so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Position in the uncompressed stream of index `at` of [`FrameReader::bytes`].
    #[must_use]
    pub fn offset_of(&self, at: usize) -> u64 {
        self.base + at as u64
    }

    fn fault(&self, at: usize, reason: String) -> Fault {
        Fault::Xdr {
            offset: self.offset_of(at),
            record_index: self.records,
            entry_type: None,
            reason,
        }
    }

    /// Bytes that the record at `start` takes with its header, as far as they can be known yet.
    fn needed(&self) -> Result<usize, Fault> {
        let Some(header) = self.buffer[self.start..self.end].first_chunk::<HEADER>() else {
            return Ok(HEADER);
        };
        let mark = u32::from_be_bytes(*header);
        let length = (mark & !LAST_FRAGMENT) as usize;
        if mark & LAST_FRAGMENT == 0 {
            return Err(self.fault(
                self.start,
                format!("frame header {mark:08x} has the last-fragment bit clear; Stellar writes single fragments"),
            ));
        }
        if length > self.limits.max_record {
            return Err(self.fault(
                self.start,
                format!(
                    "record declares {length} bytes, the cap is {} bytes",
                    self.limits.max_record
                ),
            ));
        }
        if length == 0 {
            return Err(self.fault(self.start, "record of zero bytes".to_owned()));
        }
        Ok(HEADER + length)
    }

    /// The next record, if the input fed so far has it whole.
    ///
    /// # Errors
    /// [`Fault::Xdr`] for damaged compression or framing, [`Fault::Hash`] at the end of a stream with another hash.
    pub fn next_record(&mut self) -> Result<Next, Fault> {
        loop {
            let needed = self.needed()?;
            if self.end - self.start >= needed {
                let body = self.start + HEADER..self.start + needed;
                self.start += needed;
                self.records += 1;
                return Ok(Next::Record(body));
            }
            self.make_room(needed);
            let upper = self.buffer.len().min(self.end + PIECE);
            match self.inflate.pull(&mut self.buffer[self.end..upper]) {
                Err(reason) => return Err(self.fault(self.end, reason)),
                Ok(Pulled::Starved) => return Ok(Next::Starved),
                Ok(Pulled::Finished) => return self.finish(needed),
                Ok(Pulled::Some(count)) => {
                    self.hasher.update(&self.buffer[self.end..self.end + count]);
                    self.end += count;
                    if let Some(cap) = self.limits.max_inflated
                        && self.uncompressed() > cap
                    {
                        return Err(
                            self.fault(self.end, format!("stream inflates to more than the cap of {cap} bytes"))
                        );
                    }
                }
            }
        }
    }

    /// Frees consumed bytes and grows the buffer as far as bytes have really come, never on a header's word alone.
    fn make_room(&mut self, needed: usize) {
        if self.start == self.end || self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.base += self.start as u64;
            self.end -= self.start;
            self.start = 0;
            if self.buffer.len() > 8 * PIECE && needed <= PIECE && self.end <= PIECE {
                self.buffer.truncate(PIECE);
                self.buffer.shrink_to_fit();
            }
        }
        if self.end == self.buffer.len() {
            let target = (self.buffer.len() * 2).clamp(PIECE, PIECE.max(HEADER + self.limits.max_record));
            self.buffer.resize(target.max(self.end + 1), 0);
        }
    }

    fn finish(&mut self, needed: usize) -> Result<Next, Fault> {
        let have = self.end - self.start;
        if have > 0 && have < HEADER {
            return Err(self.fault(self.start, format!("frame header truncated, {have} of {HEADER} bytes")));
        }
        if have > 0 {
            let (got, want) = (have - HEADER, needed - HEADER);
            return Err(self.fault(
                self.start + HEADER,
                format!("record body truncated, {got} of {want} bytes"),
            ));
        }
        let computed = *self
            .digest
            .get_or_insert_with(|| std::mem::take(&mut self.hasher).finalize().into());
        match self.limits.expected_sha256 {
            Some(expected) if expected != computed => Err(Fault::Hash { expected, computed }),
            _ => Ok(Next::End),
        }
    }
}
