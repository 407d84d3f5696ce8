//! Values of PostgreSQL's types that are made of others: arrays of texts, ranges of bigint, and timestamps.

#![forbid(unsafe_code)]

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType};
use arrow_array::{Array, Int64Array, ListArray, StringArray, StructArray};
use arrow_schema::{DataType, TimeUnit};

use crate::pg_value::text;

const MICROS: i64 = 1_000_000;
/// Microseconds from 1970 to 2000, from where PostgreSQL counts.
const EPOCH: i64 = 946_684_800 * MICROS;
/// The first microsecond after PostgreSQL's last one, the end of the year 294276.
const END: i64 = 9_223_371_331_200_000_000;
/// The first one that PostgreSQL has, in 4714 BC.
const START: i64 = -211_813_488_000_000_000;

const RANGE_EMPTY: u8 = 0x01;
const RANGE_LOWER_INCLUDED: u8 = 0x02;
const RANGE_LOWER_OPEN: u8 = 0x08;
const RANGE_UPPER_OPEN: u8 = 0x10;

/// A column of lists of texts.
pub struct Texts<'a> {
    lists: &'a ListArray,
    values: &'a StringArray,
    most: Option<usize>,
    element: u32,
}

impl<'a> Texts<'a> {
    /// Takes a column of lists of utf8; `element` is the object id of the elements' type in PostgreSQL, `most` the
    /// number of characters that one may have.
    pub fn new(array: &'a dyn Array, element: u32, most: Option<usize>) -> Option<Self> {
        let lists = array.as_list_opt::<i32>()?;
        let values = lists.values().as_string_opt::<i32>()?;
        Some(Self {
            lists,
            values,
            most,
            element,
        })
    }

    /// Appends one array of one dimension; an empty one has none.
    ///
    /// # Errors
    /// A text that says why an element cannot be held.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let offsets = self.lists.value_offsets();
        let (start, end) = (as_index(offsets[row]), as_index(offsets[row + 1]));
        let nulls = (start..end).any(|at| self.values.is_null(at));
        out.extend_from_slice(&i32::from(start < end).to_be_bytes());
        out.extend_from_slice(&i32::from(nulls).to_be_bytes());
        out.extend_from_slice(&self.element.to_be_bytes());
        if start == end {
            return Ok(());
        }
        out.extend_from_slice(&length(end - start)?.to_be_bytes());
        out.extend_from_slice(&1i32.to_be_bytes());
        for at in start..end {
            if self.values.is_null(at) {
                out.extend_from_slice(&(-1i32).to_be_bytes());
                continue;
            }
            let value = self.values.value(at);
            out.extend_from_slice(&length(value.len())?.to_be_bytes());
            text(value, self.most, out).map_err(|reason| format!("element {}: {reason}", at - start + 1))?;
        }
        Ok(())
    }
}

/// A column of ranges: structs of `lower` (included) and `upper` (not included); null is an open end.
pub struct Ranges<'a> {
    lower: &'a Int64Array,
    upper: &'a Int64Array,
}

impl<'a> Ranges<'a> {
    /// Takes a column of structs of two int64.
    pub fn new(array: &'a dyn Array) -> Option<Self> {
        let pairs: &StructArray = array.as_struct_opt()?;
        if pairs.num_columns() != 2 {
            return None;
        }
        Some(Self {
            lower: pairs.column_by_name("lower")?.as_primitive_opt::<Int64Type>()?,
            upper: pairs.column_by_name("upper")?.as_primitive_opt::<Int64Type>()?,
        })
    }

    /// Appends one range; one in which no number lies is PostgreSQL's empty one.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        let lower = self.lower.is_valid(row).then(|| self.lower.value(row));
        let upper = self.upper.is_valid(row).then(|| self.upper.value(row));
        if matches!((lower, upper), (Some(lower), Some(upper)) if lower >= upper) {
            out.push(RANGE_EMPTY);
            return;
        }
        let from = if lower.is_some() {
            RANGE_LOWER_INCLUDED
        } else {
            RANGE_LOWER_OPEN
        };
        let to = if upper.is_some() { 0 } else { RANGE_UPPER_OPEN };
        out.push(from | to);
        for bound in [lower, upper].into_iter().flatten() {
            out.extend_from_slice(&8i32.to_be_bytes());
            out.extend_from_slice(&bound.to_be_bytes());
        }
    }
}

/// A column of times without zone: Arrow timestamps, or whole seconds since 1970.
pub struct Times<'a> {
    values: &'a [i64],
    /// Microseconds of one unit.
    unit: i64,
}

impl<'a> Times<'a> {
    /// Takes a column of timestamps that need no rounding, or of int64.
    pub fn new(array: &'a dyn Array) -> Option<Self> {
        let (values, unit): (&[i64], i64) = match array.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                (array.as_primitive::<TimestampMicrosecondType>().values(), 1)
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                (array.as_primitive::<TimestampMillisecondType>().values(), 1000)
            }
            DataType::Timestamp(TimeUnit::Second, _) => (array.as_primitive::<TimestampSecondType>().values(), MICROS),
            DataType::Int64 => (array.as_primitive::<Int64Type>().values(), MICROS),
            _ => return None,
        };
        Some(Self { values, unit })
    }

    /// Appends one time as microseconds since 2000.
    ///
    /// # Errors
    /// A text that says that PostgreSQL's calendar does not go so far.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let value = self.values[row];
        let since = i64::try_from(i128::from(value) * i128::from(self.unit) - i128::from(EPOCH))
            .ok()
            .filter(|micros| (START..END).contains(micros))
            .ok_or_else(|| format!("{value} is out of the range of timestamp"))?;
        out.extend_from_slice(&since.to_be_bytes());
        Ok(())
    }
}

fn as_index(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or_default()
}

fn length(count: usize) -> Result<i32, String> {
    i32::try_from(count).map_err(|_| format!("{count} is more than an array can hold"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{ListBuilder, StringBuilder};
    use arrow_schema::{Field, Fields};

    use super::*;

    fn range(lower: Option<i64>, upper: Option<i64>) -> Vec<u8> {
        let fields = Fields::from(vec![
            Field::new("lower", DataType::Int64, true),
            Field::new("upper", DataType::Int64, true),
        ]);
        let columns: Vec<Arc<dyn Array>> = vec![
            Arc::new(Int64Array::from(vec![lower])),
            Arc::new(Int64Array::from(vec![upper])),
        ];
        let array = StructArray::new(fields, columns, None);
        let mut out = Vec::new();
        Ranges::new(&array).unwrap().write(0, &mut out);
        out
    }

    #[test]
    fn ranges_have_flags_and_the_bounds_that_they_have() {
        let both = b"\x02\0\0\0\x08\0\0\0\0\0\0\0\x05\0\0\0\x08\0\0\0\0\0\0\0\x06";
        assert_eq!(range(Some(5), Some(6)), both);
        assert_eq!(range(Some(5), None), b"\x12\0\0\0\x08\0\0\0\0\0\0\0\x05");
        assert_eq!(range(None, Some(6)), b"\x08\0\0\0\x08\0\0\0\0\0\0\0\x06");
        assert_eq!(range(None, None), b"\x18");
        assert_eq!(range(Some(5), Some(5)), b"\x01");
        assert_eq!(range(Some(6), Some(5)), b"\x01");
    }

    #[test]
    fn arrays_have_one_dimension_or_none() {
        let mut builder = ListBuilder::new(StringBuilder::new());
        builder.append_value([Some("a"), None]);
        builder.append_value(Vec::<Option<&str>>::new());
        let array = builder.finish();
        let texts = Texts::new(&array, 25, None).unwrap();
        let mut out = Vec::new();
        texts.write(0, &mut out).unwrap();
        let expected = b"\0\0\0\x01\0\0\0\x01\0\0\0\x19\0\0\0\x02\0\0\0\x01\0\0\0\x01a\xff\xff\xff\xff";
        assert_eq!(out, expected);
        out.clear();
        texts.write(1, &mut out).unwrap();
        assert_eq!(out, b"\0\0\0\0\0\0\0\0\0\0\0\x19");
    }

    #[test]
    fn times_count_from_2000_and_end_with_the_calendar() {
        let seconds = Int64Array::from(vec![946_684_801, i64::MAX, 9_224_318_016_000 - 1, 9_224_318_016_000]);
        let times = Times::new(&seconds).unwrap();
        let mut out = Vec::new();
        times.write(0, &mut out).unwrap();
        assert_eq!(out, MICROS.to_be_bytes());
        assert!(times.write(1, &mut out).is_err());
        assert!(times.write(2, &mut out).is_ok());
        assert!(times.write(3, &mut out).is_err());
    }
}
