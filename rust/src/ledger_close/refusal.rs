//! Transactions that do not decode while the rest of their ledger does.

use super::matching::Matching;
use super::walk::Walked;
use crate::xdr::XdrReject;

/// A transaction of which no rows are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedTransaction {
    pub ledger_sequence: u32,
    /// Place in apply order, from 1.
    pub order: u32,
    /// Its changes do not decode either; if false, they have their rows.
    pub changes_lost: bool,
    pub reason: String,
}

/// The refused transactions of one ledger, by their order; used again for the next one.
#[derive(Default)]
pub struct Refusals(Vec<(u32, XdrReject, bool)>);

impl Refusals {
    /// Gathers those of a ledger.
    pub fn read(&mut self, walked: &Walked, matching: &Matching) {
        self.0.clear();
        if walked.bad_envelopes.is_empty() && walked.bad_processed.is_empty() {
            return;
        }
        let bad = &walked.bad_processed;
        self.0
            .extend(bad.iter().map(|each| (each.order, each.reject, each.changes_lost)));
        for (at, envelope) in matching.envelopes.iter().enumerate() {
            let of_it = walked.bad_envelopes.iter().find(|(bad, _)| Some(*bad) == *envelope);
            if let Some((_, reject)) = of_it {
                let order = at as u32 + 1;
                match self.0.iter_mut().find(|(other, _, _)| *other == order) {
                    Some(refused) => refused.1 = *reject,
                    None => self.0.push((order, *reject, false)),
                }
            }
        }
        self.0.sort_unstable_by_key(|(order, _, _)| *order);
    }

    /// Whether the transaction with this order is refused.
    #[inline]
    #[must_use]
    pub fn has(&self, order: u32) -> bool {
        !self.0.is_empty() && self.0.iter().any(|(refused, _, _)| *refused == order)
    }

    /// Whether the changes of the transaction with this order are lost.
    #[inline]
    #[must_use]
    pub fn has_no_changes(&self, order: u32) -> bool {
        !self.0.is_empty() && self.0.iter().any(|(refused, _, lost)| *refused == order && *lost)
    }

    /// The refused transactions, for whoever keeps them.
    pub fn of(&self, ledger_sequence: u32) -> impl Iterator<Item = RefusedTransaction> + '_ {
        self.0.iter().map(move |(order, reject, lost)| RefusedTransaction {
            ledger_sequence,
            order: *order,
            changes_lost: *lost,
            reason: format!("transaction {order}: {reject}"),
        })
    }
}
