//! The strkey functions of the Python face.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{Array, FixedSizeBinaryArray};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrow::{ArrowArray, import_array};
use crate::strkey::{self, Kind, MAX_PAYLOAD, SHORT_LEN};

/// The strkey of a payload; `kind` is the letter it begins with.
#[pyfunction]
pub fn strkey_encode(kind: &str, payload: &[u8]) -> PyResult<String> {
    let kind = kind_of(kind)?;
    if payload.len() > MAX_PAYLOAD || !kind.accepts(payload) {
        return Err(PyValueError::new_err(format!(
            "strkey {}: a payload of {} bytes is not of the form of this kind",
            kind.letter(),
            payload.len()
        )));
    }
    let mut text = String::new();
    strkey::encode(kind as u8, payload, &mut text);
    Ok(text)
}

/// The letter and the payload of a strkey.
#[pyfunction]
pub fn strkey_decode<'py>(py: Python<'py>, text: &str) -> PyResult<(char, Bound<'py, PyBytes>)> {
    strkey::decode(text)
        .map(|(kind, payload)| (kind.letter(), PyBytes::new(py, &payload)))
        .map_err(|fault| {
            let shown: String = text.chars().take(SHORT_LEN).collect();
            PyValueError::new_err(format!("strkey {shown:?}: {}", fault.text()))
        })
}

/// The strkeys of an array of 32-byte payloads; null stays null.
#[pyfunction]
pub fn strkey_encode_array(py: Python<'_>, kind: &str, payloads: &Bound<'_, PyAny>) -> PyResult<ArrowArray> {
    let kind = kind_of(kind)?;
    if !kind.accepts(&[0; 32]) {
        return Err(PyValueError::new_err(format!(
            "kind {} has no payload of 32 bytes",
            kind.letter()
        )));
    }
    let payloads = import_array(payloads)?;
    let fixed = payloads
        .as_any()
        .downcast_ref::<FixedSizeBinaryArray>()
        .filter(|array| array.value_length() == 32)
        .ok_or_else(|| {
            let given = payloads.data_type();
            PyTypeError::new_err(format!("expected an array of fixed_size_binary[32], got {given}"))
        })?;
    Ok(ArrowArray::new(Arc::new(py.detach(|| encoded(kind, fixed)))))
}

fn encoded(kind: Kind, payloads: &FixedSizeBinaryArray) -> arrow_array::StringArray {
    let mut texts = StringBuilder::with_capacity(payloads.len(), payloads.len() * SHORT_LEN);
    for payload in payloads {
        let text = payload
            .and_then(|bytes| <&[u8; 32]>::try_from(bytes).ok())
            .map(|raw| strkey::encode32(kind, raw));
        texts.append_option(text.as_ref().and_then(|ascii| std::str::from_utf8(ascii).ok()));
    }
    texts.finish()
}

fn kind_of(letter: &str) -> PyResult<Kind> {
    let mut letters = letter.chars();
    letters
        .next()
        .filter(|_| letters.next().is_none())
        .and_then(Kind::of_letter)
        .ok_or_else(|| PyValueError::new_err(format!("there is no kind of strkey {letter:?}; kinds are BCGLMPTWX")))
}
