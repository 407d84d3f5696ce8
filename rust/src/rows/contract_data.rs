//! Rows of contract data.

use super::EntryTable;
use super::asset_contract::{AssetContracts, Found};
use super::column::{Columns, OptBool, OptInt32, OptInt128, columns};
use super::reader::{Read, Reader};
use super::shared_columns::{Common, Entry, Extension, push_optional_account};
use super::strings::{Bytes, OptHash, OptText, Text};
use crate::strkey::{self, Kind};
use crate::text;
use crate::xdr::generated::skip_SCVal;

columns! {
    /// The columns of `contract_data`.
    DataOfContracts {
        common: Common,
        contract: Text,
        contract_id: OptHash,
        key_type: Text,
        key_xdr: Bytes,
        durability: Text,
        value_type: Text,
        value_xdr: Bytes,
        asset_contract_kind: OptInt32,
        asset_type: OptInt32,
        asset_code: OptText,
        asset_issuer: OptText,
        balance_holder: OptText,
        balance_amount: OptInt128,
        balance_authorized: OptBool,
        balance_clawback: OptBool,
    }
}

/// SEP-51 names of the arms of `SCVal`; the index is the `SCValType`.
const VALUE_TYPES: [&str; 23] = [
    "bool",
    "void",
    "error",
    "u32",
    "i32",
    "u64",
    "i64",
    "timepoint",
    "duration",
    "u128",
    "i128",
    "u256",
    "i256",
    "bytes",
    "string",
    "symbol",
    "vec",
    "map",
    "address",
    "contract_instance",
    "ledger_key_contract_instance",
    "ledger_key_nonce",
    "executable_tag",
];

/// SEP-51 names; the index is the `ContractDataDurability`.
const DURABILITIES: [&str; 2] = ["temporary", "persistent"];
const PERSISTENT: usize = 1;

/// The table `contract_data`.
pub struct ContractData {
    columns: DataOfContracts,
    /// Recognises asset contracts; `None` without a network or when no column tells of them.
    asset_contracts: Option<AssetContracts>,
}

/// An `SCAddress`.
struct Address<'a> {
    kind: Kind,
    /// The number of a multiplexed address.
    number: Option<&'a [u8; 8]>,
    key: &'a [u8; 32],
}

impl<'a> Address<'a> {
    fn read(r: &mut Reader<'a>) -> Read<Self> {
        let (kind, number) = match r.u32("SCAddress.type")? {
            0 => {
                return Ok(Address {
                    kind: Kind::Account,
                    number: None,
                    key: r.account("SCAddress.accountId")?,
                });
            }
            1 => (Kind::Contract, None),
            2 => (Kind::MuxedAccount, Some(r.array("MuxedEd25519Account.id")?)),
            3 => {
                r.only(0, "ClaimableBalanceID.type")?;
                (Kind::ClaimableBalance, None)
            }
            4 => (Kind::LiquidityPool, None),
            5 => (Kind::MuxedContract, Some(r.array("MuxedContract.id")?)),
            _ => return r.refuse("SCAddress.type"),
        };
        Ok(Address {
            kind,
            number,
            key: r.array("SCAddress")?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        match (self.number, self.kind) {
            (Some(number), _) => strkey::encode_into(self.kind as u8, &[&self.key[..], number].concat(), out),
            (None, Kind::ClaimableBalance) => {
                strkey::encode_into(self.kind as u8, &[&[0], &self.key[..]].concat(), out);
            }
            (None, _) => out.extend_from_slice(&strkey::encode32(self.kind, self.key)),
        }
    }
}

/// A value and the name of its type.
struct Value<'a> {
    xdr: &'a [u8],
    type_name: &'static str,
}

impl<'a> Value<'a> {
    fn read(r: &mut Reader<'a>) -> Read<Self> {
        let start = r.pos();
        r.walk(skip_SCVal)?;
        let xdr = r.since(start);
        match VALUE_TYPES.get(Reader::new(xdr).u32("SCVal.type")? as usize) {
            Some(type_name) => Ok(Value { xdr, type_name }),
            None => r.refuse("SCVal.type"),
        }
    }
}

impl ContractData {
    pub fn new(select: &dyn Fn(&str) -> bool, network_id: Option<[u8; 32]>) -> Self {
        let told = |name: &str| name.starts_with("asset_") || name.starts_with("balance_");
        let mut fields = Vec::new();
        DataOfContracts::fields("", &mut fields);
        let wanted = fields.iter().any(|field| told(field.name()) && select(field.name()));
        Self {
            columns: DataOfContracts::new("", select),
            asset_contracts: network_id.filter(|_| wanted).map(AssetContracts::new),
        }
    }

    fn push_found(&mut self, found: Option<Found>) {
        let columns = &mut self.columns;
        let (asset, balance) = match &found {
            None => (None, None),
            Some(Found::Instance(asset)) => (Some(asset), None),
            Some(Found::Balance(balance)) => (None, Some(balance)),
        };
        columns.asset_contract_kind.push(found.as_ref().map(Found::kind));
        columns.asset_type.push(asset.map(|asset| asset.kind));
        match asset {
            Some(asset) => columns
                .asset_code
                .push_with(|out| text::display_into(text::trim_nuls(asset.code), out)),
            None => columns.asset_code.push_null(),
        }
        push_optional_account(&mut columns.asset_issuer, asset.map(|asset| asset.issuer));
        match balance {
            Some(balance) => {
                let holder = strkey::encode32(Kind::Contract, balance.holder);
                columns.balance_holder.push(&holder);
            }
            None => columns.balance_holder.push_null(),
        }
        columns.balance_amount.push(balance.map(|balance| balance.amount));
        columns
            .balance_authorized
            .push(balance.map(|balance| balance.authorized));
        columns.balance_clawback.push(balance.map(|balance| balance.clawback));
    }
}

impl EntryTable for ContractData {
    fn push(&mut self, entry: &Entry, r: &mut Reader) -> Read<()> {
        r.only(0, "ContractDataEntry.ext")?;
        let contract = Address::read(r)?;
        let key = Value::read(r)?;
        let durability = r.u32("ContractDataEntry.durability")? as usize;
        let Some(durability_name) = DURABILITIES.get(durability) else {
            return r.refuse("ContractDataEntry.durability");
        };
        let value = Value::read(r)?;
        let extension = Extension::read(r)?;
        let contract_id = (contract.kind == Kind::Contract).then_some(contract.key);
        let found = match (&self.asset_contracts, contract_id) {
            (Some(known), Some(id)) if durability == PERSISTENT => known.recognise(id, key.xdr, value.xdr),
            _ => None,
        };
        let columns = &mut self.columns;
        columns.common.push(entry, &extension);
        columns.contract.push_with(|out| contract.write(out));
        match contract_id {
            Some(id) => columns.contract_id.push(id),
            None => columns.contract_id.push_null(),
        }
        columns.key_type.push(key.type_name.as_bytes());
        columns.key_xdr.push(key.xdr);
        columns.durability.push(durability_name.as_bytes());
        columns.value_type.push(value.type_name.as_bytes());
        columns.value_xdr.push(value.xdr);
        self.push_found(found);
        Ok(())
    }

    fn take(&mut self, out: &mut Vec<arrow_array::ArrayRef>) {
        self.columns.take(out);
    }
}
