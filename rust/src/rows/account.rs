//! Rows of accounts.

use super::EntryTable;
use super::column::{Columns, Int32, Int64, OptInt64, OptUInt64, columns};
use super::list::Signers;
use super::reader::{Read, Reader};
use super::shared_columns::{Common, Entry, Extension, push_account, push_optional_account};
use super::strings::{Bytes, OptText, Text};
use crate::strkey::{self, Kind};
use crate::text;

columns! {
    /// The table `account`.
    Accounts {
        common: Common,
        account_id: Text,
        balance: Int64,
        sequence_number: Int64,
        num_subentries: Int64,
        inflation_destination: OptText,
        flags: Int64,
        home_domain: Bytes,
        home_domain_text: Text,
        master_weight: Int32,
        threshold_low: Int32,
        threshold_medium: Int32,
        threshold_high: Int32,
        signers: Signers,
        ext_version: Int32,
        buying_liabilities: Int64,
        selling_liabilities: Int64,
        num_sponsored: Int64,
        num_sponsoring: Int64,
        sequence_ledger: OptInt64,
        sequence_time: OptUInt64,
    }
}

struct Account<'a> {
    account_id: &'a [u8; 32],
    balance: i64,
    sequence_number: i64,
    num_subentries: u32,
    inflation_destination: Option<&'a [u8; 32]>,
    flags: u32,
    home_domain: &'a [u8],
    thresholds: &'a [u8; 4],
    signers: Vec<Signer<'a>>,
    extensions: Extensions,
}

struct Signer<'a> {
    kind: Kind,
    /// The strkey's payload.
    key: &'a [u8],
    weight: u32,
    sponsor: Option<&'a [u8; 32]>,
}

/// What the nested extensions hold; their absence means zero or nothing.
#[derive(Default)]
struct Extensions {
    version: i32,
    buying_liabilities: i64,
    selling_liabilities: i64,
    num_sponsored: u32,
    num_sponsoring: u32,
    sequence_ledger: Option<u32>,
    sequence_time: Option<u64>,
}

impl<'a> Account<'a> {
    fn read(r: &mut Reader<'a>) -> Read<Self> {
        let account_id = r.account("AccountEntry.accountID")?;
        let balance = r.i64("AccountEntry.balance")?;
        let sequence_number = r.i64("AccountEntry.seqNum")?;
        let num_subentries = r.u32("AccountEntry.numSubEntries")?;
        let inflation_destination = r.optional_account("AccountEntry.inflationDest")?;
        let flags = r.u32("AccountEntry.flags")?;
        let home_domain = r.bytes("AccountEntry.homeDomain")?;
        let thresholds = r.array("AccountEntry.thresholds")?;
        let count = r.u32("AccountEntry.signers")?;
        let mut signers = Vec::new();
        for _ in 0..count {
            signers.push(Signer::read(r)?);
        }
        let extensions = Extensions::read(r, &mut signers)?;
        Ok(Account {
            account_id,
            balance,
            sequence_number,
            num_subentries,
            inflation_destination,
            flags,
            home_domain,
            thresholds,
            signers,
            extensions,
        })
    }
}

impl<'a> Signer<'a> {
    fn read(r: &mut Reader<'a>) -> Read<Self> {
        let kind = match r.u32("SignerKey.type")? {
            0 => Kind::Account,
            1 => Kind::PreAuthTx,
            2 => Kind::HashX,
            3 => Kind::SignedPayload,
            _ => return r.refuse("SignerKey.type"),
        };
        let start = r.pos();
        r.array::<32>("SignerKey")?;
        if kind == Kind::SignedPayload {
            r.bytes("SignerKey.ed25519SignedPayload")?;
        }
        let key = r.since(start);
        Ok(Signer {
            kind,
            key,
            weight: r.u32("Signer.weight")?,
            sponsor: None,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        match <&[u8; 32]>::try_from(self.key) {
            Ok(key) => out.extend_from_slice(&strkey::encode32(self.kind, key)),
            Err(_) => strkey::encode_into(self.kind as u8, self.key, out),
        }
    }
}

impl Extensions {
    /// Reads versions 0, 1, 2 and 3, each inside the one before; sponsors belong to the signers by position.
    fn read<'a>(r: &mut Reader<'a>, signers: &mut [Signer<'a>]) -> Read<Self> {
        let mut found = Extensions::default();
        if !r.flag("AccountEntry.ext")? {
            return Ok(found);
        }
        found.version = 1;
        found.buying_liabilities = r.i64("Liabilities.buying")?;
        found.selling_liabilities = r.i64("Liabilities.selling")?;
        match r.u32("AccountEntryExtensionV1.ext")? {
            0 => return Ok(found),
            2 => found.version = 2,
            _ => return r.refuse("AccountEntryExtensionV1.ext"),
        }
        found.num_sponsored = r.u32("AccountEntryExtensionV2.numSponsored")?;
        found.num_sponsoring = r.u32("AccountEntryExtensionV2.numSponsoring")?;
        for position in 0..r.u32("AccountEntryExtensionV2.signerSponsoringIDs")? {
            let sponsor = r.optional_account("AccountEntryExtensionV2.signerSponsoringIDs")?;
            if let Some(signer) = signers.get_mut(position as usize) {
                signer.sponsor = sponsor;
            }
        }
        match r.u32("AccountEntryExtensionV2.ext")? {
            0 => return Ok(found),
            3 => found.version = 3,
            _ => return r.refuse("AccountEntryExtensionV2.ext"),
        }
        r.only(0, "AccountEntryExtensionV3.ext")?;
        found.sequence_ledger = Some(r.u32("AccountEntryExtensionV3.seqLedger")?);
        found.sequence_time = Some(r.u64("AccountEntryExtensionV3.seqTime")?);
        Ok(found)
    }
}

impl EntryTable for Accounts {
    fn push(&mut self, entry: &Entry, r: &mut Reader) -> Read<()> {
        let account = Account::read(r)?;
        let extension = Extension::read(r)?;
        self.common.push(entry, &extension);
        push_account(&mut self.account_id, account.account_id);
        self.balance.push(account.balance);
        self.sequence_number.push(account.sequence_number);
        self.num_subentries.push(i64::from(account.num_subentries));
        push_optional_account(&mut self.inflation_destination, account.inflation_destination);
        self.flags.push(i64::from(account.flags));
        self.home_domain.push(account.home_domain);
        self.home_domain_text
            .push_with(|out| text::display_into(account.home_domain, out));
        let [master, low, medium, high] = account.thresholds.map(i32::from);
        self.master_weight.push(master);
        self.threshold_low.push(low);
        self.threshold_medium.push(medium);
        self.threshold_high.push(high);
        self.signers.push_with(|items| {
            for signer in &account.signers {
                items.key.push_with(|out| signer.write(out));
                items.weight.push(i64::from(signer.weight));
                push_optional_account(&mut items.sponsor, signer.sponsor);
            }
            account.signers.len()
        });
        self.ext_version.push(account.extensions.version);
        self.buying_liabilities.push(account.extensions.buying_liabilities);
        self.selling_liabilities.push(account.extensions.selling_liabilities);
        self.num_sponsored.push(i64::from(account.extensions.num_sponsored));
        self.num_sponsoring.push(i64::from(account.extensions.num_sponsoring));
        self.sequence_ledger
            .push(account.extensions.sequence_ledger.map(i64::from));
        self.sequence_time.push(account.extensions.sequence_time);
        Ok(())
    }

    fn take(&mut self, out: &mut Vec<arrow_array::ArrayRef>) {
        Columns::take(self, out);
    }
}
