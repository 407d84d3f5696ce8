//! The functions of the Python face that verification rests on: signatures, fingerprints and native balances, by column.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, FixedSizeBinaryBuilder, Int64Builder};
use arrow_array::{Array, BinaryArray, BooleanArray, FixedSizeBinaryArray, Int64Array};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sha2::{Digest, Sha256};

use super::arrow::{ArrowArray, import_array};
use super::options;
use crate::native_balance::NativeBalances;
use crate::rows::RowError;
use crate::scp;

/// Whether the close value of each `LedgerHeader` is signed by the node that it names.
#[pyfunction]
pub fn close_values_signed(
    py: Python<'_>,
    headers: &Bound<'_, PyAny>,
    network_id: &Bound<'_, PyBytes>,
) -> PyResult<ArrowArray> {
    let headers = binary(headers)?;
    let network_id = options::hash("network_id", Some(network_id))?.unwrap_or_default();
    let signed = py.detach(|| signed(&headers, &network_id));
    Ok(ArrowArray::new(Arc::new(signed.map_err(refused("LedgerHeader"))?)))
}

/// The SHA-256 of each value.
#[pyfunction]
pub fn sha256_array(py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<ArrowArray> {
    let values = binary(values)?;
    Ok(ArrowArray::new(Arc::new(py.detach(|| hashed(&values)))))
}

/// The native stroops in each `LedgerEntry`.
#[pyfunction]
pub fn native_balances(
    py: Python<'_>,
    entries: &Bound<'_, PyAny>,
    network_id: &Bound<'_, PyBytes>,
) -> PyResult<ArrowArray> {
    let entries = binary(entries)?;
    let network_id = options::hash("network_id", Some(network_id))?.unwrap_or_default();
    let balances = py.detach(|| balances(&entries, &network_id));
    Ok(ArrowArray::new(Arc::new(balances.map_err(refused("LedgerEntry"))?)))
}

fn signed(headers: &BinaryArray, network_id: &[u8; 32]) -> Result<BooleanArray, (usize, RowError)> {
    let mut signed = BooleanBuilder::with_capacity(headers.len());
    for (row, header) in headers.iter().enumerate() {
        let found = header.map(|bytes| scp::close_value_is_signed(bytes, network_id));
        signed.append_option(found.transpose().map_err(|error| (row, error))?.flatten());
    }
    Ok(signed.finish())
}

fn hashed(values: &BinaryArray) -> FixedSizeBinaryArray {
    let mut hashes = FixedSizeBinaryBuilder::with_capacity(values.len(), 32);
    for value in values {
        match value {
            Some(bytes) => hashes.append_value(Sha256::digest(bytes)).expect("a hash has 32 bytes"),
            None => hashes.append_null(),
        }
    }
    hashes.finish()
}

fn balances(entries: &BinaryArray, network_id: &[u8; 32]) -> Result<Int64Array, (usize, RowError)> {
    let native = NativeBalances::new(network_id);
    let mut balances = Int64Builder::with_capacity(entries.len());
    for (row, entry) in entries.iter().enumerate() {
        let balance = entry.map(|bytes| native.of(bytes));
        balances.append_option(balance.transpose().map_err(|error| (row, error))?);
    }
    Ok(balances.finish())
}

fn binary(values: &Bound<'_, PyAny>) -> PyResult<BinaryArray> {
    let values = import_array(values)?;
    values
        .as_any()
        .downcast_ref::<BinaryArray>()
        .cloned()
        .ok_or_else(|| PyTypeError::new_err(format!("expected an array of binary, got {}", values.data_type())))
}

fn refused(what: &'static str) -> impl FnOnce((usize, RowError)) -> PyErr {
    move |(row, error)| PyValueError::new_err(format!("row {row} is not a {what}: {error}"))
}
