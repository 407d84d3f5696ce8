//! `LedgerDecoder` and `ledger_schema`.

use pyo3::exceptions::{PyKeyError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMapping, PyString};

use super::arrow::{ArrowBatch, ArrowSchema};
use super::errors::raise;
use super::options::{self, DEFAULT_MAX_DEPTH};
use crate::ledger_close::decoder::LedgerDecoder as Decoder;
use crate::ledger_close::tables::{self, LEDGER_TABLES, LedgerProjection};

/// Decodes ledgers, one bare `LedgerCloseMeta` at a time, to Arrow tables.
#[pyclass(module = "aurora_ingest._kernel")]
pub struct LedgerDecoder {
    decoder: Decoder,
    /// Work was started and never came back: it panicked, and rows may be half built.
    broken: bool,
}

#[pymethods]
impl LedgerDecoder {
    #[new]
    #[pyo3(signature = (*, network_id, columns=None, max_depth=DEFAULT_MAX_DEPTH))]
    fn new(network_id: &Bound<'_, PyBytes>, columns: Option<&Bound<'_, PyAny>>, max_depth: u32) -> PyResult<Self> {
        let network_id = options::hash("network_id", Some(network_id))?.unwrap_or_default();
        Ok(Self {
            decoder: Decoder::new(network_id, &projection(columns)?, max_depth),
            broken: false,
        })
    }

    #[pyo3(signature = (lcm, *, has_meta=true, tolerant=false))]
    fn push(&mut self, py: Python<'_>, lcm: &[u8], has_meta: bool, tolerant: bool) -> PyResult<u32> {
        if self.broken {
            return Err(PyRuntimeError::new_err(
                "this object broke in an earlier call and cannot be used; make a new one",
            ));
        }
        self.broken = true;
        let decoder = &mut self.decoder;
        let pushed = py.detach(|| decoder.push(lcm, has_meta, tolerant));
        self.broken = false;
        pushed.map_err(|fault| raise(py, &fault))
    }

    fn take<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let taken = PyDict::new(py);
        let decoder = &mut self.decoder;
        for (table, batch) in py.detach(|| decoder.take()) {
            taken.set_item(table, Bound::new(py, ArrowBatch::new(batch))?)?;
        }
        Ok(taken)
    }

    /// Ledger, order, whether its changes are lost, and the reason, of every transaction that got no rows.
    fn take_refused(&mut self) -> Vec<(u32, u32, bool, String)> {
        let refused = self.decoder.take_refused().into_iter();
        refused
            .map(|each| (each.ledger_sequence, each.order, each.changes_lost, each.reason))
            .collect()
    }

    #[getter]
    fn ledgers(&self) -> u64 {
        self.decoder.counts().ledgers
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.decoder.counts().rows
    }

    #[getter]
    fn bytes(&self) -> u64 {
        self.decoder.counts().bytes
    }
}

fn projection(columns: Option<&Bound<'_, PyAny>>) -> PyResult<LedgerProjection> {
    let Some(columns) = columns else {
        return Ok(LedgerProjection::all());
    };
    let mut projection = LedgerProjection::default();
    for item in columns.cast::<PyMapping>()?.items()?.iter() {
        let (table, names) = item.extract::<(String, Bound<'_, PyAny>)>()?;
        if names.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err(format!(
                "columns of {table} are a sequence of names, got a str"
            )));
        }
        let names: Option<Vec<String>> = if names.is_none() {
            None
        } else {
            Some(names.try_iter()?.map(|name| name?.extract()).collect::<PyResult<_>>()?)
        };
        projection
            .add(&table, names)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
    }
    Ok(projection)
}

/// Schema of a ledger table with all its columns.
#[pyfunction]
pub fn ledger_schema(table: &str) -> PyResult<ArrowSchema> {
    tables::schema(table).map(ArrowSchema::new).ok_or_else(|| {
        let known = LEDGER_TABLES.join(", ");
        PyKeyError::new_err(format!("there is no ledger table {table}; there are {known}"))
    })
}
