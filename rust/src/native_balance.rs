//! Native balance: how many stroops of the native asset a ledger entry holds, whatever kind of entry it is.

#![forbid(unsafe_code)]

use crate::asset::{Asset, NATIVE, contract_id_of_asset};
use crate::rows::asset_contract::balance_amount;
use crate::rows::reader::{Read, Reader};
use crate::xdr::generated::{skip_Claimant, skip_SCVal};

/// `LedgerEntryType` values of the entries that can hold native stroops.
const ACCOUNT: u32 = 0;
const CLAIMABLE_BALANCE: u32 = 4;
const LIQUIDITY_POOL: u32 = 5;
const CONTRACT_DATA: u32 = 6;

/// `SC_ADDRESS_TYPE_CONTRACT`.
const CONTRACT: u32 = 1;

/// Tells the native stroops in entries of one network.
pub struct NativeBalances {
    contract_id: [u8; 32],
}

impl NativeBalances {
    pub fn new(network_id: &[u8; 32]) -> Self {
        Self {
            contract_id: contract_id_of_asset(network_id, &[0; 4]),
        }
    }

    /// Returns the stroops that a `LedgerEntry` holds; a contract's balance beyond 64 bits, which no network can have,
    /// counts as the largest number of 64 bits.
    ///
    /// # Errors
    /// The bytes are not a `LedgerEntry`.
    pub fn of(&self, entry: &[u8]) -> Read<i64> {
        let mut r = Reader::new(entry);
        r.u32("LedgerEntry.lastModifiedLedgerSeq")?;
        match r.u32("LedgerEntry.data")? {
            ACCOUNT => {
                r.account("AccountEntry.accountID")?;
                r.i64("AccountEntry.balance")
            }
            CLAIMABLE_BALANCE => claimable(&mut r),
            LIQUIDITY_POOL => reserves(&mut r),
            CONTRACT_DATA => self.contract_data(&mut r),
            _ => Ok(0),
        }
    }

    fn contract_data(&self, r: &mut Reader) -> Read<i64> {
        r.u32("ContractDataEntry.ext")?;
        if r.u32("SCAddress.type")? != CONTRACT || r.array("SCAddress.contractId")? != &self.contract_id {
            return Ok(0);
        }
        let start = r.pos();
        r.walk(skip_SCVal)?;
        let key = r.since(start);
        r.u32("ContractDataEntry.durability")?;
        let start = r.pos();
        r.walk(skip_SCVal)?;
        let amount = balance_amount(key, r.since(start)).unwrap_or(0);
        Ok(i64::try_from(amount).unwrap_or(i64::MAX))
    }
}

fn claimable(r: &mut Reader) -> Read<i64> {
    r.u32("ClaimableBalanceID.type")?;
    r.array::<32>("ClaimableBalanceID.v0")?;
    for _ in 0..r.u32("ClaimableBalanceEntry.claimants")? {
        r.walk(skip_Claimant)?;
    }
    let asset = Asset::read(r)?;
    let amount = r.i64("ClaimableBalanceEntry.amount")?;
    Ok(if asset.kind == NATIVE { amount } else { 0 })
}

fn reserves(r: &mut Reader) -> Read<i64> {
    r.array::<32>("LiquidityPoolEntry.liquidityPoolID")?;
    r.only(0, "LiquidityPoolEntry.body")?;
    let a = Asset::read(r)?;
    let b = Asset::read(r)?;
    r.i32("LiquidityPoolConstantProductParameters.fee")?;
    let reserve_a = r.i64("LiquidityPoolEntry.reserveA")?;
    let reserve_b = r.i64("LiquidityPoolEntry.reserveB")?;
    Ok(match (a.kind, b.kind) {
        (NATIVE, _) => reserve_a,
        (_, NATIVE) => reserve_b,
        _ => 0,
    })
}
