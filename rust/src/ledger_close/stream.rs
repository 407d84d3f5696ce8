//! What a stream of ledgers is, and what it may hold at most.

use crate::bucket::inflate::Compression;

/// How ledgers stand in the uncompressed stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// RFC 5531 records of one `LedgerCloseMeta` each, as stellar-core streams them.
    Framed,
    /// One `LedgerCloseMetaBatch`, a file of a data lake.
    Batch,
    /// One bare `LedgerCloseMeta`.
    Single,
}

impl Framing {
    /// The framing called `name` in the Python face.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "framed" => Some(Self::Framed),
            "batch" => Some(Self::Batch),
            "single" => Some(Self::Single),
            _ => None,
        }
    }
}

/// What a stream is, and what it may hold at most.
#[derive(Debug, Clone)]
pub struct LedgerStream {
    pub framing: Framing,
    pub compression: Compression,
    /// Largest ledger in bytes.
    pub max_record: usize,
    /// Largest uncompressed stream in bytes.
    pub max_inflated: Option<u64>,
    /// Whether every ledger is checked wholly; else only as far as its end and its sequence need it.
    pub validate: bool,
    /// Levels of recursive values that are followed.
    pub max_depth: u32,
}
