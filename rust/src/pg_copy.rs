//! Arrow batches to the tuples of PostgreSQL's binary COPY, every value checked against what its column can hold.

#![forbid(unsafe_code)]

use std::fmt;

use arrow_array::{Array, RecordBatch};

use crate::pg_value::{Cells, Target};

/// What stands before the tuples: signature, flags and the length of an empty extension.
pub const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What ends the stream.
pub const TRAILER: [u8; 2] = [0xff, 0xff];

const NULL: [u8; 4] = (-1i32).to_be_bytes();
/// Bytes that a value takes on average, to begin with a fitting buffer.
const USUAL_VALUE: usize = 24;

/// Why a batch cannot be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyError {
    /// The columns and the types do not fit together.
    Columns(String),
    /// A value that its column cannot hold.
    Value {
        /// Number of the row in the batch.
        row: usize,
        /// Name of the column.
        column: String,
        /// What is wrong with the value.
        reason: String,
    },
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Columns(text) => f.write_str(text),
            Self::Value { row, column, reason } => write!(f, "row {row}, column {column}: {reason}"),
        }
    }
}

impl std::error::Error for CopyError {}

/// Appends the tuples of all rows to `out`, without header and trailer.
///
/// # Errors
/// Types that do not fit the columns, or the first value (row by row) that its column cannot hold; `out` then ends at a
/// place of no meaning.
pub fn copy_rows(batch: &RecordBatch, types: &[String], out: &mut Vec<u8>) -> Result<(), CopyError> {
    if types.len() != batch.num_columns() {
        let text = format!(
            "the batch has {} columns, {} PostgreSQL types were given",
            batch.num_columns(),
            types.len()
        );
        return Err(CopyError::Columns(text));
    }
    let count = i16::try_from(types.len())
        .map_err(|_| CopyError::Columns(format!("{} columns are more than PostgreSQL has", types.len())))?;
    let schema = batch.schema();
    let mut columns = Vec::with_capacity(types.len());
    for ((field, array), name) in schema.fields().iter().zip(batch.columns()).zip(types) {
        let cells = Target::named(name)
            .and_then(|target| Cells::new(array.as_ref(), target))
            .map_err(|reason| CopyError::Columns(format!("column {}: {reason}", field.name())))?;
        columns.push((array, cells));
    }
    out.reserve(batch.num_rows() * types.len() * USUAL_VALUE);
    for row in 0..batch.num_rows() {
        out.extend_from_slice(&count.to_be_bytes());
        for (index, (array, cells)) in columns.iter().enumerate() {
            if array.is_null(row) {
                out.extend_from_slice(&NULL);
                continue;
            }
            let start = out.len();
            out.extend_from_slice(&NULL);
            cells.write(row, out).map_err(|reason| CopyError::Value {
                row,
                column: schema.field(index).name().clone(),
                reason,
            })?;
            let length = i32::try_from(out.len() - start - NULL.len()).map_err(|_| CopyError::Value {
                row,
                column: schema.field(index).name().clone(),
                reason: "longer than 2 GiB".to_owned(),
            })?;
            out[start..start + NULL.len()].copy_from_slice(&length.to_be_bytes());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, BooleanArray, Int64Array, StringArray};

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
    }

    fn names(types: &[&str]) -> Vec<String> {
        types.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn tuples_are_lengths_and_values_in_network_order() {
        let rows = batch(vec![
            ("id", Arc::new(Int64Array::from(vec![Some(1), None]))),
            ("name", Arc::new(StringArray::from(vec!["a", "bc"]))),
            ("sound", Arc::new(BooleanArray::from(vec![true, false]))),
        ]);
        let mut out = Vec::new();
        copy_rows(&rows, &names(&["integer", "text", "boolean"]), &mut out).unwrap();
        let first = b"\0\x03\0\0\0\x04\0\0\0\x01\0\0\0\x01a\0\0\0\x01\x01";
        let second = b"\0\x03\xff\xff\xff\xff\0\0\0\x02bc\0\0\0\x01\0";
        assert_eq!(out, [first.as_slice(), second.as_slice()].concat());
    }

    #[test]
    fn a_value_out_of_range_names_row_and_column() {
        let rows = batch(vec![("id", Arc::new(Int64Array::from(vec![1, 1 << 31])))]);
        let error = copy_rows(&rows, &names(&["integer"]), &mut Vec::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "row 1, column id: 2147483648 is out of the range of integer"
        );
    }

    #[test]
    fn columns_and_types_have_to_fit() {
        let rows = batch(vec![("id", Arc::new(Int64Array::from(vec![1])))]);
        for types in [&["integer", "text"][..], &["hstore"], &["bytea"]] {
            let error = copy_rows(&rows, &names(types), &mut Vec::new()).unwrap_err();
            assert!(matches!(error, CopyError::Columns(_)), "{error}");
        }
    }
}
