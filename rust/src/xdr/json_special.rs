//! The types for which SEP-51 defines a string of their own: strkeys, asset codes, wide integers.

use super::cursor::{Cur, X};
use super::json_text;
use crate::strkey::{self, Kind};

/// A type that is one string in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// `PublicKey`: `G…`.
    Account,
    /// `ContractID`: `C…`.
    Contract,
    /// `PoolID`: `L…`.
    Pool,
    /// `ClaimableBalanceID`: `B…`.
    ClaimableBalance,
    /// `MuxedAccount`: `G…` or `M…`.
    MuxedAccount,
    /// `MuxedAccountMed25519`: `M…`.
    MuxedMed25519,
    /// `MuxedEd25519Account`: `M…`.
    MuxedEd25519,
    /// `MuxedContract`: `W…`.
    MuxedContract,
    /// `SCAddress`: any of the above.
    Address,
    /// `SignerKey`: `G…`, `T…`, `X…` or `P…`.
    SignerKey,
    /// `SignerKeyEd25519SignedPayload`: `P…`.
    SignedPayload,
    /// `AssetCode`, of four or of twelve bytes.
    AssetCode,
    /// `AssetCode4` without the zeros at its end.
    AssetCode4,
    /// `AssetCode12` without the zeros at its end, but never shorter than five bytes.
    AssetCode12,
    /// `Int128Parts` in digits.
    Int128,
    /// `UInt128Parts` in digits.
    UInt128,
    /// `Int256Parts` in digits.
    Int256,
    /// `UInt256Parts` in digits.
    UInt256,
}

/// Appends the string of one value; `name` is that of its XDR type.
///
/// # Errors
/// What the validator of the type refuses.
pub fn write(special: Special, name: &'static str, c: &mut Cur<'_>, out: &mut String) -> X<()> {
    match special {
        Special::Account => account(name, c, out),
        Special::Contract => plain(Kind::Contract, name, c, out),
        Special::Pool => plain(Kind::LiquidityPool, name, c, out),
        Special::ClaimableBalance => claimable_balance(name, c, out),
        Special::MuxedAccount => match c.word(name)? {
            0 => plain(Kind::Account, name, c, out),
            0x100 => muxed(Kind::MuxedAccount, name, c, out),
            1..=3 => Err(c.bad_union(name)),
            _ => Err(c.bad_enum(name)),
        },
        Special::MuxedMed25519 | Special::MuxedEd25519 => muxed(Kind::MuxedAccount, name, c, out),
        Special::MuxedContract => muxed(Kind::MuxedContract, name, c, out),
        Special::Address => match c.word(name)? {
            0 => account(name, c, out),
            1 => plain(Kind::Contract, name, c, out),
            2 => muxed(Kind::MuxedAccount, name, c, out),
            3 => claimable_balance(name, c, out),
            4 => plain(Kind::LiquidityPool, name, c, out),
            5 => muxed(Kind::MuxedContract, name, c, out),
            _ => Err(c.bad_enum(name)),
        },
        Special::SignerKey => match c.word(name)? {
            0 => plain(Kind::Account, name, c, out),
            1 => plain(Kind::PreAuthTx, name, c, out),
            2 => plain(Kind::HashX, name, c, out),
            3 => signed_payload(name, c, out),
            _ => Err(c.bad_enum(name)),
        },
        Special::SignedPayload => signed_payload(name, c, out),
        Special::AssetCode => match c.word(name)? {
            1 => asset_code(4, 0, name, c, out),
            2 => asset_code(12, 5, name, c, out),
            0 | 3 => Err(c.bad_union(name)),
            _ => Err(c.bad_enum(name)),
        },
        Special::AssetCode4 => asset_code(4, 0, name, c, out),
        Special::AssetCode12 => asset_code(12, 5, name, c, out),
        Special::Int128 => {
            json_text::digits(
                (i128::from(c.hyper(name)? as i64) << 64) | i128::from(c.hyper(name)?),
                out,
            );
            Ok(())
        }
        Special::UInt128 => {
            json_text::digits((u128::from(c.hyper(name)?) << 64) | u128::from(c.hyper(name)?), out);
            Ok(())
        }
        Special::Int256 | Special::UInt256 => {
            let words = [c.hyper(name)?, c.hyper(name)?, c.hyper(name)?, c.hyper(name)?];
            json_text::digits_256(words, special == Special::Int256, out);
            Ok(())
        }
    }
}

fn quoted_strkey(kind: Kind, payload: &[u8], out: &mut String) {
    out.push('"');
    strkey::encode(kind as u8, payload, out);
    out.push('"');
}

/// A key or hash of 32 bytes.
fn plain(kind: Kind, name: &'static str, c: &mut Cur<'_>, out: &mut String) -> X<()> {
    quoted_strkey(kind, c.take(32, name)?, out);
    Ok(())
}

/// A `PublicKey`, which has one type only.
fn account(name: &'static str, c: &mut Cur<'_>, out: &mut String) -> X<()> {
    if c.word(name)? != 0 {
        return Err(c.bad_enum(name));
    }
    plain(Kind::Account, name, c, out)
}

/// A `ClaimableBalanceID`: the strkey carries the type in one byte.
fn claimable_balance(name: &'static str, c: &mut Cur<'_>, out: &mut String) -> X<()> {
    if c.word(name)? != 0 {
        return Err(c.bad_enum(name));
    }
    let mut payload = [0u8; 33];
    payload[1..].copy_from_slice(c.take(32, name)?);
    quoted_strkey(Kind::ClaimableBalance, &payload, out);
    Ok(())
}

/// A number and a key: XDR has the number first, the strkey last.
fn muxed(kind: Kind, name: &'static str, c: &mut Cur<'_>, out: &mut String) -> X<()> {
    let (number, key) = (c.take(8, name)?, c.take(32, name)?);
    quoted_strkey(kind, &[key, number].concat(), out);
    Ok(())
}

/// A key and what it has to sign: the strkey carries the XDR as it is. No strkey can say "nothing to sign", so the
/// reference writes that in words.
fn signed_payload(name: &'static str, c: &mut Cur<'_>, out: &mut String) -> X<()> {
    let start = c.pos;
    let key = c.take(32, name)?;
    if c.bytes(64, name)?.is_empty() {
        out.push_str("\"<INVALID:");
        strkey::encode(Kind::Account as u8, key, out);
        out.push_str(":EMPTY_PAYLOAD>\"");
    } else {
        quoted_strkey(Kind::SignedPayload, c.slice_from(start), out);
    }
    Ok(())
}

/// An asset code without the zeros at its end, but of at least so many bytes.
fn asset_code(size: usize, least: usize, name: &'static str, c: &mut Cur<'_>, out: &mut String) -> X<()> {
    let code = c.take(size, name)?;
    let end = code.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    json_text::escaped(&code[..end.max(least)], out);
    Ok(())
}
