//! Rows: validated ledger entries become one Arrow table per entry type.

#![deny(unsafe_code)]

mod account;
pub(crate) mod asset_contract;
mod claimable_balance;
pub(crate) mod column;
mod config_setting;
mod contract_code;
mod contract_data;
mod data;
mod dead;
mod liquidity_pool;
mod list;
mod offer;
mod predicate;
mod projection;
pub(crate) mod reader;
mod shared_columns;
pub(crate) mod strings;
#[cfg(test)]
mod tests;
mod trust_line;
mod ttl;

use std::fmt;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;

use crate::xdr::XdrReject;
use column::Columns;
pub use projection::{DEAD, ENTRY_TYPES, Projection, UnknownName, projected_schema, schema};
use reader::{Read, Reader};
use shared_columns::Entry;

/// No column grows by more than this many bytes per byte of XDR; the dearest is the JSON of absolute times.
const LARGEST_GROWTH: usize = 8;

/// Why an entry did not become a row; nothing of it is then in any table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowError {
    /// The bytes are not an entry of this form: they were not validated before.
    Unreadable {
        /// The field at which reading stopped.
        what: &'static str,
        /// Byte offset in the entry.
        pos: usize,
    },
    /// The batch would outgrow the 32-bit offsets of its columns: take it first, or the one entry is too large.
    TooLarge,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RowError::Unreadable { what, pos } => write!(f, "{what} at byte {pos}: not of the form that was validated"),
            RowError::TooLarge => {
                let limit = i32::MAX as usize / LARGEST_GROWTH;
                write!(
                    f,
                    "the entries of one batch exceed {limit} bytes; lower batch_bytes or max_record"
                )
            }
        }
    }
}

impl std::error::Error for RowError {}

impl From<XdrReject> for RowError {
    fn from(reject: XdrReject) -> Self {
        RowError::Unreadable {
            what: reject.what,
            pos: reject.pos,
        }
    }
}

/// A table of one entry type, being filled.
trait EntryTable: Send + Sync {
    /// Reads the rest of an entry, from its data on, and only then adds its row.
    fn push(&mut self, entry: &Entry, reader: &mut Reader) -> Read<()>;
    /// Appends the arrays of the selected columns, in order, and starts anew.
    fn take(&mut self, out: &mut Vec<ArrayRef>);
}

/// A table that is built.
struct Slot<T> {
    name: &'static str,
    schema: SchemaRef,
    shows_key: bool,
    rows: usize,
    table: T,
}

/// Columns made of the ledger key.
const KEY_COLUMNS: [&str; 3] = ["ledger_key", "ledger_key_base64", "key_hash"];

impl<T> Slot<T> {
    fn new(name: &'static str, schema: SchemaRef, table: T) -> Self {
        Self {
            name,
            shows_key: schema
                .fields()
                .iter()
                .any(|field| KEY_COLUMNS.contains(&field.name().as_str())),
            schema,
            rows: 0,
            table,
        }
    }

    fn batch(&mut self, take: impl FnOnce(&mut T, &mut Vec<ArrayRef>)) -> (&'static str, RecordBatch) {
        let mut arrays = Vec::with_capacity(self.schema.fields().len());
        take(&mut self.table, &mut arrays);
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        let batch = RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), arrays, &options)
            .expect("a table's columns have its schema and all have its rows");
        (self.name, batch)
    }
}

/// The tables of one batch, being filled.
pub struct RowTables {
    /// By `LedgerEntryType`.
    tables: [Option<Slot<Box<dyn EntryTable>>>; ENTRY_TYPES.len()],
    dead: Option<Slot<dead::DeadKeys>>,
    rows: usize,
    bytes: usize,
}

impl RowTables {
    /// Makes empty tables; `network_id` is needed only to recognise asset contracts.
    pub fn new(projection: &Projection, network_id: Option<[u8; 32]>) -> Self {
        let tables = std::array::from_fn(|entry_type| {
            let name = ENTRY_TYPES[entry_type];
            let schema = projected_schema(projection, name)?;
            let select = |column: &str| projection.has_column(name, column);
            Some(Slot::new(name, schema, new_table(entry_type, &select, network_id)))
        });
        let dead = projected_schema(projection, DEAD).map(|schema| {
            let columns = dead::DeadKeys::new("", &|column| projection.has_column(DEAD, column));
            Slot::new(DEAD, schema, columns)
        });
        Self {
            tables,
            dead,
            rows: 0,
            bytes: 0,
        }
    }

    /// Says whether rows of this `LedgerEntryType` are built.
    pub fn wants(&self, entry_type: i32) -> bool {
        self.slot(entry_type).is_some()
    }

    /// Says whether a column of this `LedgerEntryType` shows the ledger key: if not, `push` may be given an empty one.
    pub fn wants_key(&self, entry_type: i32) -> bool {
        self.slot(entry_type).is_some_and(|slot| slot.shows_key)
    }

    fn slot(&self, entry_type: i32) -> Option<&Slot<Box<dyn EntryTable>>> {
        usize::try_from(entry_type)
            .ok()
            .and_then(|at| self.tables.get(at)?.as_ref())
    }

    /// Adds the row of a `LedgerEntry` that the generated skipper accepted; nothing if its table is not built.
    ///
    /// # Errors
    /// See [`RowError`]; the tables are then as before.
    pub fn push(&mut self, entry: &[u8], ledger_key: &[u8], bucket_entry_type: i8) -> Result<(), RowError> {
        let mut reader = Reader::new(entry);
        let last_modified = reader.u32("LedgerEntry.lastModifiedLedgerSeq")?;
        let entry_type = reader.u32("LedgerEntry.data")?;
        let Some(table) = self.tables.get_mut(entry_type as usize) else {
            return reader.refuse("LedgerEntry.data");
        };
        let Some(slot) = table else { return Ok(()) };
        let bytes = bytes_after(self.bytes, entry.len())?;
        slot.table.push(
            &Entry {
                xdr: entry,
                key: ledger_key,
                bucket_entry_type,
                last_modified,
            },
            &mut reader,
        )?;
        slot.rows += 1;
        self.rows += 1;
        self.bytes = bytes;
        Ok(())
    }

    /// Adds a validated key to the table `dead`; nothing if that is not built.
    ///
    /// # Errors
    /// See [`RowError`]; the tables are then as before.
    pub fn push_dead(&mut self, ledger_key: &[u8], bucket_entry_type: i8) -> Result<(), RowError> {
        let Some(slot) = &mut self.dead else { return Ok(()) };
        let bytes = bytes_after(self.bytes, ledger_key.len())?;
        slot.table.push(ledger_key, bucket_entry_type)?;
        slot.rows += 1;
        self.rows += 1;
        self.bytes = bytes;
        Ok(())
    }

    /// Returns the number of rows held, over all tables.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the XDR bytes of the rows held: the same for every projection of the same tables.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns all tables of the projection, empty ones too, and starts anew with the capacities learnt.
    pub fn take(&mut self) -> Vec<(&'static str, RecordBatch)> {
        self.rows = 0;
        self.bytes = 0;
        let mut batches: Vec<_> = self
            .tables
            .iter_mut()
            .flatten()
            .map(|slot| slot.batch(|t, out| t.take(out)))
            .collect();
        batches.extend(self.dead.as_mut().map(|slot| slot.batch(|t, out| t.take(out))));
        batches
    }
}

fn bytes_after(held: usize, more: usize) -> Result<usize, RowError> {
    let bytes = held + more;
    if bytes > i32::MAX as usize / LARGEST_GROWTH {
        Err(RowError::TooLarge)
    } else {
        Ok(bytes)
    }
}

fn new_table(entry_type: usize, select: &dyn Fn(&str) -> bool, network_id: Option<[u8; 32]>) -> Box<dyn EntryTable> {
    match entry_type {
        0 => Box::new(account::Accounts::new("", select)),
        1 => Box::new(trust_line::TrustLines::new("", select)),
        2 => Box::new(offer::Offers::new("", select)),
        3 => Box::new(data::DataEntries::new("", select)),
        4 => Box::new(claimable_balance::ClaimableBalances::new(select)),
        5 => Box::new(liquidity_pool::LiquidityPools::new("", select)),
        6 => Box::new(contract_data::ContractData::new(select, network_id)),
        7 => Box::new(contract_code::ContractCodes::new("", select)),
        8 => Box::new(config_setting::ConfigSettings::new(select)),
        _ => Box::new(ttl::Ttls::new("", select)),
    }
}
