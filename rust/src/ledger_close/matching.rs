//! Which envelope each result belongs to: sets and results are in different orders and meet by hash.

use super::place::array;
use super::walk::Walked;

/// The envelopes of the results of one ledger; used again for the next one.
#[derive(Default)]
pub struct Matching {
    by_hash: Vec<([u8; 32], u32)>,
    /// By place of the first envelope with a hash: how many of those with this hash belong to a result already.
    taken: Vec<u32>,
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
        self.taken.resize(walked.envelopes.len(), 0);
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
        if self.unmatched > 0 && !walked.bad_envelopes.is_empty() {
            self.match_bad(walked);
        }
    }

    /// Gives bad envelopes, whose bytes no longer have their hash, to the results that are left, if these are as many.
    fn match_bad(&mut self, walked: &Walked) {
        let mut taken = vec![false; walked.envelopes.len()];
        for at in self.envelopes.iter().flatten() {
            taken[*at as usize] = true;
        }
        let bad = walked.bad_envelopes.iter().map(|(at, _)| *at);
        let left: Vec<u32> = bad.filter(|at| !taken[*at as usize]).collect();
        if self.unmatched as usize != 2 * left.len() {
            return;
        }
        let lonely = self.envelopes.iter_mut().filter(|envelope| envelope.is_none());
        for (envelope, at) in lonely.zip(left) {
            *envelope = Some(at);
        }
        self.unmatched = 0;
    }

    /// The first envelope with this hash that belongs to no result yet.
    fn take(&mut self, hash: &[u8; 32]) -> Option<u32> {
        let first = self.by_hash.partition_point(|(other, _)| other < hash);
        let taken = self.taken.get_mut(first)?;
        let (other, at) = self.by_hash.get(first + *taken as usize)?;
        if other != hash {
            return None;
        }
        *taken += 1;
        Some(*at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_envelope_belongs_to_one_result() {
        let mut matching = Matching {
            by_hash: vec![([1; 32], 4), ([2; 32], 0), ([2; 32], 3), ([3; 32], 1)],
            taken: vec![0; 4],
            ..Matching::default()
        };
        let hashes = [[2; 32], [3; 32], [2; 32], [2; 32], [0; 32], [9; 32], [1; 32], [1; 32]];
        let found = hashes.map(|hash| matching.take(&hash));
        assert_eq!(found, [Some(0), Some(1), Some(3), None, None, None, Some(4), None]);
    }
}
