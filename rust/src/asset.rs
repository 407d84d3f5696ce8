//! Assets as they stand in entries: what they name, their XDR and the contract that belongs to them.

#![forbid(unsafe_code)]

use sha2::{Digest, Sha256};

use crate::rows::reader::{Read, Reader};

/// `AssetType` values.
pub const NATIVE: i32 = 0;
pub const ALPHANUM4: i32 = 1;
pub const ALPHANUM12: i32 = 2;
pub const POOL_SHARE: i32 = 3;

/// `ENVELOPE_TYPE_CONTRACT_ID` and `CONTRACT_ID_PREIMAGE_FROM_ASSET`.
const CONTRACT_ID_ENVELOPE: [u8; 4] = [0, 0, 0, 8];
const FROM_ASSET: [u8; 4] = [0, 0, 0, 1];

/// An asset, borrowed from the entry that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset<'a> {
    /// The `AssetType`.
    pub kind: i32,
    /// The four or twelve bytes of the code; empty for native and for pool shares.
    pub code: &'a [u8],
    /// The issuer's key.
    pub issuer: Option<&'a [u8; 32]>,
    /// The pool whose shares these are.
    pub pool: Option<&'a [u8; 32]>,
    /// The XDR bytes: those of an `Asset` unless it is a pool share.
    pub xdr: &'a [u8],
}

impl<'a> Asset<'a> {
    /// Reads an `Asset`.
    ///
    /// # Errors
    /// The bytes are not an `Asset`.
    pub fn read(reader: &mut Reader<'a>) -> Read<Self> {
        match Self::read_for_trust_line(reader)? {
            asset if asset.kind == POOL_SHARE => reader.refuse("Asset"),
            asset => Ok(asset),
        }
    }

    /// Reads a `TrustLineAsset`, which may be a pool share.
    ///
    /// # Errors
    /// The bytes are not a `TrustLineAsset`.
    pub fn read_for_trust_line(reader: &mut Reader<'a>) -> Read<Self> {
        let start = reader.pos();
        let kind = reader.i32("AssetType")?;
        let mut asset = Asset {
            kind,
            code: &[],
            issuer: None,
            pool: None,
            xdr: &[],
        };
        match kind {
            NATIVE => {}
            ALPHANUM4 => {
                asset.code = reader.array::<4>("AssetCode4")?;
                asset.issuer = Some(reader.account("AlphaNum4.issuer")?);
            }
            ALPHANUM12 => {
                asset.code = reader.array::<12>("AssetCode12")?;
                asset.issuer = Some(reader.account("AlphaNum12.issuer")?);
            }
            POOL_SHARE => asset.pool = Some(reader.array("PoolID")?),
            _ => return reader.refuse("AssetType"),
        }
        asset.xdr = reader.since(start);
        Ok(asset)
    }
}

/// Returns the id of the contract that the network keeps for an asset (CAP-46): SHA-256 of its `HashIDPreimage`.
pub fn contract_id_of_asset(network_id: &[u8; 32], asset_xdr: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(CONTRACT_ID_ENVELOPE);
    hash.update(network_id);
    hash.update(FROM_ASSET);
    hash.update(asset_xdr);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strkey;

    #[test]
    fn the_native_contract_of_pubnet_is_the_known_one() {
        let network_id: [u8; 32] = Sha256::digest(b"Public Global Stellar Network ; September 2015").into();
        let id = contract_id_of_asset(&network_id, &[0; 4]);
        let text = strkey::encode32(strkey::Kind::Contract, &id);
        assert_eq!(&text, b"CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA");
    }

    #[test]
    fn a_pool_share_is_no_asset() {
        let xdr = [&[0, 0, 0, 3][..], &[9; 32]].concat();
        assert_eq!(
            Asset::read_for_trust_line(&mut Reader::new(&xdr)).unwrap().pool,
            Some(&[9; 32])
        );
        assert!(Asset::read(&mut Reader::new(&xdr)).is_err());
    }

    #[test]
    fn the_xdr_of_an_asset_ends_with_its_issuer() {
        let xdr = [&[0, 0, 0, 1][..], b"USD\0", &[0; 4], &[7; 32], b"more"].concat();
        let asset = Asset::read(&mut Reader::new(&xdr)).unwrap();
        assert_eq!(
            (asset.kind, asset.code, asset.issuer),
            (ALPHANUM4, &b"USD\0"[..], Some(&[7; 32]))
        );
        assert_eq!(asset.xdr, &xdr[..44]);
    }
}
