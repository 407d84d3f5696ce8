//! Offers and pools of any pairs, brought together by pair.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::pair_book::{Entry, PairBook, PairChange, Pool};

/// Two assets, each as the base64 of its XDR, the lesser one first.
pub type Pair<'a> = (&'a str, &'a str);

/// Where a changed offer stands: before the ledger or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    Before,
    After,
}

/// stellar-core's order of assets, by their base64: kind, then code, then issuer.
pub fn asset_order(left: &str, right: &str) -> Ordering {
    left.bytes().map(digit).cmp(right.bytes().map(digit))
}

/// The six bits that a character of base64 stands for; other characters come first.
fn digit(character: u8) -> u8 {
    match character {
        b'A'..=b'Z' => character - b'A' + 1,
        b'a'..=b'z' => character - b'a' + 27,
        b'0'..=b'9' => character - b'0' + 53,
        b'+' => 63,
        b'/' => 64,
        _ => 0,
    }
}

/// The bytes of a base64 text; what is not base64 has none.
pub fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(body.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0);
    for &character in body {
        bits = (bits << 6) | u32::from(digit(character).checked_sub(1)?);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

fn pair<'a>(one: &'a str, other: &'a str) -> Pair<'a> {
    if asset_order(one, other) == Ordering::Greater {
        (other, one)
    } else {
        (one, other)
    }
}

/// Collects what changed, by pair.
#[derive(Debug, Default)]
pub struct Split<'a> {
    pairs: HashMap<Pair<'a>, PairChange>,
}

impl<'a> Split<'a> {
    fn book(&mut self, pair: Pair<'a>, image: Image) -> &mut PairBook {
        let change = self.pairs.entry(pair).or_default();
        match image {
            Image::Before => &mut change.before,
            Image::After => &mut change.after,
        }
    }

    /// Adds an offer that sells one asset for another.
    pub fn offer(&mut self, selling: &'a str, buying: &'a str, entry: Entry, image: Image) {
        let pair = pair(selling, buying);
        let side = usize::from(pair.0 != selling);
        self.book(pair, image).sides[side].push(entry);
    }

    /// Adds a pool with the reserves of two assets.
    pub fn pool(&mut self, assets: (&'a str, &'a str), reserves: (i64, i64), id: [u8; 32], fee: i32, image: Image) {
        let pair = pair(assets.0, assets.1);
        let (base, counter) = if pair == assets {
            reserves
        } else {
            (reserves.1, reserves.0)
        };
        self.book(pair, image).pool = Some(Pool { id, base, counter, fee });
    }

    /// All pairs in order, with what changed about them.
    pub fn ordered(self) -> Vec<(Pair<'a>, PairChange)> {
        let mut pairs: Vec<_> = self.pairs.into_iter().collect();
        pairs.sort_unstable_by(|((base, counter), _), ((other_base, other_counter), _)| {
            asset_order(base, other_base).then_with(|| asset_order(counter, other_counter))
        });
        pairs
    }
}
