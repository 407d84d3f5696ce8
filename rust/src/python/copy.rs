//! `copy_rows` and what frames its output.

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrow::import_batch;
use crate::pg_copy::{self, CopyError};

create_exception!(
    aurora_ingest._kernel,
    RowError,
    PyValueError,
    "A value that the target column cannot hold."
);

/// Rows as tuples of PostgreSQL's binary COPY, without header and trailer.
#[pyfunction]
pub fn copy_rows<'py>(
    py: Python<'py>,
    batch: &Bound<'_, PyAny>,
    pg_types: Vec<String>,
) -> PyResult<Bound<'py, PyBytes>> {
    let batch = import_batch(batch)?;
    let copied = py.detach(|| {
        let mut out = Vec::new();
        pg_copy::copy_rows(&batch, &pg_types, &mut out).map(|()| out)
    });
    match copied {
        Ok(tuples) => Ok(PyBytes::new(py, &tuples)),
        Err(error) => Err(raise(py, &error)),
    }
}

fn raise(py: Python<'_>, error: &CopyError) -> PyErr {
    let text = error.to_string();
    let CopyError::Value { row, column, reason } = error else {
        return PyValueError::new_err(text);
    };
    let raised = RowError::new_err(text);
    let value = raised.value(py);
    let set = value
        .setattr("row", row)
        .and_then(|()| value.setattr("column", column))
        .and_then(|()| value.setattr("reason", reason));
    set.err().unwrap_or(raised)
}
