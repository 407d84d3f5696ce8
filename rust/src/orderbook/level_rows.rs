//! The levels of pairs as Arrow rows.

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::builder::{Decimal128Builder, Int32Builder, Int64Builder, StringBuilder};
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StringArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema};

use super::pair_levels::{PairLevels, Side};
use super::pair_split::base64_bytes;
use crate::strkey;
use crate::text::{display_into, hex_into, trim_nuls};

const SUM: DataType = DataType::Decimal128(38, 0);
const CODE: usize = 4;
const ISSUER: usize = 36;

/// Sums with no decimals and as many digits as the type has.
fn sums() -> Decimal128Builder {
    Decimal128Builder::new().with_data_type(SUM)
}

#[derive(Default)]
struct AssetColumns {
    types: Int32Builder,
    codes: StringBuilder,
    issuers: StringBuilder,
}

impl AssetColumns {
    fn push(&mut self, asset: &str) -> Option<()> {
        let xdr = base64_bytes(asset)?;
        let kind = i32::from_be_bytes(xdr.get(..CODE)?.try_into().ok()?);
        self.types.append_value(kind);
        if kind == 0 {
            self.codes.append_null();
            self.issuers.append_null();
            return Some(());
        }
        let code = xdr.get(CODE..xdr.len().checked_sub(ISSUER)?)?;
        let issuer: &[u8; 32] = xdr.last_chunk()?;
        let mut shown = Vec::new();
        display_into(trim_nuls(code), &mut shown);
        self.codes.append_value(String::from_utf8_lossy(&shown));
        let address = strkey::encode32(strkey::Kind::Account, issuer);
        self.issuers.append_value(String::from_utf8_lossy(&address));
        Some(())
    }

    fn add_to(mut self, prefix: &str, columns: &mut Vec<(Field, ArrayRef)>) {
        let mut add = |name: &str, array: ArrayRef, nullable| {
            let field = Field::new(format!("{prefix}_asset_{name}"), array.data_type().clone(), nullable);
            columns.push((field, array));
        };
        add("type", Arc::new(self.types.finish()), false);
        add("code", Arc::new(self.codes.finish()), true);
        add("issuer", Arc::new(self.issuers.finish()), true);
    }
}

/// The levels of one side as a list of structs.
struct LevelLists {
    lengths: Vec<usize>,
    n: Int32Builder,
    d: Int32Builder,
    amount: Decimal128Builder,
    offers: Int32Builder,
}

impl LevelLists {
    fn new() -> Self {
        Self {
            lengths: Vec::new(),
            n: Int32Builder::new(),
            d: Int32Builder::new(),
            amount: sums(),
            offers: Int32Builder::new(),
        }
    }

    fn push(&mut self, side: &Side) {
        self.lengths.push(side.levels.len());
        for level in &side.levels {
            self.n.append_value(level.n);
            self.d.append_value(level.d);
            self.amount.append_value(level.amount);
            self.offers.append_value(level.offers);
        }
    }

    fn finish(mut self) -> Result<ArrayRef, ArrowError> {
        let field = |name: &str, kind| Field::new(name, kind, false);
        let fields = Fields::from(vec![
            field("price_n", DataType::Int32),
            field("price_d", DataType::Int32),
            field("amount", SUM),
            field("offers", DataType::Int32),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.n.finish()),
            Arc::new(self.d.finish()),
            Arc::new(self.amount.finish()),
            Arc::new(self.offers.finish()),
        ];
        let rows = StructArray::try_new(fields, columns, None)?;
        let item = Arc::new(Field::new("item", rows.data_type().clone(), false));
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(rows), None)?))
    }
}

fn as_json(side: &Side) -> String {
    let mut text = String::from("[");
    for (place, level) in side.levels.iter().enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        let (n, d, amount, offers) = (level.n, level.d, level.amount, level.offers);
        write!(
            text,
            "{comma}{{\"price_n\": {n}, \"price_d\": {d}, \"amount\": \"{amount}\", \"offers\": {offers}}}"
        )
        .expect("a string takes all that is written to it");
    }
    text.push(']');
    text
}

/// One side's columns: best price, levels, offers and their sum.
struct SideColumns {
    best_n: Int32Builder,
    best_d: Int32Builder,
    lists: LevelLists,
    texts: StringBuilder,
    offers: Int64Builder,
    amount: Decimal128Builder,
    json: bool,
}

impl SideColumns {
    fn new(json: bool) -> Self {
        Self {
            best_n: Int32Builder::new(),
            best_d: Int32Builder::new(),
            lists: LevelLists::new(),
            texts: StringBuilder::new(),
            offers: Int64Builder::new(),
            amount: sums(),
            json,
        }
    }

    fn push(&mut self, side: &Side) {
        let best = side.levels.first();
        self.best_n.append_option(best.map(|level| level.n));
        self.best_d.append_option(best.map(|level| level.d));
        self.offers.append_value(side.offers);
        self.amount.append_value(side.amount);
        if self.json {
            self.texts.append_value(as_json(side));
        } else {
            self.lists.push(side);
        }
    }

    fn add_to(mut self, name: &str, columns: &mut Vec<(Field, ArrayRef)>) -> Result<(), ArrowError> {
        let levels = if self.json {
            Arc::new(self.texts.finish())
        } else {
            self.lists.finish()?
        };
        for (column, array, nullable) in [
            (
                format!("best_{name}_n"),
                Arc::new(self.best_n.finish()) as ArrayRef,
                true,
            ),
            (format!("best_{name}_d"), Arc::new(self.best_d.finish()), true),
            (format!("{name}s"), levels, false),
            (format!("{name}_offers"), Arc::new(self.offers.finish()), false),
            (format!("{name}_amount"), Arc::new(self.amount.finish()), false),
        ] {
            columns.push((Field::new(column, array.data_type().clone(), nullable), array));
        }
        Ok(())
    }
}

/// One row per pair and its levels, in the order given; bids and asks as JSON texts or as lists.
///
/// # Errors
/// An asset is not the base64 of an XDR `Asset`; its row.
pub fn level_rows(
    base: &StringArray,
    counter: &StringArray,
    levels: &[PairLevels],
    json: bool,
) -> Result<RecordBatch, ArrowError> {
    let (mut base_assets, mut counter_assets) = (AssetColumns::default(), AssetColumns::default());
    let (mut bids, mut asks) = (SideColumns::new(json), SideColumns::new(json));
    let (mut spread_n, mut spread_d) = (Int64Builder::new(), Int64Builder::new());
    let mut pool_id = StringBuilder::new();
    let (mut reserve_base, mut reserve_counter) = (Int64Builder::new(), Int64Builder::new());
    for (row, levels) in levels.iter().enumerate() {
        for (assets, names) in [(&mut base_assets, base), (&mut counter_assets, counter)] {
            let name = names.value(row);
            assets
                .push(name)
                .ok_or_else(|| ArrowError::InvalidArgumentError(format!("row {row}: {name:?} is not an asset")))?;
        }
        bids.push(&levels.bids);
        asks.push(&levels.asks);
        let spread = levels.spread();
        spread_n.append_option(spread.map(|(n, _)| n));
        spread_d.append_option(spread.map(|(_, d)| d));
        pool_id.append_option(levels.pool.map(|pool| {
            let mut hex = Vec::with_capacity(64);
            hex_into(&pool.id, &mut hex);
            String::from_utf8_lossy(&hex).into_owned()
        }));
        reserve_base.append_option(levels.pool.map(|pool| pool.base));
        reserve_counter.append_option(levels.pool.map(|pool| pool.counter));
    }
    let mut columns = Vec::new();
    for (name, array) in [("base_asset", base), ("counter_asset", counter)] {
        columns.push((
            Field::new(name, DataType::Utf8, false),
            Arc::new(array.clone()) as ArrayRef,
        ));
    }
    base_assets.add_to("base", &mut columns);
    counter_assets.add_to("counter", &mut columns);
    bids.add_to("bid", &mut columns)?;
    asks.add_to("ask", &mut columns)?;
    for (name, array) in [
        ("spread_n", Arc::new(spread_n.finish()) as ArrayRef),
        ("spread_d", Arc::new(spread_d.finish())),
        ("pool_id", Arc::new(pool_id.finish())),
        ("pool_reserve_base", Arc::new(reserve_base.finish())),
        ("pool_reserve_counter", Arc::new(reserve_counter.finish())),
    ] {
        columns.push((Field::new(name, array.data_type().clone(), true), array));
    }
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}
