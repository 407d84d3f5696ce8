//! The functions of the Python face that work on one XDR value or one small file.

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use sha2::{Digest, Sha256};

use super::arrow::{ArrowBatch, ArrowSchema};
use super::errors::xdr_error;
use super::options::{self, DEFAULT_MAX_DEPTH};
use crate::bucket::inflate::{Compression, Inflate, Pulled};
use crate::xdr::{Cur, X, XdrReject, generated};
use crate::{asset, header, rows, xdr};

/// Uncompressed bytes of one file of ledger headers: a checkpoint has some thousand bytes per ledger at most.
const MOST_HEADER_BYTES: usize = 256 << 20;
const PIECE: usize = 1 << 16;

/// Schema of an entry table with all its columns.
#[pyfunction]
pub fn entry_schema(table: &str) -> PyResult<ArrowSchema> {
    rows::schema(table)
        .map(ArrowSchema::new)
        .ok_or_else(|| PyKeyError::new_err(format!("there is no entry table {table}")))
}

/// Framed `LedgerHeaderHistoryEntry` records as one batch.
#[pyfunction]
#[pyo3(signature = (data, *, compression="gzip"))]
pub fn read_ledger_headers(py: Python<'_>, data: &[u8], compression: &str) -> PyResult<ArrowBatch> {
    let compression = options::compression(compression)?;
    let batch = py.detach(|| {
        let plain = inflated(data, compression).map_err(Ok)?;
        header::read_ledger_headers(&plain).map_err(Err)
    });
    batch.map(ArrowBatch::new).map_err(|fault| match fault {
        Ok(text) => PyValueError::new_err(text),
        Err(error) => {
            let (offset, index) = (error.offset as u64, error.record_index as u64);
            let (raised, set) = xdr_error(py, error.to_string(), offset, index, None, &error.reason);
            set.err().unwrap_or(raised)
        }
    })
}

fn inflated(data: &[u8], compression: Compression) -> Result<Vec<u8>, String> {
    let mut inflate = Inflate::new(compression)?;
    inflate.feed(data);
    inflate.end();
    let (mut plain, mut piece) = (Vec::new(), vec![0; PIECE]);
    loop {
        match inflate.pull(&mut piece)? {
            Pulled::Some(count) => plain.extend_from_slice(&piece[..count]),
            Pulled::Starved => return Err("the compressed file is cut off".to_owned()),
            Pulled::Finished => return Ok(plain),
        }
        if plain.len() > MOST_HEADER_BYTES {
            return Err(format!("the file has more than {MOST_HEADER_BYTES} uncompressed bytes"));
        }
    }
}

/// Refuses bytes that are not exactly one value of an XDR type.
#[pyfunction]
#[pyo3(name = "xdr_validate", signature = (type_name, data, max_depth=DEFAULT_MAX_DEPTH))]
pub fn xdr_validate(py: Python<'_>, type_name: &str, data: &[u8], max_depth: u32) -> PyResult<()> {
    let skip = xdr::skip_by_name(type_name).ok_or_else(|| unknown_type(type_name))?;
    whole(data, max_depth, skip).map_err(|reject| raise(py, type_name, &reject))
}

/// Cuts values of one XDR type that stand one after another into their bytes.
#[pyfunction]
#[pyo3(signature = (type_name, data, max_depth=DEFAULT_MAX_DEPTH))]
pub fn xdr_split<'py>(
    py: Python<'py>,
    type_name: &str,
    data: &Bound<'py, PyBytes>,
    max_depth: u32,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let skip = xdr::skip_by_name(type_name).ok_or_else(|| unknown_type(type_name))?;
    let bytes = data.as_bytes();
    let mut ends = Vec::new();
    py.detach(|| {
        let mut cursor = Cur::with_depth(bytes, max_depth);
        while cursor.remaining() > 0 {
            let start = cursor.pos;
            skip(&mut cursor)?;
            if cursor.pos == start {
                return cursor.end("a type of no bytes"); // would go on for ever
            }
            ends.push((start, cursor.pos));
        }
        Ok(())
    })
    .map_err(|reject| raise(py, type_name, &reject))?;
    Ok(ends
        .into_iter()
        .map(|(start, end)| PyBytes::new(py, &bytes[start..end]))
        .collect())
}

/// The SEP-51 JSON of one value of an XDR type.
#[pyfunction]
#[pyo3(signature = (type_name, data, max_depth=DEFAULT_MAX_DEPTH))]
pub fn xdr_to_json(py: Python<'_>, type_name: &str, data: &[u8], max_depth: u32) -> PyResult<String> {
    let json = xdr::json_by_name(type_name).ok_or_else(|| unknown_type(type_name))?;
    let mut text = String::new();
    whole(data, max_depth, |c| json(c, &mut text)).map_err(|reject| raise(py, type_name, &reject))?;
    Ok(text)
}

/// Bytes whose order is stellar-core's order of ledger keys.
#[pyfunction]
pub fn sort_key<'py>(py: Python<'py>, ledger_key_xdr: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let mut key = Vec::new();
    whole(ledger_key_xdr, DEFAULT_MAX_DEPTH, |c| {
        generated::sort_key_LedgerKey(c, &mut key)
    })
    .map_err(|reject| raise(py, "LedgerKey", &reject))?;
    Ok(PyBytes::new(py, &key))
}

/// The `LedgerKey` XDR of a `LedgerEntry`.
#[pyfunction]
pub fn ledger_key_of<'py>(py: Python<'py>, entry_xdr: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let mut key = Vec::new();
    whole(entry_xdr, DEFAULT_MAX_DEPTH, generated::skip_LedgerEntry)
        .and_then(|()| xdr::ledger_key_of_entry(entry_xdr, &mut key))
        .map_err(|reject| raise(py, "LedgerEntry", &reject))?;
    Ok(PyBytes::new(py, &key))
}

/// SHA-256 of a `LedgerKey`: the key under which its TTL is kept.
#[pyfunction]
pub fn key_hash<'py>(py: Python<'py>, ledger_key_xdr: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    whole(ledger_key_xdr, DEFAULT_MAX_DEPTH, generated::skip_LedgerKey)
        .map_err(|reject| raise(py, "LedgerKey", &reject))?;
    Ok(PyBytes::new(py, &Sha256::digest(ledger_key_xdr)))
}

/// The id of the contract that a network keeps for an asset.
#[pyfunction]
pub fn contract_id_of_asset<'py>(
    py: Python<'py>,
    network_id: &Bound<'_, PyBytes>,
    asset_xdr: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let network_id = options::hash("network_id", Some(network_id))?.unwrap_or_default();
    whole(asset_xdr, DEFAULT_MAX_DEPTH, generated::skip_Asset).map_err(|reject| raise(py, "Asset", &reject))?;
    Ok(PyBytes::new(py, &asset::contract_id_of_asset(&network_id, asset_xdr)))
}

/// The public key of an ed25519 seed.
#[pyfunction]
pub fn ed25519_public_key<'py>(py: Python<'py>, seed: &Bound<'_, PyBytes>) -> PyResult<Bound<'py, PyBytes>> {
    let seed = options::hash("seed", Some(seed))?.unwrap_or_default();
    let key = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
    Ok(PyBytes::new(py, key.as_bytes()))
}

/// Versions of the kernel and of what it was made from.
#[pyfunction]
pub fn version(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let versions = PyDict::new(py);
    versions.set_item("kernel", env!("CARGO_PKG_VERSION"))?;
    Ok(versions)
}

/// Reads one value that has to use up all the bytes.
fn whole(data: &[u8], max_depth: u32, read: impl FnOnce(&mut Cur<'_>) -> X<()>) -> X<()> {
    let mut cursor = Cur::with_depth(data, max_depth);
    read(&mut cursor)?;
    cursor.end("value")
}

fn unknown_type(name: &str) -> PyErr {
    PyKeyError::new_err(format!("there is no XDR type {name}"))
}

fn raise(py: Python<'_>, type_name: &str, reject: &XdrReject) -> PyErr {
    let reason = format!("{}: {}", reject.what, reject.fault.text());
    let text = format!("{type_name}: {reject}");
    let (error, set) = xdr_error(py, text, reject.pos as u64, 0, None, &reason);
    set.err().unwrap_or(error)
}
