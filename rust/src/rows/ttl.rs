//! Rows of times to live; the key hash is the one that the entry names.

use super::EntryTable;
use super::column::{Columns, Int64, columns};
use super::reader::{Read, Reader};
use super::shared_columns::{Common, Entry, Extension};

columns! {
    /// The table `ttl`.
    Ttls {
        common: Common,
        live_until_ledger: Int64,
    }
}

impl EntryTable for Ttls {
    fn push(&mut self, entry: &Entry, r: &mut Reader) -> Read<()> {
        let key_hash = r.array("TTLEntry.keyHash")?;
        let live_until = r.u32("TTLEntry.liveUntilLedgerSeq")?;
        let extension = Extension::read(r)?;
        self.common.push_with_hash(entry, &extension, key_hash);
        self.live_until_ledger.push(i64::from(live_until));
        Ok(())
    }

    fn take(&mut self, out: &mut Vec<arrow_array::ArrayRef>) {
        Columns::take(self, out);
    }
}
