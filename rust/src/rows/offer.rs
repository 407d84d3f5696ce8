//! Rows of offers.

use super::EntryTable;
use super::column::{Columns, Int32, Int64, columns};
use super::reader::{Read, Reader};
use super::shared_columns::{AssetColumns, Common, Entry, Extension, push_account};
use super::strings::Text;
use crate::asset::Asset;

columns! {
    /// The table `offer`.
    Offers {
        common: Common,
        seller_id: Text,
        offer_id: Int64,
        selling: AssetColumns<false>,
        buying: AssetColumns<false>,
        amount: Int64,
        price_n: Int32,
        price_d: Int32,
        flags: Int64,
    }
}

impl EntryTable for Offers {
    fn push(&mut self, entry: &Entry, r: &mut Reader) -> Read<()> {
        let seller_id = r.account("OfferEntry.sellerID")?;
        let offer_id = r.i64("OfferEntry.offerID")?;
        let selling = Asset::read(r)?;
        let buying = Asset::read(r)?;
        let amount = r.i64("OfferEntry.amount")?;
        let price_n = r.i32("Price.n")?;
        let price_d = r.i32("Price.d")?;
        let flags = r.u32("OfferEntry.flags")?;
        r.only(0, "OfferEntry.ext")?;
        let extension = Extension::read(r)?;
        self.common.push(entry, &extension);
        push_account(&mut self.seller_id, seller_id);
        self.offer_id.push(offer_id);
        self.selling.push(&selling);
        self.buying.push(&buying);
        self.amount.push(amount);
        self.price_n.push(price_n);
        self.price_d.push(price_d);
        self.flags.push(i64::from(flags));
        Ok(())
    }

    fn take(&mut self, out: &mut Vec<arrow_array::ArrayRef>) {
        Columns::take(self, out);
    }
}
