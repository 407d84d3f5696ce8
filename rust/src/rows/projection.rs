//! Projections: which entry tables are built, which of their columns, and the schemas that follow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow_schema::{Field, Schema, SchemaRef};

use super::account::Accounts;
use super::claimable_balance::Balances;
use super::column::Columns;
use super::config_setting::Settings;
use super::contract_code::ContractCodes;
use super::contract_data::DataOfContracts;
use super::data::DataEntries;
use super::dead::DeadKeys;
use super::liquidity_pool::LiquidityPools;
use super::offer::Offers;
use super::trust_line::TrustLines;
use super::ttl::Ttls;

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

static SCHEMAS: LazyLock<[(&str, SchemaRef); 11]> = LazyLock::new(|| {
    [
        (ENTRY_TYPES[0], schema_of::<Accounts>()),
        (ENTRY_TYPES[1], schema_of::<TrustLines>()),
        (ENTRY_TYPES[2], schema_of::<Offers>()),
        (ENTRY_TYPES[3], schema_of::<DataEntries>()),
        (ENTRY_TYPES[4], schema_of::<Balances>()),
        (ENTRY_TYPES[5], schema_of::<LiquidityPools>()),
        (ENTRY_TYPES[6], schema_of::<DataOfContracts>()),
        (ENTRY_TYPES[7], schema_of::<ContractCodes>()),
        (ENTRY_TYPES[8], schema_of::<Settings>()),
        (ENTRY_TYPES[9], schema_of::<Ttls>()),
        (DEAD, schema_of::<DeadKeys>()),
    ]
});

fn schema_of<C: Columns>() -> SchemaRef {
    let mut fields = Vec::new();
    C::fields("", &mut fields);
    Arc::new(Schema::new(fields))
}

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
            None => {
                write!(
                    f,
                    "there is no entry table {}; there are {} and {DEAD}",
                    self.table,
                    ENTRY_TYPES.join(", ")
                )
            }
            Some(column) => {
                let fields = schema(&self.table)
                    .map(|schema| schema.fields().clone())
                    .unwrap_or_default();
                let names = fields
                    .iter()
                    .map(|field| field.name().as_str())
                    .collect::<Vec<_>>()
                    .join(", ");
                write!(f, "entry table {} has no column {column}; it has {names}", self.table)
            }
        }
    }
}

impl std::error::Error for UnknownName {}

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
        let Some((table, schema)) = SCHEMAS.iter().find(|(name, _)| *name == table) else {
            return Err(UnknownName {
                table: table.to_owned(),
                column: None,
            });
        };
        let columns = columns.map(|names| {
            names
                .iter()
                .map(|name| name.as_ref().to_owned())
                .collect::<BTreeSet<_>>()
        });
        for name in columns.iter().flatten() {
            if schema.field_with_name(name).is_err() {
                return Err(UnknownName {
                    table: (*table).to_owned(),
                    column: Some(name.clone()),
                });
            }
        }
        self.tables.insert(table, columns);
        Ok(())
    }

    /// Says whether the table is built.
    pub fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Says whether the column of the table is built.
    pub fn has_column(&self, table: &str, column: &str) -> bool {
        match self.tables.get(table) {
            None => false,
            Some(None) => true,
            Some(Some(columns)) => columns.contains(column),
        }
    }
}

/// Returns the whole schema of a table.
pub fn schema(table: &str) -> Option<SchemaRef> {
    SCHEMAS
        .iter()
        .find(|(name, _)| *name == table)
        .map(|(_, schema)| Arc::clone(schema))
}

/// Returns the schema of a table under a projection, columns in the order of the whole schema; `None` when not built.
pub fn projected_schema(projection: &Projection, table: &str) -> Option<SchemaRef> {
    let whole = schema(table).filter(|_| projection.has_table(table))?;
    let fields: Vec<Arc<Field>> = whole
        .fields()
        .iter()
        .filter(|field| projection.has_column(table, field.name()))
        .cloned()
        .collect();
    Some(Arc::new(Schema::new(fields)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projection_keeps_the_order_of_the_schema() {
        let mut projection = Projection::default();
        projection
            .add("offer", Some(&["price_n", "key_hash", "selling_asset_code"]))
            .unwrap();
        let schema = projected_schema(&projection, "offer").unwrap();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["key_hash", "selling_asset_code", "price_n"]);
        assert!(projected_schema(&projection, "account").is_none());
        assert!(projection.has_column("offer", "price_n") && !projection.has_column("offer", "price_d"));
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let mut projection = Projection::default();
        let table = projection.add::<&str>("accounts", None).unwrap_err();
        assert!(table.to_string().contains("account, trust_line"));
        let column = projection.add("ttl", Some(&["live_until"])).unwrap_err();
        assert!(column.to_string().contains("live_until_ledger"));
        assert_eq!(projection, Projection::default());
    }

    #[test]
    fn every_table_starts_with_the_common_columns() {
        for table in ENTRY_TYPES {
            let schema = schema(table).unwrap();
            let names: Vec<_> = schema
                .fields()
                .iter()
                .take(8)
                .map(|field| field.name().as_str())
                .collect();
            let common = "ledger_key ledger_key_base64 key_hash last_modified_ledger sponsor ledger_ext_version \
                          bucket_entry_type entry_xdr";
            assert_eq!(names.join(" "), common);
        }
    }
}
