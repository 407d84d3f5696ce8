//! The five ledger tables: their columns, schemas and projections.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema, SchemaRef};

use super::columns::{Bool, BytesList, OptTextList, TextList};
use crate::rows::column::{Columns, Int32, Int64, OptBool, OptInt32, OptInt64, OptUInt64, UInt64, columns};
use crate::rows::strings::{Bytes, Hash, OptBytes, OptText, Text};

columns! {
    /// The table `ledgers`.
    Ledgers {
        ledger_sequence: Int64,
        ledger_hash: Text,
        computed_hash: Text,
        previous_ledger_hash: Text,
        protocol_version: Int64,
        close_time: UInt64,
        total_coins: Int64,
        fee_pool: Int64,
        inflation_seq: Int64,
        id_pool: UInt64,
        base_fee: Int64,
        base_reserve: Int64,
        max_tx_set_size: Int64,
        header_flags: OptInt64,
        bucket_list_hash: Text,
        tx_set_hash: Text,
        computed_tx_set_hash: OptText,
        tx_set_kind: Text,
        result_hash: Text,
        computed_result_hash: Text,
        scp_value_type: Int32,
        scp_node: OptText,
        scp_signature: OptBytes,
        upgrades: BytesList,
        header_xdr: Bytes,
        header_base64: Text,
        lcm_version: Int32,
        tx_set_size: Int32,
        transaction_count: Int32,
        successful_transaction_count: Int32,
        failed_transaction_count: Int32,
        operation_count: Int32,
        tx_set_operation_count: Int32,
        unmatched_transactions: Int32,
        bad_inner_hashes: Int32,
        raw_bytes: Int64,
        soroban_fee_write_1kb: OptInt64,
        live_soroban_state_size: OptUInt64,
        evicted_keys: Int32,
    }
}

columns! {
    /// The table `transactions`.
    Transactions {
        ledger_sequence: Int64,
        application_order: Int32,
        id: Int64,
        transaction_hash: Text,
        inner_transaction_hash: OptText,
        successful: Bool,
        result_code: Int32,
        inner_result_code: OptInt32,
        fee_charged: Int64,
        account: Text,
        account_muxed: OptText,
        account_sequence: Int64,
        max_fee: Int64,
        new_max_fee: OptInt64,
        fee_account: OptText,
        fee_account_muxed: OptText,
        operation_count: Int32,
        signatures: TextList,
        inner_signatures: OptTextList,
        memo_type: Text,
        memo: OptText,
        memo_bytes: OptBytes,
        time_bounds_lower: OptUInt64,
        time_bounds_upper: OptUInt64,
        ledger_bounds_lower: OptInt64,
        ledger_bounds_upper: OptInt64,
        min_account_sequence: OptInt64,
        min_account_sequence_age: OptUInt64,
        min_account_sequence_ledger_gap: OptInt64,
        extra_signers: OptTextList,
        envelope_type: Int32,
        is_soroban: Bool,
        envelope_xdr: Bytes,
        result_xdr: Bytes,
        meta_xdr: OptBytes,
        fee_changes_xdr: OptBytes,
        post_apply_fee_changes_xdr: OptBytes,
        envelope_base64: Text,
        result_base64: Text,
        meta_base64: OptText,
        fee_changes_base64: OptText,
        close_time: UInt64,
    }
}

columns! {
    /// The table `operations`.
    Operations {
        ledger_sequence: Int64,
        transaction_order: Int32,
        operation_order: Int32,
        id: Int64,
        transaction_id: Int64,
        kind: NamedType,
        source_account: Text,
        source_account_muxed: OptText,
        body_xdr: Bytes,
        body_base64: Text,
        result_xdr: OptBytes,
        transaction_successful: Bool,
        is_payment: OptBool,
    }
}

columns! {
    /// The table `changes`.
    Changes {
        ledger_sequence: Int64,
        change_index: Int64,
        phase: Text,
        transaction_order: OptInt32,
        operation_order: OptInt32,
        upgrade_index: OptInt32,
        list_index: Int32,
        kind: NamedTypeText,
        entry_type: Int32,
        ledger_key: Bytes,
        key_hash: Hash,
        last_modified_ledger: OptInt64,
        sponsor: OptText,
        pre_xdr: OptBytes,
        post_xdr: OptBytes,
        post_json: OptText,
    }
}

columns! {
    /// The table `contract_events`.
    ContractEvents {
        ledger_sequence: Int64,
        transaction_order: Int32,
        operation_order: OptInt32,
        stage: OptText,
        event_index: Int32,
        kind: NamedType,
        is_diagnostic: Bool,
        in_successful_contract_call: Bool,
        contract_id: OptText,
        topics: BytesList,
        data_xdr: Bytes,
        event_xdr: Bytes,
    }
}

/// A column called `type`, which is no name in Rust.
pub struct Typed<C: Columns>(pub C);

pub type NamedType = Typed<Int32>;
pub type NamedTypeText = Typed<Text>;

impl<C: Columns> Columns for Typed<C> {
    fn fields(_name: &str, out: &mut Vec<Field>) {
        C::fields("type", out);
    }

    fn new(_name: &str, select: &dyn Fn(&str) -> bool) -> Self {
        Self(C::new("type", select))
    }

    fn take(&mut self, out: &mut Vec<ArrayRef>) {
        self.0.take(out);
    }
}

/// Names of the ledger tables.
pub const LEDGER_TABLES: [&str; 5] = ["ledgers", "transactions", "operations", "changes", "contract_events"];

static SCHEMAS: LazyLock<[SchemaRef; 5]> = LazyLock::new(|| {
    [
        schema_of::<Ledgers>(),
        schema_of::<Transactions>(),
        schema_of::<Operations>(),
        schema_of::<Changes>(),
        schema_of::<ContractEvents>(),
    ]
});

fn schema_of<C: Columns>() -> SchemaRef {
    let mut fields = Vec::new();
    C::fields("", &mut fields);
    Arc::new(Schema::new(fields))
}

/// The whole schema of a ledger table.
#[must_use]
pub fn schema(table: &str) -> Option<SchemaRef> {
    let at = LEDGER_TABLES.iter().position(|name| *name == table)?;
    Some(Arc::clone(&SCHEMAS[at]))
}

/// Which ledger tables are built, and which of their columns (`None`: all).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerProjection(BTreeMap<String, Option<BTreeSet<String>>>);

/// A table or a column that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    table: String,
    column: Option<String>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(column) = &self.column else {
            let known = LEDGER_TABLES.join(", ");
            return write!(f, "there is no ledger table {}; there are {known}", self.table);
        };
        let schema = schema(&self.table).unwrap_or_else(|| Arc::new(Schema::empty()));
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let known = names.join(", ");
        write!(f, "ledger table {} has no column {column}; it has {known}", self.table)
    }
}

impl std::error::Error for UnknownName {}

/// Columns that cost far more than their bytes and are built only when they are named.
const ON_REQUEST: [&str; 1] = ["post_json"];

impl LedgerProjection {
    /// All tables with all columns that cost no more than their bytes.
    #[must_use]
    pub fn all() -> Self {
        Self(
            LEDGER_TABLES
                .into_iter()
                .map(|table| (table.to_owned(), None))
                .collect(),
        )
    }

    /// Adds a table with these columns, or with all of them that cost no more than their bytes.
    ///
    /// # Errors
    /// The table or one of the columns does not exist.
    pub fn add(&mut self, table: &str, columns: Option<Vec<String>>) -> Result<(), UnknownName> {
        let unknown = |column: Option<String>| UnknownName {
            table: table.to_owned(),
            column,
        };
        let schema = schema(table).ok_or_else(|| unknown(None))?;
        for name in columns.iter().flatten() {
            if schema.field_with_name(name).is_err() {
                return Err(unknown(Some(name.clone())));
            }
        }
        self.0
            .insert(table.to_owned(), columns.map(|names| names.into_iter().collect()));
        Ok(())
    }

    /// Whether the column of the table is built.
    #[must_use]
    pub fn has_column(&self, table: &str, column: &str) -> bool {
        match self.0.get(table) {
            None => false,
            Some(None) => !ON_REQUEST.contains(&column),
            Some(Some(columns)) => columns.contains(column),
        }
    }
}

/// A table that is built.
pub struct Table<C> {
    name: &'static str,
    schema: SchemaRef,
    pub rows: usize,
    pub columns: C,
}

impl<C: Columns> Table<C> {
    /// The table number `at` of [`LEDGER_TABLES`], if the projection has it.
    #[must_use]
    pub fn new(at: usize, projection: &LedgerProjection) -> Option<Self> {
        let name = LEDGER_TABLES[at];
        projection.0.get(name)?;
        let select = |column: &str| projection.has_column(name, column);
        let fields: Vec<Arc<Field>> = SCHEMAS[at]
            .fields()
            .iter()
            .filter(|field| select(field.name()))
            .cloned()
            .collect();
        Some(Self {
            name,
            schema: Arc::new(Schema::new(fields)),
            rows: 0,
            columns: C::new("", &select),
        })
    }

    /// The rows built so far; the table starts anew.
    pub fn take(&mut self) -> (&'static str, RecordBatch) {
        let mut arrays = Vec::with_capacity(self.schema.fields().len());
        self.columns.take(&mut arrays);
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        let batch = RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), arrays, &options)
            .expect("a table's columns have its schema and all have its rows");
        (self.name, batch)
    }
}
