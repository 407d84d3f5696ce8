//! Ledgers: `LedgerCloseMeta` from framed streams, Galexie batches and single files.

#![forbid(unsafe_code)]

pub mod frames;
pub mod locate;
