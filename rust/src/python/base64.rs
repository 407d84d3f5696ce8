//! Base64 of whole Arrow columns for the Python face.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, ListArray, StringArray};
use arrow_schema::{DataType, Field};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::arrow::{ArrowArray, import_array};
use crate::text;

/// The base64 texts of an array of binary, or of lists of binary; null stays null.
#[pyfunction]
pub fn base64_encode_array(py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<ArrowArray> {
    let values = import_array(values)?;
    py.detach(|| encoded(&values)).map(ArrowArray::new).ok_or_else(|| {
        let given = values.data_type();
        PyTypeError::new_err(format!(
            "expected an array of binary or of lists of binary, got {given}"
        ))
    })
}

fn encoded(values: &ArrayRef) -> Option<ArrayRef> {
    if let Some(bytes) = values.as_binary_opt::<i32>() {
        return Some(Arc::new(texts(bytes)));
    }
    let lists = values.as_list_opt::<i32>()?;
    let elements = texts(lists.values().as_binary_opt::<i32>()?);
    let field = Arc::new(Field::new("item", DataType::Utf8, true));
    let made = ListArray::new(
        field,
        lists.offsets().clone(),
        Arc::new(elements),
        lists.nulls().cloned(),
    );
    Some(Arc::new(made))
}

fn texts(values: &BinaryArray) -> StringArray {
    let bytes = values.value_offsets().last().zip(values.value_offsets().first());
    let size = bytes.map_or(0, |(last, first)| usize::try_from(last - first).unwrap_or_default());
    let mut made = StringBuilder::with_capacity(values.len(), size.div_ceil(3) * 4 + values.len() * 4);
    let mut text = Vec::new();
    for value in values {
        text.clear();
        let shown = value.and_then(|bytes| {
            text::base64_into(bytes, &mut text);
            std::str::from_utf8(&text).ok()
        });
        made.append_option(shown);
    }
    made.finish()
}
