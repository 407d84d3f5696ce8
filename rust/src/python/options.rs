//! Keyword arguments of the Python face as values of the kernel.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMapping, PyString};

use super::arrow::ArrowBatch;
use crate::bucket::decoder::Batches;
use crate::bucket::inflate::Compression;
use crate::bucket::records::Kind;
use crate::rows::Projection;

pub const DEFAULT_MAX_RECORD: usize = 64 << 20;
pub const DEFAULT_MAX_DEPTH: u32 = 1500;

/// The compression called `name`.
pub fn compression(name: &str) -> PyResult<Compression> {
    Compression::named(name)
        .ok_or_else(|| PyValueError::new_err(format!("compression is 'gzip', 'zstd' or 'none', got '{name}'")))
}

/// The kind of bucket called `name`.
pub fn kind(name: &str) -> PyResult<Kind> {
    match name {
        "live" => Ok(Kind::Live),
        "hot" => Ok(Kind::Hot),
        _ => Err(PyValueError::new_err(format!(
            "kind of bucket is 'live' or 'hot', got '{name}'"
        ))),
    }
}

/// 32 bytes, or none.
pub fn hash(name: &str, value: Option<&Bound<'_, PyBytes>>) -> PyResult<Option<[u8; 32]>> {
    let Some(bytes) = value else { return Ok(None) };
    let bytes = bytes.as_bytes();
    let wrong = || PyValueError::new_err(format!("{name} has 32 bytes, got {}", bytes.len()));
    <[u8; 32]>::try_from(bytes).map(Some).map_err(|_| wrong())
}

/// The tables and columns to build: all of `everything` when nothing is said.
pub fn projection(columns: Option<&Bound<'_, PyAny>>, everything: fn() -> Projection) -> PyResult<Projection> {
    let Some(columns) = columns else {
        return Ok(everything());
    };
    let mut projection = Projection::default();
    for item in columns.cast::<PyMapping>()?.items()?.iter() {
        let (table, names) = item.extract::<(String, Bound<'_, PyAny>)>()?;
        let names: Option<Vec<String>> = if names.is_none() {
            None
        } else if names.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err(format!(
                "columns of {table} are a sequence of names, got a str"
            )));
        } else {
            Some(names.try_iter()?.map(|name| name?.extract()).collect::<PyResult<_>>()?)
        };
        projection
            .add(&table, names.as_deref())
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
    }
    Ok(projection)
}

/// Batches for Python.
pub fn batches(batches: Batches) -> Vec<(&'static str, ArrowBatch)> {
    batches
        .into_iter()
        .map(|(table, batch)| (table, ArrowBatch::new(batch)))
        .collect()
}

/// A hash for Python, known only at the end of its stream.
pub fn sha256(py: Python<'_>, digest: Option<[u8; 32]>) -> PyResult<Bound<'_, PyBytes>> {
    digest
        .map(|digest| PyBytes::new(py, &digest))
        .ok_or_else(|| PyValueError::new_err("the SHA-256 is known only after the stream was finished"))
}

/// Refuses bytes after the end.
pub fn still_open(finished: bool) -> PyResult<()> {
    if finished {
        return Err(PyValueError::new_err(
            "finish() was called; make a new object for another stream",
        ));
    }
    Ok(())
}
