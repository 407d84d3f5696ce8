//! What one hop costs or yields: wholly through a pair's offers or wholly through its pool, whichever is better.

use super::exchange::{from_offer, pool_asks, pool_gives, yield_at};
use super::graph::{Bounds, Offer, Pair};

/// Which amount of a payment is fixed, and so which way paths are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The destination amount is fixed; the search goes from destination to source and wants to pay little.
    Receive,
    /// The source amount is fixed; the search goes from source to destination and wants to get much.
    Send,
}

impl Direction {
    /// Whether an amount is better than the best so far; 0 is no amount.
    pub fn is_better(self, amount: i64, best: i64) -> bool {
        match self {
            Self::Receive => best == 0 || amount < best,
            Self::Send => amount > best,
        }
    }
}

/// How an exchange through offers ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Walk {
    /// The amount paid (receive) or got (send).
    Done(i64),
    /// The offers do not suffice.
    TooThin,
    /// The limit was passed.
    TooDear,
    /// A number passed the range of stroops.
    Overflow,
}

/// What has to be paid to get `wanted` of the selling asset, cheapest offers first, those of `own` left out.
///
/// It gives up once the sum has come to `limit`.
pub fn cost(offers: &[Offer], own: Option<u32>, wanted: i64, limit: i64) -> Walk {
    let (mut left, mut paid) = (wanted, 0_i64);
    for offer in offers.iter().filter(|offer| Some(offer.seller) != own) {
        let Some((cost, sold)) = from_offer(offer.amount, left, offer.n, offer.d) else {
            return Walk::Overflow;
        };
        let Some(sum) = paid.checked_add(cost) else {
            return Walk::Overflow;
        };
        (paid, left) = (sum, left - sold);
        if left <= 0 {
            return Walk::Done(paid);
        }
        if paid >= limit {
            return Walk::TooDear;
        }
    }
    Walk::TooThin
}

/// What is got for spending `have` of the buying asset wholly, cheapest offers first, those of `own` left out.
pub fn proceeds(offers: &[Offer], own: Option<u32>, have: i64) -> Walk {
    let (mut left, mut got) = (have, 0_i64);
    for offer in offers.iter().filter(|offer| Some(offer.seller) != own) {
        match yield_at(left, offer.n, offer.d) {
            // What is left buys nothing any more, but has to be spent.
            Some(0) => return Walk::TooThin,
            Some(rest) if rest <= offer.amount => return got.checked_add(rest).map_or(Walk::Overflow, Walk::Done),
            // Out of the range of stroops is more than any offer holds.
            _ => {}
        }
        let Some((cost, sold)) = from_offer(offer.amount, offer.amount, offer.n, offer.d) else {
            return Walk::Overflow;
        };
        let Some(sum) = got.checked_add(sold) else {
            return Walk::Overflow;
        };
        (got, left) = (sum, left - cost);
        if left <= 0 {
            return Walk::Done(got);
        }
    }
    Walk::TooThin
}

/// The better of offers and pool for one hop; `None` if neither can do it.
pub fn hop(direction: Direction, pair: &Pair, own: Option<u32>, amount: i64, pools: bool) -> Option<i64> {
    let by_pool = pair.pool.filter(|_| pools).and_then(|pool| match direction {
        Direction::Receive => pool_asks(amount, pool.reserve_in, pool.reserve_out, pool.fee),
        Direction::Send => pool_gives(amount, pool.reserve_in, pool.reserve_out, pool.fee),
    });
    let best = by_pool.unwrap_or(0);
    let by_offers = match direction {
        Direction::Receive => cost(&pair.offers, own, amount, if best == 0 { i64::MAX } else { best }),
        Direction::Send => proceeds(&pair.offers, own, amount),
    };
    match by_offers {
        Walk::Done(reached) if reached > 0 && direction.is_better(reached, best) => Some(reached),
        _ => by_pool,
    }
}

/// Whether a hop could be as good as `best` (0: nothing yet), judged by the pair's bounds alone; never wrong when it
/// says no.
pub fn may_reach(direction: Direction, bounds: Bounds, amount: i64, best: i64) -> bool {
    let (amount, best) = (amount as f64, best as f64);
    match direction {
        // At least amount / rate is paid.
        Direction::Receive => amount <= bounds.most_out && (best == 0.0 || amount <= best * bounds.rate),
        // At most amount * rate is got.
        Direction::Send => amount <= bounds.most_in && (amount * bounds.rate).min(bounds.most_out) >= best,
    }
}
