//! One Arrow column as values of one PostgreSQL type in binary form.

#![forbid(unsafe_code)]

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float64Array, StringArray};
use arrow_schema::DataType;

use crate::pg_compound::{Ranges, Texts, Times};
use crate::pg_numeric::{Modifier, Numerics};

/// Object ids of PostgreSQL's types.
const TEXT_OID: u32 = 25;
const VARCHAR_OID: u32 = 1043;

/// A PostgreSQL type that values can be written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Boolean,
    /// Whole numbers of this many bytes.
    Integer(u8),
    Double,
    /// Numbers, any or of a precision and scale.
    Numeric(Option<Modifier>),
    /// Text of at most so many characters.
    Text(Option<usize>),
    Bytea,
    Json,
    /// JSON with the version byte that stands before the text.
    Jsonb,
    /// Arrays of texts: the object id of the elements' type, and the characters that one may have at most.
    Texts(u32, Option<usize>),
    BigintRange,
    Timestamp,
}

impl Target {
    /// Finds a type by PostgreSQL's name for it, in either form (`int4`, `integer`), case aside.
    ///
    /// # Errors
    /// A text that says that there is no such type here.
    pub fn named(name: &str) -> Result<Self, String> {
        let lower = name.trim().to_ascii_lowercase();
        if let Some(element) = lower.strip_suffix("[]") {
            let oid = if element.starts_with("text") {
                TEXT_OID
            } else {
                VARCHAR_OID
            };
            return match Self::named(element)? {
                Self::Text(most) => Ok(Self::Texts(oid, most)),
                _ => Err(format!("PostgreSQL type {name} is none that can be copied into")),
            };
        }
        let (base, modifier) = match lower.split_once('(') {
            Some((base, rest)) => (base.trim_end(), rest.split(')').next().map(str::trim)),
            None => (lower.split(" collate ").next().unwrap_or_default().trim(), None),
        };
        Ok(match base {
            "boolean" | "bool" => Self::Boolean,
            "smallint" | "int2" => Self::Integer(2),
            "integer" | "int" | "int4" => Self::Integer(4),
            "bigint" | "int8" => Self::Integer(8),
            "double precision" | "float8" => Self::Double,
            "numeric" | "decimal" => Self::Numeric(modifier.and_then(Modifier::parse)),
            "text" => Self::Text(None),
            "character varying" | "varchar" => Self::Text(modifier.and_then(|length| length.parse().ok())),
            "bytea" => Self::Bytea,
            "json" => Self::Json,
            "jsonb" => Self::Jsonb,
            "int8range" => Self::BigintRange,
            "timestamp" | "timestamp without time zone" => Self::Timestamp,
            _ => return Err(format!("PostgreSQL type {name} is none that can be copied into")),
        })
    }
}

/// A column with the way in which its values are written.
pub enum Cells<'a> {
    Boolean(&'a BooleanArray),
    Integer(Integers<'a>, u8),
    Double(&'a Float64Array),
    Numeric(Numerics<'a>),
    Text(&'a StringArray, Option<usize>),
    Json(&'a StringArray, bool),
    Bytes(&'a BinaryArray),
    FixedBytes(&'a FixedSizeBinaryArray),
    Texts(Texts<'a>),
    Ranges(Ranges<'a>),
    Times(Times<'a>),
}

impl<'a> Cells<'a> {
    /// Pairs an array with a type.
    ///
    /// # Errors
    /// A text that says that values of this Arrow type cannot go into that type.
    pub fn new(array: &'a dyn Array, target: Target) -> Result<Self, String> {
        let cells = match (target, array.data_type()) {
            (Target::Boolean, DataType::Boolean) => Some(Self::Boolean(array.as_boolean())),
            (Target::Integer(bytes), _) => Integers::new(array).map(|integers| Self::Integer(integers, bytes)),
            (Target::Double, DataType::Float64) => Some(Self::Double(array.as_primitive::<Float64Type>())),
            (Target::Numeric(modifier), _) => Numerics::new(array, modifier).map(Self::Numeric),
            (Target::Text(most), DataType::Utf8) => Some(Self::Text(array.as_string(), most)),
            (Target::Json, DataType::Utf8) => Some(Self::Json(array.as_string(), false)),
            (Target::Jsonb, DataType::Utf8) => Some(Self::Json(array.as_string(), true)),
            (Target::Bytea, DataType::Binary) => Some(Self::Bytes(array.as_binary())),
            (Target::Bytea, DataType::FixedSizeBinary(_)) => Some(Self::FixedBytes(array.as_fixed_size_binary())),
            (Target::Texts(element, most), _) => Texts::new(array, element, most).map(Self::Texts),
            (Target::BigintRange, _) => Ranges::new(array).map(Self::Ranges),
            (Target::Timestamp, _) => Times::new(array).map(Self::Times),
            _ => None,
        };
        cells.ok_or_else(|| format!("values of Arrow type {} do not go into {target:?}", array.data_type()))
    }

    /// Appends the value of a row that is not null.
    ///
    /// # Errors
    /// A text that says why the column cannot hold the value.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Self::Boolean(array) => out.push(u8::from(array.value(row))),
            Self::Integer(integers, bytes) => return integer(integers.value(row), *bytes, out),
            Self::Double(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
            Self::Numeric(numbers) => return numbers.write(row, out),
            Self::Text(array, most) => return text(array.value(row), *most, out),
            Self::Json(array, binary) => {
                if *binary {
                    out.push(1);
                }
                return json(array.value(row), out);
            }
            Self::Bytes(array) => out.extend_from_slice(array.value(row)),
            Self::FixedBytes(array) => out.extend_from_slice(array.value(row)),
            Self::Texts(texts) => return texts.write(row, out),
            Self::Ranges(ranges) => ranges.write(row, out),
            Self::Times(times) => return times.write(row, out),
        }
        Ok(())
    }
}

/// A column of whole numbers of any width.
pub enum Integers<'a> {
    Int8(&'a [i8]),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    UInt32(&'a [u32]),
    UInt64(&'a [u64]),
    Int128(&'a [i128]),
}

impl<'a> Integers<'a> {
    /// Takes a column of integers, or of decimals without digits after the point.
    pub fn new(array: &'a dyn Array) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Int8 => Self::Int8(array.as_primitive::<Int8Type>().values()),
            DataType::Int16 => Self::Int16(array.as_primitive::<Int16Type>().values()),
            DataType::Int32 => Self::Int32(array.as_primitive::<Int32Type>().values()),
            DataType::Int64 => Self::Int64(array.as_primitive::<Int64Type>().values()),
            DataType::UInt32 => Self::UInt32(array.as_primitive::<UInt32Type>().values()),
            DataType::UInt64 => Self::UInt64(array.as_primitive::<UInt64Type>().values()),
            DataType::Decimal128(_, 0) => Self::Int128(array.as_primitive::<Decimal128Type>().values()),
            _ => return None,
        })
    }

    /// Returns the value of a row.
    pub fn value(&self, row: usize) -> i128 {
        match self {
            Self::Int8(values) => values[row].into(),
            Self::Int16(values) => values[row].into(),
            Self::Int32(values) => values[row].into(),
            Self::Int64(values) => values[row].into(),
            Self::UInt32(values) => values[row].into(),
            Self::UInt64(values) => values[row].into(),
            Self::Int128(values) => values[row],
        }
    }
}

fn integer(value: i128, bytes: u8, out: &mut Vec<u8>) -> Result<(), String> {
    let written = match bytes {
        2 => i16::try_from(value).map(|value| out.extend_from_slice(&value.to_be_bytes())),
        4 => i32::try_from(value).map(|value| out.extend_from_slice(&value.to_be_bytes())),
        _ => i64::try_from(value).map(|value| out.extend_from_slice(&value.to_be_bytes())),
    };
    let name = match bytes {
        2 => "smallint",
        4 => "integer",
        _ => "bigint",
    };
    written.map_err(|_| format!("{value} is out of the range of {name}"))
}

/// Appends a text of at most so many characters.
///
/// # Errors
/// A text that says why the column cannot hold the value.
pub fn text(value: &str, most: Option<usize>, out: &mut Vec<u8>) -> Result<(), String> {
    if let Some(at) = value.bytes().position(|byte| byte == 0) {
        return Err(format!("a NUL at byte {at}, which text in PostgreSQL cannot have"));
    }
    if let Some(most) = most
        && value.len() > most
    {
        let characters = value.chars().count();
        if characters > most {
            return Err(format!("{characters} characters, the column has {most}"));
        }
    }
    out.extend_from_slice(value.as_bytes());
    Ok(())
}

fn json(value: &str, out: &mut Vec<u8>) -> Result<(), String> {
    // An escaped NUL is legal JSON that PostgreSQL refuses; two backslashes before it escape each other.
    for (at, _) in value.match_indices("\\u0000") {
        let backslashes = value[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
        if backslashes % 2 == 0 {
            return Err(format!(
                "an escaped NUL at byte {at}, which jsonb in PostgreSQL cannot have"
            ));
        }
    }
    text(value, None, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_by_all_their_names() {
        for (name, target) in [
            ("INTEGER", Target::Integer(4)),
            ("int2", Target::Integer(2)),
            ("VARCHAR(56)", Target::Text(Some(56))),
            ("character varying", Target::Text(None)),
            ("VARCHAR(56) COLLATE \"C\"", Target::Text(Some(56))),
            ("TEXT COLLATE \"C\"", Target::Text(None)),
            ("numeric", Target::Numeric(None)),
            ("NUMERIC(39, 0)", Target::Numeric(Modifier::parse("39,0"))),
            ("decimal(5)", Target::Numeric(Modifier::parse("5, 0"))),
            ("Double Precision", Target::Double),
            ("VARCHAR[]", Target::Texts(VARCHAR_OID, None)),
            ("varchar(69)[]", Target::Texts(VARCHAR_OID, Some(69))),
            ("TEXT[]", Target::Texts(TEXT_OID, None)),
            ("INT8RANGE", Target::BigintRange),
            ("TIMESTAMP WITHOUT TIME ZONE", Target::Timestamp),
        ] {
            assert_eq!(Target::named(name), Ok(target), "{name}");
        }
        for name in ["hstore", "bigint[]", "timestamp with time zone"] {
            assert!(Target::named(name).is_err(), "{name}");
        }
    }

    #[test]
    fn integers_end_at_their_range() {
        let mut out = Vec::new();
        for (bytes, highest) in [
            (2, i128::from(i16::MAX)),
            (4, i128::from(i32::MAX)),
            (8, i128::from(i64::MAX)),
        ] {
            for (value, fits) in [
                (highest, true),
                (-highest - 1, true),
                (highest + 1, false),
                (-highest - 2, false),
            ] {
                assert_eq!(integer(value, bytes, &mut out).is_ok(), fits, "{value}");
            }
        }
    }

    #[test]
    fn text_is_counted_in_characters_and_has_no_nul() {
        let mut out = Vec::new();
        assert!(text("éé", Some(2), &mut out).is_ok());
        assert_eq!(
            text("ééé", Some(2), &mut out),
            Err("3 characters, the column has 2".to_owned())
        );
        assert!(text("a\0b", None, &mut out).is_err());
    }

    #[test]
    fn only_a_real_escape_of_nul_is_refused_in_json() {
        let mut out = Vec::new();
        assert!(json(r#""\u0000""#, &mut out).is_err());
        assert!(json(r#""\\u0000""#, &mut out).is_ok());
        assert!(json(r#""\\\u0000""#, &mut out).is_err());
    }
}
