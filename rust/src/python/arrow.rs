//! Arrow over the C data interface's PyCapsules, both ways, without a second Arrow crate.

use std::ptr::NonNull;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray, make_array};
use arrow_schema::{ArrowError, SchemaRef};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

const SCHEMA: &std::ffi::CStr = c"arrow_schema";
const ARRAY: &std::ffi::CStr = c"arrow_array";

fn arrow_error(error: &ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

type Capsules<'py> = (Bound<'py, PyCapsule>, Bound<'py, PyCapsule>);

fn capsules<'py>(py: Python<'py>, schema: FFI_ArrowSchema, array: FFI_ArrowArray) -> PyResult<Capsules<'py>> {
    Ok((
        PyCapsule::new_with_value(py, schema, SCHEMA)?,
        PyCapsule::new_with_value(py, array, ARRAY)?,
    ))
}

/// A record batch; `pyarrow.record_batch(x)` takes it over without copying.
#[pyclass(frozen, module = "aurora_ingest._kernel")]
pub struct ArrowBatch {
    batch: RecordBatch,
}

impl ArrowBatch {
    pub fn new(batch: RecordBatch) -> Self {
        Self { batch }
    }
}

#[pymethods]
impl ArrowBatch {
    #[getter]
    fn num_rows(&self) -> usize {
        self.batch.num_rows()
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Capsules<'py>> {
        drop(requested_schema);
        let schema = FFI_ArrowSchema::try_from(self.batch.schema().as_ref()).map_err(|error| arrow_error(&error))?;
        let rows = StructArray::from(self.batch.clone());
        capsules(py, schema, FFI_ArrowArray::new(&rows.into_data()))
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        schema_capsule(py, &self.batch.schema())
    }
}

/// An array; `pyarrow.array(x)` takes it over without copying.
#[pyclass(frozen, module = "aurora_ingest._kernel")]
pub struct ArrowArray {
    array: ArrayRef,
}

impl ArrowArray {
    pub fn new(array: ArrayRef) -> Self {
        Self { array }
    }
}

#[pymethods]
impl ArrowArray {
    fn __len__(&self) -> usize {
        self.array.len()
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Capsules<'py>> {
        drop(requested_schema);
        let (array, schema) = to_ffi(&self.array.to_data()).map_err(|error| arrow_error(&error))?;
        capsules(py, schema, array)
    }
}

/// A schema; `pyarrow.schema(x)` takes it over.
#[pyclass(frozen, module = "aurora_ingest._kernel")]
pub struct ArrowSchema {
    schema: SchemaRef,
}

impl ArrowSchema {
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema }
    }
}

#[pymethods]
impl ArrowSchema {
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        schema_capsule(py, &self.schema)
    }
}

fn schema_capsule<'py>(py: Python<'py>, schema: &SchemaRef) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = FFI_ArrowSchema::try_from(schema.as_ref()).map_err(|error| arrow_error(&error))?;
    PyCapsule::new_with_value(py, schema, SCHEMA)
}

/// Takes an array over from any Python object that has `__arrow_c_array__`.
///
/// # Errors
/// `TypeError` when it has none, `ValueError` when Arrow refuses what it gives.
pub fn import_array(object: &Bound<'_, PyAny>) -> PyResult<ArrayRef> {
    let exported = object.call_method0("__arrow_c_array__").map_err(|error| {
        let given = object.get_type();
        let wrong = PyTypeError::new_err(format!("expected an Arrow object with __arrow_c_array__, got {given}"));
        wrong.set_cause(object.py(), Some(error));
        wrong
    })?;
    let pair = exported.cast::<PyTuple>()?;
    let schema = pointer::<FFI_ArrowSchema>(&pair.get_item(0)?, SCHEMA)?;
    let array = pointer::<FFI_ArrowArray>(&pair.get_item(1)?, ARRAY)?;
    // SAFETY: the capsules carry the names that the C data interface gives to these very structs and stay alive here;
    // from_raw moves the structs out and leaves released ones behind, as the interface asks of a consumer.
    let data = unsafe {
        let schema = FFI_ArrowSchema::from_raw(schema.as_ptr());
        from_ffi(FFI_ArrowArray::from_raw(array.as_ptr()), &schema)
    };
    Ok(make_array(data.map_err(|error| arrow_error(&error))?))
}

fn pointer<T>(capsule: &Bound<'_, PyAny>, name: &'static std::ffi::CStr) -> PyResult<NonNull<T>> {
    Ok(capsule.cast::<PyCapsule>()?.pointer_checked(Some(name))?.cast::<T>())
}

/// Takes a record batch over from any Python object that has `__arrow_c_array__` of a struct.
///
/// # Errors
/// As [`import_array`]; `TypeError` when it is not a record batch.
pub fn import_batch(object: &Bound<'_, PyAny>) -> PyResult<RecordBatch> {
    let array = import_array(object)?;
    let rows = array.as_any().downcast_ref::<StructArray>().ok_or_else(|| {
        PyTypeError::new_err(format!(
            "expected a record batch, got an array of {}",
            array.data_type()
        ))
    })?;
    Ok(RecordBatch::from(rows))
}
