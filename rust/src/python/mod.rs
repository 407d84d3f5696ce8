//! The Python face of the kernel (`aurora_ingest._kernel`); its truth is `_kernel.pyi`.

mod allocator;
mod arrow;
mod base64;
mod changes;
mod copy;
mod cutter;
mod decoder;
mod errors;
mod functions;
mod ledger_decoder;
mod ledger_frames;
mod merger;
mod options;
mod order_book;
mod pair_books;
mod strkeys;
mod verification;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::pg_copy;

#[pymodule]
fn _kernel(module: &Bound<'_, PyModule>) -> PyResult<()> {
    allocator::keep_freed_memory();
    let py = module.py();
    module.add("XdrError", py.get_type::<errors::XdrError>())?;
    module.add("HashMismatch", py.get_type::<errors::HashMismatch>())?;
    module.add("OrderError", py.get_type::<errors::OrderError>())?;
    module.add("AlgebraError", py.get_type::<errors::AlgebraError>())?;
    module.add("ChangeError", py.get_type::<changes::ChangeError>())?;
    module.add("RowError", py.get_type::<copy::RowError>())?;
    module.add("COPY_HEADER", PyBytes::new(py, &pg_copy::HEADER))?;
    module.add("COPY_TRAILER", PyBytes::new(py, &pg_copy::TRAILER))?;
    module.add("ENTRY_TYPES", PyTuple::new(py, crate::rows::ENTRY_TYPES)?)?;
    module.add_class::<arrow::ArrowBatch>()?;
    module.add_class::<arrow::ArrowArray>()?;
    module.add_class::<arrow::ArrowSchema>()?;
    module.add_class::<decoder::BucketDecoder>()?;
    module.add_class::<cutter::BucketCutter>()?;
    module.add_class::<cutter::Segment>()?;
    module.add_class::<merger::BucketSource>()?;
    module.add_class::<merger::BucketMerger>()?;
    module.add_class::<merger::MergedRange>()?;
    module.add_class::<ledger_frames::LedgerFrames>()?;
    module.add(
        "LEDGER_TABLES",
        PyTuple::new(py, crate::ledger_close::tables::LEDGER_TABLES)?,
    )?;
    module.add_class::<ledger_decoder::LedgerDecoder>()?;
    module.add_function(wrap_pyfunction!(ledger_decoder::ledger_schema, module)?)?;
    module.add_function(wrap_pyfunction!(ledger_frames::ledger_sequence_of, module)?)?;
    module.add("OrderBookError", py.get_type::<order_book::OrderBookError>())?;
    module.add_class::<order_book::OrderBook>()?;
    module.add_function(wrap_pyfunction!(pair_books::split_books, module)?)?;
    module.add_function(wrap_pyfunction!(pair_books::split_changes, module)?)?;
    module.add_function(wrap_pyfunction!(pair_books::join_books, module)?)?;
    module.add_function(wrap_pyfunction!(pair_books::move_book, module)?)?;
    module.add_function(wrap_pyfunction!(pair_books::level_rows, module)?)?;
    module.add_function(wrap_pyfunction!(decoder::read_bucket, module)?)?;
    module.add_function(wrap_pyfunction!(changes::compact_changes, module)?)?;
    module.add_function(wrap_pyfunction!(changes::entry_rows, module)?)?;
    module.add_function(wrap_pyfunction!(base64::base64_encode_array, module)?)?;
    module.add_function(wrap_pyfunction!(copy::copy_rows, module)?)?;
    module.add_function(wrap_pyfunction!(functions::entry_schema, module)?)?;
    module.add_function(wrap_pyfunction!(functions::read_ledger_headers, module)?)?;
    module.add_function(wrap_pyfunction!(functions::xdr_validate, module)?)?;
    module.add_function(wrap_pyfunction!(functions::xdr_split, module)?)?;
    module.add_function(wrap_pyfunction!(functions::xdr_to_json, module)?)?;
    module.add_function(wrap_pyfunction!(functions::sort_key, module)?)?;
    module.add_function(wrap_pyfunction!(functions::ledger_key_of, module)?)?;
    module.add_function(wrap_pyfunction!(functions::key_hash, module)?)?;
    module.add_function(wrap_pyfunction!(functions::contract_id_of_asset, module)?)?;
    module.add_function(wrap_pyfunction!(functions::ed25519_public_key, module)?)?;
    module.add_function(wrap_pyfunction!(functions::version, module)?)?;
    module.add_function(wrap_pyfunction!(strkeys::strkey_encode, module)?)?;
    module.add_function(wrap_pyfunction!(strkeys::strkey_decode, module)?)?;
    module.add_function(wrap_pyfunction!(strkeys::strkey_encode_array, module)?)?;
    module.add_function(wrap_pyfunction!(verification::close_values_signed, module)?)?;
    module.add_function(wrap_pyfunction!(verification::sha256_array, module)?)?;
    module.add_function(wrap_pyfunction!(verification::native_balances, module)?)?;
    Ok(())
}
