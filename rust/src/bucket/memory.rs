//! Memory that batches gave back stays with the allocator long enough to serve the next ones.

use std::ffi::{c_int, c_long};
use std::sync::Once;

unsafe extern "C" {
    fn mi_option_set_default(option: c_int, value: c_long);
    #[cfg(test)]
    fn mi_option_get(option: c_int) -> c_long;
}

/// Place of `mi_option_purge_delay` among mimalloc's options.
const PURGE_DELAY: c_int = 15;

/// Milliseconds for which freed pages are kept; mimalloc's own choice is 1000.
const KEPT_FOR: c_long = 10_000;

/// Asks the allocator to keep freed pages for some seconds, unless `MIMALLOC_PURGE_DELAY` says otherwise.
///
/// A batch has tens of megabytes of columns. Left alone, mimalloc gives all that was freed back to the system every
/// second, and fresh pages for the next batches took up to a sixth of a merge.
pub fn keep_freed_pages() {
    static ONCE: Once = Once::new();
    // SAFETY: the function is mimalloc's, which is linked in as the global allocator; it only stores a number.
    ONCE.call_once(|| unsafe { mi_option_set_default(PURGE_DELAY, KEPT_FOR) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_meant() {
        // SAFETY: as above; it only reads a number.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        let by_hand = std::env::var_os("MIMALLOC_PURGE_DELAY").is_some();
        assert!(
            by_hand || [1000, KEPT_FOR].contains(&delay()),
            "mimalloc's options moved: {}",
            delay()
        );
        keep_freed_pages();
        assert!(by_hand || delay() == KEPT_FOR);
    }
}
