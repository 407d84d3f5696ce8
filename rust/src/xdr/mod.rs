//! XDR: a strict cursor over bytes, and the code generated from Stellar's XDR definitions (`rust/xdrgen`).

pub mod cursor;
pub mod generated;
pub mod order;

pub use cursor::{Cur, DEFAULT_DEPTH, MAX_DEPTH, X, XdrFault, XdrReject};
pub use generated::{ledger_key_of_entry, skip_by_name, sort_key_of_entry};
