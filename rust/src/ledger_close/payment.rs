//! Recognises events of Stellar-asset contracts that move value, which make an invocation a payment.

use std::collections::HashMap;

use super::operation_row::of;
use super::place::{Event, Span, array};
use super::walk::Walked;
use crate::asset::contract_id_of_asset;
use crate::strkey::{self, Kind};

const CONTRACT: i32 = 1;
const SCV_STRING: u32 = 14;
const SCV_SYMBOL: u32 = 15;
/// Names of asset contracts that are remembered; a network has few that are in use.
const REMEMBERED: usize = 4096;

/// Finds payments among contract events; remembers the contracts of the assets that it saw.
pub struct Payments {
    network_id: [u8; 32],
    contracts: HashMap<Vec<u8>, Option<[u8; 32]>>,
}

impl Payments {
    #[must_use]
    pub fn new(network_id: [u8; 32]) -> Self {
        Self {
            network_id,
            contracts: HashMap::new(),
        }
    }

    /// Whether an event says that the contract of a Stellar asset moved some of it.
    pub fn is_payment(&mut self, ledger: &[u8], walked: &Walked, event: &Event) -> bool {
        let topics = &walked.topics[of(event.topics)];
        let (Some(contract), true, [name, _, .., asset]) = (event.contract, event.kind == CONTRACT, topics) else {
            return false;
        };
        if !matches!(
            text(ledger, *name, SCV_SYMBOL),
            Some(b"transfer" | b"mint" | b"clawback" | b"burn")
        ) {
            return false;
        }
        let Some(asset) = text(ledger, *asset, SCV_STRING) else {
            return false;
        };
        if let Some(known) = self.contracts.get(asset) {
            return known.as_ref() == Some(array(ledger, contract));
        }
        let id = asset_of(asset).map(|xdr| contract_id_of_asset(&self.network_id, &xdr));
        if self.contracts.len() >= REMEMBERED {
            self.contracts.clear();
        }
        self.contracts.insert(asset.to_vec(), id);
        id.as_ref() == Some(array(ledger, contract))
    }
}

/// The content of an `SCVal` of this type, a string or a symbol.
fn text(ledger: &[u8], value: Span, kind: u32) -> Option<&[u8]> {
    let bytes = value.of(ledger);
    if bytes.len() < 8 || u32::from_be_bytes(*array(bytes, 0)) != kind {
        return None;
    }
    let length = u32::from_be_bytes(*array(bytes, 4)) as usize;
    bytes.get(8..8 + length)
}

/// The `Asset` XDR of `native` or `CODE:ISSUER`.
fn asset_of(name: &[u8]) -> Option<Vec<u8>> {
    if name == b"native" {
        return Some(vec![0; 4]);
    }
    let colon = name.iter().position(|byte| *byte == b':')?;
    let (code, issuer) = (&name[..colon], std::str::from_utf8(&name[colon + 1..]).ok()?);
    let (Kind::Account, key) = strkey::decode(issuer).ok()? else {
        return None;
    };
    let room = match code.len() {
        1..=4 => 4,
        5..=12 => 12,
        _ => return None,
    };
    let mut xdr = vec![0, 0, 0, if room == 4 { 1 } else { 2 }];
    xdr.extend_from_slice(code);
    xdr.resize(4 + room, 0);
    xdr.extend_from_slice(&[0; 4]);
    xdr.extend_from_slice(&key);
    Some(xdr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_assets_become_their_xdr() {
        const ISSUER: &str = "GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN";
        assert_eq!(asset_of(b"native"), Some(vec![0; 4]));
        let short = asset_of(format!("USDC:{ISSUER}").as_bytes()).unwrap();
        assert_eq!((&short[..8], short.len()), (&b"\0\0\0\x01USDC"[..], 44));
        let long = asset_of(format!("ABCDE:{ISSUER}").as_bytes()).unwrap();
        assert_eq!((&long[..16], long.len()), (&b"\0\0\0\x02ABCDE\0\0\0\0\0\0\0"[..], 52));
        for wrong in ["", "USDC", ":x", "USDC:", "ABCDEFGHIJKLM:x", "USDC:G"] {
            assert_eq!(asset_of(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
