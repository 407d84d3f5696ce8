//! The functions of the Python face that are no classes.

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;

use super::arrow::ArrowSchema;
use crate::rows;

/// Schema of an entry table with all its columns.
#[pyfunction]
pub fn entry_schema(table: &str) -> PyResult<ArrowSchema> {
    rows::schema(table)
        .map(ArrowSchema::new)
        .ok_or_else(|| PyKeyError::new_err(format!("there is no entry table {table}")))
}
