//! How long the allocator keeps memory that Arrow batches gave back.

use libmimalloc_sys::{mi_option_set_default, mi_option_t, mi_option_use_numa_nodes};

/// `mi_option_purge_delay`, which the bindings leave out; it stands before `mi_option_use_numa_nodes`.
const PURGE_DELAY: mi_option_t = mi_option_use_numa_nodes - 1;
/// Milliseconds. A batch is written before the next one is built; giving its memory back to the system in between and
/// fetching it again cost a third of the decoder's time on a busy machine.
const KEEP: std::ffi::c_long = 10_000;

/// Lets freed memory stay with the process for ten seconds, unless `MIMALLOC_PURGE_DELAY` says otherwise.
pub fn keep_freed_memory() {
    // SAFETY: sets one word in the allocator's table of options, of an option that it has.
    unsafe { mi_option_set_default(PURGE_DELAY, KEEP) }
}
