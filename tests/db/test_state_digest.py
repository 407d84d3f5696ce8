"""Digests of tables: blind to the order of rows and to how a value is written, and to nothing else."""

from __future__ import annotations

import random
from decimal import Decimal

import pyarrow as pa
import pytest

from aurora_ingest.db.state_difference import MOST, Rows, differences
from aurora_ingest.db.state_digest import TableDigest, arrow_type, verified_columns
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.transforms.processors import TABLES, by_table


def _batch(table: str, rows: list[dict[str, object]]) -> pa.RecordBatch:
    columns = [STATE_TABLES[table].columns[name] for name in verified_columns(table)]
    return pa.RecordBatch.from_pylist(rows, pa.schema([(column.name, arrow_type(column)) for column in columns]))


def _signers(count: int, **changed: object) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {"account_id": f"G{number}", "signer": "S", "weight": number, "sponsor": None} for number in range(count)
    ]
    rows[count // 2].update(changed)
    return rows


def _digest(table: str, rows: list[dict[str, object]], pieces: int = 1) -> TableDigest:
    digest = TableDigest(table)
    size = -(-len(rows) // pieces) or 1
    for start in range(0, len(rows), size):
        digest.add(_batch(table, rows[start : start + size]))
    return digest


def test_order_and_pieces_do_not_matter() -> None:
    rows = _signers(1000)
    turned = random.Random(1).sample(rows, len(rows))

    assert len(_digest("accounts_signers", rows).differing(_digest("accounts_signers", turned, 7))) == 0


@pytest.mark.parametrize(
    "changed",
    [{"weight": 1}, {"sponsor": ""}, {"account_id": "G500S", "signer": ""}, {"account_id": "G50", "signer": "0S"}],
    ids=str,
)
def test_any_change_of_one_row_is_seen(changed: dict[str, object]) -> None:
    before, after = _signers(1000), _signers(1000, **changed)

    assert 1 <= len(_digest("accounts_signers", before).differing(_digest("accounts_signers", after))) <= 2


def test_a_row_that_stands_twice_is_seen() -> None:
    rows = _signers(10)

    assert len(_digest("accounts_signers", rows).differing(_digest("accounts_signers", [*rows, rows[3]]))) == 1


def test_exact_numbers_json_and_hashes_are_one_text_however_they_come() -> None:
    made = pa.RecordBatch.from_pylist(
        [{"key_hash": b"k" * 32, "asset_contract_id": b"c" * 32, "amount": Decimal(10**38), "expiration_ledger": 7}],
        next(process.spec.schema for process in by_table(TABLES) if process.spec.name == "contract_asset_balances"),
    )
    read = {"key_hash": b"k" * 32, "asset_contract_id": b"c" * 32, "amount": f"1{'0' * 38}", "expiration_ledger": 7}
    ours = TableDigest("contract_asset_balances")
    ours.add(made)
    assert len(ours.differing(_digest("contract_asset_balances", [read]))) == 0

    stats = [
        {"contract_id": b"c" * 32, "stat": text} for text in ('{"a": "1", "b": 2}', '{"b":2,"a":"1"}', '{"b": "2"}')
    ]
    first, second, third = (_digest("contract_asset_stats", [each]) for each in stats)
    assert len(first.differing(second)) == 0
    assert len(first.differing(third)) == 1


def test_settings_that_no_meta_tells_of_are_left_out() -> None:
    rows: list[dict[str, object]] = [
        {"id": number, "name": str(number), "value_xdr": b"x", "value": "{}", "last_modified_ledger": 1}
        for number in (11, 12, 13, 14)
    ]
    changed = [{**row, "last_modified_ledger": 2} for row in rows]

    def digest(settings: list[dict[str, object]]) -> TableDigest:
        return _digest("config_settings", settings)

    assert digest(rows).rows == 2
    assert len(digest(rows).differing(digest([rows[0], *changed[1:3], rows[3]]))) == 0
    assert len(digest(rows).differing(digest([*rows[:3], changed[3]]))) == 1


def test_differences_are_told_by_key_first_ones_only() -> None:
    rows, changed = _signers(30), [{**row, "weight": 99} for row in _signers(30)]
    buckets = _digest("accounts_signers", rows).differing(_digest("accounts_signers", changed))
    theirs, ours = Rows({"accounts_signers": buckets}), Rows({"accounts_signers": buckets})
    theirs.add("accounts_signers", _batch("accounts_signers", rows))
    ours.add("accounts_signers", _batch("accounts_signers", changed[1:]))
    told = [str(each) for each in differences("accounts_signers", theirs, ours)]

    assert len(told) == MOST
    place = "table accounts_signers, signer S, account_id"
    assert told[0] == f"{place} G0: expected account_id G0, signer S, weight 0, sponsor null, found no row"
    assert told[1] == f"{place} G1: expected weight 1, found weight 99"
