//! `entry_rows` and `compact_changes`: the images of changes as typed rows, and the net changes of one ledger.

use arrow_array::BinaryArray;
use pyo3::create_exception;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::arrow::{ArrowBatch, import_array, import_batch};
use super::errors::xdr_error;
use super::options;
use crate::changes::{self, Refusal};
use crate::rows::Projection;

create_exception!(
    aurora_ingest._kernel,
    ChangeError,
    PyValueError,
    "Two changes of one ledger that cannot both have happened."
);

/// Typed rows of a column of `LedgerEntry` XDR, by entry table.
#[pyfunction]
#[pyo3(signature = (entries, *, columns=None, network_id=None))]
pub fn entry_rows<'py>(
    py: Python<'py>,
    entries: &Bound<'_, PyAny>,
    columns: Option<&Bound<'_, PyAny>>,
    network_id: Option<&Bound<'_, PyBytes>>,
) -> PyResult<Bound<'py, PyDict>> {
    let projection = options::projection(columns, Projection::entries)?;
    let network_id = options::hash("network_id", network_id)?;
    let entries = import_array(entries)?;
    let images = entries.as_any().downcast_ref::<BinaryArray>().ok_or_else(|| {
        let given = entries.data_type();
        PyTypeError::new_err(format!("expected an array of binary, got one of {given}"))
    })?;
    let made = py
        .detach(|| changes::entry_rows(images, &projection, network_id))
        .map_err(|refusal| raise(py, &refusal))?;
    let tables = PyDict::new(py);
    for (table, batch) in made {
        tables.set_item(table, Bound::new(py, ArrowBatch::new(batch))?)?;
    }
    Ok(tables)
}

/// One net change per key of the changes of one ledger, in the order of the keys.
#[pyfunction]
pub fn compact_changes(py: Python<'_>, changes: &Bound<'_, PyAny>) -> PyResult<ArrowBatch> {
    let batch = import_batch(changes)?;
    py.detach(|| changes::compact(&batch))
        .map(ArrowBatch::new)
        .map_err(|refusal| raise(py, &refusal))
}

fn raise(py: Python<'_>, refusal: &Refusal) -> PyErr {
    let text = refusal.to_string();
    let (error, set) = match refusal {
        Refusal::Contradiction(contradiction) => {
            let error = ChangeError::new_err(text);
            let value = error.value(py);
            let set = value
                .setattr("first", contradiction.first)
                .and_then(|()| value.setattr("second", contradiction.second));
            (error, set)
        }
        Refusal::Xdr { row, reject } => {
            let reason = format!("{}: {}", reject.what, reject.fault.text());
            xdr_error(py, text, reject.pos as u64, *row as u64, None, &reason)
        }
        Refusal::Form(_) | Refusal::Row { .. } => (PyValueError::new_err(text), Ok(())),
    };
    set.err().unwrap_or(error)
}
