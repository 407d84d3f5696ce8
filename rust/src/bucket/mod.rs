//! Buckets: from compressed bytes to validated records, to rows, to segments, to the merged state.

pub mod cutter;
pub mod decoder;
pub mod fault;
pub mod frames;
pub mod heap;
pub mod inflate;
pub mod merger;
pub mod records;
pub mod split;
