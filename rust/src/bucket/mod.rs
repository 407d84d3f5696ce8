//! Buckets: from compressed bytes to validated records, to rows, to segments, to the merged state.
