//! The order book of a whole network at one ledger: offers and pools by asset pair, and payment paths over them.

#![forbid(unsafe_code)]

pub mod byte_form;
pub mod exchange;
pub mod fingerprint;
pub mod graph;
pub mod level_rows;
pub mod levels;
pub mod pair_book;
pub mod pair_levels;
pub mod pair_split;
pub mod search;
pub mod walk;

#[cfg(test)]
mod tests;
