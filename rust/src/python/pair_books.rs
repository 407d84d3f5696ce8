//! Books of single pairs for Python: split from rows, moved over ledgers, and their levels as rows.

use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrow::{ArrowBatch, import_array, import_batch};
use super::order_book::{OrderBookError, ints, longs, texts, typed};
use crate::orderbook::byte_form::{Broken, Reader, Writer};
use crate::orderbook::level_rows::level_rows as rows_of_levels;
use crate::orderbook::pair_book::{Entry, PairBook, PairChange};
use crate::orderbook::pair_levels::PairLevels;
use crate::orderbook::pair_split::{Image, Split};

fn add_offers<'a>(split: &mut Split<'a>, batch: &'a RecordBatch, image: Image) -> PyResult<()> {
    let (ids, amounts) = (longs(batch, "offer_id")?, longs(batch, "amount")?);
    let (selling, buying) = (texts(batch, "selling_asset")?, texts(batch, "buying_asset")?);
    let (n, d) = (ints(batch, "pricen")?, ints(batch, "priced")?);
    for row in 0..ids.len() {
        let entry = Entry {
            id: ids.value(row),
            n: n.value(row),
            d: d.value(row),
            amount: amounts.value(row),
        };
        if entry.n <= 0 || entry.d <= 0 || entry.amount <= 0 || selling.value(row) == buying.value(row) {
            return Err(OrderBookError::new_err(
                crate::orderbook::graph::Refusal::Offer(entry.id).to_string(),
            ));
        }
        split.offer(selling.value(row), buying.value(row), entry, image);
    }
    Ok(())
}

fn add_pools<'a>(split: &mut Split<'a>, batch: &'a RecordBatch, image: Image) -> PyResult<()> {
    let (ids, fees) = (texts(batch, "id")?, ints(batch, "fee")?);
    let (first, second) = (texts(batch, "asset_a")?, texts(batch, "asset_b")?);
    let (reserves_a, reserves_b) = (longs(batch, "reserve_a")?, longs(batch, "reserve_b")?);
    for row in 0..ids.len() {
        let id = pool_id(ids.value(row))
            .ok_or_else(|| OrderBookError::new_err(format!("pool {}: its id is not 64 hex digits", ids.value(row))))?;
        let assets = (first.value(row), second.value(row));
        let reserves = (reserves_a.value(row), reserves_b.value(row));
        split.pool(assets, reserves, id, fees.value(row), image);
    }
    Ok(())
}

fn pool_id(hex: &str) -> Option<[u8; 32]> {
    let mut id = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (place, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(id)
}

/// Rows of pairs with one binary column.
fn pair_batch(pairs: Vec<(&str, &str, Vec<u8>, i32)>, name: &str) -> PyResult<ArrowBatch> {
    let base: StringArray = pairs.iter().map(|pair| Some(pair.0)).collect();
    let counter: StringArray = pairs.iter().map(|pair| Some(pair.1)).collect();
    let counts: Int32Array = pairs.iter().map(|pair| Some(pair.3)).collect();
    let mut bytes = BinaryBuilder::new();
    for pair in &pairs {
        bytes.append_value(&pair.2);
    }
    let field = |name: &str, kind| Field::new(name, kind, false);
    let schema = Schema::new(vec![
        field("base_asset", DataType::Utf8),
        field("counter_asset", DataType::Utf8),
        field(name, DataType::Binary),
        field("entries", DataType::Int32),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(base),
        Arc::new(counter),
        Arc::new(bytes.finish()),
        Arc::new(counts),
    ];
    RecordBatch::try_new(Arc::new(schema), columns)
        .map(ArrowBatch::new)
        .map_err(|error| PyValueError::new_err(error.to_string()))
}

fn count(entries: usize) -> i32 {
    i32::try_from(entries).unwrap_or(i32::MAX)
}

/// One book per pair of a whole state, or of a part of it.
#[pyfunction]
pub fn split_books(offers: &Bound<'_, PyAny>, pools: &Bound<'_, PyAny>) -> PyResult<ArrowBatch> {
    let (offers, pools) = (import_batch(offers)?, import_batch(pools)?);
    let mut split = Split::default();
    add_offers(&mut split, &offers, Image::After)?;
    add_pools(&mut split, &pools, Image::After)?;
    let pairs = split.ordered().into_iter().map(|((base, counter), change)| {
        let mut book = change.after;
        book.sort();
        let entries = book.sides[0].len() + book.sides[1].len() + usize::from(book.pool.is_some());
        let mut bytes = Writer::default();
        book.write(&mut bytes);
        (base, counter, bytes.done(), count(entries))
    });
    pair_batch(pairs.collect(), "book")
}

/// One change per pair of the net changes of one ledger; pairs whose book stays as it is are left out.
#[pyfunction]
pub fn split_changes(
    offers_before: &Bound<'_, PyAny>,
    offers_after: &Bound<'_, PyAny>,
    pools_before: &Bound<'_, PyAny>,
    pools_after: &Bound<'_, PyAny>,
) -> PyResult<ArrowBatch> {
    let offers = [import_batch(offers_before)?, import_batch(offers_after)?];
    let pools = [import_batch(pools_before)?, import_batch(pools_after)?];
    let mut split = Split::default();
    for (image, place) in [(Image::Before, 0), (Image::After, 1)] {
        add_offers(&mut split, &offers[place], image)?;
        add_pools(&mut split, &pools[place], image)?;
    }
    let mut pairs = Vec::new();
    for ((base, counter), mut change) in split.ordered() {
        change.settle();
        if !change.is_empty() {
            let mut bytes = Writer::default();
            change.write(&mut bytes);
            pairs.push((base, counter, bytes.done(), count(change.len())));
        }
    }
    pair_batch(pairs, "change")
}

fn read_book(bytes: &[u8]) -> Result<PairBook, Broken> {
    let mut reader = Reader::new(bytes);
    let book = PairBook::read(&mut reader)?;
    reader.end()?;
    Ok(book)
}

fn broken(_: Broken) -> PyErr {
    OrderBookError::new_err("the bytes are not those of a book")
}

/// The book that parts of a state make together.
#[pyfunction]
pub fn join_books<'py>(py: Python<'py>, parts: Vec<Bound<'py, PyBytes>>) -> PyResult<Bound<'py, PyBytes>> {
    let mut book = PairBook::default();
    for part in &parts {
        book.join(read_book(part.as_bytes()).map_err(broken)?);
    }
    book.sort();
    let mut bytes = Writer::default();
    book.write(&mut bytes);
    Ok(PyBytes::new(py, &bytes.done()))
}

type Moved<'py> = (Bound<'py, PyBytes>, Vec<Bound<'py, PyBytes>>);

/// A book moved over ledgers one after the other, and its levels after each of them.
#[pyfunction]
#[pyo3(signature = (book, changes, *, depth, backwards=false))]
pub fn move_book<'py>(
    py: Python<'py>,
    book: &[u8],
    changes: Vec<Bound<'py, PyBytes>>,
    depth: usize,
    backwards: bool,
) -> PyResult<Moved<'py>> {
    let mut book = read_book(book).map_err(broken)?;
    let mut levels = Vec::with_capacity(changes.len());
    for (place, bytes) in changes.iter().enumerate() {
        let change = PairChange::read(&mut Reader::new(bytes.as_bytes())).map_err(broken)?;
        book.apply(&change, backwards)
            .map_err(|error| OrderBookError::new_err((error.to_string(), place)))?;
        let mut row = Writer::default();
        PairLevels::of(&book, depth).write(&mut row);
        levels.push(PyBytes::new(py, &row.done()));
    }
    let mut bytes = Writer::default();
    book.write(&mut bytes);
    Ok((PyBytes::new(py, &bytes.done()), levels))
}

/// Rows of levels as `move_book` returns them.
#[pyfunction]
#[pyo3(signature = (base, counter, levels, *, json))]
pub fn level_rows(
    py: Python<'_>,
    base: &Bound<'_, PyAny>,
    counter: &Bound<'_, PyAny>,
    levels: &Bound<'_, PyAny>,
    json: bool,
) -> PyResult<ArrowBatch> {
    let (base, counter, levels) = (import_array(base)?, import_array(counter)?, import_array(levels)?);
    let base = typed("base_asset", base.as_string_opt::<i32>())?;
    let counter = typed("counter_asset", counter.as_string_opt::<i32>())?;
    let levels = levels
        .as_binary_opt::<i32>()
        .ok_or_else(|| PyTypeError::new_err("levels: expected an array of binary"))?;
    if base.len() != levels.len() || counter.len() != levels.len() {
        return Err(PyValueError::new_err("assets and levels are not equally many"));
    }
    py.detach(|| {
        let read = levels
            .iter()
            .map(|bytes| PairLevels::read(&mut Reader::new(bytes.unwrap_or_default())))
            .collect::<Result<Vec<_>, Broken>>()
            .map_err(|_| "the bytes are not those of levels".to_owned())?;
        rows_of_levels(base, counter, &read, json).map_err(|error| error.to_string())
    })
    .map(ArrowBatch::new)
    .map_err(PyValueError::new_err)
}
