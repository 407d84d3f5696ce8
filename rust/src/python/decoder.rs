//! `BucketDecoder` and `read_bucket`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::arrow::ArrowBatch;
use super::errors::{Guarded, raise};
use super::options::{self, DEFAULT_MAX_DEPTH, DEFAULT_MAX_RECORD};
use crate::bucket::decoder::{BatchRule, Decoder};
use crate::bucket::frames::FrameLimits;
use crate::bucket::records::ReadOptions;
use crate::rows::Projection;

const DEFAULT_BATCH_ROWS: usize = 65_536;
const DEFAULT_BATCH_BYTES: usize = 64 << 20;
/// Batches of more bytes could outgrow 32-bit offsets.
const MOST_BATCH_BYTES: usize = 512 << 20;

type NamedBatches = Vec<(&'static str, ArrowBatch)>;

/// Decodes one bucket, fed in chunks of any size, to Arrow batches.
#[pyclass(module = "aurora_ingest._kernel")]
pub struct BucketDecoder {
    decoder: Guarded<Decoder>,
    finished: bool,
}

#[pymethods]
impl BucketDecoder {
    #[new]
    #[pyo3(signature = (*, columns=None, compression="gzip", batch_rows=DEFAULT_BATCH_ROWS, batch_bytes=DEFAULT_BATCH_BYTES,
        max_record=DEFAULT_MAX_RECORD, max_depth=DEFAULT_MAX_DEPTH, max_inflated=None, expected_sha256=None, kind="live",
        network_id=None, check_order=true))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of the Python face")]
    fn new(
        py: Python<'_>,
        columns: Option<&Bound<'_, PyAny>>,
        compression: &str,
        batch_rows: usize,
        batch_bytes: usize,
        max_record: usize,
        max_depth: u32,
        max_inflated: Option<u64>,
        expected_sha256: Option<&Bound<'_, PyBytes>>,
        kind: &str,
        network_id: Option<&Bound<'_, PyBytes>>,
        check_order: bool,
    ) -> PyResult<Self> {
        if batch_rows == 0 || batch_bytes == 0 || batch_bytes > MOST_BATCH_BYTES {
            return Err(PyValueError::new_err(format!(
                "batch_rows is at least 1 and batch_bytes 1 to {MOST_BATCH_BYTES}, got {batch_rows} and {batch_bytes}"
            )));
        }
        let read = ReadOptions {
            name: String::new(),
            kind: options::kind(kind)?,
            compression: options::compression(compression)?,
            frames: FrameLimits {
                max_record,
                max_inflated,
                expected_sha256: options::hash("expected_sha256", expected_sha256)?,
            },
            max_depth,
            check_order,
            protocol: None,
        };
        let projection = options::projection(columns, Projection::all)?;
        let network_id = options::hash("network_id", network_id)?;
        let rule = BatchRule {
            rows: batch_rows,
            bytes: batch_bytes,
        };
        let decoder = Decoder::new(read, &projection, network_id, rule).map_err(|fault| raise(py, &fault))?;
        Ok(Self {
            decoder: Guarded::new(decoder),
            finished: false,
        })
    }

    fn feed(&mut self, py: Python<'_>, chunk: &[u8]) -> PyResult<NamedBatches> {
        options::still_open(self.finished)?;
        self.decoder
            .work(py, |decoder| decoder.feed(chunk))
            .map(options::batches)
    }

    fn finish(&mut self, py: Python<'_>) -> PyResult<NamedBatches> {
        options::still_open(self.finished)?;
        let batches = self.decoder.work(py, Decoder::finish)?;
        self.finished = true;
        Ok(options::batches(batches))
    }

    #[getter]
    fn sha256<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        options::sha256(py, self.decoder.get().reader().sha256())
    }

    #[getter]
    fn entries(&self) -> u64 {
        self.decoder.get().reader().counts().entries
    }

    #[getter]
    fn protocol(&self) -> Option<u32> {
        self.decoder.get().reader().protocol()
    }

    #[getter]
    fn uncompressed_bytes(&self) -> u64 {
        self.decoder.get().reader().uncompressed()
    }
}

/// Decodes a whole bucket to one batch per table, empty tables too.
#[pyfunction]
#[pyo3(signature = (data, *, columns=None, compression="gzip", max_record=DEFAULT_MAX_RECORD, max_depth=DEFAULT_MAX_DEPTH,
    max_inflated=None, expected_sha256=None, kind="live", network_id=None, check_order=true))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of the Python face")]
pub fn read_bucket<'py>(
    py: Python<'py>,
    data: &[u8],
    columns: Option<&Bound<'_, PyAny>>,
    compression: &str,
    max_record: usize,
    max_depth: u32,
    max_inflated: Option<u64>,
    expected_sha256: Option<&Bound<'_, PyBytes>>,
    kind: &str,
    network_id: Option<&Bound<'_, PyBytes>>,
    check_order: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let mut whole = BucketDecoder::new(
        py,
        columns,
        compression,
        usize::MAX,
        MOST_BATCH_BYTES,
        max_record,
        max_depth,
        max_inflated,
        expected_sha256,
        kind,
        network_id,
        check_order,
    )?;
    let batches = whole.decoder.work(py, |decoder| {
        let cut = decoder.feed(data)?;
        let rest = decoder.finish_whole()?;
        Ok(if cut.is_empty() { Some(rest) } else { None })
    })?;
    let Some(batches) = batches else {
        return Err(PyValueError::new_err(format!(
            "the bucket has more than {MOST_BATCH_BYTES} bytes of entries, too many for one batch per table; use BucketDecoder"
        )));
    };
    let tables = PyDict::new(py);
    for (table, batch) in options::batches(batches) {
        tables.set_item(table, Bound::new(py, batch)?)?;
    }
    Ok(tables)
}
