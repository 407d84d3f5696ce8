//! Where the ledger header stands in a `LedgerCloseMeta`, and which ledger it is.

use crate::xdr::generated::{skip_LedgerCloseMetaExt, skip_StellarValue};
use crate::xdr::{Cur, X};

/// Bytes of `txSetResultHash` and `bucketListHash`, between the value and the sequence of a header.
const TWO_HASHES: usize = 64;
/// Bytes of `ledgerVersion` and `previousLedgerHash`, before the value of a header.
const BEFORE_VALUE: usize = 36;

/// Moves from the start of a `LedgerCloseMeta` to its `LedgerHeaderHistoryEntry`; returns the version of the meta.
///
/// # Errors
/// The bytes are not the start of a `LedgerCloseMeta`.
pub fn to_header_entry(c: &mut Cur<'_>) -> X<u32> {
    let version = c.word("LedgerCloseMeta")?;
    match version {
        0 => {}
        1 | 2 => skip_LedgerCloseMetaExt(c)?,
        _ => return Err(c.bad_union("LedgerCloseMeta")),
    }
    Ok(version)
}

/// The sequence of the ledger; reads no further than that.
///
/// # Errors
/// The bytes up to the sequence are not those of a `LedgerCloseMeta`.
pub fn ledger_sequence(meta: &[u8]) -> X<u32> {
    let mut c = Cur::new(meta);
    to_header_entry(&mut c)?;
    c.skip(32, "LedgerHeaderHistoryEntry.hash")?;
    c.skip(BEFORE_VALUE, "LedgerHeader.ledgerVersion")?;
    skip_StellarValue(&mut c)?;
    c.skip(TWO_HASHES, "LedgerHeader.txSetResultHash")?;
    c.word("LedgerHeader.ledgerSeq")
}
