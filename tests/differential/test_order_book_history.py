"""Order books after each ledger of the scenarios and of our own networks, against books made anew from the tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from aurora_ingest import _kernel
from aurora_ingest.db.order_book import OrderBookRows
from aurora_ingest.db.state_change import StateChange
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.ledger.change import CHANGES, COMPACTED_COLUMNS
from aurora_ingest.ledger.genesis import GENESIS_LEDGER
from aurora_ingest.network import STANDALONE, TESTNET, Network
from aurora_ingest.transforms.extract_changes import compacted, ledger_units
from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit, Receipt
from aurora_ingest.transforms.order_book_levels import gathered, level_batch
from aurora_ingest.transforms.pair_books import Pair, PairLevels, PairState, advance
from aurora_ingest.transforms.pair_chain import Chain, LedgerPairs, link
from aurora_ingest.transforms.processors import entry_columns
from aurora_ingest.transforms.state_changes import state_change, with_tables
from differential.closed_ledgers import framed
from orderbook.book_history import Rows, expected_rows, pool_of_table, shown_rows
from orderbook.order_books import Offer, offer_rows, pool_rows
from orderbook.plain_levels import PlainState

pytestmark = pytest.mark.shared_data

_TABLES = ("offers", "liquidity_pools")
_DEPTH = 5
_NETWORKS = {"standalone-p19": 399, "standalone-p19-accel": 99, "standalone-p19-bulk": 129, "standalone-p23": 261}
_BOOKS_OF_SCENARIOS = {"paths", "bad_cost", "order_books", "offer_ids", "kahuna"}


def _units(meta: Path, network: Network) -> list[LedgerUnit]:
    columns = {"ledgers": ("ledger_sequence", "close_time"), CHANGES: COMPACTED_COLUMNS}
    kernel = _kernel.LedgerDecoder(network_id=network.network_id, columns=columns)
    for ledger in framed(meta.read_bytes()):
        if _kernel.ledger_sequence_of(ledger) > GENESIS_LEDGER:
            kernel.push(ledger)
    tables = {name: pa.record_batch(batch) for name, batch in kernel.take().items()}
    ledgers = tables["ledgers"].column("ledger_sequence").to_pylist()
    receipt = Receipt(CHUNK, 0, last=True)
    unit = LedgerUnit(CHUNK, 0, True, ledgers[0], ledgers[-1], {}, {}, {}, receipt, decoded=tables)
    return [compacted(each, entry_columns(_TABLES), network.network_id) for each in ledger_units(unit)]


def _states(units: list[LedgerUnit], network: Network) -> Iterator[tuple[int, PlainState]]:
    """The tables after each ledger, as the committer would keep them."""
    state = PlainState()
    yield units[0].last_ledger - 1, state
    for unit in units:
        state = PlainState(dict(state.offers), dict(state.pools))
        _apply(state, state_change(with_tables(unit, _TABLES), _TABLES, network))
        yield unit.last_ledger, state


def _apply(state: PlainState, change: StateChange) -> None:
    offers, pools = (change.tables[name] for name in _TABLES)
    for offer_id in offers.leaving.column("offer_id").to_pylist():
        del state.offers[offer_id]
    for pool_id in pools.leaving.column("id").to_pylist():
        del state.pools[pool_id]
    for row in offers.upserts.to_pylist():
        assets = Asset.of_key(row["selling_asset"]), Asset.of_key(row["buying_asset"])
        offer = Offer(row["offer_id"], *assets, row["pricen"], row["priced"], row["amount"], row["seller_id"])
        state.offers[offer.offer_id] = offer
    for row in pools.upserts.to_pylist():
        state.pools[row["id"]] = pool_of_table(row["id"], row["asset_reserves"], row["fee"])


def _rows(units: list[LedgerUnit], together: int) -> Rows:
    """What the transforms make of the ledgers, given some at a time."""
    chain, states = Chain(), dict[Pair, PairState]()
    ledgers = [LedgerPairs.of(unit) for unit in units]
    start = OrderBookRows(units[0].last_ledger - 1, offer_rows([]), pool_rows([]), {})
    found: list[tuple[Pair, PairLevels]] = []
    for first in range(0, len(ledgers), together):
        elements, _ = link(chain, ledgers[first : first + together], lambda: start, is_lazy=first % 2 == 0)
        for pair, element in elements:
            found += [(pair, each) for each in advance(pair, states.setdefault(pair, PairState()), element, _DEPTH)]
    return shown_rows(level_batch(gathered(found)).to_pylist())


def _same(units: list[LedgerUnit], network: Network, together: int) -> Rows:
    """Compare levels with books made anew from the tables after every ledger."""
    expected = expected_rows(dict(_states(units, network)), _DEPTH)
    rows = _rows(units, together)
    assert rows == expected
    return rows


@pytest.mark.parametrize("name", _NETWORKS)
def test_our_networks(name: str, shared_data: Path) -> None:
    units = _units(shared_data / name / "meta/ledger-close-meta.xdr.zst", STANDALONE)
    assert len(units) == _NETWORKS[name]
    rows = _same(units, STANDALONE, 17)
    assert len(rows) > 20
    assert any(row["spread_n"] is not None for row in rows.values())


def test_the_scenarios(shared_data: Path) -> None:
    folders = ("public/diamante-block-go/scenarios", "public/stellar-horizon/scenarios")
    streams = [path for folder in folders for path in sorted((shared_data / folder).glob("*.lcm.xdr.zst"))]
    with_books = set()
    for number, stream in enumerate(streams):
        if _same(_units(stream, TESTNET), TESTNET, number % 5 + 1):
            with_books.add(stream.name.partition(".")[0])
    assert len(streams) > 30
    assert with_books >= _BOOKS_OF_SCENARIOS
