//! XDR: a strict cursor over bytes, and the code generated from Stellar's XDR definitions (`rust/xdrgen`).

pub mod cursor;
pub mod generated;
pub mod json;
mod json_special;
pub mod json_table;
mod json_text;
pub mod order;
pub mod reject;
#[cfg(test)]
mod tests;

pub use cursor::{Cur, DEFAULT_DEPTH, MAX_DEPTH};
pub use generated::{ledger_key_of_entry, skip_by_name, sort_key_of_entry};
pub use json_table::json_by_name;
pub use reject::{X, XdrFault, XdrReject};
