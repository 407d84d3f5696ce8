//! The row of a ledger, with the hashes of its header, set and results computed anew.

use sha2::{Digest, Sha256};

use super::header::Header;
use super::matching::Matching;
use super::place::Processed;
use super::tables::Ledgers;
use super::transaction_row::push_optional_account;
use super::walk::{SetKind, Walked};
use crate::text;

/// Adds the row of a ledger.
pub fn push(rows: &mut Ledgers, ledger: &[u8], walked: &Walked, header: &Header<'_>, matching: &Matching) {
    let hex = |bytes: &[u8]| {
        let bytes = <[u8; 32]>::try_from(bytes).unwrap_or_default();
        move |out: &mut Vec<u8>| text::hex_into(&bytes, out)
    };
    rows.ledger_sequence.push(i64::from(header.sequence));
    rows.ledger_hash.push_with(hex(header.stated_hash));
    rows.computed_hash
        .push_with(|out| text::hex_into(&Sha256::digest(header.xdr), out));
    rows.previous_ledger_hash.push_with(hex(header.previous_hash));
    rows.protocol_version.push(i64::from(header.protocol_version));
    rows.close_time.push(header.close_time);
    rows.total_coins.push(header.total_coins);
    rows.fee_pool.push(header.fee_pool);
    rows.inflation_seq.push(i64::from(header.inflation_sequence));
    rows.id_pool.push(header.id_pool);
    rows.base_fee.push(i64::from(header.base_fee));
    rows.base_reserve.push(i64::from(header.base_reserve));
    rows.max_tx_set_size.push(i64::from(header.max_tx_set_size));
    rows.header_flags.push(header.flags.map(i64::from));
    rows.bucket_list_hash.push_with(hex(header.bucket_list_hash));
    rows.tx_set_hash.push_with(hex(header.tx_set_hash));
    rows.computed_tx_set_hash
        .push_with(|out| text::hex_into(&set_hash(ledger, walked), out));
    rows.tx_set_kind.push(match walked.set_kind {
        SetKind::Legacy => b"legacy",
        SetKind::Generalized => b"generalized",
        SetKind::Parallel => b"parallel",
    });
    rows.result_hash.push_with(hex(header.result_hash));
    rows.computed_result_hash
        .push_with(|out| text::hex_into(&results_hash(ledger, &walked.processed), out));
    rows.scp_value_type.push(header.value_type);
    push_optional_account(&mut rows.scp_node, header.signature.map(|signature| signature.node));
    match header.signature {
        Some(signature) => rows.scp_signature.push(signature.bytes),
        None => rows.scp_signature.push_null(),
    }
    rows.upgrades
        .push_with(|items| header.upgrades.iter().for_each(|upgrade| items.push(upgrade)));
    rows.header_xdr.push(header.xdr);
    rows.header_base64.push_with(|out| text::base64_into(header.xdr, out));
    rows.lcm_version.push(walked.version.cast_signed());
    push_counts(rows, walked, matching);
    rows.raw_bytes.push(ledger.len() as i64);
    rows.soroban_fee_write_1kb.push(walked.soroban_fee_write);
    rows.live_soroban_state_size.push(walked.live_soroban_state_size);
    rows.evicted_keys.push(walked.evicted.len() as i32);
}

fn push_counts(rows: &mut Ledgers, walked: &Walked, matching: &Matching) {
    let (mut successful, mut applied, mut all) = (0, 0, 0);
    for (processed, envelope) in walked.processed.iter().zip(&matching.envelopes) {
        let operations = envelope.map_or(0, |at| {
            let (first, end) = walked.envelopes[at as usize].transaction.operations;
            (end - first).cast_signed()
        });
        all += operations;
        if processed.is_successful() {
            successful += 1;
            applied += operations;
        }
    }
    let transactions = walked.processed.len() as i32;
    rows.tx_set_size.push(walked.envelopes.len() as i32);
    rows.transaction_count.push(transactions);
    rows.successful_transaction_count.push(successful);
    rows.failed_transaction_count.push(transactions - successful);
    rows.operation_count.push(applied);
    rows.tx_set_operation_count.push(all);
    rows.unmatched_transactions.push(matching.unmatched.cast_signed());
    rows.bad_inner_hashes.push(matching.bad_inner_hashes.cast_signed());
}

/// The hash of a set by its own form: a legacy set is hashed over its envelopes in the order of their hashes.
fn set_hash(ledger: &[u8], walked: &Walked) -> [u8; 32] {
    let set = walked.set.of(ledger);
    if walked.set_kind != SetKind::Legacy {
        return Sha256::digest(set).into();
    }
    let envelopes = walked.envelopes.iter().map(|envelope| envelope.whole.of(ledger));
    let mut sorted: Vec<([u8; 32], &[u8])> = envelopes.map(|xdr| (Sha256::digest(xdr).into(), xdr)).collect();
    sorted.sort_unstable_by_key(|(hash, _)| *hash);
    let mut hasher = Sha256::new();
    hasher.update(&set[..32]);
    for (_, xdr) in sorted {
        hasher.update(xdr);
    }
    hasher.finalize().into()
}

/// The hash of the `TransactionResultSet` that the results make in their order.
fn results_hash(ledger: &[u8], processed: &[Processed]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update((processed.len() as u32).to_be_bytes());
    for result in processed {
        hasher.update(result.pair.of(ledger));
    }
    hasher.finalize().into()
}
