//! Top, depth and sums of the book of one pair: what is kept of it at every ledger that changes it.

use super::byte_form::{Broken, Reader, Writer};
use super::pair_book::{Entry, PairBook, Pool};

/// All offers of one side at one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Price in lowest terms: units of the counter asset for one of the base asset, on both sides.
    pub n: i32,
    pub d: i32,
    /// Stroops of what the offers sell.
    pub amount: i128,
    pub offers: i32,
}

/// One side of a book.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Best first.
    pub levels: Vec<Level>,
    /// All offers, also those beyond the levels.
    pub offers: i64,
    pub amount: i128,
}

/// What is kept of a book.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairLevels {
    /// They buy the base asset and sell the counter asset.
    pub bids: Side,
    /// They sell the base asset.
    pub asks: Side,
    pub pool: Option<Pool>,
}

impl PairLevels {
    /// Adds a book up, to so many prices on each side.
    pub fn of(book: &PairBook, depth: usize) -> Self {
        Self {
            bids: side(&book.sides[1], depth, true),
            asks: side(&book.sides[0], depth, false),
            pool: book.pool,
        }
    }

    /// Best ask less best bid in lowest terms, if there are both.
    pub fn spread(&self) -> Option<(i64, i64)> {
        let (bid, ask) = (self.bids.levels.first()?, self.asks.levels.first()?);
        let (bid_n, bid_d) = (i64::from(bid.n), i64::from(bid.d));
        let (ask_n, ask_d) = (i64::from(ask.n), i64::from(ask.d));
        let (n, d) = (ask_n * bid_d - bid_n * ask_d, ask_d * bid_d);
        let divisor = gcd(n.unsigned_abs(), d.unsigned_abs());
        let divisor = i64::try_from(divisor).expect("a divisor of two numbers below 2^62");
        Some((n / divisor, d / divisor))
    }

    pub fn write(&self, to: &mut Writer) {
        for side in [&self.bids, &self.asks] {
            to.count(side.levels.len());
            to.long(side.offers);
            to.wide(side.amount);
            for level in &side.levels {
                to.int(level.n);
                to.int(level.d);
                to.wide(level.amount);
                to.int(level.offers);
            }
        }
        let pool = PairBook {
            pool: self.pool,
            ..PairBook::default()
        };
        pool.write(to);
    }

    /// # Errors
    /// The bytes are not what `write` wrote.
    pub fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        let mut read = Self::default();
        for side in [&mut read.bids, &mut read.asks] {
            let count = from.count()?;
            side.offers = from.long()?;
            side.amount = from.wide()?;
            for _ in 0..count {
                side.levels.push(Level {
                    n: from.int()?,
                    d: from.int()?,
                    amount: from.wide()?,
                    offers: from.int()?,
                });
            }
        }
        read.pool = PairBook::read(from)?.pool;
        Ok(read)
    }
}

fn side(entries: &[Entry], depth: usize, turned: bool) -> Side {
    let same =
        |left: &Entry, right: &Entry| i64::from(left.n) * i64::from(right.d) == i64::from(right.n) * i64::from(left.d);
    let levels = entries.chunk_by(same).take(depth).map(|level| {
        let first = &level[0];
        let divisor = gcd(u64::from(first.n.unsigned_abs()), u64::from(first.d.unsigned_abs()));
        let divisor = i32::try_from(divisor).expect("a divisor of two positive int32");
        let (n, d) = (first.n / divisor, first.d / divisor);
        let (n, d) = if turned { (d, n) } else { (n, d) };
        let offers = i32::try_from(level.len()).unwrap_or(i32::MAX);
        let amount = level.iter().map(|entry| i128::from(entry.amount)).sum();
        Level { n, d, amount, offers }
    });
    Side {
        levels: levels.collect(),
        offers: entries.len() as i64,
        amount: entries.iter().map(|entry| i128::from(entry.amount)).sum(),
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}
