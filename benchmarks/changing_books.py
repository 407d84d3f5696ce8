"""A large order book that changes ledger by ledger, as units of ledgers with nothing else in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from aurora_ingest.db.order_book import OrderBookRows
from aurora_ingest.ledger.asset import Asset
from aurora_ingest.transforms.extract_changes import ledger_unit
from aurora_ingest.transforms.ledger_unit import LedgerUnit

_ISSUER = "GAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAWHF"
_SEED = 20_261_125
_SECONDS_PER_LEDGER = 5
_NO_POOLS = pa.record_batch(
    {
        "pool_id": pa.array([], pa.string()),
        "a_asset_base64": pa.array([], pa.string()),
        "b_asset_base64": pa.array([], pa.string()),
        "reserve_a": pa.array([], pa.int64()),
        "reserve_b": pa.array([], pa.int64()),
        "fee": pa.array([], pa.int32()),
    }
)


class ChangingBooks:
    """Offers over pairs, of which few have most: a pair's share falls with its rank, as on pubnet."""

    def __init__(self, offers: int, pairs: int) -> None:
        """Makes the book; the same for the same numbers."""
        self._random = np.random.default_rng(_SEED)
        keys = [Asset("native").key, *(Asset.parse(f"A{number:03}:{_ISSUER}").key for number in range(pairs))]
        self._keys = pa.array(keys, pa.string())
        weights = 1.0 / np.arange(1, pairs + 1)
        self._weights = weights / weights.sum()
        self._columns = self._new(offers, 1)
        self._next = offers + 1
        self.ledger = 1

    def _new(self, count: int, first: int) -> dict[str, np.ndarray]:
        """Offers between native and the asset of a pair, either way, around a price of 1."""
        pair = self._random.choice(len(self._weights), count, p=self._weights) + 1
        sells = self._random.integers(0, 2, count)
        return {
            "id": np.arange(first, first + count),
            "selling": np.where(sells, pair, 0),
            "buying": np.where(sells, 0, pair),
            "amount": self._random.integers(1, 10**12, count),
            "n": self._random.integers(10_000, 12_000, count).astype(np.int32),
            "d": np.full(count, 10_000, np.int32),
        }

    def rows(self) -> OrderBookRows:
        """The book as the state's tables have it."""
        entries = self._entries(self._columns)
        names = {"selling_asset_base64": "selling_asset", "buying_asset_base64": "buying_asset"}
        names |= {"price_n": "pricen", "price_d": "priced"}
        offers = entries.rename_columns([names.get(name, name) for name in entries.schema.names])
        pools = pa.record_batch({name: pa.array([], pa.string()) for name in ("id", "asset_reserves")})
        pools = pools.append_column("fee", pa.array([], pa.int32()))
        return OrderBookRows(self.ledger, offers, pools, {})

    def _entries(self, columns: dict[str, np.ndarray]) -> pa.RecordBatch:
        sides = {name: self._keys.take(pa.array(columns[name])) for name in ("selling", "buying")}
        return pa.record_batch(
            {
                "offer_id": pa.array(columns["id"], pa.int64()),
                "seller_id": pa.array([_ISSUER] * len(columns["id"]), pa.string()),
                "selling_asset_base64": sides["selling"],
                "buying_asset_base64": sides["buying"],
                "amount": pa.array(columns["amount"].copy(), pa.int64()),
                "price_n": pa.array(columns["n"], pa.int32()),
                "price_d": pa.array(columns["d"], pa.int32()),
            }
        )

    def ledgers(self, count: int, changes: int) -> Iterator[LedgerUnit]:
        """Ledgers with so many changed offers: half of them traded with, a quarter gone, a quarter new."""
        for _ in range(count):
            self.ledger += 1
            touched = self._random.choice(len(self._columns["id"]), changes * 3 // 4, replace=False)
            traded, gone = touched[: changes // 2], touched[changes // 2 :]
            before = {name: values[touched] for name, values in self._columns.items()}
            self._columns["amount"][traded] = self._random.integers(1, 10**12, len(traded))
            new = self._new(changes - len(touched), self._next)
            self._next += len(new["id"])
            after = {name: np.concatenate([values[traded], new[name]]) for name, values in self._columns.items()}
            stays = np.ones(len(self._columns["id"]), bool)
            stays[gone] = False
            self._columns = {name: np.concatenate([values[stays], new[name]]) for name, values in self._columns.items()}
            yield self._unit(self._entries(before), self._entries(after))

    def _unit(self, before: pa.RecordBatch, after: pa.RecordBatch) -> LedgerUnit:
        closed_at = pa.array([self.ledger * _SECONDS_PER_LEDGER], pa.uint64())
        header = pa.record_batch({"ledger_sequence": pa.array([self.ledger]), "close_time": closed_at})
        sides = [{"offer": offers, "liquidity_pool": _NO_POOLS} for offers in (before, after)]
        return dataclasses.replace(ledger_unit(self.ledger, {"ledgers": header}), pre=sides[0], post=sides[1])
