"""Asset contracts kept ledger by ledger: any life of entries, against the same state worked out from scratch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from aurora_ingest import _kernel
from aurora_ingest.db.apply_state import apply_state, stage_states
from aurora_ingest.db.engine import is_postgres, writing
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.errors import StateError
from aurora_ingest.ledger.change import CHANGES, CREATED, EVICTED, REMOVED, RESTORED, UPDATED
from aurora_ingest.network import STANDALONE
from aurora_ingest.transforms.extract_changes import compacted, ledger_unit
from aurora_ingest.transforms.processors import TABLES, entry_columns
from aurora_ingest.transforms.state_changes import state_change, with_tables
from kernel.change_batches import change_batch
from soroban_entries import CONTRACT, ISSUER, balance, instance, ttl

I128_MAX = 2**127 - 1
AMOUNT = slice(-72, -56)
"""Place of the amount in a balance's entry, counted from its end."""
INSTANCE = 0
HOLDERS = (1, 2, 3)
Change = tuple[str, bytes, bytes | None, bytes | None]


_One = tuple[str, bytes | None, bytes | None]


@dataclass
class Model:
    """The network's own view: what every entry holds, and until when it lives."""

    ledger: int = 10
    entries: dict[int, bytes] = field(default_factory=dict)
    lives: dict[int, bytes] = field(default_factory=dict)
    archived: dict[int, bytes] = field(default_factory=dict)

    def until(self, name: int) -> int:
        return int.from_bytes(self.lives[name][40:44], "big")

    def possible(self, name: int) -> list[str]:
        if name in self.archived:
            return ["wait", "restore"]
        if name not in self.entries:
            return ["wait", "create"]
        if self.until(name) < self.ledger:
            return ["wait", "restore", "restore with state", "prolong", "evict", "restore and remove"]
        return ["wait", "update", "prolong", "update and prolong", "remove", "create again"]

    def act(self, name: int, deed: str, amount: int, life: int) -> list[Change]:
        """Does a deed in the current ledger, and returns its changes."""
        new = instance(self.ledger) if name == INSTANCE else balance(name, amount, self.ledger)
        lives = ttl(new, self.ledger + life, self.ledger)
        entry, former = self.entries.get(name), self.lives.get(name)
        if deed == "evict":
            self.archived[name] = new if amount % 2 else self.entries[name]
        # Out of the archive the value may be another one than was seen last.
        back = self.archived.pop(name, entry) if deed == "restore" else entry
        create = ((CREATED, None, new), (CREATED, None, lives))
        remove = ((REMOVED, entry, None), (REMOVED, former, None))
        restore = ((RESTORED, None, back), (RESTORED, None, lives))
        deeds: dict[str, tuple[tuple[_One | None, _One | None], ...]] = {
            "wait": (),
            "create": (create,),
            "update": (((UPDATED, entry, new), None),),
            "prolong": ((None, (UPDATED, former, lives)),),
            "update and prolong": (((UPDATED, entry, new), (UPDATED, former, lives)),),
            "remove": (remove,),
            "create again": (remove, create),
            "restore": (restore,),
            "restore with state": (((RESTORED, entry, entry), (RESTORED, former, lives)),),
            "restore and remove": (restore, ((REMOVED, entry, None), (REMOVED, lives, None))),
            "evict": (((EVICTED, None, None), (EVICTED, None, None)),),
        }
        return [change for pair in deeds[deed] for change in self._set(name, *pair)]

    def _set(self, name: int, entry: _One | None, life: _One | None) -> list[Change]:
        changes = []
        for held, change in ((self.entries, entry), (self.lives, life)):
            if change is None:
                continue
            kind, pre, post = change
            image = post or pre or held[name]
            changes.append((kind, _kernel.ledger_key_of(image), pre, post))
            if post is None:
                held.pop(name)
            else:
                held[name] = post
        return changes

    def rows(self) -> dict[str, Any]:
        """Returns what the three tables hold."""
        living = {name: self.until(name) for name in self.entries if self.until(name) >= self.ledger}
        hashes = {name: hashlib.sha256(_kernel.ledger_key_of(self.entries[name])).digest() for name in living}
        amounts = {name: int.from_bytes(self.entries[name][AMOUNT], "big") for name in living if name != INSTANCE}
        stat = {"balance": str(sum(amounts.values())), "holders": len(amounts)}
        return {
            "contract_asset_balances": sorted(
                (hashes[name], CONTRACT, amount, living[name]) for name, amount in amounts.items()
            ),
            "asset_contracts": [
                (hashes[INSTANCE], CONTRACT, 1, "USD", ISSUER, living[INSTANCE]) for name in living if name == INSTANCE
            ],
            "contract_asset_stats": [(CONTRACT, stat)] if amounts else [],
        }


def stored(engine: sa.Engine) -> dict[str, Any]:
    """Returns the rows of the three tables with numbers as integers and JSON read."""
    read: dict[str, Callable[[Any], Any]] = {
        "amount": int,
        "stat": lambda value: value if isinstance(value, dict) else json.loads(value),
    }
    found = {}
    with engine.connect() as connection:
        for name in ("contract_asset_balances", "asset_contracts", "contract_asset_stats"):
            table = STATE_TABLES[name]
            rows = connection.execute(sa.select(table).order_by(*table.primary_key.columns)).mappings()
            found[name] = [
                tuple(
                    read.get(column, bytes if isinstance(value, memoryview) else lambda same: same)(value)
                    for column, value in row.items()
                )
                for row in rows
            ]
    return found


def apply(engine: sa.Engine, ledger: int, changes: list[Change]) -> None:
    unit = ledger_unit(ledger, {CHANGES: change_batch(changes, ledger=ledger)})
    unit = compacted(unit, entry_columns(TABLES), STANDALONE.network_id)
    change = state_change(with_tables(unit, TABLES), TABLES, STANDALONE)
    with writing(engine) as connection:
        apply_state(connection, *stage_states(connection, [change]))


def cleared(engine: sa.Engine) -> sa.Engine:
    with writing(engine) as connection:
        for table in STATE_TABLES.values():
            connection.execute(sa.delete(table))
    return engine


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_any_life_of_entries_leaves_the_tables_as_from_scratch(engine: sa.Engine, data: st.DataObject) -> None:
    model = Model()
    cleared(engine)
    for _ in range(data.draw(st.integers(1, 6 if is_postgres(engine) else 14))):
        changes: list[Change] = []
        for name in (INSTANCE, *HOLDERS):
            deed = data.draw(st.sampled_from(model.possible(name)))
            amount = data.draw(st.sampled_from([0, 1, 5, I128_MAX]))
            changes += model.act(name, deed, amount, data.draw(st.integers(0, 3)))
        apply(engine, model.ledger, changes)
        assert stored(engine) == model.rows()
        model.ledger += 1


def test_sums_go_beyond_128_bits(engine: sa.Engine) -> None:
    model = Model()
    changes = [change for name in HOLDERS for change in model.act(name, "create", I128_MAX, 1)]
    apply(engine, 10, changes)
    ((_, stat),) = stored(engine)["contract_asset_stats"]
    assert stat == {"balance": str(3 * I128_MAX), "holders": 3}


def test_a_balance_leaves_without_a_change_and_returns_by_its_ttl_alone(engine: sa.Engine) -> None:
    model = Model()
    apply(engine, 10, model.act(1, "create", 7, 1))
    for ledger, holders in ((11, 1), (12, 0), (13, 0)):
        apply(engine, ledger, [])
        assert len(stored(engine)["contract_asset_balances"]) == holders
    model.ledger = 14
    apply(engine, 14, model.act(1, "prolong", 0, 5))
    ((_, _, amount, until),) = stored(engine)["contract_asset_balances"]
    assert (amount, until) == (7, 19)


def test_a_state_without_the_entrys_ttl_is_refused(engine: sa.Engine) -> None:
    model = Model()
    changes = model.act(1, "create", 7, 1)
    with pytest.raises(StateError, match="has no TTL"):
        apply(engine, 10, changes[:1])
    assert stored(engine)["contract_asset_balances"] == []


def test_a_state_of_another_ledger_is_found_out_by_its_sums(engine: sa.Engine) -> None:
    model = Model()
    apply(engine, 10, model.act(1, "create", 7, 1))
    with writing(engine) as connection:
        connection.execute(sa.delete(STATE_TABLES["contract_asset_stats"]))
    model.ledger = 11
    with pytest.raises(StateError, match="fewer than no holders"):
        apply(engine, 11, model.act(1, "remove", 0, 0))
    assert len(stored(engine)["contract_asset_balances"]) == 1
