from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from stellar_sdk import xdr

from differential.built_state import STANDALONE, TESTNET, built_state
from differential.comparison import assert_same_rows
from differential.core_json import json_values
from differential.networks import P23
from kernel.sdk_rows import expected_row

pytestmark = pytest.mark.shared_data


@pytest.mark.parametrize("network,checkpoint", P23)
def test_living_asset_contracts_and_balances_are_those_that_core_answers(
    network: str, checkpoint: int, shared_data: Path
) -> None:
    network_id = hashlib.sha256(STANDALONE.encode()).digest()
    contracts: list[dict[str, Any]] = []
    balances: list[dict[str, Any]] = []
    stats: dict[bytes, list[int]] = defaultdict(lambda: [0, 0])
    for answer in json_values(shared_data / network / f"oracle/getledgerentry/{checkpoint:08d}.jsonl.zst"):
        if answer["state"] != "live":
            continue
        table, row = expected_row(xdr.LedgerEntry.from_xdr(answer["entry"]), 0, network_id)
        place = {
            "key_hash": hashlib.sha256(base64.b64decode(answer["key"])).digest(),
            "expiration_ledger": answer["liveUntilLedgerSeq"],
        }
        match row.get("asset_contract_kind"):
            case 1:
                names = ("contract_id", "asset_type", "asset_code", "asset_issuer")
                contracts.append(place | {name: row[name] for name in names})
            case 2:
                amount = Decimal(row["balance_amount"])
                balances.append(place | {"asset_contract_id": row["contract_id"], "amount": amount})
                stats[row["contract_id"]][0] += int(amount)
                stats[row["contract_id"]][1] += 1
        assert table in {"contract_data", "contract_code"}

    built = built_state(shared_data / network / "archive", checkpoint, STANDALONE)
    key = ("key_hash",)
    assert_same_rows("asset_contracts", built["asset_contracts"].to_pylist(), contracts, key)
    assert_same_rows("contract_asset_balances", built["contract_asset_balances"].to_pylist(), balances, key)
    expected = {
        contract: json.dumps({"balance": str(balance), "holders": holders})
        for contract, (balance, holders) in stats.items()
    }
    rows = built["contract_asset_stats"].to_pylist()
    assert {row["contract_id"]: row["stat"] for row in rows} == expected
    assert [row["contract_id"] for row in rows] == sorted(expected)


def test_expired_entries_stay_in_contract_data_and_leave_the_asset_tables(shared_data: Path) -> None:
    archive = shared_data / "public/stellar-archivist/testnet-archive-1-8063.tar"
    built = built_state(archive, 8063, TESTNET)
    until = {row["key_hash"]: row["live_until_ledger"] for row in built["ttl"].to_pylist()}
    expired = {key for key, ledger in until.items() if ledger < 8063}
    assert expired & set(built["contract_data"].column("key_hash").to_pylist())
    for table in ("asset_contracts", "contract_asset_balances"):
        held = set(built[table].column("key_hash").to_pylist())
        assert held
        assert not held & expired
        assert built[table].column("expiration_ledger").to_pylist() == [
            until[key] for key in built[table].column("key_hash").to_pylist()
        ]


@pytest.mark.parametrize("cut", [(64, 1), (1 << 20, 1)])
def test_tables_do_not_depend_on_where_ranges_are_cut(cut: tuple[int, int], shared_data: Path) -> None:
    archive = shared_data / "standalone-p23/archive"
    built = built_state(archive, 255, STANDALONE)
    assert built == built_state(archive, 255, STANDALONE, *cut)
