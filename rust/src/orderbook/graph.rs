//! Offers and pools by asset pair, at one ledger.

use std::cmp::Ordering;
use std::collections::HashMap;

/// Makes bounds a little too wide, so that what floating point loses never makes them too narrow.
const SLACK: f64 = 1.0 + 1e-9;

/// An offer, without its assets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    pub id: i64,
    /// Number of the seller's account in the graph.
    pub seller: u32,
    /// Price: units of the buying asset for one of the selling asset.
    pub n: i32,
    pub d: i32,
    /// Stroops of the selling asset.
    pub amount: i64,
}

impl Offer {
    /// The most stroops of the buying asset that can be spent on it: one less would buy the same, one more too much.
    fn takes(&self) -> i128 {
        ((i128::from(self.amount) + 1) * i128::from(self.n) + i128::from(self.d) - 1) / i128::from(self.d)
    }

    fn order(&self, other: &Self) -> Ordering {
        let (left, right) = (
            i64::from(self.n) * i64::from(other.d),
            i64::from(other.n) * i64::from(self.d),
        );
        left.cmp(&right).then(self.id.cmp(&other.id))
    }
}

/// A constant-product pool, seen from one of its two pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSide {
    /// Reserve of the asset that the pair buys: what the payer puts in.
    pub reserve_in: i64,
    /// Reserve of the asset that the pair sells.
    pub reserve_out: i64,
    /// Hundredths of a percent.
    pub fee: i32,
}

/// All that sells one asset for another.
#[derive(Debug)]
pub struct Pair {
    pub selling: u32,
    pub buying: u32,
    /// Cheapest first; by offer id where prices are equal.
    pub offers: Vec<Offer>,
    pub pool: Option<PoolSide>,
    /// Stroops that all offers together take, each to the last stroop that still fits, and give.
    offered_in: i128,
    offered_out: i128,
}

impl Pair {
    fn is_empty(&self) -> bool {
        self.offers.is_empty() && self.pool.is_none()
    }

    /// What a hop over this pair can do at most.
    fn bounds(&self) -> Bounds {
        let by_offers = self
            .offers
            .first()
            .map_or(0.0, |best| f64::from(best.d) / f64::from(best.n));
        let (by_pool, pool_in, pool_out) = self.pool.map_or((0.0, 0.0, 0.0), |pool| {
            let (reserve_in, reserve_out) = (pool.reserve_in as f64, pool.reserve_out as f64);
            (reserve_out / reserve_in, f64::INFINITY, reserve_out)
        });
        Bounds {
            rate: by_offers.max(by_pool) * SLACK,
            most_in: pool_in.max(self.offered_in as f64) * SLACK,
            most_out: pool_out.max(self.offered_out as f64) * SLACK,
        }
    }
}

/// What a hop over a pair can do at most, before any rounding or fee; never too little.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Units of the selling asset for one of the buying asset.
    pub rate: f64,
    /// Stroops of the buying asset that it can take.
    pub most_in: f64,
    /// Stroops of the selling asset that it can give.
    pub most_out: f64,
}

/// What is wrong with an offer or a pool.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The price or the amount of the offer is not positive.
    Offer(i64),
    /// The pool sells an asset for itself, or has a negative reserve or a fee that is none.
    Pool(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Offer(id) => write!(
                f,
                "offer {id}: price and amount must be positive, and its two assets differ"
            ),
            Self::Pool(id) => write!(
                f,
                "pool {id}: reserves must not be negative, its fee must be in 0..10000, and its two assets differ"
            ),
        }
    }
}

/// A neighbour in the graph: the other asset, and the pair in between.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    pub to: u32,
    pub pair: u32,
}

/// Names to small numbers, given out in the order of appearance.
#[derive(Debug, Default)]
pub struct Names {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    /// The number of a name, new or old.
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = u32::try_from(self.names.len()).expect("fewer than 2^32 names fit into memory");
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// The number of a name, if it has one.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The name with this number.
    pub fn name(&self, number: u32) -> &str {
        &self.names[number as usize]
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// The whole order book. Assets are named `native` or `CODE:ISSUER`.
#[derive(Debug, Default)]
pub struct Graph {
    pub assets: Names,
    pub accounts: Names,
    pairs: Vec<Pair>,
    bounds: Vec<Bounds>,
    pair_numbers: HashMap<(u32, u32), u32>,
    by_selling: Vec<Vec<Edge>>,
    by_buying: Vec<Vec<Edge>>,
    places: HashMap<i64, (u32, i32, i32)>,
    pools: HashMap<String, (u32, u32)>,
    ranks: Vec<u32>,
}

impl Graph {
    /// Gives every asset its place in the order in which a search looks at assets. To be called after changes.
    ///
    /// The order depends on what is in the graph and not on how it came there: assets stand by their oldest offer,
    /// where the buying asset comes before the selling one; those without offers follow by name.
    pub fn settle(&mut self) {
        let mut oldest = vec![(i64::MAX, false); self.assets.len()];
        for pair in &self.pairs {
            if let Some(id) = pair.offers.iter().map(|offer| offer.id).min() {
                for (asset, is_selling) in [(pair.buying, false), (pair.selling, true)] {
                    let known = &mut oldest[asset as usize];
                    *known = (*known).min((id, is_selling));
                }
            }
        }
        let mut order: Vec<u32> = (0..).take(self.assets.len()).collect();
        order.sort_unstable_by_key(|&asset| (oldest[asset as usize], self.assets.name(asset)));
        self.ranks = vec![0; order.len()];
        for (rank, &asset) in (0..).zip(&order) {
            self.ranks[asset as usize] = rank;
        }
    }

    /// The place of an asset in the order of a search.
    pub fn rank(&self, asset: u32) -> u32 {
        self.ranks[asset as usize]
    }

    /// How many offers there are.
    pub fn offer_count(&self) -> usize {
        self.places.len()
    }

    /// How many pools there are.
    pub fn pool_count(&self) -> usize {
        self.pools.len()
    }

    /// All pairs, those without offers and pool too.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// All pools with reserves: id and assets.
    pub fn pools(&self) -> impl Iterator<Item = (&str, (u32, u32))> {
        self.pools.iter().map(|(id, &assets)| (id.as_str(), assets))
    }

    /// The pair with this number.
    pub fn pair(&self, number: u32) -> &Pair {
        &self.pairs[number as usize]
    }

    /// What a hop over a pair can do at most.
    pub fn bounds(&self, number: u32) -> Bounds {
        self.bounds[number as usize]
    }

    /// The pair that sells one asset for another.
    pub fn find_pair(&self, selling: u32, buying: u32) -> Option<&Pair> {
        self.pair_numbers
            .get(&(selling, buying))
            .map(|&number| self.pair(number))
    }

    /// The number of the pair that sells one asset for another.
    pub fn pair_number(&self, selling: u32, buying: u32) -> Option<u32> {
        self.pair_numbers.get(&(selling, buying)).copied()
    }

    /// What an asset can be bought with.
    pub fn selling(&self, asset: u32) -> &[Edge] {
        self.by_selling.get(asset as usize).map_or(&[], Vec::as_slice)
    }

    /// What an asset can buy.
    pub fn buying(&self, asset: u32) -> &[Edge] {
        self.by_buying.get(asset as usize).map_or(&[], Vec::as_slice)
    }

    /// Puts an offer in, in the place of an older one with its id.
    ///
    /// # Errors
    /// The offer cannot be traded with; the graph is as before.
    pub fn put_offer(&mut self, offer: Offer, selling: u32, buying: u32) -> Result<(), Refusal> {
        if offer.n <= 0 || offer.d <= 0 || offer.amount <= 0 || selling == buying {
            return Err(Refusal::Offer(offer.id));
        }
        self.remove_offer(offer.id);
        let number = self.open_pair(selling, buying);
        let pair = &mut self.pairs[number as usize];
        let place = pair
            .offers
            .partition_point(|other| other.order(&offer) == Ordering::Less);
        pair.offers.insert(place, offer);
        pair.offered_in += offer.takes();
        pair.offered_out += i128::from(offer.amount);
        self.bounds[number as usize] = pair.bounds();
        self.places.insert(offer.id, (number, offer.n, offer.d));
        Ok(())
    }

    /// Takes an offer out; tells whether it was there.
    pub fn remove_offer(&mut self, id: i64) -> bool {
        let Some((number, n, d)) = self.places.remove(&id) else {
            return false;
        };
        let probe = Offer {
            id,
            seller: 0,
            n,
            d,
            amount: 0,
        };
        let pair = &mut self.pairs[number as usize];
        if let Ok(place) = pair.offers.binary_search_by(|other| other.order(&probe)) {
            let offer = pair.offers.remove(place);
            pair.offered_in -= offer.takes();
            pair.offered_out -= i128::from(offer.amount);
        }
        self.close_pair(number);
        true
    }

    /// Puts a pool in, in the place of an older one with its id; an empty one only takes the older one out.
    ///
    /// # Errors
    /// The pool cannot be traded with; the graph is as before.
    pub fn put_pool(&mut self, id: &str, assets: (u32, u32), reserves: (i64, i64), fee: i32) -> Result<(), Refusal> {
        if assets.0 == assets.1 || reserves.0 < 0 || reserves.1 < 0 || !(0..10_000).contains(&fee) {
            return Err(Refusal::Pool(id.to_owned()));
        }
        self.remove_pool(id);
        if reserves.0 == 0 || reserves.1 == 0 {
            return Ok(());
        }
        for (buying, selling, reserve_in, reserve_out) in [
            (assets.0, assets.1, reserves.0, reserves.1),
            (assets.1, assets.0, reserves.1, reserves.0),
        ] {
            let number = self.open_pair(selling, buying);
            self.pairs[number as usize].pool = Some(PoolSide {
                reserve_in,
                reserve_out,
                fee,
            });
            self.bounds[number as usize] = self.pairs[number as usize].bounds();
        }
        self.pools.insert(id.to_owned(), assets);
        Ok(())
    }

    /// Takes a pool out; tells whether it was there.
    pub fn remove_pool(&mut self, id: &str) -> bool {
        let Some((first, second)) = self.pools.remove(id) else {
            return false;
        };
        for key in [(first, second), (second, first)] {
            if let Some(&number) = self.pair_numbers.get(&key) {
                self.pairs[number as usize].pool = None;
                self.close_pair(number);
            }
        }
        true
    }

    fn open_pair(&mut self, selling: u32, buying: u32) -> u32 {
        let number = *self.pair_numbers.entry((selling, buying)).or_insert_with(|| {
            self.pairs.push(Pair {
                selling,
                buying,
                offers: Vec::new(),
                pool: None,
                offered_in: 0,
                offered_out: 0,
            });
            self.bounds.push(Bounds::default());
            u32::try_from(self.pairs.len() - 1).expect("fewer than 2^32 pairs fit into memory")
        });
        if self.pairs[number as usize].is_empty() {
            let assets = self.assets.len();
            self.by_selling.resize_with(assets, Vec::new);
            self.by_buying.resize_with(assets, Vec::new);
            self.by_selling[selling as usize].push(Edge {
                to: buying,
                pair: number,
            });
            self.by_buying[buying as usize].push(Edge {
                to: selling,
                pair: number,
            });
        }
        number
    }

    fn close_pair(&mut self, number: u32) {
        let pair = &self.pairs[number as usize];
        self.bounds[number as usize] = pair.bounds();
        if pair.is_empty() {
            let (selling, buying) = (pair.selling as usize, pair.buying as usize);
            self.by_selling[selling].retain(|edge| edge.pair != number);
            self.by_buying[buying].retain(|edge| edge.pair != number);
        }
    }
}
