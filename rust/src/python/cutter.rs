//! `BucketCutter` and `Segment`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::errors::{Guarded, raise};
use super::options::{self, DEFAULT_MAX_DEPTH, DEFAULT_MAX_RECORD};
use crate::bucket::cutter::{Cutter, Segment as CutSegment};
use crate::bucket::frames::FrameLimits;
use crate::bucket::records::{Kind, ReadOptions};
use crate::bucket::split::SegmentRule;

/// The rule from two keyword arguments.
pub fn segment_rule(records: u64, bytes: u64) -> PyResult<SegmentRule> {
    if records == 0 || bytes == 0 {
        return Err(PyValueError::new_err(format!(
            "segment_records and segment_bytes are at least 1, got {records} and {bytes}"
        )));
    }
    Ok(SegmentRule { records, bytes })
}

/// Consecutive records of one bucket, framed, without META.
#[pyclass(frozen, module = "aurora_ingest._kernel")]
pub struct Segment {
    #[pyo3(get)]
    first_key: Py<PyBytes>,
    #[pyo3(get)]
    records: u64,
    #[pyo3(get)]
    data: Py<PyBytes>,
}

fn segments(py: Python<'_>, cut: Vec<CutSegment>) -> Vec<Segment> {
    let made = cut.into_iter().map(|segment| Segment {
        first_key: PyBytes::new(py, &segment.first_key).unbind(),
        records: segment.records,
        data: PyBytes::new(py, &segment.data).unbind(),
    });
    made.collect()
}

/// Verifies one bucket in a single pass and cuts it into segments.
#[pyclass(module = "aurora_ingest._kernel")]
pub struct BucketCutter {
    cutter: Guarded<Cutter>,
    finished: bool,
}

#[pymethods]
impl BucketCutter {
    #[new]
    #[pyo3(signature = (*, compression="gzip", expected_sha256=None, segment_records=4096, segment_bytes=1 << 20,
        max_record=DEFAULT_MAX_RECORD, max_depth=DEFAULT_MAX_DEPTH))]
    fn new(
        py: Python<'_>,
        compression: &str,
        expected_sha256: Option<&Bound<'_, PyBytes>>,
        segment_records: u64,
        segment_bytes: u64,
        max_record: usize,
        max_depth: u32,
    ) -> PyResult<Self> {
        let read = ReadOptions {
            name: String::new(),
            kind: Kind::Live,
            compression: options::compression(compression)?,
            frames: FrameLimits {
                max_record,
                max_inflated: None,
                expected_sha256: options::hash("expected_sha256", expected_sha256)?,
            },
            max_depth,
            check_order: true,
            protocol: None,
        };
        let rule = segment_rule(segment_records, segment_bytes)?;
        let cutter = Cutter::new(read, rule).map_err(|fault| raise(py, &fault))?;
        Ok(Self {
            cutter: Guarded::new(cutter),
            finished: false,
        })
    }

    fn feed(&mut self, py: Python<'_>, chunk: &[u8]) -> PyResult<Vec<Segment>> {
        options::still_open(self.finished)?;
        let cut = self.cutter.work(py, |cutter| cutter.feed(chunk))?;
        Ok(segments(py, cut))
    }

    fn finish(&mut self, py: Python<'_>) -> PyResult<Vec<Segment>> {
        options::still_open(self.finished)?;
        let cut = self.cutter.work(py, Cutter::finish)?;
        self.finished = true;
        Ok(segments(py, cut))
    }

    #[getter]
    fn sha256<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        options::sha256(py, self.cutter.get().reader().sha256())
    }

    #[getter]
    fn protocol(&self) -> Option<u32> {
        self.cutter.get().reader().protocol()
    }

    #[getter]
    fn uncompressed_bytes(&self) -> u64 {
        self.cutter.get().reader().uncompressed()
    }

    #[getter]
    fn entries(&self) -> u64 {
        self.cutter.get().reader().counts().entries
    }

    #[getter]
    fn live(&self) -> u64 {
        self.cutter.get().reader().counts().live
    }

    #[getter]
    fn init(&self) -> u64 {
        self.cutter.get().reader().counts().init
    }

    #[getter]
    fn dead(&self) -> u64 {
        self.cutter.get().reader().counts().dead
    }
}
