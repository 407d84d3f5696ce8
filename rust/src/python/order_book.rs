//! The order book of a network as a Python object.

use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, Int32Array, Int64Array, RecordBatch, StringArray};
use pyo3::create_exception;
use pyo3::exceptions::{PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrow::{import_array, import_batch};
use crate::orderbook::fingerprint::fingerprint;
use crate::orderbook::graph::{Graph, Offer};
use crate::orderbook::search::{End, Query, all_paths, best_paths};
use crate::orderbook::walk::Direction;

create_exception!(
    aurora_ingest._kernel,
    OrderBookError,
    PyValueError,
    "Changes that the order book cannot take; it is as before."
);

/// All offers and pools of a network at one ledger.
#[pyclass(module = "aurora_ingest._kernel")]
pub struct OrderBook {
    graph: Graph,
    ledger: Option<u32>,
}

/// The typed columns of a batch of offers.
struct Offers<'a> {
    ids: &'a Int64Array,
    sellers: &'a StringArray,
    selling: &'a StringArray,
    buying: &'a StringArray,
    amounts: &'a Int64Array,
    n: &'a Int32Array,
    d: &'a Int32Array,
}

/// The typed columns of a batch of pools.
struct Pools<'a> {
    ids: &'a StringArray,
    assets: (&'a StringArray, &'a StringArray),
    reserves: (&'a Int64Array, &'a Int64Array),
    fees: &'a Int32Array,
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> PyResult<&'a dyn Array> {
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| PyValueError::new_err(format!("the batch has no column {name}")))?;
    if column.null_count() > 0 {
        return Err(PyValueError::new_err(format!("column {name} has nulls")));
    }
    Ok(column.as_ref())
}

pub(super) fn typed<'a, T>(name: &str, array: Option<&'a T>) -> PyResult<&'a T> {
    array.ok_or_else(|| PyValueError::new_err(format!("column {name} has another type than expected")))
}

pub(super) fn texts<'a>(batch: &'a RecordBatch, name: &str) -> PyResult<&'a StringArray> {
    typed(name, column(batch, name)?.as_string_opt::<i32>())
}

pub(super) fn longs<'a>(batch: &'a RecordBatch, name: &str) -> PyResult<&'a Int64Array> {
    typed(name, column(batch, name)?.as_primitive_opt::<Int64Type>())
}

pub(super) fn ints<'a>(batch: &'a RecordBatch, name: &str) -> PyResult<&'a Int32Array> {
    typed(name, column(batch, name)?.as_primitive_opt::<Int32Type>())
}

impl<'a> Offers<'a> {
    fn of(batch: &'a RecordBatch) -> PyResult<Self> {
        Ok(Self {
            ids: longs(batch, "offer_id")?,
            sellers: texts(batch, "seller_id")?,
            selling: texts(batch, "selling_asset")?,
            buying: texts(batch, "buying_asset")?,
            amounts: longs(batch, "amount")?,
            n: ints(batch, "pricen")?,
            d: ints(batch, "priced")?,
        })
    }

    /// The first offer that no graph takes.
    fn refused(&self) -> Option<i64> {
        (0..self.ids.len())
            .find(|&row| {
                self.amounts.value(row) <= 0
                    || self.n.value(row) <= 0
                    || self.d.value(row) <= 0
                    || self.selling.value(row) == self.buying.value(row)
            })
            .map(|row| self.ids.value(row))
    }
}

impl<'a> Pools<'a> {
    fn of(batch: &'a RecordBatch) -> PyResult<Self> {
        Ok(Self {
            ids: texts(batch, "id")?,
            assets: (texts(batch, "asset_a")?, texts(batch, "asset_b")?),
            reserves: (longs(batch, "reserve_a")?, longs(batch, "reserve_b")?),
            fees: ints(batch, "fee")?,
        })
    }

    /// The first pool that no graph takes.
    fn refused(&self) -> Option<&str> {
        (0..self.ids.len())
            .find(|&row| {
                self.reserves.0.value(row) < 0
                    || self.reserves.1.value(row) < 0
                    || !(0..10_000).contains(&self.fees.value(row))
                    || self.assets.0.value(row) == self.assets.1.value(row)
            })
            .map(|row| self.ids.value(row))
    }
}

fn fill(graph: &mut Graph, offers: &Offers<'_>, pools: Option<&Pools<'_>>) -> Result<(), String> {
    for row in 0..offers.ids.len() {
        let buying = graph.assets.number(offers.buying.value(row));
        let selling = graph.assets.number(offers.selling.value(row));
        let offer = Offer {
            id: offers.ids.value(row),
            seller: graph.accounts.number(offers.sellers.value(row)),
            n: offers.n.value(row),
            d: offers.d.value(row),
            amount: offers.amounts.value(row),
        };
        graph
            .put_offer(offer, selling, buying)
            .map_err(|refusal| refusal.to_string())?;
    }
    let Some(pools) = pools else {
        return Ok(());
    };
    for row in 0..pools.ids.len() {
        let assets = (
            graph.assets.number(pools.assets.0.value(row)),
            graph.assets.number(pools.assets.1.value(row)),
        );
        let reserves = (pools.reserves.0.value(row), pools.reserves.1.value(row));
        graph
            .put_pool(pools.ids.value(row), assets, reserves, pools.fees.value(row))
            .map_err(|refusal| refusal.to_string())?;
    }
    Ok(())
}

fn check(offers: &Offers<'_>, pools: Option<&Pools<'_>>) -> PyResult<()> {
    if let Some(id) = offers.refused() {
        return Err(OrderBookError::new_err(
            crate::orderbook::graph::Refusal::Offer(id).to_string(),
        ));
    }
    match pools.and_then(Pools::refused) {
        Some(id) => Err(OrderBookError::new_err(
            crate::orderbook::graph::Refusal::Pool(id.to_owned()).to_string(),
        )),
        None => Ok(()),
    }
}

type Path = (i64, Vec<String>);

#[pymethods]
impl OrderBook {
    #[new]
    fn new() -> Self {
        Self {
            graph: Graph::default(),
            ledger: None,
        }
    }

    #[getter]
    fn ledger(&self) -> Option<u32> {
        self.ledger
    }

    #[getter]
    fn offers(&self) -> usize {
        self.graph.offer_count()
    }

    #[getter]
    fn pools(&self) -> usize {
        self.graph.pool_count()
    }

    #[pyo3(signature = (ledger, offers, pools=None))]
    fn load(
        &mut self,
        py: Python<'_>,
        ledger: u32,
        offers: &Bound<'_, PyAny>,
        pools: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let offers = import_batch(offers)?;
        let pools = pools.map(import_batch).transpose()?;
        let offers = Offers::of(&offers)?;
        let pools = pools.as_ref().map(Pools::of).transpose()?;
        check(&offers, pools.as_ref())?;
        self.graph = py
            .detach(|| {
                let mut graph = Graph::default();
                fill(&mut graph, &offers, pools.as_ref())?;
                graph.settle();
                Ok(graph)
            })
            .map_err(|refusal: String| OrderBookError::new_err(refusal))?;
        self.ledger = Some(ledger);
        Ok(())
    }

    fn apply(
        &mut self,
        py: Python<'_>,
        ledger: u32,
        offers: &Bound<'_, PyAny>,
        removed_offers: &Bound<'_, PyAny>,
        pools: &Bound<'_, PyAny>,
        removed_pools: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let at = self
            .ledger
            .ok_or_else(|| OrderBookError::new_err(format!("ledger {ledger}: the order book was not loaded yet")))?;
        if at.checked_add(1) != Some(ledger) {
            return Err(OrderBookError::new_err(format!(
                "ledger {ledger}: the order book stands at ledger {at} and takes only the one after it"
            )));
        }
        let offers = import_batch(offers)?;
        let pools = import_batch(pools)?;
        let (offers, pools) = (Offers::of(&offers)?, Pools::of(&pools)?);
        check(&offers, Some(&pools))?;
        let (gone, drained) = (import_array(removed_offers)?, import_array(removed_pools)?);
        let gone = typed("removed_offers", gone.as_primitive_opt::<Int64Type>())?;
        let drained = typed("removed_pools", drained.as_string_opt::<i32>())?;
        let graph = &mut self.graph;
        py.detach(|| {
            gone.values().iter().for_each(|&id| {
                graph.remove_offer(id);
            });
            drained.iter().flatten().for_each(|id| {
                graph.remove_pool(id);
            });
            fill(graph, &offers, Some(&pools))?;
            graph.settle();
            Ok(())
        })
        .map_err(|refusal: String| OrderBookError::new_err(refusal))?;
        self.ledger = Some(ledger);
        Ok(())
    }

    #[pyo3(signature = (start, amount, ends, *, receive, max_hops, own_account=None, every=false, pools=true, seconds=None))]
    #[allow(clippy::too_many_arguments)]
    fn paths(
        &self,
        py: Python<'_>,
        start: &str,
        amount: i64,
        ends: Vec<(String, Option<i64>)>,
        receive: bool,
        max_hops: usize,
        own_account: Option<&str>,
        every: bool,
        pools: bool,
        seconds: Option<f64>,
    ) -> PyResult<Vec<Path>> {
        let graph = &self.graph;
        let Some(number) = graph.assets.find(start) else {
            return Ok(alone(start, amount, &ends));
        };
        let known = |(asset, limit): (String, Option<i64>)| graph.assets.find(&asset).map(|asset| End { asset, limit });
        let query = Query {
            direction: if receive { Direction::Receive } else { Direction::Send },
            start: number,
            amount,
            ends: ends.into_iter().filter_map(known).collect(),
            own: own_account.and_then(|account| graph.accounts.find(account)),
            max_hops,
            pools,
            deadline: seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds.max(0.0))),
        };
        let search = if every { all_paths } else { best_paths };
        let found = py.detach(|| search(graph, &query));
        let found = found.map_err(|_| PyTimeoutError::new_err("the search for paths took longer than allowed"))?;
        let named = |found: crate::orderbook::search::Found| {
            let names = found.assets.iter().map(|&asset| graph.assets.name(asset).to_owned());
            (found.amount, names.collect())
        };
        Ok(found.into_iter().map(named).collect())
    }

    fn fingerprint<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let graph = &self.graph;
        PyBytes::new(py, &py.detach(|| fingerprint(graph)))
    }

    /// Price n, price d, stroops and number of offers of the cheapest prices of a pair.
    fn levels(&self, selling: &str, buying: &str, limit: usize) -> Vec<(i32, i32, i128, usize)> {
        let (Some(selling), Some(buying)) = (self.graph.assets.find(selling), self.graph.assets.find(buying)) else {
            return Vec::new();
        };
        self.graph
            .find_pair(selling, buying)
            .map_or_else(Vec::new, |pair| crate::orderbook::levels::levels(&pair.offers, limit))
    }
}

/// The answer about an asset that nothing is traded for: a payment without any exchange, if that was asked for.
fn alone(start: &str, amount: i64, ends: &[(String, Option<i64>)]) -> Vec<Path> {
    let fits = |(asset, limit): &&(String, Option<i64>)| asset == start && limit.is_none_or(|limit| amount <= limit);
    ends.iter()
        .find(fits)
        .map_or_else(Vec::new, |_| vec![(amount, vec![start.to_owned()])])
}
