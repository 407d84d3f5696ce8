//! Faults of the kernel as Python exceptions.

use pyo3::create_exception;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::bucket::fault::Fault;

create_exception!(
    aurora_ingest._kernel,
    XdrError,
    PyValueError,
    "The bytes are not what the format says."
);
create_exception!(
    aurora_ingest._kernel,
    HashMismatch,
    PyValueError,
    "The stream has another SHA-256 than expected."
);
create_exception!(
    aurora_ingest._kernel,
    OrderError,
    PyValueError,
    "The keys of a bucket do not ascend strictly."
);
create_exception!(
    aurora_ingest._kernel,
    AlgebraError,
    PyValueError,
    "META, INIT, LIVE and DEAD break the bucket rules."
);

/// The exception for a fault, its fields set as attributes.
pub fn raise(py: Python<'_>, fault: &Fault) -> PyErr {
    let text = fault.to_string();
    let (error, set) = match fault {
        Fault::Xdr {
            offset,
            record_index,
            entry_type,
            reason,
        } => xdr_error(py, text, *offset, *record_index, *entry_type, reason),
        Fault::Hash { expected, computed } => {
            let error = HashMismatch::new_err(text);
            let value = error.value(py);
            let set = value
                .setattr("expected", PyBytes::new(py, expected))
                .and_then(|()| value.setattr("computed", PyBytes::new(py, computed)));
            (error, set)
        }
        Fault::Order(_) => (OrderError::new_err(text), Ok(())),
        Fault::Algebra(_) => (AlgebraError::new_err(text), Ok(())),
    };
    set.err().unwrap_or(error)
}

/// An `XdrError` with its fields, and whether they could be set.
pub fn xdr_error(
    py: Python<'_>,
    text: String,
    offset: u64,
    record_index: u64,
    entry_type: Option<&str>,
    reason: &str,
) -> (PyErr, PyResult<()>) {
    let error = XdrError::new_err(text);
    let value = error.value(py);
    let set = value
        .setattr("offset", offset)
        .and_then(|()| value.setattr("record_index", record_index))
        .and_then(|()| value.setattr("entry_type", entry_type))
        .and_then(|()| value.setattr("reason", reason));
    (error, set)
}

/// A kernel object that stays failed after an error or a panic, and works without the GIL.
pub struct Guarded<T> {
    inner: T,
    state: State,
}

enum State {
    Sound,
    /// Work was started and never came back: it panicked.
    Broken,
    Failed(Fault),
}

impl<T: Send> Guarded<T> {
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            state: State::Sound,
        }
    }

    pub fn get(&self) -> &T {
        &self.inner
    }

    /// Does work without the GIL.
    pub fn work<R: Send>(
        &mut self,
        py: Python<'_>,
        job: impl FnOnce(&mut T) -> Result<R, Fault> + Send,
    ) -> PyResult<R> {
        match &self.state {
            State::Failed(fault) => return Err(raise(py, fault)),
            State::Broken => {
                return Err(PyRuntimeError::new_err(
                    "this object broke in an earlier call and cannot be used; make a new one",
                ));
            }
            State::Sound => {}
        }
        self.state = State::Broken;
        let inner = &mut self.inner;
        match py.detach(|| job(inner)) {
            Ok(result) => {
                self.state = State::Sound;
                Ok(result)
            }
            Err(fault) => {
                let error = raise(py, &fault);
                self.state = State::Failed(fault);
                Err(error)
            }
        }
    }
}
