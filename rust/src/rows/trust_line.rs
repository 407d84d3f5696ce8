//! Rows of trust lines.

use super::EntryTable;
use super::column::{Columns, Int32, Int64, OptInt32, columns};
use super::reader::{Read, Reader};
use super::shared_columns::{AssetColumns, Common, Entry, Extension, push_account};
use super::strings::{OptText, Text};
use crate::asset::Asset;
use crate::text;

columns! {
    /// The table `trust_line`.
    TrustLines {
        common: Common,
        account_id: Text,
        asset: AssetColumns<true>,
        liquidity_pool_id: OptText,
        balance: Int64,
        trust_line_limit: Int64,
        flags: Int64,
        ext_version: Int32,
        buying_liabilities: Int64,
        selling_liabilities: Int64,
        liquidity_pool_use_count: OptInt32,
    }
}

/// What the nested extensions hold; their absence means zero or nothing.
#[derive(Default)]
struct Extensions {
    version: i32,
    buying_liabilities: i64,
    selling_liabilities: i64,
    pool_use_count: Option<i32>,
}

impl Extensions {
    fn read(r: &mut Reader) -> Read<Self> {
        let mut found = Extensions::default();
        if !r.flag("TrustLineEntry.ext")? {
            return Ok(found);
        }
        found.version = 1;
        found.buying_liabilities = r.i64("Liabilities.buying")?;
        found.selling_liabilities = r.i64("Liabilities.selling")?;
        match r.u32("TrustLineEntryV1.ext")? {
            0 => return Ok(found),
            2 => found.version = 2,
            _ => return r.refuse("TrustLineEntryV1.ext"),
        }
        found.pool_use_count = Some(r.i32("TrustLineEntryExtensionV2.liquidityPoolUseCount")?);
        r.only(0, "TrustLineEntryExtensionV2.ext")?;
        Ok(found)
    }
}

impl EntryTable for TrustLines {
    fn push(&mut self, entry: &Entry, r: &mut Reader) -> Read<()> {
        let account_id = r.account("TrustLineEntry.accountID")?;
        let asset = Asset::read_for_trust_line(r)?;
        let balance = r.i64("TrustLineEntry.balance")?;
        let limit = r.i64("TrustLineEntry.limit")?;
        let flags = r.u32("TrustLineEntry.flags")?;
        let extensions = Extensions::read(r)?;
        let extension = Extension::read(r)?;
        self.common.push(entry, &extension);
        push_account(&mut self.account_id, account_id);
        self.asset.push(&asset);
        match asset.pool {
            Some(pool) => self.liquidity_pool_id.push_with(|out| text::hex_into(pool, out)),
            None => self.liquidity_pool_id.push_null(),
        }
        self.balance.push(balance);
        self.trust_line_limit.push(limit);
        self.flags.push(i64::from(flags));
        self.ext_version.push(extensions.version);
        self.buying_liabilities.push(extensions.buying_liabilities);
        self.selling_liabilities.push(extensions.selling_liabilities);
        self.liquidity_pool_use_count.push(extensions.pool_use_count);
        Ok(())
    }

    fn take(&mut self, out: &mut Vec<arrow_array::ArrayRef>) {
        Columns::take(self, out);
    }
}
