//! `BucketSource`, `BucketMerger` and `MergedRange`.

use std::collections::HashSet;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::arrow::ArrowBatch;
use super::cutter::segment_rule;
use super::errors::{Guarded, raise};
use super::options::{self, DEFAULT_MAX_DEPTH, DEFAULT_MAX_RECORD};
use crate::bucket::frames::FrameLimits;
use crate::bucket::inflate::Compression;
use crate::bucket::merger::{MergeOptions, MergedRange as Merged, Merger, Progress, Ranges};
use crate::bucket::records::{Kind, ReadOptions};
use crate::rows::{ENTRY_TYPES, Projection};

/// Most sources of one merge: eleven levels of two buckets, and room.
const MOST_SOURCES: usize = 24;

/// One bucket of a merge, or the cut segments of one.
#[pyclass(frozen, from_py_object, module = "aurora_ingest._kernel")]
#[derive(Clone)]
pub struct BucketSource {
    #[pyo3(get)]
    name: String,
    compression: Compression,
    expected_sha256: Option<[u8; 32]>,
    #[pyo3(get)]
    protocol: Option<u32>,
}

#[pymethods]
impl BucketSource {
    #[new]
    #[pyo3(signature = (name, compression, expected_sha256, protocol=None))]
    fn new(
        name: String,
        compression: &str,
        expected_sha256: Option<&Bound<'_, PyBytes>>,
        protocol: Option<u32>,
    ) -> PyResult<Self> {
        Ok(Self {
            name,
            compression: options::compression(compression)?,
            expected_sha256: options::hash("expected_sha256", expected_sha256)?,
            protocol,
        })
    }
}

/// One finished key range of a merge.
#[pyclass(frozen, module = "aurora_ingest._kernel")]
pub struct MergedRange {
    #[pyo3(get)]
    index: u64,
    #[pyo3(get)]
    first_key: Py<PyBytes>,
    #[pyo3(get)]
    last: bool,
    #[pyo3(get)]
    skipped: bool,
    #[pyo3(get)]
    entries: Py<PyDict>,
    #[pyo3(get)]
    records_read: u64,
    batches: Vec<(&'static str, Py<ArrowBatch>)>,
}

#[pymethods]
impl MergedRange {
    #[getter]
    fn batches(&self, py: Python<'_>) -> Vec<(&'static str, Py<ArrowBatch>)> {
        self.batches
            .iter()
            .map(|(table, batch)| (*table, batch.clone_ref(py)))
            .collect()
    }
}

fn merged_range(py: Python<'_>, merged: Merged) -> PyResult<MergedRange> {
    let entries = PyDict::new(py);
    for (name, count) in ENTRY_TYPES.iter().zip(merged.entries) {
        entries.set_item(name, count)?;
    }
    let batches = options::batches(merged.batches).into_iter();
    Ok(MergedRange {
        index: merged.index,
        first_key: PyBytes::new(py, &merged.first_key).unbind(),
        last: merged.last,
        skipped: merged.skipped,
        entries: entries.unbind(),
        records_read: merged.records_read,
        batches: batches
            .map(|(table, batch)| Ok((table, Py::new(py, batch)?)))
            .collect::<PyResult<_>>()?,
    })
}

/// Merges buckets, newest first, to the rows that are alive.
#[pyclass(module = "aurora_ingest._kernel")]
pub struct BucketMerger {
    merger: Guarded<Merger>,
}

impl BucketMerger {
    fn no_source(&self, source: usize) -> PyErr {
        PyIndexError::new_err(format!("there is no open source {source} to feed"))
    }
}

#[pymethods]
impl BucketMerger {
    #[new]
    #[pyo3(signature = (sources, *, columns=None, network_id=None, segment_records=4096, segment_bytes=1 << 20,
        segments_per_range=16, lower=None, upper=None, range_index=0, skip_ranges=None,
        max_record=DEFAULT_MAX_RECORD, max_depth=DEFAULT_MAX_DEPTH, strict_algebra=false))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of the Python face")]
    fn new(
        py: Python<'_>,
        sources: Vec<BucketSource>,
        columns: Option<&Bound<'_, PyAny>>,
        network_id: Option<&Bound<'_, PyBytes>>,
        segment_records: u64,
        segment_bytes: u64,
        segments_per_range: u64,
        lower: Option<Vec<u8>>,
        upper: Option<Vec<u8>>,
        range_index: u64,
        skip_ranges: Option<&Bound<'_, PyAny>>,
        max_record: usize,
        max_depth: u32,
        strict_algebra: bool,
    ) -> PyResult<Self> {
        if sources.len() > MOST_SOURCES || segments_per_range == 0 {
            return Err(PyValueError::new_err(format!(
                "at most {MOST_SOURCES} sources and at least 1 segment per range, got {} and {segments_per_range}",
                sources.len()
            )));
        }
        let ranges = if lower.is_some() || upper.is_some() {
            Ranges::One {
                index: range_index,
                lower,
                upper,
            }
        } else if range_index == 0 {
            Ranges::Discover {
                segment: segment_rule(segment_records, segment_bytes)?,
                segments_per_range,
            }
        } else {
            return Err(PyValueError::new_err(format!(
                "range_index {range_index} without lower or upper bound"
            )));
        };
        let skip = match skip_ranges {
            None => HashSet::new(),
            Some(ranges) => ranges
                .try_iter()?
                .map(|range| range?.extract::<u64>())
                .collect::<PyResult<_>>()?,
        };
        let reads = sources.into_iter().map(|source| ReadOptions {
            name: source.name,
            kind: Kind::Live,
            compression: source.compression,
            frames: FrameLimits {
                max_record,
                max_inflated: None,
                expected_sha256: source.expected_sha256,
            },
            max_depth,
            check_order: true,
            protocol: source.protocol,
        });
        let projection = options::projection(columns, Projection::entries)?;
        let network_id = options::hash("network_id", network_id)?;
        let merge = MergeOptions {
            ranges,
            skip,
            strict_algebra,
        };
        let merger = Merger::new(reads.collect(), merge, &projection, network_id).map_err(|fault| raise(py, &fault))?;
        Ok(Self {
            merger: Guarded::new(merger),
        })
    }

    fn advance(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.merger.work(py, Merger::advance)? {
            Progress::Wants(source) => Ok(source.into_pyobject(py)?.into_any().unbind()),
            Progress::Range(range) => Ok(Bound::new(py, merged_range(py, *range)?)?.into_any().unbind()),
            Progress::Done => Ok(py.None()),
        }
    }

    fn feed(&mut self, py: Python<'_>, source: usize, chunk: &[u8]) -> PyResult<()> {
        let known = self.merger.work(py, |merger| Ok(merger.feed(source, chunk)))?;
        if known { Ok(()) } else { Err(self.no_source(source)) }
    }

    fn end(&mut self, py: Python<'_>, source: usize) -> PyResult<()> {
        let known = self.merger.work(py, |merger| Ok(merger.end(source)))?;
        if known { Ok(()) } else { Err(self.no_source(source)) }
    }

    #[getter]
    fn algebra_warnings(&self) -> Vec<(String, String, String, String)> {
        let warnings = self.merger.get().warnings().iter().cloned();
        warnings
            .map(|warning| (warning.newer, warning.older, warning.key, warning.text))
            .collect()
    }

    #[getter]
    fn algebra_warning_count(&self) -> u64 {
        self.merger.get().warning_count()
    }

    fn source_stats<'py>(&self, py: Python<'py>, source: usize) -> PyResult<Bound<'py, PyDict>> {
        let reader = self.merger.get().reader(source).ok_or_else(|| self.no_source(source))?;
        let counts = reader.counts();
        let stats = PyDict::new(py);
        stats.set_item("entries", counts.entries)?;
        stats.set_item("live", counts.live)?;
        stats.set_item("init", counts.init)?;
        stats.set_item("dead", counts.dead)?;
        stats.set_item("protocol", reader.protocol())?;
        stats.set_item("sha256", reader.sha256().map(|digest| PyBytes::new(py, &digest)))?;
        stats.set_item("uncompressed_bytes", reader.uncompressed())?;
        Ok(stats)
    }
}
