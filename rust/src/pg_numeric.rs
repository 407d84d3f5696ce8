//! Whole numbers in PostgreSQL's binary form of `numeric`: digits of base 10,000.

#![forbid(unsafe_code)]

use arrow_buffer::i256;

const BASE: u128 = 10_000;
/// Digits of base 10,000 that one division of a 256-bit number takes off.
const STEP: usize = 9;
const STEP_VALUE: i128 = 10_i128.pow(4 * STEP as u32);
const NEGATIVE: u16 = 0x4000;

/// Appends a whole number.
pub fn write(value: i256, out: &mut Vec<u8>) {
    let mut digits = Vec::with_capacity(20); // lowest first
    let negative = value.is_negative();
    match value.to_i128() {
        Some(small) => split(small.unsigned_abs(), 0, &mut digits),
        None => split_wide(value, &mut digits),
    }
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let weight = i16::try_from(digits.len()).unwrap_or(i16::MAX) - 1;
    let shown = &digits[zeros.min(digits.len())..];
    out.extend_from_slice(&u16::try_from(shown.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(&(if shown.is_empty() { 0 } else { weight }).to_be_bytes());
    out.extend_from_slice(&(if negative { NEGATIVE } else { 0 }).to_be_bytes());
    out.extend_from_slice(&0u16.to_be_bytes()); // digits after the point
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
        let mut out = Vec::new();
        write(value, &mut out);
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
