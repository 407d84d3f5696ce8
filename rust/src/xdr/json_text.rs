//! The JSON texts of numbers, opaques and strings, as SEP-51 writes them.

use std::fmt::{Display, Write};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends a 32-bit number as a JSON number.
pub fn number(value: impl Display, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

/// Appends a number that JSON's readers might round as a string of digits.
pub fn digits(value: impl Display, out: &mut String) {
    let _ = write!(out, "\"{value}\"");
}

/// Appends bytes as a string of hexadecimal digits.
pub fn hex(bytes: &[u8], out: &mut String) {
    out.reserve(2 * bytes.len() + 2);
    out.push('"');
    for byte in bytes {
        hex_byte(*byte, out);
    }
    out.push('"');
}

/// Appends bytes as a string: SEP-51's escapes for all that is not printable ASCII, then JSON's for those.
pub fn escaped(bytes: &[u8], out: &mut String) {
    out.reserve(bytes.len() + 2);
    out.push('"');
    for byte in bytes {
        match byte {
            0 => out.push_str("\\\\0"),
            b'\t' => out.push_str("\\\\t"),
            b'\n' => out.push_str("\\\\n"),
            b'\r' => out.push_str("\\\\r"),
            b'\\' => out.push_str("\\\\\\\\"),
            b'"' => out.push_str("\\\""),
            0x20..=0x7e => out.push(*byte as char),
            _ => {
                out.push_str("\\\\x");
                hex_byte(*byte, out);
            }
        }
    }
    out.push('"');
}

fn hex_byte(byte: u8, out: &mut String) {
    out.push(HEX[usize::from(byte >> 4)] as char);
    out.push(HEX[usize::from(byte & 15)] as char);
}

/// Largest power of ten in 64 bits, and its exponent: one group of digits.
const GROUP: u64 = 10_000_000_000_000_000_000;
const GROUP_DIGITS: usize = 19;

/// Appends a 256-bit number, given as four words with the highest first, as a string of digits.
pub fn digits_256(mut words: [u64; 4], signed: bool, out: &mut String) {
    out.push('"');
    if signed && words[0] >> 63 == 1 {
        out.push('-');
        negate(&mut words);
    }
    let mut groups = Vec::with_capacity(5);
    while groups.is_empty() || words != [0; 4] {
        groups.push(divide(&mut words));
    }
    for (index, group) in groups.iter().rev().enumerate() {
        let width = if index == 0 { 1 } else { GROUP_DIGITS };
        let _ = write!(out, "{group:0width$}");
    }
    out.push('"');
}

/// Turns a two's complement number into its negative.
fn negate(words: &mut [u64; 4]) {
    let mut carry = true;
    for word in words.iter_mut().rev() {
        (*word, carry) = (!*word).overflowing_add(u64::from(carry));
    }
}

/// Divides by [`GROUP`] and returns the remainder.
fn divide(words: &mut [u64; 4]) -> u64 {
    let mut rest = 0u128;
    for word in words.iter_mut() {
        let value = (rest << 64) | u128::from(*word);
        *word = (value / u128::from(GROUP)) as u64;
        rest = value % u128::from(GROUP);
    }
    rest as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn strings_are_escaped_twice() {
        let written = text(|out| escaped(b"a\0\t\n\r\\\"\x1f\x7f\xc3z", out));
        assert_eq!(written, r#""a\\0\\t\\n\\r\\\\\"\\x1f\\x7f\\xc3z""#);
    }

    #[test]
    fn numbers_of_256_bits_are_exact() {
        let of = |words, signed| text(|out| digits_256(words, signed, out));
        assert_eq!(of([0; 4], true), "\"0\"");
        assert_eq!(of([u64::MAX; 4], true), "\"-1\"");
        assert_eq!(of([0, 0, 0, GROUP], false), "\"10000000000000000000\"");
        assert_eq!(
            of([u64::MAX; 4], false),
            "\"115792089237316195423570985008687907853269984665640564039457584007913129639935\""
        );
        assert_eq!(
            of([1 << 63, 0, 0, 0], true),
            "\"-57896044618658097711785492504343953926634992332820282019728792003956564819968\""
        );
        assert_eq!(of([0, 0, 1, 7], false), "\"18446744073709551623\"");
    }
}
