//! Entry rows: a column of ledger entries becomes the typed entry tables.

use arrow_array::{Array, BinaryArray, RecordBatch};

use super::fault::Refusal;
use crate::rows::{Projection, RowTables};
use crate::xdr::{Cur, generated, ledger_key_of_entry};

/// Makes one row per entry in its type's table, nulls left out; tables of the projection without rows are empty.
///
/// # Errors
/// An entry that is no XDR `LedgerEntry`, or more bytes than one batch holds; names the row.
pub fn entry_rows(
    entries: &BinaryArray,
    projection: &Projection,
    network_id: Option<[u8; 32]>,
) -> Result<Vec<(&'static str, RecordBatch)>, Refusal> {
    let mut tables = RowTables::new(projection, network_id);
    let mut key = Vec::new();
    for row in (0..entries.len()).filter(|row| entries.is_valid(*row)) {
        let entry = entries.value(row);
        let mut cursor = Cur::new(entry);
        key.clear();
        generated::skip_LedgerEntry(&mut cursor)
            .and_then(|()| cursor.end("LedgerEntry"))
            .and_then(|()| ledger_key_of_entry(entry, &mut key))
            .map_err(|reject| Refusal::Xdr { row, reject })?;
        tables
            .push(entry, &key, 0)
            .map_err(|error| Refusal::Row { row, error })?;
    }
    Ok(tables.take())
}
