//! The book of one asset pair as bytes that can be kept as state: its offers by price, its pool, and their changes.

use std::cmp::Ordering;

use super::byte_form::{Broken, Reader, Writer};

/// An offer of a known pair and side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: i64,
    /// Price: units of the asset that the offer buys for one of the asset that it sells.
    pub n: i32,
    pub d: i32,
    /// Stroops of what it sells.
    pub amount: i64,
}

impl Entry {
    fn order(&self, other: &Self) -> Ordering {
        let (left, right) = (
            i64::from(self.n) * i64::from(other.d),
            i64::from(other.n) * i64::from(self.d),
        );
        left.cmp(&right).then(self.id.cmp(&other.id))
    }
}

/// The pool of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    pub id: [u8; 32],
    pub base: i64,
    pub counter: i64,
    /// Hundredths of a percent.
    pub fee: i32,
}

/// Offers that sell the base asset, and offers that sell the counter asset.
pub type Sides = [Vec<Entry>; 2];

/// What stands between two assets at one ledger; offers cheapest first, by id where prices are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairBook {
    pub sides: Sides,
    pub pool: Option<Pool>,
}

/// What one ledger did to a pair: the offers that left or were changed as they were, those that are new or changed as
/// they are, and the pool before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairChange {
    pub before: PairBook,
    pub after: PairBook,
}

/// A change that does not fit the book that it was to change.
#[derive(Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// An offer is not there as the ledger found it.
    NotThere(i64),
    /// An offer is there already.
    Twice(i64),
    /// The pool is not as the ledger found it.
    Pool,
    /// The bytes are not those of a book or a change.
    Bytes,
}

impl From<Broken> for Contradiction {
    fn from(_: Broken) -> Self {
        Self::Bytes
    }
}

impl std::fmt::Display for Contradiction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotThere(id) => write!(f, "offer {id} is not in the book as the ledger found it"),
            Self::Twice(id) => write!(f, "offer {id} is new and in the book already"),
            Self::Pool => write!(f, "the pool is not as the ledger found it"),
            Self::Bytes => write!(f, "the bytes are not those of a book"),
        }
    }
}

impl PairBook {
    /// Sorts the offers, whose order is not known.
    pub fn sort(&mut self) {
        for side in &mut self.sides {
            side.sort_unstable_by(Entry::order);
        }
    }

    /// Takes the offers and the pool of another part of the same book in.
    pub fn join(&mut self, part: Self) {
        for (side, more) in self.sides.iter_mut().zip(part.sides) {
            side.extend(more);
        }
        self.pool = self.pool.or(part.pool);
    }

    /// Moves the book over one ledger, forwards or backwards.
    ///
    /// # Errors
    /// The change does not fit; the book is as before.
    pub fn apply(&mut self, change: &PairChange, backwards: bool) -> Result<(), Contradiction> {
        let (before, after) = if backwards {
            (&change.after, &change.before)
        } else {
            (&change.before, &change.after)
        };
        if (before.pool, after.pool) != (None, None) && self.pool != before.pool {
            return Err(Contradiction::Pool);
        }
        let asks = edited(&self.sides[0], &before.sides[0], &after.sides[0])?;
        let bids = edited(&self.sides[1], &before.sides[1], &after.sides[1])?;
        if (before.pool, after.pool) != (None, None) {
            self.pool = after.pool;
        }
        self.sides = [asks, bids];
        Ok(())
    }

    pub fn write(&self, to: &mut Writer) {
        for side in &self.sides {
            to.count(side.len());
        }
        to.flag(self.pool.is_some());
        if let Some(pool) = &self.pool {
            to.bytes(&pool.id);
            to.long(pool.base);
            to.long(pool.counter);
            to.int(pool.fee);
        }
        for entry in self.sides.iter().flatten() {
            to.long(entry.id);
            to.int(entry.n);
            to.int(entry.d);
            to.long(entry.amount);
        }
    }

    /// # Errors
    /// The bytes end too early.
    pub fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        let counts = [from.count()?, from.count()?];
        let pool = if from.flag()? {
            Some(Pool {
                id: from.bytes()?,
                base: from.long()?,
                counter: from.long()?,
                fee: from.int()?,
            })
        } else {
            None
        };
        let mut sides = Sides::default();
        for (side, count) in sides.iter_mut().zip(counts) {
            let mut entries = Vec::with_capacity(from.at_most(count, 24)?);
            for _ in 0..count {
                entries.push(Entry {
                    id: from.long()?,
                    n: from.int()?,
                    d: from.int()?,
                    amount: from.long()?,
                });
            }
            *side = entries;
        }
        Ok(Self { sides, pool })
    }
}

impl PairChange {
    /// Leaves out what is the same before and after; what is left is in order.
    pub fn settle(&mut self) {
        self.before.sort();
        self.after.sort();
        for (before, after) in self.before.sides.iter_mut().zip(&mut self.after.sides) {
            let same: Vec<Entry> = before
                .iter()
                .filter(|entry| {
                    after
                        .binary_search_by(|other| other.order(entry))
                        .is_ok_and(|at| after[at] == **entry)
                })
                .copied()
                .collect();
            let stays = |entry: &Entry| same.binary_search_by(|other| other.order(entry)).is_err();
            before.retain(stays);
            after.retain(stays);
        }
        if self.before.pool == self.after.pool {
            (self.before.pool, self.after.pool) = (None, None);
        }
    }

    /// How many offers and pools it changes; 0 if the book stays as it is.
    pub fn len(&self) -> usize {
        let ids = |book: &PairBook| book.sides.iter().flatten().map(|entry| entry.id).collect::<Vec<_>>();
        let mut all = [ids(&self.before), ids(&self.after)].concat();
        all.sort_unstable();
        all.dedup();
        all.len() + usize::from(self.before.pool.is_some() || self.after.pool.is_some())
    }

    /// Whether the book stays as it is.
    pub fn is_empty(&self) -> bool {
        self.before == PairBook::default() && self.after == PairBook::default()
    }

    pub fn write(&self, to: &mut Writer) {
        self.before.write(to);
        self.after.write(to);
    }

    /// # Errors
    /// The bytes end too early.
    pub fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        Ok(Self {
            before: PairBook::read(from)?,
            after: PairBook::read(from)?,
        })
    }
}

/// Offers without some and with others; all three in order.
fn edited(old: &[Entry], out: &[Entry], new: &[Entry]) -> Result<Vec<Entry>, Contradiction> {
    let mut made = Vec::with_capacity(old.len() + new.len());
    let (mut at, mut left, mut come) = (0, out.iter().peekable(), new.iter().peekable());
    loop {
        let leaves = match (left.peek(), come.peek()) {
            (None, None) => break,
            (Some(leaving), Some(coming)) => leaving.order(coming) != Ordering::Greater,
            (leaving, _) => leaving.is_some(),
        };
        let Some(entry) = (if leaves { left.next() } else { come.next() }) else {
            break;
        };
        let place = at + old[at..].partition_point(|other| other.order(entry) == Ordering::Less);
        made.extend_from_slice(&old[at..place]);
        at = place;
        let there = old.get(at).filter(|other| other.order(entry) == Ordering::Equal);
        match (leaves, there) {
            (true, Some(other)) if other == entry => at += 1,
            (true, _) => return Err(Contradiction::NotThere(entry.id)),
            (false, None) => made.push(*entry),
            (false, Some(_)) => return Err(Contradiction::Twice(entry.id)),
        }
    }
    made.extend_from_slice(&old[at..]);
    Ok(made)
}
