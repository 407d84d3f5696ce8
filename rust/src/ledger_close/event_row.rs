//! Rows of contract events, in the order of the metas.

use super::operation_row::of;
use super::place::{Event, array};
use super::refusal::Refusals;
use super::tables::ContractEvents;
use super::walk::Walked;
use crate::strkey::{self, Kind};

/// Adds the rows of a ledger but those of refused transactions, and returns their number.
pub fn push(rows: &mut ContractEvents, ledger: &[u8], sequence: u32, walked: &Walked, refusals: &Refusals) -> usize {
    // Events of one contract stand together: its strkey is made once.
    let (mut last, mut strkey) = ([0; 32], strkey::encode32(Kind::Contract, &[0; 32]));
    let mut added = 0;
    for event in &walked.events {
        if refusals.has(event.transaction) {
            continue;
        }
        added += 1;
        match event.contract {
            Some(at) => {
                let contract = array(ledger, at);
                if last != *contract {
                    (last, strkey) = (*contract, strkey::encode32(Kind::Contract, contract));
                }
                rows.contract_id.push(&strkey);
            }
            None => rows.contract_id.push_null(),
        }
        push_event(rows, ledger, sequence, walked, event);
    }
    added
}

/// Adds all columns of an event but the contract's.
fn push_event(rows: &mut ContractEvents, ledger: &[u8], sequence: u32, walked: &Walked, event: &Event) {
    rows.ledger_sequence.push(i64::from(sequence));
    rows.transaction_order.push(event.transaction.cast_signed());
    rows.operation_order
        .push((event.operation > 0).then(|| event.operation.cast_signed()));
    match event.stage {
        Some(0) => rows.stage.push(b"before_all_txs"),
        Some(1) => rows.stage.push(b"after_tx"),
        Some(_) => rows.stage.push(b"after_all_txs"),
        None => rows.stage.push_null(),
    }
    rows.event_index.push(event.index.cast_signed());
    rows.kind.0.push(event.kind);
    rows.is_diagnostic.push(event.diagnostic.is_some());
    // Only diagnostic events tell of calls that failed; the others took effect, fee events of failed transactions too.
    rows.in_successful_contract_call.push(event.diagnostic.unwrap_or(true));
    let topics = &walked.topics[of(event.topics)];
    rows.topics
        .push_with(|items| topics.iter().for_each(|topic| items.push(topic.of(ledger))));
    rows.data_xdr.push(event.data.of(ledger));
    rows.event_xdr.push(event.whole.of(ledger));
}
