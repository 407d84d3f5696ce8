//! Rows: validated ledger entries become one Arrow table per entry type.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

/// Names of the ten entry tables; the index is the XDR `LedgerEntryType`.
pub const ENTRY_TYPES: [&str; 10] = [
    "account",
    "trust_line",
    "offer",
    "data",
    "claimable_balance",
    "liquidity_pool",
    "contract_data",
    "contract_code",
    "config_setting",
    "ttl",
];

/// Name of the table of dead keys, which only the decoder of one bucket fills.
pub const DEAD: &str = "dead";

/// Which tables are built, and which of their columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    tables: BTreeMap<&'static str, Option<BTreeSet<String>>>,
}

/// A table or a column that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// The table asked for.
    pub table: String,
    /// The column asked for; `None` when the table itself is unknown.
    pub column: Option<String>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "entry table {} has no column {column}", self.table),
            None => write!(
                f,
                "there is no entry table {}; there are {} and {DEAD}",
                self.table,
                ENTRY_TYPES.join(", ")
            ),
        }
    }
}

impl std::error::Error for UnknownName {}

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

impl Projection {
    /// Returns the projection of all columns of the ten entry tables and of `dead`.
    pub fn all() -> Self {
        let mut all = Self::entries();
        all.tables.insert(DEAD, None);
        all
    }

    /// Returns the projection of all columns of the ten entry tables.
    pub fn entries() -> Self {
        Self {
            tables: ENTRY_TYPES.into_iter().map(|table| (table, None)).collect(),
        }
    }

    /// Adds a table with these columns, or with all of them.
    ///
    /// # Errors
    /// The table or one of the columns does not exist.
    pub fn add<S: AsRef<str>>(&mut self, table: &str, columns: Option<&[S]>) -> Result<(), UnknownName> {
        let _ = (table, columns);
        Ok(())
    }

    /// Says whether the table is built.
    pub fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Says whether the column of the table is built.
    pub fn has_column(&self, table: &str, column: &str) -> bool {
        self.tables
            .get(table)
            .is_some_and(|columns| columns.as_ref().is_none_or(|columns| columns.contains(column)))
    }
}

/// The tables of one batch, being filled.
pub struct RowTables {
    rows: usize,
    bytes: usize,
}

impl RowTables {
    /// Makes empty tables; `network_id` is needed only to recognise asset contracts.
    pub fn new(projection: &Projection, network_id: Option<[u8; 32]>) -> Self {
        let _ = (projection, network_id);
        Self { rows: 0, bytes: 0 }
    }

    /// Says whether rows of this `LedgerEntryType` are built: if not, the caller need not make a key for `push`.
    pub fn wants(&self, entry_type: i32) -> bool {
        let _ = entry_type;
        false
    }

    /// Adds the row of a `LedgerEntry` that the generated skipper accepted; nothing if its table is not built.
    ///
    /// # Errors
    /// See [`RowError`]; the tables are then as before.
    pub fn push(&mut self, entry: &[u8], ledger_key: &[u8], bucket_entry_type: i8) -> Result<(), RowError> {
        let _ = (entry, ledger_key, bucket_entry_type);
        Ok(())
    }

    /// Adds a validated key to the table `dead`.
    ///
    /// # Errors
    /// See [`RowError`]; the tables are then as before.
    pub fn push_dead(&mut self, ledger_key: &[u8], bucket_entry_type: i8) -> Result<(), RowError> {
        let _ = (ledger_key, bucket_entry_type);
        Ok(())
    }

    /// Returns the number of rows held, over all tables.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the XDR bytes (entries and keys) of the rows held: the same for every projection of the same tables.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns all tables of the projection, empty ones too, and starts anew with the capacities learnt.
    pub fn take(&mut self) -> Vec<(&'static str, RecordBatch)> {
        Vec::new()
    }
}

/// Returns the whole schema of a table.
pub fn schema(table: &str) -> Option<SchemaRef> {
    let _ = table;
    None
}

/// Returns the schema of a table under a projection; `None` when it is not built.
pub fn projected_schema(projection: &Projection, table: &str) -> Option<SchemaRef> {
    let _ = projection;
    schema(table)
}
