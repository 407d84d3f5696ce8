//! Strkeys: version byte, payload and CRC16 in base32, as SEP-23 defines them.

#![forbid(unsafe_code)]

/// What a strkey names; the discriminant is its version byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// `B…`: claimable balance, one type byte and 32 bytes of hash.
    ClaimableBalance = 1 << 3,
    /// `C…`: contract.
    Contract = 2 << 3,
    /// `G…`: account.
    Account = 6 << 3,
    /// `L…`: liquidity pool.
    LiquidityPool = 11 << 3,
    /// `M…`: account with a multiplexing number, 32 bytes of key and 8 of number.
    MuxedAccount = 12 << 3,
    /// `P…`: key and payload that it has to sign, in XDR form.
    SignedPayload = 15 << 3,
    /// `T…`: hash of a pre-authorised transaction.
    PreAuthTx = 19 << 3,
    /// `W…`: contract with a multiplexing number, 32 bytes of contract id and 8 of number.
    MuxedContract = 22 << 3,
    /// `X…`: hash whose pre-image signs.
    HashX = 23 << 3,
}

impl Kind {
    /// The kinds that have a letter, in the order of the alphabet.
    pub const ALL: [Kind; 9] = [
        Kind::ClaimableBalance,
        Kind::Contract,
        Kind::Account,
        Kind::LiquidityPool,
        Kind::MuxedAccount,
        Kind::SignedPayload,
        Kind::PreAuthTx,
        Kind::MuxedContract,
        Kind::HashX,
    ];

    /// Returns the first letter of every strkey of this kind.
    pub const fn letter(self) -> char {
        (b'A' + ((self as u8) >> 3)) as char
    }

    /// Returns the kind whose strkeys start with `letter`.
    pub fn of_letter(letter: char) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.letter() == letter)
    }

    /// Returns the kind with this version byte.
    pub fn of_version(version: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == version)
    }

    /// Says whether `payload` has the length and the inner form of this kind.
    pub fn accepts(self, payload: &[u8]) -> bool {
        match self {
            Kind::ClaimableBalance => payload.len() == 33 && payload[0] == 0,
            Kind::MuxedAccount | Kind::MuxedContract => payload.len() == 40,
            Kind::SignedPayload => signed_payload_is_sound(payload),
            _ => payload.len() == 32,
        }
    }
}

/// Why a text is not a strkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrkeyFault {
    /// A character outside `A-Z2-7`.
    BadCharacter,
    /// No whole number of bytes has this many characters, or none of this kind has.
    BadLength,
    /// Bits behind the last byte are not zero.
    BadTrailingBits,
    /// The checksum does not belong to the payload.
    BadChecksum,
    /// The version byte is of no known kind.
    UnknownVersion,
    /// The payload has not the form that the kind asks for.
    BadPayload,
}

impl StrkeyFault {
    /// Says the fault in words.
    pub const fn text(self) -> &'static str {
        match self {
            StrkeyFault::BadCharacter => "a character outside A-Z2-7",
            StrkeyFault::BadLength => "a length that no strkey of this kind has",
            StrkeyFault::BadTrailingBits => "bits behind the last byte that are not zero",
            StrkeyFault::BadChecksum => "a checksum that is not that of the payload",
            StrkeyFault::UnknownVersion => "an unknown version byte",
            StrkeyFault::BadPayload => "a payload that is not of the form of this kind",
        }
    }
}

/// Longest payload: a key, a length and 64 bytes to sign.
pub const MAX_PAYLOAD: usize = 32 + 4 + 64;
/// Characters of a strkey with a payload of 32 bytes.
pub const SHORT_LEN: usize = 56;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BAD: u8 = 0xff;
static PAIRS: [[u8; 2]; 1024] = base32_pairs();
static VALUES: [u8; 256] = base32_values();
static CRC: [[u16; 256]; 8] = crc_tables();

const fn base32_pairs() -> [[u8; 2]; 1024] {
    let mut table = [[0u8; 2]; 1024];
    let mut i = 0;
    while i < 1024 {
        table[i] = [ALPHABET[i >> 5], ALPHABET[i & 31]];
        i += 1;
    }
    table
}

const fn base32_values() -> [u8; 256] {
    let mut table = [BAD; 256];
    let mut i = 0;
    while i < 32 {
        table[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    table
}

/// `tables[k][b]` is the CRC of byte `b` followed by `k` zero bytes.
const fn crc_tables() -> [[u16; 256]; 8] {
    let mut tables = [[0u16; 256]; 8];
    let mut b = 0;
    while b < 256 {
        let mut crc = (b as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            };
            bit += 1;
        }
        tables[0][b] = crc;
        b += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut b = 0;
        while b < 256 {
            let previous = tables[k - 1][b];
            tables[k][b] = (previous << 8) ^ tables[0][(previous >> 8) as usize];
            b += 1;
        }
        k += 1;
    }
    tables
}

/// CRC16 (XModem) of `data`, eight bytes a step.
fn crc16(data: &[u8]) -> u16 {
    let mut crc = 0u16;
    let (steps, rest) = data.as_chunks::<8>();
    for step in steps {
        crc = CRC[7][(step[0] ^ (crc >> 8) as u8) as usize]
            ^ CRC[6][(step[1] ^ crc as u8) as usize]
            ^ CRC[5][step[2] as usize]
            ^ CRC[4][step[3] as usize]
            ^ CRC[3][step[4] as usize]
            ^ CRC[2][step[5] as usize]
            ^ CRC[1][step[6] as usize]
            ^ CRC[0][step[7] as usize];
    }
    for byte in rest {
        crc = (crc << 8) ^ CRC[0][((crc >> 8) as u8 ^ byte) as usize];
    }
    crc
}

/// Writes the eight characters of five bytes.
fn base32_group(group: [u8; 5], out: &mut [u8; 8]) {
    let bits = (u64::from(u32::from_be_bytes([group[0], group[1], group[2], group[3]])) << 8) | u64::from(group[4]);
    out[0..2].copy_from_slice(&PAIRS[(bits >> 30) as usize & 1023]);
    out[2..4].copy_from_slice(&PAIRS[(bits >> 20) as usize & 1023]);
    out[4..6].copy_from_slice(&PAIRS[(bits >> 10) as usize & 1023]);
    out[6..8].copy_from_slice(&PAIRS[bits as usize & 1023]);
}

/// Returns the strkey of a 32-byte payload as ASCII.
pub fn encode32(kind: Kind, payload: &[u8; 32]) -> [u8; SHORT_LEN] {
    let mut raw = [0u8; 35];
    raw[0] = kind as u8;
    raw[1..33].copy_from_slice(payload);
    let crc = crc16(&raw[..33]);
    raw[33..].copy_from_slice(&crc.to_le_bytes());
    let mut text = [0u8; SHORT_LEN];
    let (from, _) = raw.as_chunks::<5>();
    let (to, _) = text.as_chunks_mut::<8>();
    for (group, out) in from.iter().zip(to) {
        base32_group(*group, out);
    }
    text
}

/// Appends the strkey of `payload` with this version byte to `out`.
///
/// Length and form of the payload are the caller's: see [`Kind::accepts`].
pub fn encode_into(version_byte: u8, payload: &[u8], out: &mut Vec<u8>) {
    let mut raw = Vec::with_capacity(payload.len() + 8);
    raw.push(version_byte);
    raw.extend_from_slice(payload);
    let crc = crc16(&raw);
    raw.extend_from_slice(&crc.to_le_bytes());
    let (groups, rest) = raw.as_chunks::<5>();
    let mut text = [0u8; 8];
    for group in groups {
        base32_group(*group, &mut text);
        out.extend_from_slice(&text);
    }
    if !rest.is_empty() {
        let mut group = [0u8; 5];
        group[..rest.len()].copy_from_slice(rest);
        base32_group(group, &mut text);
        out.extend_from_slice(&text[..(rest.len() * 8).div_ceil(5)]);
    }
}

/// Appends the strkey of `payload` with this version byte to a string.
pub fn encode(version_byte: u8, payload: &[u8], out: &mut String) {
    let mut text = Vec::with_capacity((payload.len() + 3) * 8 / 5 + 1);
    encode_into(version_byte, payload, &mut text);
    out.extend(text.iter().map(|byte| *byte as char));
}

/// Reads a strkey of any known kind.
///
/// # Errors
/// Refuses foreign characters, wrong lengths, trailing bits that are not zero,
/// wrong checksums, unknown kinds and payloads that are not of the kind's form.
pub fn decode(text: &str) -> Result<(Kind, Vec<u8>), StrkeyFault> {
    let symbols = text.as_bytes();
    let bits = symbols.len() * 5;
    if bits / 8 < 3 || bits / 8 > MAX_PAYLOAD + 3 || bits % 8 >= 5 {
        return Err(StrkeyFault::BadLength);
    }
    let mut raw = Vec::with_capacity(bits / 8);
    let (mut held, mut count) = (0u32, 0u32);
    for symbol in symbols {
        let value = VALUES[*symbol as usize];
        if value == BAD {
            return Err(StrkeyFault::BadCharacter);
        }
        held = (held << 5) | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            raw.push((held >> count) as u8);
            held &= (1 << count) - 1;
        }
    }
    if held != 0 {
        return Err(StrkeyFault::BadTrailingBits);
    }
    let (body, sum) = raw.split_at(raw.len() - 2);
    if crc16(body).to_le_bytes() != sum {
        return Err(StrkeyFault::BadChecksum);
    }
    let kind = Kind::of_version(body[0]).ok_or(StrkeyFault::UnknownVersion)?;
    let payload = &body[1..];
    if !kind.accepts(payload) {
        return Err(StrkeyFault::BadPayload);
    }
    Ok((kind, payload.to_vec()))
}

/// A signed payload is XDR: key, length 1 to 64, bytes, zero padding to four.
fn signed_payload_is_sound(payload: &[u8]) -> bool {
    let Some((length, rest)) = payload.get(32..).and_then(<[u8]>::split_first_chunk::<4>) else {
        return false;
    };
    let length = u32::from_be_bytes(*length) as usize;
    (1..=64).contains(&length)
        && rest.len() == length.next_multiple_of(4)
        && rest[length..].iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [
        0xeb, 0x5f, 0x9d, 0x00, 0x57, 0xad, 0xd5, 0x7d, 0x3a, 0x73, 0xb2, 0x5b, 0x03, 0x8f, 0x08, 0x16, 0x68, 0xa9,
        0x9e, 0x99, 0x9f, 0x78, 0x5f, 0x79, 0x6f, 0xe1, 0x5c, 0xae, 0x5d, 0x11, 0xe2, 0x35,
    ];
    const ACCOUNT: &str = "GDVV7HIAK6W5K7J2OOZFWA4PBALGRKM6TGPXQX3ZN7QVZLS5CHRDLCVI";

    #[test]
    fn a_known_account_is_written_and_read() {
        assert_eq!(&encode32(Kind::Account, &KEY), ACCOUNT.as_bytes());
        assert_eq!(decode(ACCOUNT), Ok((Kind::Account, KEY.to_vec())));
    }

    #[test]
    fn a_muxed_number_of_zero_keeps_its_payload() {
        let mut payload = KEY.to_vec();
        payload.extend_from_slice(&[0; 8]);
        let mut text = String::new();
        encode(Kind::MuxedAccount as u8, &payload, &mut text);
        assert_eq!(
            text,
            "MDVV7HIAK6W5K7J2OOZFWA4PBALGRKM6TGPXQX3ZN7QVZLS5CHRDKAAAAAAAAAAAABBQE"
        );
        assert_eq!(decode(&text), Ok((Kind::MuxedAccount, payload)));
    }

    #[test]
    fn every_kind_round_trips() {
        for kind in Kind::ALL {
            let payload = match kind {
                Kind::ClaimableBalance => [&[0][..], &KEY].concat(),
                Kind::MuxedAccount | Kind::MuxedContract => [&KEY[..], &7u64.to_be_bytes()].concat(),
                Kind::SignedPayload => [&KEY[..], &5u32.to_be_bytes(), b"hello\0\0\0"].concat(),
                _ => KEY.to_vec(),
            };
            let mut text = String::new();
            encode(kind as u8, &payload, &mut text);
            assert!(text.starts_with(kind.letter()));
            assert_eq!(Kind::of_letter(kind.letter()), Some(kind));
            assert_eq!(decode(&text), Ok((kind, payload)));
        }
    }

    #[test]
    fn one_changed_character_is_always_refused() {
        for at in 0..ACCOUNT.len() {
            for symbol in ALPHABET {
                let mut text = ACCOUNT.as_bytes().to_vec();
                if text[at] == *symbol {
                    continue;
                }
                text[at] = *symbol;
                assert!(decode(std::str::from_utf8(&text).unwrap()).is_err());
            }
        }
    }

    #[test]
    fn trailing_bits_foreign_characters_and_lengths_are_refused() {
        let muxed = "MDVV7HIAK6W5K7J2OOZFWA4PBALGRKM6TGPXQX3ZN7QVZLS5CHRDKAAAAAAAAAAAABBQE";
        let odd = format!("{}F", &muxed[..muxed.len() - 1]);
        assert_eq!(decode(&odd), Err(StrkeyFault::BadTrailingBits));
        assert_eq!(decode(&ACCOUNT.to_lowercase()), Err(StrkeyFault::BadCharacter));
        assert_eq!(decode(&ACCOUNT[..54]), Err(StrkeyFault::BadLength));
        assert_eq!(decode(""), Err(StrkeyFault::BadLength));
        let mut short = String::new();
        encode(Kind::Account as u8, &KEY[..30], &mut short);
        assert!(decode(&short).is_err());
        let mut long = String::new();
        encode(Kind::Account as u8, &[&KEY[..], &[1; 5]].concat(), &mut long);
        assert_eq!(decode(&long), Err(StrkeyFault::BadPayload));
    }

    #[test]
    fn the_checksum_by_eights_is_the_checksum_by_ones() {
        let data: Vec<u8> = (0..=255u8).map(|i| i.wrapping_mul(37) ^ 0x5a).collect();
        for length in 0..data.len() {
            let mut plain = 0u16;
            for byte in &data[..length] {
                plain ^= u16::from(*byte) << 8;
                for _ in 0..8 {
                    plain = if plain & 0x8000 == 0 {
                        plain << 1
                    } else {
                        (plain << 1) ^ 0x1021
                    };
                }
            }
            assert_eq!(crc16(&data[..length]), plain);
        }
    }
}
