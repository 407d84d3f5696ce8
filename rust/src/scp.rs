//! The signature over a ledger's close value: which node proposed this transaction set and close time.

#![forbid(unsafe_code)]

use ed25519_dalek::{Signature, VerifyingKey};

use crate::rows::reader::{Read, Reader};

/// `ENVELOPE_TYPE_SCPVALUE`.
const SCP_VALUE: u32 = 4;

/// `StellarValueType` values whose signed bytes are known.
const BASIC: u32 = 0;
const SIGNED: u32 = 1;
const EMPTY_TX_SET: u32 = 2;

/// Bytes of a `LedgerHeader` before its `StellarValue`: protocol and hash of the ledger before.
const BEFORE_VALUE: usize = 4 + 32;
/// Bytes of a proposed value between its transaction set's hash and its signature: hash and protocol of the ledger before.
const PROPOSED_ON: usize = 32 + 4;

/// Checks the signature of the close value in a `LedgerHeader`.
///
/// The signed bytes are network id, `ENVELOPE_TYPE_SCPVALUE`, hash of the transaction set and close time. A value whose
/// set was emptied (CAP-83) is signed over the set that was proposed.
///
/// Returns `None` when the value carries no signature, or is of a form whose signed bytes are not known.
///
/// # Errors
/// The bytes are not a `LedgerHeader`.
pub fn close_value_is_signed(header: &[u8], network_id: &[u8; 32]) -> Read<Option<bool>> {
    let mut r = Reader::new(header);
    r.array::<BEFORE_VALUE>("LedgerHeader.previousLedgerHash")?;
    let mut tx_set_hash = r.array::<32>("StellarValue.txSetHash")?;
    let close_time = r.u64("StellarValue.closeTime")?;
    for _ in 0..r.u32("StellarValue.upgrades")? {
        r.bytes("StellarValue.upgrades")?;
    }
    match r.u32("StellarValue.ext")? {
        BASIC => return Ok(None),
        SIGNED => {}
        EMPTY_TX_SET => {
            tx_set_hash = r.array("StellarValue.proposedValue.txSetHash")?;
            r.array::<PROPOSED_ON>("StellarValue.proposedValue.previousLedgerHash")?;
        }
        _ => return Ok(None),
    }
    let node = r.account("LedgerCloseValueSignature.nodeID")?;
    let signature = r.bytes("LedgerCloseValueSignature.signature")?;
    let mut message = [0; 32 + 4 + 32 + 8];
    message[..32].copy_from_slice(network_id);
    message[32..36].copy_from_slice(&SCP_VALUE.to_be_bytes());
    message[36..68].copy_from_slice(tx_set_hash);
    message[68..].copy_from_slice(&close_time.to_be_bytes());
    Ok(Some(verifies(node, &message, signature)))
}

/// Checks an ed25519 signature as strictly as libsodium does: no key or point of small order, no second form.
fn verifies(node: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let Ok(signature) = Signature::from_slice(signature) else {
        return false;
    };
    VerifyingKey::from_bytes(node).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    const NETWORK: [u8; 32] = [7; 32];
    const SET: [u8; 32] = [3; 32];
    const CLOSE_TIME: u64 = 1_700_000_005;

    fn header(tx_set_hash: &[u8; 32], ext: &[u8]) -> Vec<u8> {
        let upgrade = [&[0, 0, 0, 1, 0, 0, 0, 3][..], &[1, 2, 3, 0]].concat();
        [
            &[0; BEFORE_VALUE][..],
            tx_set_hash,
            &CLOSE_TIME.to_be_bytes(),
            &upgrade,
            ext,
            &[0; 40],
        ]
        .concat()
    }

    fn signature(signed: &[u8; 32]) -> Vec<u8> {
        let key = SigningKey::from_bytes(&[9; 32]);
        let message = [&NETWORK[..], &[0, 0, 0, 4], signed, &CLOSE_TIME.to_be_bytes()].concat();
        let node = key.verifying_key().to_bytes();
        [&[0; 4][..], &node, &[0, 0, 0, 64], &key.sign(&message).to_bytes()].concat()
    }

    #[test]
    fn a_signed_value_is_proven_and_any_changed_part_disproves_it() {
        let good = header(&SET, &[&[0, 0, 0, 1][..], &signature(&SET)].concat());
        assert_eq!(close_value_is_signed(&good, &NETWORK), Ok(Some(true)));
        assert_eq!(close_value_is_signed(&good, &[8; 32]), Ok(Some(false)));
        for place in [BEFORE_VALUE, BEFORE_VALUE + 39, 100, 140, 190] {
            let mut changed = good.clone();
            changed[place] ^= 1;
            assert_ne!(close_value_is_signed(&changed, &NETWORK), Ok(Some(true)), "{place}");
        }
    }

    #[test]
    fn a_basic_value_has_no_signature() {
        assert_eq!(close_value_is_signed(&header(&SET, &[0; 4]), &NETWORK), Ok(None));
    }

    #[test]
    fn an_emptied_value_is_signed_over_the_set_that_was_proposed() {
        let proposed = [&[0, 0, 0, 2][..], &SET, &[0; PROPOSED_ON], &signature(&SET)].concat();
        assert_eq!(
            close_value_is_signed(&header(&[0; 32], &proposed), &NETWORK),
            Ok(Some(true))
        );
    }

    #[test]
    fn a_header_cut_short_is_refused() {
        let good = header(&SET, &[&[0, 0, 0, 1][..], &signature(&SET)].concat());
        assert!(close_value_is_signed(&good[..150], &NETWORK).is_err());
    }
}
