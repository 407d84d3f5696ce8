//! One pass over a `LedgerCloseMeta`: every value is checked by the generated validators, and its place is kept.

use super::locate::to_header_entry;
use super::place::{Change, ChangeList, Envelope, Event, Operation, Phase, Processed, Span};
use crate::xdr::generated::{
    skip_ExtensionPoint, skip_LedgerEntry, skip_LedgerEntryChanges, skip_LedgerHeaderHistoryEntry, skip_LedgerKey,
    skip_LedgerUpgrade, skip_SCPHistoryEntry, skip_TransactionMeta,
};
use crate::xdr::{Cur, X, XdrReject};

/// What is wanted from a ledger besides its envelopes and results.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub changes: bool,
    pub events: bool,
}

/// The form of a transaction set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetKind {
    #[default]
    Legacy,
    Generalized,
    Parallel,
}

/// The places of everything in one ledger; the vectors are used again for the next one.
#[derive(Default)]
pub struct Walked {
    /// Version of the `LedgerCloseMeta`.
    pub version: u32,
    pub soroban_fee_write: Option<i64>,
    pub header_entry: Span,
    pub set: Span,
    pub set_kind: SetKind,
    pub envelopes: Vec<Envelope>,
    pub operations: Vec<Operation>,
    pub processed: Vec<Processed>,
    pub operation_results: Vec<Span>,
    pub changes: Vec<Change>,
    /// By phase: fees, applied transactions, what follows all of them, upgrades.
    pub lists: [Vec<ChangeList>; 4],
    pub events: Vec<Event>,
    pub topics: Vec<Span>,
    pub live_soroban_state_size: Option<u64>,
    pub evicted: Vec<Span>,
    /// What a tolerant cursor passed over, by number of the envelope.
    pub bad_envelopes: Vec<(u32, XdrReject)>,
    /// What it passed over in results and metas.
    pub bad_processed: Vec<BadProcessed>,
    /// Whether some of that, in the transaction that is walked, lies in its changes.
    changes_lost: bool,
}

/// A transaction whose result or metas hold a wrong value that could be passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadProcessed {
    /// Place in apply order, from 1.
    pub order: u32,
    /// The first wrong value.
    pub reject: XdrReject,
    /// Whether a change of an entry holds one.
    pub changes_lost: bool,
}

/// Numbers of the vectors in [`Walked::lists`].
pub const FEES: usize = 0;
pub const APPLIED: usize = 1;
pub const POST_APPLY: usize = 2;
pub const UPGRADES: usize = 3;

/// A walk over one ledger.
pub struct Walk<'a> {
    pub c: Cur<'a>,
    pub wanted: Wanted,
    pub network_id: &'a [u8; 32],
}

impl Walked {
    fn clear(&mut self) {
        self.soroban_fee_write = None;
        self.live_soroban_state_size = None;
        self.set_kind = SetKind::Legacy;
        self.envelopes.clear();
        self.operations.clear();
        self.processed.clear();
        self.operation_results.clear();
        self.changes.clear();
        self.lists.iter_mut().for_each(Vec::clear);
        self.events.clear();
        self.topics.clear();
        self.evicted.clear();
        self.bad_envelopes.clear();
        self.bad_processed.clear();
    }

    /// Walks a whole `LedgerCloseMeta`; a tolerant cursor may pass over wrong values inside of transactions only.
    ///
    /// # Errors
    /// The bytes are not exactly one `LedgerCloseMeta`.
    pub fn read(&mut self, w: &mut Walk<'_>) -> X<()> {
        self.clear();
        let mut start = w.c.clone();
        self.version = to_header_entry(&mut w.c)?;
        if self.version > 0 {
            start.skip(4, "LedgerCloseMeta")?;
            if start.word("LedgerCloseMetaExt")? == 1 {
                start.skip(4, "LedgerCloseMetaExtV1")?;
                self.soroban_fee_write = Some(start.i64()?);
            }
        }
        let at = w.c.pos;
        skip_LedgerHeaderHistoryEntry(&mut w.c)?;
        self.header_entry = Span::new(at, w.c.pos);
        let at = w.c.pos;
        if self.version == 0 {
            self.legacy_set(w)?;
        } else {
            self.generalized_set(w)?;
        }
        self.set = Span::new(at, w.c.pos);
        let (smallest, what) = match self.version {
            0 => (60, "LedgerCloseMetaV0.txProcessing"),
            1 => (60, "LedgerCloseMetaV1.txProcessing"),
            _ => (68, "LedgerCloseMetaV2.txProcessing"),
        };
        for order in 1..=w.c.length(u32::MAX, smallest, what)? {
            self.processing(w, order as u32)?;
        }
        for upgrade in 0..w.c.length(u32::MAX, 12, "LedgerCloseMeta.upgradesProcessing")? {
            skip_LedgerUpgrade(&mut w.c)?;
            self.change_list(w, Phase::Upgrade, 0, 0, upgrade as u32)?;
        }
        for _ in 0..w.c.length(u32::MAX, 16, "LedgerCloseMeta.scpInfo")? {
            skip_SCPHistoryEntry(&mut w.c)?;
        }
        if self.version > 0 {
            self.live_soroban_state_size = Some(w.c.hyper("LedgerCloseMeta.totalByteSizeOfLiveSorobanState")?);
            for _ in 0..w.c.length(u32::MAX, 8, "LedgerCloseMeta.evictedKeys")? {
                let at = w.c.pos;
                skip_LedgerKey(&mut w.c)?;
                self.evicted.push(Span::new(at, w.c.pos));
            }
        }
        w.c.nothing_noted()?;
        if self.version == 1 {
            for _ in 0..w.c.length(u32::MAX, 20, "LedgerCloseMetaV1.unused")? {
                skip_LedgerEntry(&mut w.c)?;
            }
        }
        w.c.nothing_noted()?;
        w.c.end("LedgerCloseMeta")
    }

    /// The first wrong value that was passed over inside of a transaction.
    #[must_use]
    pub fn first_bad(&self) -> Option<XdrReject> {
        let envelopes = self.bad_envelopes.iter().map(|(_, reject)| *reject);
        let processed = self.bad_processed.iter().map(|bad| bad.reject);
        envelopes.chain(processed).min_by_key(|reject| reject.pos)
    }

    fn processing(&mut self, w: &mut Walk<'_>, order: u32) -> X<()> {
        w.c.nothing_noted()?;
        self.changes_lost = false;
        if self.version == 2 {
            skip_ExtensionPoint(&mut w.c)?;
        }
        let mut processed = self.result_pair(&mut w.c)?;
        processed.fee_changes = self.change_list(w, Phase::Fee, order, 0, 0)?;
        let at = w.c.pos;
        if w.wanted.changes || w.wanted.events {
            self.meta(w, order)?;
        } else {
            skip_TransactionMeta(&mut w.c)?;
        }
        processed.meta = Span::new(at, w.c.pos);
        if self.version == 2 {
            processed.post_fee_changes = Some(self.change_list(w, Phase::PostApply, order, 0, 0)?);
        }
        if let Some(reject) = w.c.take_noted() {
            self.bad_processed.push(BadProcessed {
                order,
                reject,
                changes_lost: self.changes_lost,
            });
        }
        self.processed.push(processed);
        Ok(())
    }

    /// Walks `LedgerEntryChanges`.
    pub fn change_list(
        &mut self,
        w: &mut Walk<'_>,
        phase: Phase,
        transaction: u32,
        operation: u32,
        upgrade: u32,
    ) -> X<Span> {
        let at = w.c.pos;
        let notes = w.c.notes();
        if w.wanted.changes {
            let first = self.changes.len() as u32;
            for _ in 0..w.c.length(u32::MAX, 12, "LedgerEntryChanges")? {
                let change = change(&mut w.c)?;
                self.changes.push(change);
            }
            let list = match phase {
                Phase::Fee => FEES,
                Phase::TxBefore | Phase::Operation | Phase::TxAfter => APPLIED,
                Phase::PostApply => POST_APPLY,
                Phase::Upgrade | Phase::Eviction => UPGRADES,
            };
            let changes = (first, self.changes.len() as u32);
            if changes.0 < changes.1 {
                self.lists[list].push(ChangeList {
                    phase,
                    transaction,
                    operation,
                    upgrade,
                    changes,
                });
            }
        } else {
            skip_LedgerEntryChanges(&mut w.c)?;
        }
        self.changes_lost |= w.c.notes() > notes;
        Ok(Span::new(at, w.c.pos))
    }
}

/// `LedgerEntryChangeType` of a removal, the only one that carries a key.
pub const REMOVED: u32 = 2;
/// `LedgerEntryChangeType` of the entry before a change.
pub const STATE: u32 = 3;

fn change(c: &mut Cur<'_>) -> X<Change> {
    use crate::xdr::generated::{skip_LedgerEntryData, skip_LedgerEntryExt};
    let kind = c.word("LedgerEntryChange")?;
    let start = c.pos;
    let mut extension = start;
    match kind {
        0 | 1 | 3 | 4 => {
            c.skip(4, "LedgerEntry.lastModifiedLedgerSeq")?;
            skip_LedgerEntryData(c)?;
            extension = c.pos;
            skip_LedgerEntryExt(c)?;
        }
        REMOVED => skip_LedgerKey(c)?,
        _ => return Err(c.bad_enum("LedgerEntryChange")),
    }
    Ok(Change {
        kind,
        body: Span::new(start, c.pos),
        extension: extension as u32,
    })
}
