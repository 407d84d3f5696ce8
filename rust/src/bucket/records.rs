//! The records of one bucket: each validated, checked against the bucket rules and given its sort key before anyone sees it.

use std::ops::Range;

use super::fault::{Fault, hex};
use super::frames::{FrameLimits, FrameReader, Next};
use super::inflate::Compression;
use crate::rows::ENTRY_TYPES;
use crate::xdr::{self, Cur, XdrReject};

/// Discriminant of METAENTRY in both kinds of bucket.
pub const META: i32 = -1;
/// Live bucket: LIVEENTRY. Hot archive: HOT_ARCHIVE_ARCHIVED (an entry).
pub const LIVE: i32 = 0;
/// Live bucket: DEADENTRY (a key). Hot archive: HOT_ARCHIVE_LIVE (a key).
pub const DEAD: i32 = 1;
/// Live bucket: INITENTRY.
pub const INIT: i32 = 2;

/// First protocol whose buckets know INITENTRY.
const INIT_PROTOCOL: u32 = 11;

/// Which list a bucket belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Live,
    Hot,
}

/// How a bucket is to be read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    pub name: String,
    pub kind: Kind,
    pub compression: Compression,
    pub frames: FrameLimits,
    pub max_depth: u32,
    pub check_order: bool,
    /// Protocol of a bucket whose METAENTRY was cut off before; such a stream must not have one.
    pub protocol: Option<u32>,
}

/// Outcome of asking for the next record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// [`RecordReader::current`] is a new record.
    Ready,
    Starved,
    End,
}

/// How many records of each kind were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub entries: u64,
    pub live: u64,
    pub dead: u64,
    pub init: u64,
}

/// A validated record that is not META.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// [`LIVE`], [`DEAD`] or [`INIT`].
    pub kind: i32,
    /// Order-preserving bytes of its ledger key.
    pub key: &'a [u8],
    /// LedgerEntry, or LedgerKey of a DEAD record, as XDR.
    pub payload: &'a [u8],
    /// The record as it stands in the stream, header included.
    pub framed: &'a [u8],
}

impl Record<'_> {
    /// LedgerEntryType of the record.
    #[must_use]
    pub fn entry_type(&self) -> i32 {
        entry_type_of(self.key)
    }

    /// Writes the LedgerKey as XDR.
    ///
    /// # Errors
    /// None for a record that a reader returned.
    pub fn ledger_key(&self, out: &mut Vec<u8>) -> Result<(), XdrReject> {
        out.clear();
        if self.kind == DEAD {
            out.extend_from_slice(self.payload);
            return Ok(());
        }
        xdr::ledger_key_of_entry(self.payload, out)
    }
}

/// LedgerEntryType in front of a sort key.
#[must_use]
pub fn entry_type_of(sort_key: &[u8]) -> i32 {
    sort_key
        .first_chunk::<4>()
        .map_or(-1, |bytes| i32::from_be_bytes(*bytes))
}

/// Reads a bucket record by record.
pub struct RecordReader {
    options: ReadOptions,
    frames: FrameReader,
    kind: i32,
    body: Range<usize>,
    key: Vec<u8>,
    previous: Vec<u8>,
    counts: Counts,
    protocol: Option<u32>,
    meta_allowed: bool,
}

impl RecordReader {
    /// A reader at the start of its bucket.
    ///
    /// # Errors
    /// When the decompressor cannot be made.
    pub fn new(options: ReadOptions) -> Result<Self, Fault> {
        let frames = FrameReader::new(options.compression, options.frames.clone())?;
        Ok(Self {
            frames,
            kind: META,
            body: 0..0,
            key: Vec::with_capacity(256),
            previous: Vec::with_capacity(256),
            counts: Counts::default(),
            protocol: options.protocol,
            meta_allowed: options.protocol.is_none(),
            options,
        })
    }

    /// Adds compressed bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.frames.feed(chunk);
    }

    /// Says that no more bytes will come.
    pub fn end(&mut self) {
        self.frames.end();
    }

    /// Whether the end of input was announced.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.frames.is_ended()
    }

    /// Name of the bucket, for texts.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Records of each kind so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Protocol in METAENTRY, or the one given.
    #[must_use]
    pub fn protocol(&self) -> Option<u32> {
        self.protocol
    }

    /// SHA-256 of the uncompressed stream, once it ended.
    #[must_use]
    pub fn sha256(&self) -> Option<[u8; 32]> {
        self.frames.sha256()
    }

    /// Uncompressed bytes so far.
    #[must_use]
    pub fn uncompressed(&self) -> u64 {
        self.frames.uncompressed()
    }

    /// Sort key of the current record.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The record that the last [`Step::Ready`] announced.
    #[must_use]
    pub fn current(&self) -> Record<'_> {
        let bytes = self.frames.bytes();
        Record {
            kind: self.kind,
            key: &self.key,
            payload: &bytes[self.body.start + 4..self.body.end],
            framed: &bytes[self.body.start - 4..self.body.end],
        }
    }

    /// Goes to the next record that is not META.
    ///
    /// # Errors
    /// See [`Fault`]; the bucket's name is in the text.
    pub fn step(&mut self) -> Result<Step, Fault> {
        self.try_step().map_err(|fault| fault.in_bucket(&self.options.name))
    }

    fn try_step(&mut self) -> Result<Step, Fault> {
        loop {
            let body = match self.frames.next_record()? {
                Next::Starved => return Ok(Step::Starved),
                Next::End => return Ok(Step::End),
                Next::Record(body) => body,
            };
            self.body = body;
            self.validate()?;
            if self.kind == META {
                self.take_meta()?;
                continue;
            }
            self.meta_allowed = false;
            self.count()?;
            self.take_key()?;
            return Ok(Step::Ready);
        }
    }

    /// Number of the current record in the stream, META included.
    fn index(&self) -> u64 {
        self.frames.records().saturating_sub(1)
    }

    fn reject(&self, reject: &XdrReject) -> Fault {
        self.fault_at(reject.pos, reject.to_string())
    }

    fn fault_at(&self, pos: usize, reason: String) -> Fault {
        Fault::Xdr {
            offset: self.frames.offset_of(self.body.start + pos),
            record_index: self.index(),
            entry_type: guess_entry_type(&self.frames.bytes()[self.body.clone()], self.options.kind),
            reason,
        }
    }

    /// A fault of the current record as a whole.
    #[must_use]
    pub fn fault(&self, reason: String) -> Fault {
        self.fault_at(0, reason).in_bucket(&self.options.name)
    }

    fn validate(&mut self) -> Result<(), Fault> {
        let body = &self.frames.bytes()[self.body.clone()];
        let mut cur = Cur::with_depth(body, self.options.max_depth);
        let skipped = match self.options.kind {
            Kind::Live => xdr::generated::skip_BucketEntry(&mut cur),
            Kind::Hot => xdr::generated::skip_HotArchiveBucketEntry(&mut cur),
        };
        if let Err(reject) = skipped.and_then(|()| cur.end("BucketEntry")) {
            return Err(self.reject(&reject));
        }
        let Some(discriminant) = body.first_chunk::<4>() else {
            unreachable!("a validated record has a discriminant")
        };
        self.kind = i32::from_be_bytes(*discriminant);
        Ok(())
    }

    fn take_meta(&mut self) -> Result<(), Fault> {
        let index = self.index();
        if !self.meta_allowed {
            let why = if self.options.protocol.is_some() {
                "in a stream that was cut without one"
            } else {
                "not first"
            };
            return Err(Fault::Algebra(format!(
                "record {index}: METAENTRY {why}; only the first record may be one"
            )));
        }
        self.meta_allowed = false;
        // BucketMetadata: ledgerVersion, then ext: 0, or 1 and the BucketListType (LIVE 0, HOT_ARCHIVE 1).
        let words: Vec<u32> = self.frames.bytes()[self.body.start + 4..self.body.end]
            .chunks_exact(4)
            .map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
            .collect();
        let (list, want) = (words.get(2).copied(), u32::from(self.options.kind == Kind::Hot));
        if list.is_some_and(|list| list != want) {
            let names = ["the live list", "the hot archive list"];
            return Err(Fault::Algebra(format!(
                "record {index}: METAENTRY says the bucket is of {}, expected {}",
                names[usize::from(want == 0)],
                names[usize::from(want == 1)],
            )));
        }
        self.protocol = words.first().copied();
        Ok(())
    }

    fn count(&mut self) -> Result<(), Fault> {
        self.counts.entries += 1;
        match self.kind {
            DEAD => self.counts.dead += 1,
            INIT => self.counts.init += 1,
            _ => self.counts.live += 1,
        }
        if self.kind == INIT && self.protocol.is_none_or(|protocol| protocol < INIT_PROTOCOL) {
            let has = self.protocol.map_or("no METAENTRY".to_owned(), |protocol| {
                format!("METAENTRY of protocol {protocol}")
            });
            return Err(Fault::Algebra(format!(
                "record {}: INITENTRY in a bucket with {has}; it needs protocol {INIT_PROTOCOL} or higher",
                self.index()
            )));
        }
        Ok(())
    }

    fn take_key(&mut self) -> Result<(), Fault> {
        std::mem::swap(&mut self.key, &mut self.previous);
        self.key.clear();
        let payload = &self.frames.bytes()[self.body.start + 4..self.body.end];
        let made = if self.kind == DEAD {
            xdr::generated::sort_key_LedgerKey(&mut Cur::with_depth(payload, self.options.max_depth), &mut self.key)
        } else {
            xdr::sort_key_of_entry(payload, &mut self.key)
        };
        if let Err(reject) = made {
            return Err(self.reject(&reject));
        }
        if self.options.check_order && self.counts.entries > 1 && self.previous >= self.key {
            return Err(self.disorder());
        }
        Ok(())
    }

    #[cold]
    fn disorder(&self) -> Fault {
        let index = self.index();
        let name = |key: &[u8]| {
            usize::try_from(entry_type_of(key))
                .ok()
                .and_then(|i| ENTRY_TYPES.get(i))
                .unwrap_or(&"?")
        };
        let (older, newer) = (name(&self.previous), name(&self.key));
        let (previous, key) = (hex(&self.previous), hex(&self.key));
        if self.previous == self.key {
            return Fault::Order(format!(
                "records {} and {index} both have the {newer} key with sort key {key}; a key may occur once",
                index - 1
            ));
        }
        Fault::Order(format!(
            "record {index} ({newer}, sort key {key}) stands after record {} ({older}, sort key {previous}), which sorts higher; keys must ascend strictly",
            index - 1
        ))
    }
}

/// Name of the ledger entry type of a record that may be broken.
fn guess_entry_type(body: &[u8], kind: Kind) -> Option<&'static str> {
    let word = |at: usize| {
        body.get(at..at + 4)
            .map(|b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    };
    let at = match (word(0)?, kind) {
        (LIVE, _) | (INIT, Kind::Live) => 8,
        (DEAD, _) => 4,
        _ => return None,
    };
    usize::try_from(word(at)?)
        .ok()
        .and_then(|index| ENTRY_TYPES.get(index))
        .copied()
}
