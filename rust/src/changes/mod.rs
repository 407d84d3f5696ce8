//! Changes of ledger entries: those of one ledger become one net change per key, and images become typed rows.

#![forbid(unsafe_code)]

mod compaction;
mod entry_rows;
mod fault;
mod net;
#[cfg(test)]
mod tests;

pub use compaction::compact;
pub use entry_rows::entry_rows;
pub use fault::{Contradiction, Refusal};
