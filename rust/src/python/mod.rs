//! The Python face of the kernel (`aurora_ingest._kernel`).
use pyo3::prelude::*;

#[pymodule]
fn _kernel(_m: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
