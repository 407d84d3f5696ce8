//! `LedgerFrames` and `ledger_sequence_of`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::errors::{Guarded, raise, xdr_error};
use super::options::{self, DEFAULT_MAX_DEPTH};
use crate::ledger_close::frames::{Found, LedgerFrames as Frames};
use crate::ledger_close::locate;
use crate::ledger_close::stream::{Framing, LedgerStream};

/// Apply-load ledgers have some megabytes; the cap only keeps a damaged length from filling the memory.
const DEFAULT_MAX_LEDGER: usize = 256 << 20;

type Ledgers<'py> = Vec<(u32, Bound<'py, PyBytes>)>;

/// Cuts a stream, fed in chunks of any size, into whole validated ledgers.
#[pyclass(module = "aurora_ingest._kernel")]
pub struct LedgerFrames {
    frames: Guarded<Frames>,
    finished: bool,
}

impl LedgerFrames {
    fn ledgers<'py>(&self, py: Python<'py>, found: Vec<Found>) -> Ledgers<'py> {
        let bytes = self.frames.get().bytes();
        let made = found
            .into_iter()
            .map(|ledger| (ledger.sequence, PyBytes::new(py, &bytes[ledger.place])));
        made.collect()
    }
}

#[pymethods]
impl LedgerFrames {
    #[new]
    #[pyo3(signature = (*, framing, compression, max_record=DEFAULT_MAX_LEDGER, max_inflated=None,
        max_depth=DEFAULT_MAX_DEPTH, validate=true))]
    fn new(
        py: Python<'_>,
        framing: &str,
        compression: &str,
        max_record: usize,
        max_inflated: Option<u64>,
        max_depth: u32,
        validate: bool,
    ) -> PyResult<Self> {
        let stream = LedgerStream {
            framing: Framing::named(framing).ok_or_else(|| {
                PyValueError::new_err(format!("framing is 'framed', 'batch' or 'single', got '{framing}'"))
            })?,
            compression: options::compression(compression)?,
            max_record,
            max_inflated,
            validate,
            max_depth,
        };
        let frames = Frames::new(stream).map_err(|fault| raise(py, &fault))?;
        Ok(Self {
            frames: Guarded::new(frames),
            finished: false,
        })
    }

    fn feed<'py>(&mut self, py: Python<'py>, chunk: &[u8]) -> PyResult<Ledgers<'py>> {
        options::still_open(self.finished)?;
        let found = self.frames.work(py, |frames| frames.feed(chunk))?;
        Ok(self.ledgers(py, found))
    }

    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Ledgers<'py>> {
        options::still_open(self.finished)?;
        let found = self.frames.work(py, Frames::finish)?;
        self.finished = true;
        Ok(self.ledgers(py, found))
    }

    #[getter]
    fn uncompressed_bytes(&self) -> u64 {
        self.frames.get().uncompressed()
    }
}

/// The sequence of a ledger, read from the start of its meta.
#[pyfunction]
pub fn ledger_sequence_of(py: Python<'_>, lcm: &[u8]) -> PyResult<u32> {
    locate::ledger_sequence(lcm).map_err(|reject| {
        let reason = format!("{}: {}", reject.what, reject.fault.text());
        let text = format!("LedgerCloseMeta: {reject}");
        let (error, set) = xdr_error(py, text, reject.pos as u64, 0, None, &reason);
        set.err().unwrap_or(error)
    })
}
