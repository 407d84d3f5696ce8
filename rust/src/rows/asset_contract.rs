//! Asset contracts: which contract data are the instance of an asset's contract, which are a balance kept by one.
//!
//! The forms are those of CAP-46-6. Any contract may store data of the same form: an instance is proven by the
//! contract's id, which is a hash over the asset; a balance only becomes one by the instance of its contract.

use super::reader::{Read, Reader};
use crate::asset::{ALPHANUM4, ALPHANUM12, contract_id_of_asset};
use crate::xdr::generated::skip_SCVal;

/// `SCValType` values.
const BOOL: u8 = 0;
const I128: u8 = 10;
const BYTES: u8 = 13;
const STRING: u8 = 14;
const VEC: u8 = 16;
const MAP: u8 = 17;
const ADDRESS: u8 = 18;
const INSTANCE: u8 = 19;
const INSTANCE_KEY: [u8; 4] = [0, 0, 0, 20];

/// `CONTRACT_EXECUTABLE_STELLAR_ASSET` and `SC_ADDRESS_TYPE_CONTRACT`.
const STELLAR_ASSET: u32 = 1;
const CONTRACT: u32 = 1;

/// Symbols as XDR values.
const ASSET_INFO: &[u8] = b"\0\0\0\x0f\0\0\0\x09AssetInfo\0\0\0";
const ALPHANUM4_NAME: &[u8] = b"\0\0\0\x0f\0\0\0\x09AlphaNum4\0\0\0";
const ALPHANUM12_NAME: &[u8] = b"\0\0\0\x0f\0\0\0\x0aAlphaNum12\0\0";
const ASSET_CODE: &[u8] = b"\0\0\0\x0f\0\0\0\x0aasset_code\0\0";
const ISSUER: &[u8] = b"\0\0\0\x0f\0\0\0\x06issuer\0\0";
const BALANCE: &[u8] = b"\0\0\0\x0f\0\0\0\x07Balance\0";
const AMOUNT: &[u8] = b"\0\0\0\x0f\0\0\0\x06amount\0\0";
const AUTHORIZED: &[u8] = b"\0\0\0\x0f\0\0\0\x0aauthorized\0\0";
const CLAWBACK: &[u8] = b"\0\0\0\x0f\0\0\0\x08clawback";

/// What a row of contract data was recognised as.
pub enum Found<'a> {
    /// The instance of the contract of this asset.
    Instance(ContractAsset<'a>),
    /// A balance of the form that asset contracts store.
    Balance(Balance<'a>),
}

/// An asset as its contract names it.
#[derive(Debug, PartialEq, Eq)]
pub struct ContractAsset<'a> {
    pub kind: i32,
    pub code: &'a [u8],
    pub issuer: &'a [u8; 32],
}

/// What an asset contract keeps for another contract.
#[derive(Debug, PartialEq, Eq)]
pub struct Balance<'a> {
    pub holder: &'a [u8; 32],
    pub amount: i128,
    pub authorized: bool,
    pub clawback: bool,
}

impl Found<'_> {
    /// The value of the column `asset_contract_kind`.
    pub fn kind(&self) -> i32 {
        match self {
            Found::Instance(_) => 1,
            Found::Balance(_) => 2,
        }
    }
}

/// Recognises the asset contracts of one network; that of the native asset is left out, as in Horizon.
pub struct AssetContracts {
    network_id: [u8; 32],
    native: [u8; 32],
}

impl AssetContracts {
    pub fn new(network_id: [u8; 32]) -> Self {
        Self {
            network_id,
            native: contract_id_of_asset(&network_id, &[0; 4]),
        }
    }

    /// Says what a persistent entry of a contract is, given the XDR of its key and of its value.
    pub fn recognise<'a>(&self, contract_id: &[u8; 32], key: &'a [u8], value: &'a [u8]) -> Option<Found<'a>> {
        if key == INSTANCE_KEY {
            let asset = asset_of_instance(value).ok().flatten()?;
            let known = contract_id != &self.native && self.contract_id(&asset) == *contract_id;
            return known.then_some(Found::Instance(asset));
        }
        let holder = holder_of_key(key)?;
        let balance = balance_of_value(holder, value)?;
        (contract_id != &self.native).then_some(Found::Balance(balance))
    }

    fn contract_id(&self, asset: &ContractAsset) -> [u8; 32] {
        let width = if asset.kind == ALPHANUM4 { 4 } else { 12 };
        let mut xdr = [0u8; 4 + 12 + 4 + 32];
        xdr[3] = asset.kind as u8;
        xdr[4..4 + asset.code.len()].copy_from_slice(asset.code);
        xdr[8 + width..40 + width].copy_from_slice(asset.issuer);
        contract_id_of_asset(&self.network_id, &xdr[..40 + width])
    }
}

/// Returns the amount of a balance that an asset contract keeps for another contract; the caller knows whose contract.
pub fn balance_amount(key: &[u8], value: &[u8]) -> Option<i128> {
    Some(balance_of_value(holder_of_key(key)?, value)?.amount)
}

/// Finds the asset that the storage of an asset contract's instance names.
fn asset_of_instance(value: &[u8]) -> Read<Option<ContractAsset<'_>>> {
    let mut r = Reader::new(value);
    if !r.starts_with(&[0, 0, 0, INSTANCE]) || r.u32("ContractExecutable.type")? != STELLAR_ASSET {
        return Ok(None);
    }
    if !r.flag("SCContractInstance.storage")? {
        return Ok(None);
    }
    for _ in 0..r.u32("SCContractInstance.storage")? {
        let start = r.pos();
        r.walk(skip_SCVal)?;
        let mut key = Reader::new(r.since(start));
        let start = r.pos();
        r.walk(skip_SCVal)?;
        if key.starts_with(&vec_head(1)) && key.starts_with(ASSET_INFO) {
            return Ok(asset_of_info(r.since(start)));
        }
    }
    Ok(None)
}

/// Reads `[AlphaNum4 or AlphaNum12, {asset_code: string, issuer: bytes}]`.
fn asset_of_info(info: &[u8]) -> Option<ContractAsset<'_>> {
    let mut r = Reader::new(info);
    if !r.starts_with(&vec_head(2)) {
        return None;
    }
    let (kind, width) = if r.starts_with(ALPHANUM4_NAME) {
        (ALPHANUM4, 4)
    } else if r.starts_with(ALPHANUM12_NAME) {
        (ALPHANUM12, 12)
    } else {
        return None;
    };
    if !r.starts_with(&map_head(2)) || !r.starts_with(ASSET_CODE) || !r.starts_with(&[0, 0, 0, STRING]) {
        return None;
    }
    let code = r.bytes("asset_code").ok().filter(|code| code.len() <= width)?;
    if !r.starts_with(ISSUER) || !r.starts_with(&[0, 0, 0, BYTES]) {
        return None;
    }
    let issuer = r.bytes("issuer").ok()?.try_into().ok()?;
    Some(ContractAsset { kind, code, issuer })
}

/// Reads `[Balance, address of a contract]`.
fn holder_of_key(key: &[u8]) -> Option<&[u8; 32]> {
    let mut r = Reader::new(key);
    if !r.starts_with(&vec_head(2)) || !r.starts_with(BALANCE) || !r.starts_with(&[0, 0, 0, ADDRESS]) {
        return None;
    }
    if r.u32("SCAddress.type").ok()? != CONTRACT {
        return None;
    }
    r.array("SCAddress.contractId").ok()
}

/// Reads `{amount: i128 not below zero, authorized: bool, clawback: bool}`.
fn balance_of_value<'a>(holder: &'a [u8; 32], value: &[u8]) -> Option<Balance<'a>> {
    let mut r = Reader::new(value);
    if !r.starts_with(&map_head(3)) || !r.starts_with(AMOUNT) || !r.starts_with(&[0, 0, 0, I128]) {
        return None;
    }
    let amount = i128::from_be_bytes(*r.array("amount").ok()?);
    if amount < 0 || !r.starts_with(AUTHORIZED) || !r.starts_with(&[0, 0, 0, BOOL]) {
        return None;
    }
    let authorized = r.flag("authorized").ok()?;
    if !r.starts_with(CLAWBACK) || !r.starts_with(&[0, 0, 0, BOOL]) {
        return None;
    }
    let clawback = r.flag("clawback").ok()?;
    Some(Balance {
        holder,
        amount,
        authorized,
        clawback,
    })
}

/// The start of a vector that is there and has `count` items.
fn vec_head(count: u8) -> [u8; 12] {
    [0, 0, 0, VEC, 0, 0, 0, 1, 0, 0, 0, count]
}

/// The start of a map that is there and has `count` entries.
fn map_head(count: u8) -> [u8; 12] {
    [0, 0, 0, MAP, 0, 0, 0, 1, 0, 0, 0, count]
}
