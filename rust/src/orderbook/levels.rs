//! Offers of one pair, added up by price.

use super::graph::Offer;

/// Price n and d in lowest terms, stroops of the selling asset, number of offers; cheapest first, at most `limit`.
///
/// `offers` stand in the order of their prices.
pub fn levels(offers: &[Offer], limit: usize) -> Vec<(i32, i32, i128, usize)> {
    offers
        .chunk_by(|left, right| i64::from(left.n) * i64::from(right.d) == i64::from(right.n) * i64::from(left.d))
        .take(limit)
        .map(|level| {
            let divisor = gcd(level[0].n, level[0].d);
            let amount = level.iter().map(|offer| i128::from(offer.amount)).sum();
            (level[0].n / divisor, level[0].d / divisor, amount, level.len())
        })
        .collect()
}

fn gcd(mut a: i32, mut b: i32) -> i32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
