//! The kernel of aurora-ingest: streams of Stellar XDR become validated Arrow tables, buckets are merged in core's key order.
//!
//! The crate has no I/O: Python feeds compressed bytes, the kernel answers with Arrow batches. Everything but `python`
//! (feature `python`) builds and is tested without libpython.

pub mod asset;
pub mod bucket;
pub mod changes;
pub mod header;
pub mod ledger_close;
pub mod native_balance;
pub mod orderbook;
mod pg_compound;
pub mod pg_copy;
mod pg_numeric;
mod pg_value;
#[cfg(feature = "python")]
mod python;
pub mod rows;
pub mod scp;
pub mod strkey;
pub mod text;
pub mod xdr;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;
