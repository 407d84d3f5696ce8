//! Rows of named data of accounts.

use super::EntryTable;
use super::column::{Columns, columns};
use super::reader::{Read, Reader};
use super::shared_columns::{Common, Entry, Extension, push_account};
use super::strings::{Bytes, Text};
use crate::text;

columns! {
    /// The table `data`.
    DataEntries {
        common: Common,
        account_id: Text,
        name: Bytes,
        name_text: Text,
        value: Bytes,
        value_base64: Text,
    }
}

impl EntryTable for DataEntries {
    fn push(&mut self, entry: &Entry, r: &mut Reader) -> Read<()> {
        let account_id = r.account("DataEntry.accountID")?;
        let name = r.bytes("DataEntry.dataName")?;
        let value = r.bytes("DataEntry.dataValue")?;
        r.only(0, "DataEntry.ext")?;
        let extension = Extension::read(r)?;
        self.common.push(entry, &extension);
        push_account(&mut self.account_id, account_id);
        self.name.push(name);
        self.name_text.push_with(|out| text::display_into(name, out));
        self.value.push(value);
        self.value_base64.push_with(|out| text::base64_into(value, out));
        Ok(())
    }

    fn take(&mut self, out: &mut Vec<arrow_array::ArrayRef>) {
        Columns::take(self, out);
    }
}
