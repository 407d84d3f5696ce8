//! Rows of operations.

use super::place::{Envelope, Processed, array};
use super::tables::Operations;
use super::transaction_row::{Setting, push_account, push_muxed, toid};
use super::walk::Walked;
use crate::strkey::{self, Kind};
use crate::text;

/// `OperationType`s that move value whatever their events say.
const PAYMENTS: [i32; 5] = [0, 1, 2, 8, 13];
const INVOKE_HOST_FUNCTION: i32 = 24;

/// Adds the rows of the operations of a transaction; `moved` tells whether its contract events move a Stellar asset.
pub fn push(
    rows: &mut Operations,
    setting: Setting<'_>,
    order: u32,
    envelope: &Envelope,
    processed: &Processed,
    walked: &Walked,
    moved: bool,
) -> usize {
    let ledger = setting.ledger;
    let (first, end) = envelope.transaction.operations;
    let results = &walked.operation_results[of(processed.operation_results)];
    let operations = &walked.operations[of((first, end))];
    // Most operations have the source of their transaction.
    let usual = strkey::encode32(Kind::Account, array(ledger, envelope.transaction.source.key));
    for (at, operation) in operations.iter().enumerate() {
        let number = at as u32 + 1;
        let body = operation.body.of(ledger);
        let kind = i32::from_be_bytes([body[0], body[1], body[2], body[3]]);
        rows.ledger_sequence.push(i64::from(setting.sequence));
        rows.transaction_order.push(order.cast_signed());
        rows.operation_order.push(number.cast_signed());
        rows.id.push(toid(setting.sequence, order, number));
        rows.transaction_id.push(toid(setting.sequence, order, 0));
        rows.kind.0.push(kind);
        match operation.source {
            Some(source) => push_account(&mut rows.source_account, &mut rows.source_account_muxed, ledger, source),
            None => {
                rows.source_account.push(&usual);
                push_muxed(&mut rows.source_account_muxed, ledger, envelope.transaction.source);
            }
        }
        rows.body_xdr.push(body);
        rows.body_base64.push_with(|out| text::base64_into(body, out));
        match results.get(at) {
            Some(result) => rows.result_xdr.push(result.of(ledger)),
            None => rows.result_xdr.push_null(),
        }
        rows.transaction_successful.push(processed.is_successful());
        let payment = PAYMENTS.contains(&kind) || (kind == INVOKE_HOST_FUNCTION && moved);
        rows.is_payment.push(payment.then_some(true));
    }
    operations.len()
}

/// A pair of first and last but one as a range.
#[must_use]
pub fn of(pair: (u32, u32)) -> std::ops::Range<usize> {
    pair.0 as usize..pair.1 as usize
}
