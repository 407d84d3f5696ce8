"""The history of order books in the database: whole ledgers, once, whoever writes them."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
import sqlalchemy as sa

from aurora_ingest import _kernel
from aurora_ingest.db import chunk_locks, load, order_book_levels
from aurora_ingest.db.engine import writing
from aurora_ingest.db.gaps import read_gaps
from aurora_ingest.db.history import delete_ledgers
from aurora_ingest.db.order_book_tables import order_book_levels as table
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.transforms.order_book_levels import SQL_SCHEMA, TABLE, gathered, level_batch
from aurora_ingest.transforms.pair_books import EMPTY_BOOK, PairLevels, books_of
from orderbook.order_books import Offer, Pool, asset, offer_rows, pool_rows

_NATIVE, _USD = asset("native"), asset("USD")
_BOOK = [
    Offer(1, _NATIVE, _USD, 2, 4, 2**63 - 1),
    Offer(2, _NATIVE, _USD, 1, 2, 2**63 - 1),
    Offer(3, _USD, _NATIVE, 3, 1, 5),
]
_POOL = Pool("ab" * 32, _NATIVE, _USD, 7, 8)


def _rows(ledgers: LedgerRange, depth: int = 5) -> pa.RecordBatch:
    ((pair, book),) = books_of(offer_rows(_BOOK), pool_rows([_POOL])).items()
    _, (levels,) = _kernel.move_book(book, [EMPTY_BOOK + EMPTY_BOOK], depth=depth)
    rows = gathered((pair, PairLevels(ledger, 1_700_000_000, levels)) for ledger in ledgers)
    return level_batch(rows, json=True)


def test_a_row_is_exact(engine: sa.Engine) -> None:
    ledgers = LedgerRange(7, 7)
    assert order_book_levels.write_ledgers(engine, ledgers, [1], _rows(ledgers)) == 1
    with engine.connect() as connection:
        row = dict(connection.execute(sa.select(table)).mappings().one())
    bids, asks = (load_json(row.pop(side)) for side in ("bids", "asks"))
    assert bids == [{"price_n": 1, "price_d": 3, "amount": "5", "offers": 1}]
    assert asks == [{"price_n": 1, "price_d": 2, "amount": str(2**64 - 2), "offers": 2}]
    assert str(row.pop("closed_at")) == "2023-11-14 22:13:20"
    assert {name: str(row.pop(name)) for name in ("bid_amount", "ask_amount")} == {
        "bid_amount": "5",
        "ask_amount": str(2**64 - 2),
    }
    assert row == {
        "ledger_sequence": 7,
        "base_asset": _NATIVE.key,
        "counter_asset": _USD.key,
        "base_asset_type": 0,
        "base_asset_code": None,
        "base_asset_issuer": None,
        "counter_asset_type": 1,
        "counter_asset_code": "USD",
        "counter_asset_issuer": _USD.issuer,
        "best_bid_n": 1,
        "best_bid_d": 3,
        "bid_offers": 1,
        "best_ask_n": 1,
        "best_ask_d": 2,
        "ask_offers": 2,
        "spread_n": 1,
        "spread_d": 6,
        "pool_id": "ab" * 32,
        "pool_reserve_base": 7,
        "pool_reserve_counter": 8,
    }


def load_json(value: object) -> object:
    """PostgreSQL's driver reads jsonb, SQLite gives its text."""
    return json.loads(value) if isinstance(value, str) else value


def test_a_ledger_is_written_once_and_noted(engine: sa.Engine) -> None:
    first, both = LedgerRange(7, 7), LedgerRange(7, 8)
    assert order_book_levels.write_ledgers(engine, first, [1], _rows(first)) == 1
    assert order_book_levels.write_ledgers(engine, both, [1, 1], _rows(both, depth=0)) == 1
    assert order_book_levels.write_ledgers(engine, both, [1, 1], _rows(both)) == 0
    with engine.connect() as connection:
        found = connection.execute(sa.select(table.c.ledger_sequence, table.c.best_ask_n).order_by(sa.text("1"))).all()
        assert [tuple(row) for row in found] == [(7, 1), (8, None)]


def test_a_ledger_that_changed_no_pair_is_noted_and_no_gap(engine: sa.Engine) -> None:
    ledgers = LedgerRange(7, 9)
    order_book_levels.write_ledgers(engine, ledgers, [0, 0, 0], level_batch(gathered([]), json=True))
    with engine.connect() as connection:
        assert read_gaps(connection, last=9) == {}
    with writing(engine) as connection:
        delete_ledgers(connection, [TABLE.name], LedgerRange(8, 8))
    with engine.connect() as connection:
        assert read_gaps(connection, last=9) == {TABLE.name: (LedgerRange(8, 8),)}


def test_a_node_goes_back_to_the_first_ledger_that_lacks_its_books(engine: sa.Engine) -> None:
    def place(position: int) -> int:
        with engine.connect() as connection:
            return order_book_levels.place_to_go_on(connection, position)

    assert place(100) == 100
    nothing = level_batch(gathered([]), json=True)
    order_book_levels.write_ledgers(engine, LedgerRange(90, 95), [0] * 6, nothing)
    assert (place(95), place(94), place(100)) == (95, 94, 95)
    order_book_levels.write_ledgers(engine, LedgerRange(98, 98), [0], nothing)
    assert (place(98), place(100)) == (95, 95)
    assert place(95 + order_book_levels.MOST_BACK) == 95
    assert place(99 + order_book_levels.MOST_BACK) == 99 + order_book_levels.MOST_BACK


@pytest.mark.postgres
def test_a_node_that_falls_silent_while_it_writes_holds_nobody_up(
    postgres: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_book_levels, "_SILENCE_SECONDS", 1)
    ledgers = LedgerRange(7, 7)
    with postgres.connect() as silent:
        silent.begin()
        order_book_levels._send(silent, _rows(ledgers))
        chunk_locks.lock_ledgers(silent, ledgers)
        assert order_book_levels.write_ledgers(postgres, ledgers, [1], _rows(ledgers)) == 1
        with pytest.raises(sa.exc.DBAPIError):
            silent.exec_driver_sql("SELECT 1")


def test_the_table_is_that_of_the_rows() -> None:
    assert table.columns.keys() == SQL_SCHEMA.names == TABLE.schema.names
    assert tuple(column.name for column in table.primary_key) == TABLE.primary_key
    assert {column.name: column.nullable for column in table.columns} == {
        field.name: field.nullable for field in SQL_SCHEMA
    }
    types = load.postgres_types(table, SQL_SCHEMA.names)
    assert _kernel.copy_rows(level_batch(gathered([]), json=True), types) == b""


def test_assets_are_in_the_order_of_core() -> None:
    """Native, then by the length of the code's type, then by code and issuer."""
    assets = [_NATIVE, asset("A"), asset("B"), asset("AAAAA"), Asset.parse(f"zzzzz:{_USD.issuer}")]
    offers = [
        Offer(number, *((one, other) if number % 2 else (other, one)), 1, 1, 1)
        for number, (one, other) in enumerate(((a, b) for i, a in enumerate(assets) for b in assets[i + 1 :]), 1)
    ]
    expected = [(a.key, b.key) for i, a in enumerate(assets) for b in assets[i + 1 :]]
    assert list(books_of(offer_rows(offers), pool_rows([]))) == expected
