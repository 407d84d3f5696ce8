//! Numbers in PostgreSQL's binary form of `numeric`, digits of base 10,000, checked against precision and scale.

#![forbid(unsafe_code)]

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Decimal256Type};
use arrow_array::{Array, Decimal256Array};
use arrow_buffer::i256;
use arrow_schema::DataType;

use crate::pg_value::Integers;

const BASE: u128 = 10_000;
/// Decimal digits of one digit of base 10,000.
const WIDTH: u32 = 4;
/// Digits of base 10,000 that one division of a 256-bit number takes off.
const STEP: usize = 9;
const STEP_VALUE: i128 = 10_i128.pow(4 * STEP as u32);
const NEGATIVE: u16 = 0x4000;
/// The largest power of ten that 256 bits with a sign can hold.
const MOST_ZEROS: i32 = 76;

/// Precision and scale of a column: how many decimal digits it has, and how many of them stand after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modifier {
    pub precision: i16,
    pub scale: i16,
}

impl Modifier {
    /// Reads what stands between the brackets of `numeric(20, 7)`; the scale is 0 if there is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (precision, scale) = text.split_once(',').unwrap_or((text, "0"));
        Some(Self {
            precision: precision.trim().parse().ok()?,
            scale: scale.trim().parse().ok()?,
        })
    }
}

/// A column of numbers, each of them an integer with the same number of digits after the point.
pub struct Numerics<'a> {
    values: Values<'a>,
    scale: u16,
    limits: Option<Limits>,
}

enum Values<'a> {
    Whole(Integers<'a>),
    Narrow(&'a [i128]),
    Wide(&'a Decimal256Array),
}

/// A modifier in units of the column's last digit.
struct Limits {
    modifier: Modifier,
    /// What every value is below; none if the column holds whatever 256 bits can.
    end: Option<i256>,
    /// What every value is a multiple of.
    grain: Option<i256>,
}

impl<'a> Numerics<'a> {
    /// Takes a column of integers or decimals, with the modifier of the type that it goes into.
    pub fn new(array: &'a dyn Array, modifier: Option<Modifier>) -> Option<Self> {
        let (values, scale) = match array.data_type() {
            DataType::Decimal128(_, scale) => (Values::Narrow(array.as_primitive::<Decimal128Type>().values()), *scale),
            DataType::Decimal256(_, scale) => (Values::Wide(array.as_primitive::<Decimal256Type>()), *scale),
            _ => (Values::Whole(Integers::new(array)?), 0),
        };
        let scale = u16::try_from(scale).ok()?;
        Some(Self {
            values,
            scale,
            limits: modifier.map(|modifier| Limits::new(modifier, scale)),
        })
    }

    /// Appends one number.
    ///
    /// # Errors
    /// A text that says why the column cannot hold it.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let value = match &self.values {
            Values::Whole(integers) => i256::from_i128(integers.value(row)),
            Values::Narrow(values) => i256::from_i128(values[row]),
            Values::Wide(array) => array.value(row),
        };
        if let Some(limits) = &self.limits {
            limits.check(value, self.scale)?;
        }
        write(value, self.scale, out);
        Ok(())
    }
}

impl Limits {
    fn new(modifier: Modifier, scale: u16) -> Self {
        let finer = i32::from(scale) - i32::from(modifier.scale);
        Self {
            modifier,
            end: power_of_ten((i32::from(modifier.precision) + finer).max(0)),
            // Nothing but zero is a multiple of what 256 bits cannot hold.
            grain: (finer > 0).then(|| power_of_ten(finer).unwrap_or(i256::MAX)),
        }
    }

    fn check(&self, value: i256, scale: u16) -> Result<(), String> {
        let Modifier { precision, scale: kept } = self.modifier;
        let is_finer = self.grain.is_some_and(|grain| value.wrapping_rem(grain) != i256::ZERO);
        if is_finer {
            let shown = decimal(value, scale);
            return Err(format!(
                "{shown} has more digits after the point than numeric({precision}, {kept}) keeps"
            ));
        }
        match self.end {
            Some(end) if value >= end || value <= end.wrapping_neg() => {
                let shown = decimal(value, scale);
                Err(format!("{shown} is out of the range of numeric({precision}, {kept})"))
            }
            _ => Ok(()),
        }
    }
}

fn power_of_ten(zeros: i32) -> Option<i256> {
    (zeros <= MOST_ZEROS).then(|| (0..zeros).fold(i256::ONE, |power, _| power.wrapping_mul(i256::from_i128(10))))
}

/// Returns a number as people write it.
fn decimal(value: i256, scale: u16) -> String {
    let text = value.to_string();
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or(("", text.as_str()), |digits| ("-", digits));
    let scale = usize::from(scale);
    if scale == 0 {
        return text;
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// Appends the number `value` / 10^`scale`.
pub fn write(value: i256, scale: u16, out: &mut Vec<u8>) {
    let mut digits = Vec::with_capacity(20); // lowest first
    let negative = value.is_negative();
    let groups = scale.div_ceil(WIDTH as u16);
    let odd = u32::from(scale) % WIDTH;
    let mut rest = value;
    if odd > 0 {
        // The last digit after the point is not full: what it has stands at its high end.
        let unit = i256::from_i128(10_i128.pow(odd));
        let low = rest.wrapping_rem(unit).to_i128().unwrap_or_default().unsigned_abs();
        digits.push((low * 10_u128.pow(WIDTH - odd)) as u16);
        rest = rest.wrapping_div(unit);
    }
    match rest.to_i128() {
        Some(small) => split(small.unsigned_abs(), 0, &mut digits),
        None => split_wide(rest, &mut digits),
    }
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let weight = i16::try_from(digits.len()).unwrap_or(i16::MAX) - 1 - i16::try_from(groups).unwrap_or(i16::MAX);
    let shown = &digits[zeros.min(digits.len())..];
    out.extend_from_slice(&u16::try_from(shown.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(&(if shown.is_empty() { 0 } else { weight }).to_be_bytes());
    out.extend_from_slice(&(if negative { NEGATIVE } else { 0 }).to_be_bytes());
    out.extend_from_slice(&scale.to_be_bytes());
    for digit in shown.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

/// Appends the digits of `value`, lowest first, and zeros until there are `least`.
fn split(mut value: u128, least: usize, digits: &mut Vec<u16>) {
    let start = digits.len();
    while value > 0 {
        digits.push((value % BASE) as u16);
        value /= BASE;
    }
    while digits.len() < start + least {
        digits.push(0);
    }
}

fn split_wide(value: i256, digits: &mut Vec<u16>) {
    let step = i256::from_i128(STEP_VALUE);
    let mut rest = value;
    loop {
        // The remainder has the sign of the value and is below 10^36, so its size fits.
        let low = rest.wrapping_rem(step).to_i128().unwrap_or_default().unsigned_abs();
        rest = rest.wrapping_div(step);
        if rest == i256::ZERO {
            split(low, 0, digits);
            return;
        }
        split(low, STEP, digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(value: i256) -> Vec<u16> {
        scaled(value, 0)
    }

    fn scaled(value: i256, scale: u16) -> Vec<u16> {
        let mut out = Vec::new();
        write(value, scale, &mut out);
        out.chunks(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect()
    }

    #[test]
    fn zeros_at_the_end_are_left_out() {
        assert_eq!(words(i256::ZERO), [0, 0, 0, 0]);
        assert_eq!(words(i256::from_i128(7)), [1, 0, 0, 0, 7]);
        assert_eq!(words(i256::from_i128(-12_345)), [2, 1, NEGATIVE, 0, 1, 2345]);
        assert_eq!(words(i256::from_i128(10_000)), [1, 1, 0, 0, 1]);
        assert_eq!(words(i256::from_i128(120_000_000)), [2, 2, 0, 0, 1, 2000]);
    }

    #[test]
    fn digits_after_the_point_start_at_the_point() {
        let below = |weight: i16| weight as u16;
        assert_eq!(scaled(i256::ZERO, 7), [0, 0, 0, 7]);
        assert_eq!(scaled(i256::from_i128(1), 7), [1, below(-2), 0, 7, 10]);
        assert_eq!(scaled(i256::from_i128(10_000_000), 7), [1, 0, 0, 7, 1]);
        assert_eq!(scaled(i256::from_i128(-15), 1), [2, 0, NEGATIVE, 1, 1, 5000]);
        assert_eq!(scaled(i256::from_i128(50_000), 8), [1, below(-1), 0, 8, 5]);
        assert_eq!(scaled(i256::from_i128(123_456_789), 4), [3, 1, 0, 4, 1, 2345, 6789]);
    }

    #[test]
    fn a_column_refuses_what_does_not_fit() {
        let check = |text: &str, value: i128, scale: u16| {
            Limits::new(Modifier::parse(text).unwrap(), scale).check(i256::from_i128(value), scale)
        };
        assert_eq!(check("39, 0", 10_i128.pow(38), 0), Ok(()));
        assert_eq!(check("5", 99_999, 0), Ok(()));
        assert_eq!(
            check("5", -100_000, 0),
            Err("-100000 is out of the range of numeric(5, 0)".to_owned())
        );
        assert_eq!(check("5, 2", 99_999, 2), Ok(()));
        assert_eq!(
            check("5, 2", 1_000, 0),
            Err("1000 is out of the range of numeric(5, 2)".to_owned())
        );
        assert_eq!(check("5, 2", 1_234_000, 5), Ok(()));
        assert_eq!(
            check("5, 2", -5, 3),
            Err("-0.005 has more digits after the point than numeric(5, 2) keeps".to_owned())
        );
        assert_eq!(check("2, -3", 99_000, 0), Ok(()));
        assert!(check("2, -3", 99_001, 0).is_err());
        assert!(check("2, -3", 100_000, 0).is_err());
        assert_eq!(check("1000, 0", i128::MIN, 0), Ok(()));
        assert_eq!(check("3, 100", 0, 0), Ok(()));
        assert!(check("3, 100", 1, 0).is_err());
        assert_eq!(check("3, -100", 0, 0), Ok(()));
        assert!(check("3, -100", 5, 0).is_err());
    }

    #[test]
    fn wide_numbers_are_those_of_their_decimal_text() {
        for text in [
            "170141183460469231731687303715884105727",
            "170141183460469231731687303715884105728",
            "-170141183460469231731687303715884105729",
            "1000000000000000000000000000000000000000000000000000000000000000000000000000",
            "57896044618658097711785492504343953926634992332820282019728792003956564819967",
            "-57896044618658097711785492504343953926634992332820282019728792003956564819968",
        ] {
            let shown = words(i256::from_string(text).unwrap());
            let (count, weight) = (usize::from(shown[0]), usize::from(shown[1]));
            let mut digits: String = shown[4..].iter().map(|digit| format!("{digit:04}")).collect();
            digits.push_str(&"0".repeat(4 * (weight + 1 - count)));
            let sign = if shown[2] == NEGATIVE { "-" } else { "" };
            assert_eq!(format!("{sign}{}", digits.trim_start_matches('0')), text);
        }
    }
}
