//! Text forms of bytes: base64, hex and the display text of bytes that need not be text.

#![forbid(unsafe_code)]

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static BASE64_PAIRS: [[u8; 2]; 4096] = pairs::<4096>(BASE64, 6);
static HEX_PAIRS: [[u8; 2]; 256] = pairs::<256>(b"0123456789abcdef", 4);

/// Table of all numbers below `N` as two digits of `bits` bits each.
const fn pairs<const N: usize>(digits: &[u8], bits: usize) -> [[u8; 2]; N] {
    let mut table = [[0u8; 2]; N];
    let mut i = 0;
    while i < N {
        table[i] = [digits[i >> bits], digits[i & ((1 << bits) - 1)]];
        i += 1;
    }
    table
}

/// Appends the base64 of `data` (standard alphabet, with padding).
pub fn base64_into(data: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + data.len().div_ceil(3) * 4, b'=');
    let (triples, rest) = data.as_chunks::<3>();
    let (quads, _) = out[start..].as_chunks_mut::<4>();
    for (triple, quad) in triples.iter().zip(quads.iter_mut()) {
        let bits = u32::from_be_bytes([0, triple[0], triple[1], triple[2]]) as usize;
        let [a, b] = BASE64_PAIRS[bits >> 12];
        let [c, d] = BASE64_PAIRS[bits & 4095];
        *quad = [a, b, c, d];
    }
    if let Some(quad) = quads.get_mut(triples.len()) {
        let first = usize::from(rest[0]);
        let second = rest.get(1).map_or(0, |byte| usize::from(*byte));
        let [a, b] = BASE64_PAIRS[(first << 4) | (second >> 4)];
        quad[0] = a;
        quad[1] = b;
        if rest.len() == 2 {
            quad[2] = BASE64[(second & 15) << 2];
        }
    }
}

/// Appends `data` in small hex digits.
pub fn hex_into(data: &[u8], out: &mut Vec<u8>) {
    out.reserve(data.len() * 2);
    for byte in data {
        out.extend_from_slice(&HEX_PAIRS[usize::from(*byte)]);
    }
}

/// Appends a number in decimal digits.
pub fn decimal_into(number: i64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        start -= 1;
        digits[start] = b'-';
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends the display text of `data`: itself if it is UTF-8 without NUL, else printable ASCII with escapes.
///
/// Escapes are `\0 \t \n \r \\` and `\xNN` for every other byte outside 0x20 to 0x7e.
pub fn display_into(data: &[u8], out: &mut Vec<u8>) {
    if std::str::from_utf8(data).is_ok() && !data.contains(&0) {
        out.extend_from_slice(data);
        return;
    }
    for byte in data {
        match byte {
            0 => out.extend_from_slice(b"\\0"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x20..=0x7e => out.push(*byte),
            _ => {
                out.extend_from_slice(b"\\x");
                out.extend_from_slice(&HEX_PAIRS[usize::from(*byte)]);
            }
        }
    }
}

/// Cuts trailing NULs, with which asset codes are filled up.
pub fn trim_nuls(data: &[u8]) -> &[u8] {
    let end = data.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    &data[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&[u8], &mut Vec<u8>), data: &[u8]) -> String {
        let mut out = b">".to_vec();
        write(data, &mut out);
        String::from_utf8(out).unwrap()[1..].to_owned()
    }

    #[test]
    fn base64_of_the_lengths_that_rfc_4648_shows() {
        let cases = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, expected) in cases.into_iter().enumerate() {
            assert_eq!(text(base64_into, &b"foobar"[..length]), expected);
        }
        assert_eq!(text(base64_into, &[0xff, 0xfe, 0xfd]), "//79");
    }

    #[test]
    fn hex_has_two_digits_a_byte() {
        assert_eq!(text(hex_into, &[0, 0x0f, 0xa5, 0xff]), "000fa5ff");
    }

    #[test]
    fn decimals_are_those_of_the_standard_library() {
        for number in [0, 7, 10, -1, 99, 100, i64::MAX, i64::MIN, 1_234_567_890_123] {
            let mut out = Vec::new();
            decimal_into(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    #[test]
    fn utf8_without_nul_is_shown_as_it_is() {
        for plain in ["", "example.org", "é€\u{1f600}", "tab\there", "\\u0000"] {
            assert_eq!(text(display_into, plain.as_bytes()), plain);
        }
    }

    #[test]
    fn other_bytes_are_escaped() {
        assert_eq!(text(display_into, b"exa\0mple.org"), "exa\\0mple.org");
        assert_eq!(text(display_into, b"caf\xe9"), "caf\\xe9");
        assert_eq!(text(display_into, b"\xff\t\n\r\\ ~\x7f"), "\\xff\\t\\n\\r\\\\ ~\\x7f");
        assert_eq!(text(display_into, b"\xc3\xa9\0"), "\\xc3\\xa9\\0");
    }

    #[test]
    fn only_trailing_nuls_are_trimmed() {
        assert_eq!(trim_nuls(b"USD\0"), b"USD");
        assert_eq!(trim_nuls(b"A\0B\0"), b"A\0B");
        assert_eq!(trim_nuls(b"\0\0\0\0"), b"");
        assert_eq!(trim_nuls(b"EURT"), b"EURT");
    }
}
