//! Columns that several tables have: those of every entry, and those of an asset.

use arrow_array::ArrayRef;
use arrow_schema::Field;
use sha2::{Digest, Sha256};

use super::column::{Columns, Int8, Int32, Int64, columns};
use super::reader::{Read, Reader};
use super::strings::{Bytes, Hash, OptBytes, OptText, Text};
use crate::asset::{Asset, POOL_SHARE};
use crate::strkey::{self, Kind};
use crate::text;

columns! {
    /// The first columns of all ten entry tables.
    Common {
        ledger_key: Bytes,
        ledger_key_base64: Text,
        key_hash: Hash,
        last_modified_ledger: Int64,
        sponsor: OptText,
        ledger_ext_version: Int32,
        bucket_entry_type: Int8,
        entry_xdr: Bytes,
    }
}

/// An entry on its way into a table.
pub struct Entry<'a> {
    /// The whole `LedgerEntry`.
    pub xdr: &'a [u8],
    /// Its `LedgerKey`.
    pub key: &'a [u8],
    pub bucket_entry_type: i8,
    pub last_modified: u32,
}

/// What stands behind the data of every entry.
pub struct Extension<'a> {
    version: i32,
    sponsor: Option<&'a [u8; 32]>,
}

impl<'a> Extension<'a> {
    /// Reads the extension, with which the entry ends.
    pub fn read(reader: &mut Reader<'a>) -> Read<Self> {
        let mut extension = Extension {
            version: 0,
            sponsor: None,
        };
        if reader.flag("LedgerEntry.ext")? {
            extension.version = 1;
            extension.sponsor = reader.optional_account("LedgerEntryExtensionV1.sponsoringID")?;
            reader.only(0, "LedgerEntryExtensionV1.ext")?;
        }
        reader.end()?;
        Ok(extension)
    }
}

impl Common {
    /// Adds the row's common part; `key_hash` is the SHA-256 of the key.
    pub fn push(&mut self, entry: &Entry, extension: &Extension) {
        self.key_hash.push_with(|| Sha256::digest(entry.key).into());
        self.push_but_hash(entry, extension);
    }

    /// Adds the row's common part with the hash that the entry itself names.
    pub fn push_with_hash(&mut self, entry: &Entry, extension: &Extension, key_hash: &[u8; 32]) {
        self.key_hash.push(key_hash);
        self.push_but_hash(entry, extension);
    }

    fn push_but_hash(&mut self, entry: &Entry, extension: &Extension) {
        self.ledger_key.push(entry.key);
        self.ledger_key_base64
            .push_with(|out| text::base64_into(entry.key, out));
        self.last_modified_ledger.push(i64::from(entry.last_modified));
        push_optional_account(&mut self.sponsor, extension.sponsor);
        self.ledger_ext_version.push(extension.version);
        self.bucket_entry_type.push(entry.bucket_entry_type);
        self.entry_xdr.push(entry.xdr);
    }
}

/// Adds the strkey of an account.
#[inline]
pub fn push_account(column: &mut Text, key: &[u8; 32]) {
    column.push_with(|out| out.extend_from_slice(&strkey::encode32(Kind::Account, key)));
}

/// Adds the strkey of an account that need not be there.
#[inline]
pub fn push_optional_account(column: &mut OptText, key: Option<&[u8; 32]>) {
    match key {
        Some(key) => column.push_with(|out| out.extend_from_slice(&strkey::encode32(Kind::Account, key))),
        None => column.push_null(),
    }
}

/// The columns of one asset; their prefix is the name of the group unless that name is `asset`.
///
/// With `POOL` the asset may be a pool share, which has no `Asset` XDR.
pub struct AssetColumns<const POOL: bool> {
    asset_type: Int32,
    asset_code: OptText,
    asset_code_bytes: OptBytes,
    asset_issuer: OptText,
    asset_base64: OptText,
}

impl<const POOL: bool> AssetColumns<POOL> {
    pub fn push(&mut self, asset: &Asset) {
        self.asset_type.push(asset.kind);
        if asset.issuer.is_some() {
            self.asset_code
                .push_with(|out| text::display_into(text::trim_nuls(asset.code), out));
            self.asset_code_bytes.push(asset.code);
        } else {
            self.asset_code.push_null();
            self.asset_code_bytes.push_null();
        }
        push_optional_account(&mut self.asset_issuer, asset.issuer);
        if POOL && asset.kind == POOL_SHARE {
            self.asset_base64.push_null();
        } else {
            self.asset_base64.push_with(|out| text::base64_into(asset.xdr, out));
        }
    }
}

impl<const POOL: bool> Columns for AssetColumns<POOL> {
    fn fields(name: &str, out: &mut Vec<Field>) {
        let named = |column: &str| {
            if name == "asset" {
                column.to_owned()
            } else {
                format!("{name}_{column}")
            }
        };
        Int32::fields(&named("asset_type"), out);
        OptText::fields(&named("asset_code"), out);
        OptBytes::fields(&named("asset_code_bytes"), out);
        OptText::fields(&named("asset_issuer"), out);
        if POOL {
            OptText::fields(&named("asset_base64"), out);
        } else {
            Text::fields(&named("asset_base64"), out);
        }
    }

    fn new(name: &str, select: &dyn Fn(&str) -> bool) -> Self {
        let named = |column: &str| {
            if name == "asset" {
                column.to_owned()
            } else {
                format!("{name}_{column}")
            }
        };
        Self {
            asset_type: Int32::new(&named("asset_type"), select),
            asset_code: OptText::new(&named("asset_code"), select),
            asset_code_bytes: OptBytes::new(&named("asset_code_bytes"), select),
            asset_issuer: OptText::new(&named("asset_issuer"), select),
            asset_base64: OptText::new(&named("asset_base64"), select),
        }
    }

    fn take(&mut self, out: &mut Vec<ArrayRef>) {
        self.asset_type.take(out);
        self.asset_code.take(out);
        self.asset_code_bytes.take(out);
        self.asset_issuer.take(out);
        self.asset_base64.take(out);
    }
}
