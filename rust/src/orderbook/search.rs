//! Payment paths: the best way to each asset for each number of hops, or every simple path there is.

use std::time::Instant;

use super::graph::{Edge, Graph};
use super::walk::{Direction, hop, may_reach};

/// Hops between two looks at the clock.
const HOPS_PER_LOOK: u32 = 1024;

/// An asset that ends a path, and the largest amount with which it may do so.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub asset: u32,
    /// Balance of the payer in a search for what must be paid; `None` is no limit.
    pub limit: Option<i64>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Query {
    pub direction: Direction,
    /// Where the search starts: the destination of a fixed destination amount, the source of a fixed source amount.
    pub start: u32,
    pub amount: i64,
    pub ends: Vec<End>,
    /// An account whose own offers are left out.
    pub own: Option<u32>,
    /// Most exchanges on a path.
    pub max_hops: usize,
    /// Whether pools may be used.
    pub pools: bool,
    pub deadline: Option<Instant>,
}

/// A path as it was found: from the search's start to an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub amount: i64,
    /// All assets, the start first.
    pub assets: Vec<u32>,
}

/// The deadline came before the end of the search.
#[derive(Debug, PartialEq, Eq)]
pub struct TimedOut;

struct Clock {
    deadline: Option<Instant>,
    hops: u32,
}

impl Clock {
    fn tick(&mut self) -> Result<(), TimedOut> {
        self.hops += 1;
        if self.hops.is_multiple_of(HOPS_PER_LOOK) && self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(TimedOut);
        }
        Ok(())
    }
}

/// The best known way to an asset, and the one being found in this layer.
#[derive(Clone, Default)]
struct Label {
    amount: i64,
    next: i64,
    /// Place of the way's last step in the list of steps.
    step: u32,
    next_step: u32,
    /// Where the way found in this layer comes from.
    from: u32,
}

/// The hop to an asset that promises most in this layer, by rate alone.
#[derive(Clone, Copy, Default)]
struct Promise {
    worth: f64,
    from: u32,
    pair: u32,
}

/// One asset on a way, and the step before.
#[derive(Clone, Copy)]
struct Step {
    asset: u32,
    before: u32,
}

const NO_STEP: u32 = u32::MAX;

struct Layers<'g> {
    graph: &'g Graph,
    query: &'g Query,
    clock: Clock,
    labels: Vec<Label>,
    limits: Vec<Option<Option<i64>>>,
    /// Assets from which an end is one hop away; empty before the last layer but one.
    near: Vec<bool>,
    steps: Vec<Step>,
    found: Vec<Found>,
}

/// The best way to every end for each number of hops, and the ways that were the best until a better one was seen.
///
/// A way is extended only from the best way to each asset with one hop less, so the work is bounded by hops times
/// pairs. Assets of one layer are looked at in the order of their ranks; the graph must be settled.
///
/// # Errors
/// The deadline passed.
pub fn best_paths(graph: &Graph, query: &Query) -> Result<Vec<Found>, TimedOut> {
    let assets = graph.assets.len();
    let mut limits = vec![None; assets];
    for end in &query.ends {
        limits[end.asset as usize] = Some(end.limit);
    }
    let mut layers = Layers {
        graph,
        query,
        clock: Clock {
            deadline: query.deadline,
            hops: 0,
        },
        labels: vec![Label::default(); assets],
        limits,
        near: Vec::new(),
        steps: Vec::new(),
        found: Vec::new(),
    };
    layers.run()?;
    Ok(layers.found)
}

impl<'g> Layers<'g> {
    fn run(&mut self) -> Result<(), TimedOut> {
        let start = self.query.start;
        self.steps.push(Step {
            asset: start,
            before: NO_STEP,
        });
        self.labels[start as usize] = Label {
            amount: self.query.amount,
            next: self.query.amount,
            step: 0,
            next_step: 0,
            from: start,
        };
        self.note(start, self.query.amount, 0);
        let mut frontier = vec![start];
        for hops_left in (0..self.query.max_hops).rev() {
            frontier = match hops_left {
                0 => return self.last(&frontier),
                1 => {
                    self.near = self.near_ends();
                    self.layer(&frontier)?
                }
                _ => self.layer(&frontier)?,
            };
        }
        Ok(())
    }

    /// Marks the ends and the assets next to one: with two hops left, no other asset is worth reaching.
    fn near_ends(&self) -> Vec<bool> {
        let mut near = vec![false; self.labels.len()];
        for end in &self.query.ends {
            near[end.asset as usize] = true;
            let edges = match self.query.direction {
                Direction::Receive => self.graph.buying(end.asset),
                Direction::Send => self.graph.selling(end.asset),
            };
            edges.iter().for_each(|edge| near[edge.to as usize] = true);
        }
        near
    }

    /// Goes one hop on from every asset of the frontier; returns the assets that have a better way now.
    fn layer(&mut self, frontier: &[u32]) -> Result<Vec<u32>, TimedOut> {
        let mut updated = Vec::new();
        // The most promising hop to each asset first: few of the others then need to be worked out.
        for (to, promise) in self.promises(frontier) {
            if self.try_hop(promise.from, to, promise.pair)? {
                updated.push(to);
            }
        }
        for &asset in frontier {
            for edge in self.edges(asset) {
                if self.is_worth_reaching(edge.to) && self.try_hop(asset, edge.to, edge.pair)? {
                    updated.push(edge.to);
                }
            }
        }
        for &asset in &updated {
            let label = &mut self.labels[asset as usize];
            (label.amount, label.step) = (label.next, label.next_step);
        }
        updated.sort_unstable_by_key(|&asset| self.graph.rank(asset));
        Ok(updated)
    }

    /// The most promising hop to each asset but the ends, whose ways are noted in the order of the frontier.
    fn promises(&self, frontier: &[u32]) -> Vec<(u32, Promise)> {
        let mut touched = Vec::new();
        let mut promises = vec![Promise::default(); self.labels.len()];
        for &asset in frontier {
            let amount = self.labels[asset as usize].amount;
            for edge in self.edges(asset) {
                if !self.is_worth_reaching(edge.to) || self.limits[edge.to as usize].is_some() {
                    continue;
                }
                let bounds = self.graph.bounds(edge.pair);
                let best = self.labels[edge.to as usize].next;
                if !may_reach(self.query.direction, bounds, amount, best) {
                    continue;
                }
                // The larger, the better, for both directions.
                let worth = match self.query.direction {
                    Direction::Receive => bounds.rate / amount as f64,
                    Direction::Send => (amount as f64 * bounds.rate).min(bounds.most_out),
                };
                let promise = &mut promises[edge.to as usize];
                if worth > promise.worth {
                    if promise.worth == 0.0 {
                        touched.push(edge.to);
                    }
                    *promise = Promise {
                        worth,
                        from: asset,
                        pair: edge.pair,
                    };
                }
            }
        }
        touched.into_iter().map(|to| (to, promises[to as usize])).collect()
    }

    /// The hops that lead on from an asset.
    fn edges(&self, asset: u32) -> &'g [Edge] {
        match self.query.direction {
            Direction::Receive => self.graph.selling(asset),
            Direction::Send => self.graph.buying(asset),
        }
    }

    fn is_worth_reaching(&self, asset: u32) -> bool {
        self.near.get(asset as usize).is_none_or(|&near| near)
    }

    /// The last layer: only hops to an end matter.
    fn last(&mut self, frontier: &[u32]) -> Result<(), TimedOut> {
        let graph = self.graph;
        let ends: Vec<u32> = self.query.ends.iter().map(|end| end.asset).collect();
        for &asset in frontier {
            for &end in &ends {
                let pair = match self.query.direction {
                    Direction::Receive => graph.pair_number(asset, end),
                    Direction::Send => graph.pair_number(end, asset),
                };
                if let Some(pair) = pair {
                    self.try_hop(asset, end, pair)?;
                }
            }
        }
        Ok(())
    }

    /// Goes from one asset to another; tells whether that gave the other its first better way in this layer.
    fn try_hop(&mut self, from: u32, to: u32, pair: u32) -> Result<bool, TimedOut> {
        self.clock.tick()?;
        let query = self.query;
        let (amount, best) = (self.labels[from as usize].amount, self.labels[to as usize].next);
        if !may_reach(query.direction, self.graph.bounds(pair), amount, best) || self.is_on_way(from, to) {
            return Ok(false);
        }
        let reached = hop(query.direction, self.graph.pair(pair), query.own, amount, query.pools);
        let Some(reached) = reached.filter(|&reached| self.is_better(reached, from, to)) else {
            return Ok(false);
        };
        let step = u32::try_from(self.steps.len()).expect("a search of fewer than 2^32 steps");
        self.steps.push(Step {
            asset: to,
            before: self.labels[from as usize].step,
        });
        let label = &mut self.labels[to as usize];
        let is_first = label.next == label.amount;
        (label.next, label.next_step, label.from) = (reached, step, from);
        self.note(to, reached, step);
        Ok(is_first)
    }

    /// Whether a way is better than the best one to its asset; of equal ways of one layer the first is.
    fn is_better(&self, reached: i64, from: u32, to: u32) -> bool {
        let label = &self.labels[to as usize];
        let is_tie = reached == label.next && label.next != label.amount;
        let is_earlier = is_tie && self.graph.rank(from) < self.graph.rank(label.from);
        is_earlier || self.query.direction.is_better(reached, label.next)
    }

    fn is_on_way(&self, from: u32, to: u32) -> bool {
        let mut at = self.labels[from as usize].step;
        while at != NO_STEP {
            let step = self.steps[at as usize];
            if step.asset == to {
                return true;
            }
            at = step.before;
        }
        false
    }

    /// Keeps a way that has reached an end.
    fn note(&mut self, asset: u32, amount: i64, step: u32) {
        let Some(limit) = self.limits[asset as usize] else {
            return;
        };
        if limit.is_some_and(|limit| amount > limit) {
            return;
        }
        let mut assets = Vec::new();
        let mut at = step;
        while at != NO_STEP {
            let step = self.steps[at as usize];
            assets.push(step.asset);
            at = step.before;
        }
        assets.reverse();
        self.found.push(Found { amount, assets });
    }
}

/// Every path without a repeated asset; their number grows with a power of the hops.
///
/// # Errors
/// The deadline passed.
pub fn all_paths(graph: &Graph, query: &Query) -> Result<Vec<Found>, TimedOut> {
    let mut found = Vec::new();
    let mut clock = Clock {
        deadline: query.deadline,
        hops: 0,
    };
    let mut way = vec![query.start];
    descend(graph, query, query.amount, &mut way, &mut clock, &mut found)?;
    Ok(found)
}

/// Goes on from the last asset of `way`; recursion is as deep as the path is long.
fn descend(
    graph: &Graph,
    query: &Query,
    amount: i64,
    way: &mut Vec<u32>,
    clock: &mut Clock,
    found: &mut Vec<Found>,
) -> Result<(), TimedOut> {
    let asset = *way.last().expect("a way has its start");
    let end = query.ends.iter().find(|end| end.asset == asset);
    if end.is_some_and(|end| end.limit.is_none_or(|limit| amount <= limit)) {
        found.push(Found {
            amount,
            assets: way.clone(),
        });
    }
    if way.len() > query.max_hops {
        return Ok(());
    }
    let edges = match query.direction {
        Direction::Receive => graph.selling(asset),
        Direction::Send => graph.buying(asset),
    };
    for edge in edges {
        clock.tick()?;
        if way.contains(&edge.to) {
            continue;
        }
        if let Some(reached) = hop(query.direction, graph.pair(edge.pair), query.own, amount, query.pools) {
            way.push(edge.to);
            descend(graph, query, reached, way, clock, found)?;
            way.pop();
        }
    }
    Ok(())
}
