//! The pieces of a sort key: bytes whose plain order is the order of the values they stand for.

use super::cursor::{Cur, X};

/// Appends bytes that are in order as they are: unsigned numbers, opaques of fixed length.
#[inline(always)]
pub fn unsigned(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

/// Appends an `int`, an enum value or a discriminant: big-endian with the sign bit flipped, so that negatives come first.
#[inline(always)]
pub fn signed(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&(value as u32 ^ 0x8000_0000).to_be_bytes());
}

/// Appends a `hyper`, given as its eight bytes of XDR, with the sign bit flipped.
#[inline(always)]
pub fn signed_hyper(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.extend_from_slice(bytes);
    out[start] ^= 0x80;
}

/// Appends a string or an opaque of varying length, ordered by content and then by length.
///
/// A zero byte becomes `00 FF` and `00 00` ends the value, so that no content can reach beyond its end.
#[inline]
pub fn bytes(out: &mut Vec<u8>, mut content: &[u8]) {
    while let Some(zero) = content.iter().position(|&byte| byte == 0) {
        out.extend_from_slice(&content[..=zero]);
        out.push(0xff);
        content = &content[zero + 1..];
    }
    out.extend_from_slice(content);
    out.extend_from_slice(&[0, 0]);
}

/// The array that a value ends with: its elements, and of how many values of the same type each consists.
pub type Elements = Option<(usize, usize)>;

/// Writes a value that may end with an array of values of its own type, with a constant share of the thread's stack.
///
/// `head` writes one value up to that array. Each element stands behind a 1 and the array ends with a 0, so that
/// arrays are ordered by content and then by length.
///
/// # Errors
/// Those of `head`, `TooDeep`.
#[inline]
pub fn nested(
    c: &mut Cur<'_>,
    out: &mut Vec<u8>,
    what: &'static str,
    head: fn(&mut Cur<'_>, &mut Vec<u8>) -> X<Elements>,
) -> X<()> {
    let mut arrays: Vec<(usize, usize)> = Vec::new(); // values left, values per element
    loop {
        c.enter(what)?;
        match head(c, out)? {
            Some((elements, each)) if elements > 0 => arrays.push((elements * each, each)),
            Some(_) => {
                out.push(0);
                c.leave();
            }
            None => c.leave(),
        }
        loop {
            match arrays.last_mut() {
                None => return Ok(()),
                Some((0, _)) => {
                    out.push(0);
                    arrays.pop();
                    c.leave();
                }
                Some((left, each)) => {
                    if *left % *each == 0 {
                        out.push(1);
                    }
                    *left -= 1;
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn signed_numbers_are_in_order() {
        let ints = [i32::MIN, -2, -1, 0, 1, i32::MAX].map(|v| key(|out| signed(out, v)));
        assert!(ints.is_sorted_by(|a, b| a < b));
        let hypers = [i64::MIN, -2, -1, 0, 1, i64::MAX].map(|v| key(|out| signed_hyper(out, &v.to_be_bytes())));
        assert!(hypers.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn strings_are_in_order_of_content_then_length_whatever_follows() {
        let strings: [&[u8]; 9] = [b"", b"\0", b"\0\0", b"\0\x01", b"\0\xff", b"\x01", b"a", b"a\0", b"b"];
        for after in [0x00, 0xff] {
            let mut keys: Vec<_> = strings.iter().map(|s| key(|out| bytes(out, s))).collect();
            keys.iter_mut().step_by(2).for_each(|k| k.push(after));
            keys.iter_mut().skip(1).step_by(2).for_each(|k| k.push(!after));
            assert!(keys.is_sorted_by(|a, b| a < b));
        }
    }
}
