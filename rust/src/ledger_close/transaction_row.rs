//! Rows of transactions.

use super::place::{Account, Conditions, Envelope, Memo, Processed, Span, array};
use super::tables::Transactions;
use crate::rows::strings::{OptText, Text};
use crate::strkey::{self, Kind};
use crate::text;

/// What a transaction's row needs besides the transaction itself.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    pub ledger: &'a [u8],
    pub sequence: u32,
    pub close_time: u64,
    pub has_meta: bool,
}

/// The total order id of a transaction (operation 0) or an operation.
#[must_use]
pub fn toid(sequence: u32, transaction: u32, operation: u32) -> i64 {
    (i64::from(sequence) << 32) | (i64::from(transaction) << 12) | i64::from(operation)
}

/// Adds the row of a transaction.
pub fn push(rows: &mut Transactions, setting: Setting<'_>, order: u32, envelope: &Envelope, processed: &Processed) {
    let ledger = setting.ledger;
    let transaction = &envelope.transaction;
    rows.ledger_sequence.push(i64::from(setting.sequence));
    rows.application_order.push(order.cast_signed());
    rows.id.push(toid(setting.sequence, order, 0));
    rows.transaction_hash
        .push_with(|out| text::hex_into(envelope.hash(), out));
    rows.successful.push(processed.is_successful());
    rows.result_code.push(processed.code);
    rows.inner_result_code.push(processed.inner.map(|(_, code)| code));
    rows.fee_charged.push(processed.fee_charged);
    push_account(&mut rows.account, &mut rows.account_muxed, ledger, transaction.source);
    rows.account_sequence.push(transaction.sequence);
    rows.max_fee.push(i64::from(transaction.fee));
    rows.new_max_fee.push(envelope.fee_bump.map(|bump| bump.fee));
    let (first, end) = transaction.operations;
    rows.operation_count.push((end - first).cast_signed());
    match &envelope.fee_bump {
        None => {
            rows.inner_transaction_hash.push_null();
            rows.fee_account.push_null();
            rows.fee_account_muxed.push_null();
            rows.signatures
                .push_with(|items| each_signature(ledger, transaction.signatures, |text| items.push_with(text)));
            rows.inner_signatures.push_null();
        }
        Some(bump) => {
            rows.inner_transaction_hash
                .push_with(|out| text::hex_into(&transaction.hash, out));
            let key = strkey::encode32(Kind::Account, array(ledger, bump.source.key));
            rows.fee_account.push(&key);
            push_muxed(&mut rows.fee_account_muxed, ledger, bump.source);
            rows.signatures
                .push_with(|items| each_signature(ledger, bump.signatures, |text| items.push_with(text)));
            rows.inner_signatures
                .push_with(|items| each_signature(ledger, transaction.signatures, |text| items.push_with(text)));
        }
    }
    push_memo(rows, ledger, transaction.memo);
    push_conditions(rows, ledger, &transaction.conditions);
    rows.envelope_type.push(envelope.kind.cast_signed());
    rows.is_soroban.push(transaction.soroban);
    push_xdr(rows, setting, envelope.whole, processed);
    rows.close_time.push(setting.close_time);
}

/// Adds the strkeys of an account: its key, and with the id when it has one.
pub fn push_account(plain: &mut Text, muxed: &mut OptText, ledger: &[u8], account: Account) {
    plain.push_with(|out| {
        let key = strkey::encode32(Kind::Account, array(ledger, account.key));
        out.extend_from_slice(&key);
    });
    push_muxed(muxed, ledger, account);
}

/// Adds the strkey of an account that need not be there.
pub fn push_optional_account(column: &mut OptText, key: Option<&[u8; 32]>) {
    match key {
        Some(key) => column.push(&strkey::encode32(Kind::Account, key)),
        None => column.push_null(),
    }
}

/// Adds the strkey of an account with an id.
pub fn push_muxed(column: &mut OptText, ledger: &[u8], account: Account) {
    if account.muxed {
        let mut payload = [0; 40];
        payload[..32].copy_from_slice(array::<32>(ledger, account.key));
        payload[32..].copy_from_slice(array::<8>(ledger, account.key - 8));
        column.push_with(|out| strkey::encode_into(Kind::MuxedAccount as u8, &payload, out));
    } else {
        column.push_null();
    }
}

/// Gives `add` a writer of the base64 of each signature; a hint of four bytes and the length stand before it.
fn each_signature(ledger: &[u8], signatures: Span, mut add: impl FnMut(&dyn Fn(&mut Vec<u8>))) {
    let mut rest = signatures.of(ledger);
    while let [_, _, _, _, a, b, c, d, tail @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        add(&|out| text::base64_into(&tail[..length], out));
        rest = &tail[length.next_multiple_of(4)..];
    }
}

fn push_memo(rows: &mut Transactions, ledger: &[u8], memo: Memo) {
    let content = memo.content.of(ledger);
    let kind: &[u8] = match memo.kind {
        0 => b"none",
        1 => b"text",
        2 => b"id",
        3 => b"hash",
        _ => b"return",
    };
    rows.memo_type.push(kind);
    match memo.kind {
        0 => rows.memo.push_null(),
        1 => rows.memo.push_with(|out| scrubbed_into(content, out)),
        2 => {
            let id = u64::from_be_bytes(*array(ledger, memo.content.start));
            rows.memo.push(id.to_string().as_bytes());
        }
        _ => rows.memo.push_with(|out| text::base64_into(content, out)),
    }
    if memo.kind == 1 {
        rows.memo_bytes.push(content);
    } else {
        rows.memo_bytes.push_null();
    }
}

/// Appends bytes as Horizon shows a text memo: each byte that is not UTF-8 becomes U+FFFD, NULs are left out.
fn scrubbed_into(mut content: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        match std::str::from_utf8(content) {
            Ok(_) => {
                out.extend_from_slice(content);
                break;
            }
            Err(error) => {
                let (good, bad) = content.split_at(error.valid_up_to());
                out.extend_from_slice(good);
                out.extend_from_slice("\u{fffd}".as_bytes());
                content = &bad[1..];
            }
        }
    }
    if out[start..].contains(&0) {
        let kept: Vec<u8> = out[start..].iter().copied().filter(|byte| *byte != 0).collect();
        out.truncate(start);
        out.extend_from_slice(&kept);
    }
}

fn push_conditions(rows: &mut Transactions, ledger: &[u8], conditions: &Conditions) {
    rows.time_bounds_lower.push(conditions.time.map(|(lower, _)| lower));
    rows.time_bounds_upper
        .push(conditions.time.map(|(_, upper)| upper).filter(|upper| *upper != 0));
    rows.ledger_bounds_lower
        .push(conditions.ledger.map(|(lower, _)| i64::from(lower)));
    rows.ledger_bounds_upper.push(
        conditions
            .ledger
            .map(|(_, upper)| i64::from(upper))
            .filter(|upper| *upper != 0),
    );
    let more = conditions.more;
    rows.min_account_sequence.push(more.and_then(|more| more.sequence));
    rows.min_account_sequence_age.push(more.map(|more| more.age));
    rows.min_account_sequence_ledger_gap
        .push(more.map(|more| i64::from(more.gap)));
    let signers = more.map_or(&[][..], |more| more.signers.of(ledger));
    if signers.is_empty() {
        rows.extra_signers.push_null();
    } else {
        rows.extra_signers.push_with(|items| {
            each_signer(signers, |version, payload| {
                items.push_with(|out| strkey::encode_into(version, payload, out));
            })
        });
    }
}

/// Gives `add` the strkey version and the payload of each `SignerKey`.
fn each_signer(mut rest: &[u8], mut add: impl FnMut(u8, &[u8])) {
    while let [_, _, _, kind, tail @ ..] = rest {
        let length = if *kind == 3 {
            let count = u32::from_be_bytes(*array(tail, 32)) as usize;
            36 + count.next_multiple_of(4)
        } else {
            32
        };
        let version = match kind {
            0 => Kind::Account,
            1 => Kind::PreAuthTx,
            2 => Kind::HashX,
            _ => Kind::SignedPayload,
        };
        add(version as u8, &tail[..length]);
        rest = &tail[length..];
    }
}

fn push_xdr(rows: &mut Transactions, setting: Setting<'_>, envelope: Span, processed: &Processed) {
    let ledger = setting.ledger;
    rows.envelope_xdr.push(envelope.of(ledger));
    rows.envelope_base64
        .push_with(|out| text::base64_into(envelope.of(ledger), out));
    let result = processed.result.of(ledger);
    rows.result_xdr.push(result);
    rows.result_base64.push_with(|out| text::base64_into(result, out));
    if setting.has_meta {
        let (meta, fees) = (processed.meta.of(ledger), processed.fee_changes.of(ledger));
        rows.meta_xdr.push(meta);
        rows.meta_base64.push_with(|out| text::base64_into(meta, out));
        rows.fee_changes_xdr.push(fees);
        rows.fee_changes_base64.push_with(|out| text::base64_into(fees, out));
    } else {
        rows.meta_xdr.push_null();
        rows.meta_base64.push_null();
        rows.fee_changes_xdr.push_null();
        rows.fee_changes_base64.push_null();
    }
    match processed.post_fee_changes.filter(|_| setting.has_meta) {
        Some(changes) => rows.post_apply_fee_changes_xdr.push(changes.of(ledger)),
        None => rows.post_apply_fee_changes_xdr.push_null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(memo: &[u8]) -> String {
        let mut out = b"before".to_vec();
        scrubbed_into(memo, &mut out);
        String::from_utf8(out.split_off(6)).unwrap()
    }

    #[test]
    fn text_memos_are_shown_as_horizon_shows_them() {
        assert_eq!(scrubbed(b""), "");
        assert_eq!(scrubbed(b"A\0B"), "AB");
        assert_eq!(scrubbed(b"caf\xe9"), "caf\u{fffd}");
        assert_eq!(scrubbed(b"\xff\xfe\xfd"), "\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(scrubbed(b"a\xe2\x82b\0"), "a\u{fffd}\u{fffd}b");
        assert_eq!(scrubbed("é".repeat(14).as_bytes()), "é".repeat(14));
        assert_eq!(scrubbed(b"\\u0000"), "\\u0000");
    }

    #[test]
    fn signer_keys_end_where_their_payload_does() {
        let payload = [&[0, 0, 0, 3][..], &[9; 32], &[0, 0, 0, 5], b"12345\0\0\0"].concat();
        let keys = [&[0, 0, 0, 2][..], &[7; 32], &payload, &[0, 0, 0, 0], &[8; 32]].concat();
        let mut seen = Vec::new();
        each_signer(&keys, |version, bytes| seen.push((version, bytes.len())));
        let versions = [Kind::HashX, Kind::SignedPayload, Kind::Account].map(|kind| kind as u8);
        assert_eq!(seen, [(versions[0], 32), (versions[1], 44), (versions[2], 32)]);
    }

    #[test]
    fn ids_of_the_total_order_are_packed() {
        assert_eq!(toid(1, 0, 0), 1 << 32);
        assert_eq!(toid(63_092_988, 3, 2), (63_092_988 << 32) + 3 * 4096 + 2);
    }
}
