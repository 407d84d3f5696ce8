//! The order book of a whole network at one ledger: offers and pools by asset pair, and payment paths over them.

#![forbid(unsafe_code)]

pub mod exchange;
pub mod graph;
pub mod levels;
pub mod search;
pub mod walk;

#[cfg(test)]
mod tests;
