//! Ledgers: `LedgerCloseMeta` from framed streams, Galexie batches and single files, as rows of five tables.

#![forbid(unsafe_code)]

mod change_row;
mod columns;
pub mod decoder;
mod event_row;
pub mod frames;
mod header;
mod ledger_row;
pub mod locate;
mod matching;
mod operation_row;
mod payment;
mod place;
pub mod refusal;
pub mod stream;
pub mod tables;
mod transaction_row;
mod walk;
mod walk_meta;
mod walk_set;
