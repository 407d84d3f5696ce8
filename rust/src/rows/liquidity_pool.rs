//! Rows of liquidity pools.

use super::EntryTable;
use super::column::{Columns, Int32, Int64, columns};
use super::reader::{Read, Reader};
use super::shared_columns::{AssetColumns, Common, Entry, Extension};
use super::strings::Text;
use crate::asset::Asset;
use crate::text;

columns! {
    /// The table `liquidity_pool`.
    LiquidityPools {
        common: Common,
        pool_id: Text,
        pool_type: Int32,
        fee: Int32,
        a: AssetColumns<false>,
        b: AssetColumns<false>,
        reserve_a: Int64,
        reserve_b: Int64,
        total_shares: Int64,
        trustline_count: Int64,
    }
}

/// `LIQUIDITY_POOL_CONSTANT_PRODUCT`, the only type there is.
const CONSTANT_PRODUCT: i32 = 0;

impl EntryTable for LiquidityPools {
    fn push(&mut self, entry: &Entry, r: &mut Reader) -> Read<()> {
        let pool_id = r.array::<32>("LiquidityPoolEntry.liquidityPoolID")?;
        let pool_type = r.i32("LiquidityPoolEntry.body")?;
        if pool_type != CONSTANT_PRODUCT {
            return r.refuse("LiquidityPoolEntry.body");
        }
        let a = Asset::read(r)?;
        let b = Asset::read(r)?;
        let fee = r.i32("LiquidityPoolConstantProductParameters.fee")?;
        let reserve_a = r.i64("LiquidityPoolEntry.reserveA")?;
        let reserve_b = r.i64("LiquidityPoolEntry.reserveB")?;
        let total_shares = r.i64("LiquidityPoolEntry.totalPoolShares")?;
        let trustline_count = r.i64("LiquidityPoolEntry.poolSharesTrustLineCount")?;
        let extension = Extension::read(r)?;
        self.common.push(entry, &extension);
        self.pool_id.push_with(|out| text::hex_into(pool_id, out));
        self.pool_type.push(pool_type);
        self.fee.push(fee);
        self.a.push(&a);
        self.b.push(&b);
        self.reserve_a.push(reserve_a);
        self.reserve_b.push(reserve_b);
        self.total_shares.push(total_shares);
        self.trustline_count.push(trustline_count);
        Ok(())
    }

    fn take(&mut self, out: &mut Vec<arrow_array::ArrayRef>) {
        Columns::take(self, out);
    }
}
