//! Which envelope each result belongs to: sets and results are in different orders and meet by hash.

use super::place::array;
use super::walk::Walked;

/// The envelopes of the results of one ledger; used again for the next one.
#[derive(Default)]
pub struct Matching {
    by_hash: Vec<([u8; 32], u32)>,
    taken: Vec<bool>,
    /// Number of the envelope of each result, in apply order.
    pub envelopes: Vec<Option<u32>>,
    /// Results without envelope and envelopes without result.
    pub unmatched: u32,
    /// Fee bumps whose result names another inner transaction than the envelope.
    pub bad_inner_hashes: u32,
}

impl Matching {
    /// Matches the results of a ledger.
    pub fn read(&mut self, ledger: &[u8], walked: &Walked) {
        self.by_hash.clear();
        self.envelopes.clear();
        self.taken.clear();
        self.taken.resize(walked.envelopes.len(), false);
        let hashes = walked.envelopes.iter().enumerate();
        self.by_hash
            .extend(hashes.map(|(at, envelope)| (*envelope.hash(), at as u32)));
        self.by_hash.sort_unstable();
        let mut found = 0;
        self.bad_inner_hashes = 0;
        for processed in &walked.processed {
            let envelope = self.take(array(ledger, processed.pair.start));
            self.envelopes.push(envelope);
            let Some(at) = envelope else { continue };
            found += 1;
            let envelope = &walked.envelopes[at as usize];
            if let Some((hash, _)) = processed.inner
                && (envelope.fee_bump.is_none() || *array(ledger, hash) != envelope.transaction.hash)
            {
                self.bad_inner_hashes += 1;
            }
        }
        self.unmatched = (walked.envelopes.len() + walked.processed.len() - 2 * found) as u32;
    }

    /// The first envelope with this hash that belongs to no result yet.
    fn take(&mut self, hash: &[u8; 32]) -> Option<u32> {
        let first = self.by_hash.partition_point(|(other, _)| other < hash);
        for (other, at) in &self.by_hash[first..] {
            if other != hash {
                return None;
            }
            if !std::mem::replace(&mut self.taken[*at as usize], true) {
                return Some(*at);
            }
        }
        None
    }
}
