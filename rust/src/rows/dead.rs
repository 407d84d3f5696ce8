//! Rows of dead keys: what a bucket says is gone.

use super::ENTRY_TYPES;
use super::column::{Int8, columns};
use super::reader::{Read, Reader};
use super::strings::{Bytes, Text};

columns! {
    /// The table `dead`.
    DeadKeys {
        entry_type: Text,
        ledger_key: Bytes,
        bucket_entry_type: Int8,
    }
}

impl DeadKeys {
    pub fn push(&mut self, ledger_key: &[u8], bucket_entry_type: i8) -> Read<()> {
        let mut r = Reader::new(ledger_key);
        let Some(name) = ENTRY_TYPES.get(r.u32("LedgerKey.type")? as usize) else {
            return r.refuse("LedgerKey.type");
        };
        self.entry_type.push(name.as_bytes());
        self.ledger_key.push(ledger_key);
        self.bucket_entry_type.push(bucket_entry_type);
        Ok(())
    }
}
