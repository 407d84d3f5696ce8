from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_ingest.transforms.processors import PARTIAL_SCHEMAS, sum_partials
from aurora_ingest.transforms.processors.columns import EXACT, empty
from aurora_ingest.transforms.processors.exp_asset_stats import (
    KINDS,
    PARTIAL,
    SCHEMA,
    asset_stat_partials,
    asset_stat_rows,
)
from entry_batches import I64_MAX, USD, account, entries, unit_with

Rows = list[dict[str, Any]]
EUROS = {"asset_type": 2, "asset_code": "EUROS", "asset_issuer": account(98)}
NATIVE = {"asset_type": 0, "asset_code": None, "asset_issuer": None}


def line(asset: dict[str, Any], balance: int, flags: int) -> dict[str, Any]:
    return {**asset, "balance": balance, "flags": flags}


def pool(a: dict[str, Any], b: dict[str, Any], reserve_a: int, reserve_b: int) -> dict[str, Any]:
    sides = {f"{side}_{name}": value for side, asset in (("a", a), ("b", b)) for name, value in asset.items()}
    return {**sides, "reserve_a": reserve_a, "reserve_b": reserve_b}


def partials(lines: Rows, balances: Rows = [], pools: Rows = [], sign: int = 1) -> pa.RecordBatch:  # noqa: B006
    return asset_stat_partials(
        entries("trust_line", *lines),
        entries("claimable_balance", *balances),
        entries("liquidity_pool", *pools),
        sign=sign,
    )


def stats(*batches: pa.RecordBatch) -> Rows:
    return list(asset_stat_rows(sum_partials("exp_asset_stats", batches)).to_pylist())


def test_json_is_what_postgresql_prints() -> None:
    (row,) = stats(partials([line(USD, 5, 1), line(USD, 0, 1), line(USD, 7, 0)]))
    assert row == {
        **USD,
        "accounts": (
            '{"authorized": 2, "unauthorized": 1, "liquidity_pools": 0, "claimable_balances": 0, '
            '"authorized_to_maintain_liabilities": 0}'
        ),
        "balances": (
            '{"authorized": "5", "unauthorized": "7", "liquidity_pools": "0", "claimable_balances": "0", '
            '"authorized_to_maintain_liabilities": "0"}'
        ),
    }


@pytest.mark.parametrize(
    "flags,kind",
    [
        (0, "unauthorized"),
        (1, "authorized"),
        (2, "authorized_to_maintain_liabilities"),
        (3, "authorized"),
        (4, "unauthorized"),
        (5, "authorized"),
        (6, "authorized_to_maintain_liabilities"),
    ],
)
def test_flags_decide_the_kind_of_a_trust_line(flags: int, kind: str) -> None:
    (row,) = stats(partials([line(USD, 3, flags)]))
    assert json.loads(row["accounts"]) == {name: int(name == kind) for name in KINDS}
    assert json.loads(row["balances"]) == {name: "3" if name == kind else "0" for name in KINDS}


def test_liabilities_are_no_part_of_the_sum() -> None:
    (row,) = stats(partials([line(USD, 3, 1) | {"buying_liabilities": 100, "selling_liabilities": 2}]))
    assert json.loads(row["balances"])["authorized"] == "3"


def test_pool_shares_and_the_native_asset_have_no_statistics() -> None:
    shares = {"asset_type": 3, "asset_code": None, "asset_issuer": None, "liquidity_pool_id": "ab" * 32}
    assert stats(partials([line(shares, 9, 0)], [{**NATIVE, "amount": 4}])) == []


def test_pools_count_for_each_of_their_issued_assets() -> None:
    rows = stats(partials([], [], [pool(NATIVE, USD, 10, 20), pool(USD, EUROS, 30, 40)]))
    found = {
        row["asset_code"]: tuple(json.loads(row[what])["liquidity_pools"] for what in ("accounts", "balances"))
        for row in rows
    }
    assert found == {"USD": (2, "50"), "EUROS": (1, "40")}


def test_claimable_balances_count() -> None:
    (row,) = stats(partials([], [{**USD, "amount": 4}, {**USD, "amount": 5}]))
    assert json.loads(row["accounts"])["claimable_balances"] == 2
    assert json.loads(row["balances"])["claimable_balances"] == "9"


def test_assets_are_told_apart_by_type_code_and_issuer() -> None:
    others = [USD, USD | {"asset_issuer": account(97)}, USD | {"asset_code": "usd"}, EUROS]
    rows = stats(partials([line(asset, 1, 1) for asset in [*others, USD]]))
    assert len(rows) == 4
    assert [(row["asset_code"], row["asset_issuer"]) for row in rows] == sorted(
        (asset["asset_code"], asset["asset_issuer"]) for asset in others
    )


def test_sums_are_exact_beyond_64_bits() -> None:
    batch = partials([line(USD, I64_MAX, 1)] * 3)
    (row,) = stats(batch, batch)
    assert json.loads(row["balances"])["authorized"] == str(6 * I64_MAX)


def test_sums_are_exact_beyond_39_digits() -> None:
    huge = 10**60 + 1
    batch = partials([line(USD, 0, 1)])
    place = batch.schema.get_field_index("balance_authorized")
    batch = batch.set_column(place, batch.schema.field(place), pa.array([huge], EXACT))
    (row,) = stats(batch, batch)
    assert json.loads(row["balances"])["authorized"] == str(2 * huge)


def test_assets_that_nobody_holds_any_more_are_left_out() -> None:
    held = partials([line(USD, 5, 1), line(EUROS, 6, 1)])
    gone = partials([line(USD, 5, 1)], sign=-1)
    assert [row["asset_code"] for row in stats(held, gone)] == ["EUROS"]


def test_a_unit_with_pre_images_adds_the_difference() -> None:
    names = ("trust_line", "claimable_balance", "liquidity_pool")
    nothing = {name: entries(name) for name in names}
    before = nothing | {"trust_line": entries("trust_line", line(USD, 5, 1))}
    after = nothing | {"trust_line": entries("trust_line", line(USD, 8, 0))}
    (row,) = PARTIAL.rows(unit_with(after, pre=before)).to_pylist()
    assert {name: int(row[name]) for name in PARTIAL.schema.names[3:] if row[name]} == {
        "count_authorized": -1,
        "count_unauthorized": 1,
        "balance_authorized": -5,
        "balance_unauthorized": 8,
    }


def test_nothing_sums_up_to_nothing() -> None:
    assert partials([]).equals(empty(PARTIAL_SCHEMAS["exp_asset_stats"]))
    assert sum_partials("exp_asset_stats", []).equals(empty(PARTIAL_SCHEMAS["exp_asset_stats"]))
    assert asset_stat_rows(empty(PARTIAL_SCHEMAS["exp_asset_stats"])).equals(empty(SCHEMA))


ASSETS = st.sampled_from([USD, EUROS, NATIVE, USD | {"asset_issuer": account(97)}])
AMOUNTS = st.integers(0, 9) | st.sampled_from([I64_MAX, I64_MAX - 1])
LINES = st.lists(st.builds(line, ASSETS, AMOUNTS, st.integers(0, 7)), max_size=20)


@given(st.lists(LINES, max_size=5), st.randoms())
def test_any_cut_and_order_of_units_gives_the_sums_of_the_loop(units: list[Rows], random: Any) -> None:
    expected: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(KINDS, 0))
    for row in (row for unit in units for row in unit if row["asset_type"]):
        kind = KINDS[0] if row["flags"] & 1 else KINDS[1] if row["flags"] & 2 else KINDS[4]
        expected[row["asset_code"], row["asset_issuer"]][kind] += row["balance"]
    batches = [partials(unit) for unit in units]
    whole = sum_partials("exp_asset_stats", batches)
    random.shuffle(batches)
    assert sum_partials("exp_asset_stats", batches).equals(whole)
    found = {
        (row["asset_code"], row["asset_issuer"]): {kind: int(n) for kind, n in json.loads(row["balances"]).items()}
        for row in asset_stat_rows(whole).to_pylist()
    }
    assert found == expected
