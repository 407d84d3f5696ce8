//! Rows of changes, in the order in which they happened, each with the entry before it.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::operation_row::of;
use super::place::{Change, ChangeList, Phase, Span, array};
use super::refusal::Refusals;
use super::tables::Changes;
use super::transaction_row::push_optional_account;
use super::walk::{REMOVED, STATE, Walked};
use crate::xdr::{Cur, json_by_name, ledger_key_of_entry};

/// `LedgerEntryType`s whose entries do not start with their key.
const CONTRACT_DATA: u8 = 6;
const CONTRACT_CODE: u8 = 7;
const CONFIG_SETTING: u8 = 8;
/// `LedgerEntryType` of a TTL, whose key is the hash of another key.
const TTL: u32 = 9;

/// Adds the rows of changes; its buffers are used again for the next ledger.
#[derive(Default)]
pub struct ChangeRows {
    key: Vec<u8>,
    /// The `STATE` that stands directly before.
    last: Option<Span>,
    /// Earlier ones that still wait for their change.
    waiting: HashMap<Vec<u8>, Span>,
    json: String,
}

impl ChangeRows {
    /// Adds the rows of a ledger and returns their number; those of transactions whose changes are lost are counted in
    /// `change_index`, but not added.
    pub fn push(
        &mut self,
        rows: &mut Changes,
        ledger: &[u8],
        sequence: u32,
        walked: &Walked,
        refusals: &Refusals,
    ) -> usize {
        let (mut index, mut lost) = (0, 0);
        for list in walked.lists.iter().flatten() {
            if refusals.has_no_changes(list.transaction) {
                let changes = &walked.changes[of(list.changes)];
                let count = changes.iter().filter(|change| change.kind != STATE).count();
                (index, lost) = (index + count, lost + count);
                continue;
            }
            self.last = None;
            self.waiting.clear();
            for (place, change) in walked.changes[of(list.changes)].iter().enumerate() {
                if change.kind == STATE {
                    self.remember(ledger, change);
                } else {
                    push_position(rows, sequence, index, list, place);
                    self.push_change(rows, ledger, change);
                    index += 1;
                }
            }
        }
        for (place, key) in walked.evicted.iter().enumerate() {
            let list = ChangeList {
                phase: Phase::Eviction,
                transaction: 0,
                operation: 0,
                upgrade: 0,
                changes: (0, 0),
            };
            push_position(rows, sequence, index, &list, place);
            rows.kind.0.push(b"evicted");
            push_key(rows, key.of(ledger));
            push_gone(rows);
            rows.pre_xdr.push_null();
            index += 1;
        }
        index - lost
    }

    fn remember(&mut self, ledger: &[u8], state: &Change) {
        if let Some(earlier) = self.last.replace(state.body) {
            let mut key = Vec::new();
            entry_key(earlier.of(ledger), &mut key);
            self.waiting.insert(key, earlier);
        }
    }

    /// The entry before the change of the key in `self.key`.
    fn pre(&mut self, ledger: &[u8]) -> Option<Span> {
        if let Some(last) = self.last
            && has_key(last.of(ledger), &self.key)
        {
            return self.last.take();
        }
        if self.waiting.is_empty() {
            return None;
        }
        self.waiting.remove(&self.key)
    }

    fn push_change(&mut self, rows: &mut Changes, ledger: &[u8], change: &Change) {
        let body = change.body.of(ledger);
        rows.kind.0.push(match change.kind {
            0 => b"created",
            1 => b"updated",
            REMOVED => b"removed",
            _ => b"restored",
        });
        if change.kind == REMOVED {
            self.key.clear();
            self.key.extend_from_slice(body);
            push_gone(rows);
        } else {
            entry_key(body, &mut self.key);
            let modified = u32::from_be_bytes(*array(body, 0));
            rows.last_modified_ledger.push(Some(i64::from(modified)));
            push_optional_account(&mut rows.sponsor, sponsor(ledger, change.extension));
            rows.post_xdr.push(body);
            if rows.post_json.is_on() {
                self.json.clear();
                let written = json_by_name("LedgerEntry").map(|json| json(&mut Cur::new(body), &mut self.json));
                match written {
                    Some(Ok(())) => rows.post_json.push(self.json.as_bytes()),
                    _ => rows.post_json.push_null(),
                }
            }
        }
        push_key(rows, &self.key);
        match self.pre(ledger) {
            Some(pre) => rows.pre_xdr.push(pre.of(ledger)),
            None => rows.pre_xdr.push_null(),
        }
    }
}

fn push_position(rows: &mut Changes, sequence: u32, index: usize, list: &ChangeList, place: usize) {
    let order = |order: u32| (order > 0).then(|| order.cast_signed());
    rows.ledger_sequence.push(i64::from(sequence));
    rows.change_index.push(index as i64);
    rows.phase.push(list.phase.name().as_bytes());
    rows.transaction_order.push(order(list.transaction));
    rows.operation_order.push(order(list.operation));
    let upgrade = (list.phase == Phase::Upgrade).then(|| list.upgrade.cast_signed());
    rows.upgrade_index.push(upgrade);
    rows.list_index.push(place as i32);
}

fn push_key(rows: &mut Changes, key: &[u8]) {
    let kind = u32::from_be_bytes(*array(key, 0));
    rows.entry_type.push(kind.cast_signed());
    rows.ledger_key.push(key);
    if kind == TTL {
        rows.key_hash.push(array(key, 4));
    } else {
        rows.key_hash.push_with(|| Sha256::digest(key).into());
    }
}

fn push_gone(rows: &mut Changes) {
    rows.last_modified_ledger.push(None);
    rows.sponsor.push_null();
    rows.post_xdr.push_null();
    rows.post_json.push_null();
}

fn entry_key(entry: &[u8], key: &mut Vec<u8>) {
    key.clear();
    ledger_key_of_entry(entry, key).expect("the entry was checked when the ledger was walked");
}

/// Whether an entry has this key, which in most entries stands as it is behind the last modified ledger.
fn has_key(entry: &[u8], key: &[u8]) -> bool {
    let kind: &[u8; 4] = array(key, 0);
    match kind[3] {
        CONTRACT_CODE | CONFIG_SETTING => {
            let mut other = Vec::new();
            entry_key(entry, &mut other);
            other == key
        }
        CONTRACT_DATA => entry[4..8] == kind[..] && entry[12..].starts_with(&key[4..]),
        _ => entry[4..].starts_with(key),
    }
}

/// The sponsor that the extension of an entry names.
fn sponsor(ledger: &[u8], extension: u32) -> Option<&[u8; 32]> {
    let word = |at: u32| u32::from_be_bytes(*array(ledger, at));
    // Version 1, a sponsor, and the type of its key stand before the key.
    (word(extension) == 1 && word(extension + 4) == 1).then(|| array(ledger, extension + 12))
}
