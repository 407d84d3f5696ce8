//! The header of a ledger, read into one value before any row is built.

use super::place::{Span, array};
use crate::xdr::generated::{skip_StellarValue, skip_StellarValueExt};
use crate::xdr::{Cur, X};

/// Bytes of the stated hash, before the header of a `LedgerHeaderHistoryEntry`.
const STATED_HASH: u32 = 32;
/// Bytes of the extension behind the header, which has only one form.
const EXTENSION: u32 = 4;
/// Bytes of the skip list.
const SKIP_LIST: usize = 128;

/// A ledger header and the hash that is stated for it.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    pub stated_hash: &'a [u8; 32],
    /// The `LedgerHeader`.
    pub xdr: &'a [u8],
    pub protocol_version: u32,
    pub previous_hash: &'a [u8; 32],
    pub tx_set_hash: &'a [u8; 32],
    pub close_time: u64,
    pub upgrades: Vec<&'a [u8]>,
    /// The `StellarValueType`.
    pub value_type: i32,
    pub signature: Option<Signature<'a>>,
    pub result_hash: &'a [u8; 32],
    pub bucket_list_hash: &'a [u8; 32],
    pub sequence: u32,
    pub total_coins: i64,
    pub fee_pool: i64,
    pub inflation_sequence: u32,
    pub id_pool: u64,
    pub base_fee: u32,
    pub base_reserve: u32,
    pub max_tx_set_size: u32,
    pub flags: Option<u32>,
}

/// Who signed the close value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    pub node: &'a [u8; 32],
    pub bytes: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the `LedgerHeaderHistoryEntry` at a place of a ledger.
    ///
    /// # Errors
    /// The bytes there are not one.
    pub fn read(ledger: &'a [u8], entry: Span) -> X<Self> {
        let header = Span {
            start: entry.start + STATED_HASH,
            end: entry.end - EXTENSION,
        };
        let xdr = header.of(ledger);
        let mut c = Cur::new(xdr);
        let protocol_version = c.u32()?;
        let previous_hash = hash(&mut c)?;
        let at = c.pos;
        skip_StellarValue(&mut c)?;
        let mut value = Cur::new(c.slice_from(at));
        let tx_set_hash = hash(&mut value)?;
        let close_time = value.u64()?;
        let mut upgrades = Vec::new();
        for _ in 0..value.length(6, 4, "StellarValue.upgrades")? {
            upgrades.push(value.bytes(128, "StellarValue.upgrades")?);
        }
        let (value_type, signature) = value_extension(&mut value)?;
        Ok(Self {
            stated_hash: array(ledger, entry.start),
            xdr,
            protocol_version,
            previous_hash,
            tx_set_hash,
            close_time,
            upgrades,
            value_type,
            signature,
            result_hash: hash(&mut c)?,
            bucket_list_hash: hash(&mut c)?,
            sequence: c.u32()?,
            total_coins: c.i64()?,
            fee_pool: c.i64()?,
            inflation_sequence: c.u32()?,
            id_pool: c.u64()?,
            base_fee: c.u32()?,
            base_reserve: c.u32()?,
            max_tx_set_size: c.u32()?,
            flags: flags(&mut c)?,
        })
    }
}

/// Passes over the skip list and reads the flags of the extension behind it.
fn flags(c: &mut Cur<'_>) -> X<Option<u32>> {
    c.skip(SKIP_LIST, "LedgerHeader.skipList")?;
    if c.word("LedgerHeaderExt")? == 1 {
        return c.u32().map(Some);
    }
    Ok(None)
}

fn hash<'a>(c: &mut Cur<'a>) -> X<&'a [u8; 32]> {
    let at = c.pos;
    c.skip(32, "Hash")?;
    Ok(array(c.buf, at as u32))
}

/// Bytes that stand between the type of a signed close value and its signature.
fn before_signature(value_type: i32) -> Option<usize> {
    match value_type {
        1 => Some(0),
        2 => Some(68),
        3 => Some(8),
        4 => Some(76),
        _ => None,
    }
}

fn value_extension<'a>(c: &mut Cur<'a>) -> X<(i32, Option<Signature<'a>>)> {
    let mut checked = c.clone();
    skip_StellarValueExt(&mut checked)?;
    let value_type = c.i32()?;
    let Some(before) = before_signature(value_type) else {
        return Ok((value_type, None));
    };
    c.skip(before + 4, "LedgerCloseValueSignature.nodeID")?;
    let node = hash(c)?;
    let bytes = c.bytes(64, "LedgerCloseValueSignature.signature")?;
    Ok((value_type, Some(Signature { node, bytes })))
}
