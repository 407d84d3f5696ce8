//! Rows of claimable balances.

use super::EntryTable;
use super::column::{Columns, Int32, Int64, columns};
use super::list::Claimants;
use super::predicate;
use super::reader::{Read, Reader};
use super::shared_columns::{AssetColumns, Common, Entry, Extension};
use super::strings::Text;
use crate::asset::Asset;
use crate::strkey::{self, Kind, SHORT_LEN};
use crate::text;
use crate::xdr::generated::skip_ClaimPredicate;

columns! {
    /// The columns of `claimable_balance`.
    Balances {
        common: Common,
        balance_id: Text,
        claimants: Claimants,
        claimants_json: Text,
        asset: AssetColumns<false>,
        amount: Int64,
        flags: Int64,
        ext_version: Int32,
    }
}

/// The table `claimable_balance`; the texts of a row are made here before the row is added.
pub struct ClaimableBalances {
    columns: Balances,
    claimants: Vec<Claimant>,
    /// Horizon's JSON of all claimants.
    json: Vec<u8>,
    /// The SEP-51 JSON of all predicates, one behind the other.
    predicates: Vec<u8>,
}

struct Claimant {
    /// Its strkey, which both columns show.
    destination: [u8; SHORT_LEN],
    /// Where the predicate's JSON ends in `predicates`.
    json_end: usize,
}

impl ClaimableBalances {
    pub fn new(select: &dyn Fn(&str) -> bool) -> Self {
        Self {
            columns: Balances::new("", select),
            claimants: Vec::new(),
            json: Vec::new(),
            predicates: Vec::new(),
        }
    }

    fn read_claimants(&mut self, r: &mut Reader) -> Read<()> {
        let shown = self.columns.claimants_json.is_on() || self.columns.claimants.is_on();
        self.claimants.clear();
        self.predicates.clear();
        self.json.clear();
        self.json.push(b'[');
        for position in 0..r.u32("ClaimableBalanceEntry.claimants")? {
            r.only(0, "Claimant.type")?;
            let destination = r.account("Claimant.destination")?;
            if !shown {
                r.walk(skip_ClaimPredicate)?;
                continue;
            }
            let destination = strkey::encode32(Kind::Account, destination);
            if position > 0 {
                self.json.extend_from_slice(b", ");
            }
            self.json.extend_from_slice(b"{\"predicate\": ");
            predicate::write(r, &mut self.json, &mut self.predicates)?;
            self.json.extend_from_slice(b", \"destination\": \"");
            self.json.extend_from_slice(&destination);
            self.json.extend_from_slice(b"\"}");
            self.claimants.push(Claimant {
                destination,
                json_end: self.predicates.len(),
            });
        }
        self.json.push(b']');
        Ok(())
    }
}

impl EntryTable for ClaimableBalances {
    fn push(&mut self, entry: &Entry, r: &mut Reader) -> Read<()> {
        let id_start = r.pos();
        r.only(0, "ClaimableBalanceID.type")?;
        r.array::<32>("ClaimableBalanceID.v0")?;
        let balance_id = r.since(id_start);
        self.read_claimants(r)?;
        let asset = Asset::read(r)?;
        let amount = r.i64("ClaimableBalanceEntry.amount")?;
        let version_1 = r.flag("ClaimableBalanceEntry.ext")?;
        let mut flags = 0;
        if version_1 {
            r.only(0, "ClaimableBalanceEntryExtensionV1.ext")?;
            flags = r.u32("ClaimableBalanceEntryExtensionV1.flags")?;
        }
        let extension = Extension::read(r)?;
        let columns = &mut self.columns;
        columns.common.push(entry, &extension);
        columns.balance_id.push_with(|out| text::hex_into(balance_id, out));
        columns.claimants.push_with(|items| {
            let mut start = 0;
            for claimant in &self.claimants {
                items.destination.push(&claimant.destination);
                items.predicate_json.push(&self.predicates[start..claimant.json_end]);
                start = claimant.json_end;
            }
            self.claimants.len()
        });
        columns.claimants_json.push(&self.json);
        columns.asset.push(&asset);
        columns.amount.push(amount);
        columns.flags.push(i64::from(flags));
        columns.ext_version.push(i32::from(version_1));
        Ok(())
    }

    fn take(&mut self, out: &mut Vec<arrow_array::ArrayRef>) {
        self.columns.take(out);
    }
}
