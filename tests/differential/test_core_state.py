from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from stellar_sdk import xdr

from aurora_ingest.transforms.processors import PROCESSORS
from differential.built_state import STANDALONE, built_state
from differential.comparison import assert_same_rows
from differential.core_json import classic_entry, dumped_entries, is_classic, json_values
from differential.core_sql import core_entries
from differential.networks import P19, P23
from differential.plain_rows import our_rows, state_rows

pytestmark = pytest.mark.shared_data

PRIMARY_KEYS = {process.spec.name: process.spec.primary_key for process in PROCESSORS}
CLASSIC = (
    "accounts",
    "accounts_signers",
    "accounts_data",
    "trust_lines",
    "offers",
    "claimable_balances",
    "claimable_balance_claimants",
    "liquidity_pools",
)
SOROBAN = ("contract_data", "contract_code", "config_settings", "ttl")


def assert_state(
    shared_data: Path, network: str, checkpoint: int, entries: Iterator[xdr.LedgerEntry], tables: tuple[str, ...]
) -> None:
    built = built_state(shared_data / network / "archive", checkpoint, STANDALONE)
    expected = state_rows(entries, STANDALONE, checkpoint)
    for table in tables:
        ours = our_rows(table, built[table])
        place = f"{network} {checkpoint} {table}"
        assert_same_rows(place, ours, expected.get(table, []), PRIMARY_KEYS[table])


@pytest.mark.parametrize("network,checkpoint", P19)
def test_state_is_that_of_cores_own_tables(network: str, checkpoint: int, shared_data: Path) -> None:
    entries = core_entries(shared_data / network / f"oracle/sql/{checkpoint:08d}")
    assert_state(shared_data, network, checkpoint, entries, CLASSIC)


@pytest.mark.parametrize("network,checkpoint", [*P19, *P23])
def test_classic_state_is_what_core_dumps(network: str, checkpoint: int, shared_data: Path) -> None:
    dump = shared_data / network / f"oracle/dump-ledger/{checkpoint:08d}.json.zst"
    entries = (classic_entry(entry) for entry in dumped_entries(dump) if is_classic(entry))
    assert_state(shared_data, network, checkpoint, entries, CLASSIC)


@pytest.mark.parametrize("network,checkpoint", P23)
def test_contract_state_is_what_core_answers(network: str, checkpoint: int, shared_data: Path) -> None:
    """Core was asked for every contract key ever written; some that expired are still in the list."""
    built = built_state(shared_data / network / "archive", checkpoint, STANDALONE)
    answers = list(json_values(shared_data / network / f"oracle/getledgerentry/{checkpoint:08d}.jsonl.zst"))
    entries = {answer["key"]: xdr.LedgerEntry.from_xdr(answer["entry"]) for answer in answers if "entry" in answer}
    expected = state_rows(entries.values(), STANDALONE, checkpoint)
    live_until = {row["key_hash"]: row["live_until_ledger"] for row in our_rows("ttl", built["ttl"])}
    for table in ("contract_data", "contract_code"):
        ours = our_rows(table, built[table])
        held = {row["key_hash"] for row in ours}
        theirs = [row for row in expected.get(table, []) if row["key_hash"] in held]
        assert_same_rows(f"{network} {checkpoint} {table}", ours, theirs, PRIMARY_KEYS[table])
    states = Counter(answer["state"] for answer in answers)
    living = [row for table in ("contract_data", "contract_code") for row in our_rows(table, built[table])]
    assert sum(live_until[row["key_hash"]] >= checkpoint for row in living) == states["live"]


@pytest.mark.parametrize("network,checkpoint", P23)
def test_contract_state_is_what_core_dumps(network: str, checkpoint: int, shared_data: Path) -> None:
    built = built_state(shared_data / network / "archive", checkpoint, STANDALONE)
    dump = shared_data / network / f"oracle/dump-ledger/{checkpoint:08d}.json.zst"
    expected: dict[str, list[tuple[object, ...]]] = {table: [] for table in SOROBAN}
    for entry in dumped_entries(dump):
        at, data = entry["lastModifiedLedgerSeq"], entry["data"]
        match data["type"]:
            case "CONTRACT_DATA":
                found = data["contractData"]
                kinds = (found[part]["type"].removeprefix("SCV_").lower() for part in ("key", "val"))
                expected["contract_data"].append((found["contract"], found["durability"].lower(), *kinds, at))
            case "CONTRACT_CODE":
                found = data["contractCode"]
                costs = found["ext"].get("v1", {}).get("costInputs", {})
                numbers = [costs.get(name) for name in COSTS.values()]
                code = bytes.fromhex(found["code"])
                expected["contract_code"].append((bytes.fromhex(found["hash"]), code, len(code), *numbers, at))
            case "CONFIG_SETTING":
                name = data["configSetting"]["configSettingID"].removeprefix("CONFIG_SETTING_").lower()
                expected["config_settings"].append((name, at))
            case "TTL":
                found = data["ttl"]
                expected["ttl"].append((bytes.fromhex(found["keyHash"]), found["liveUntilLedgerSeq"], at))
    for table, columns in DUMPED.items():
        rows = zip(*(built[table].column(name).to_pylist() for name in columns), strict=True)
        assert Counter(rows) == Counter(expected[table]), f"{network} {checkpoint} {table}"


COSTS = {
    "n_instructions": "nInstructions",
    "n_functions": "nFunctions",
    "n_globals": "nGlobals",
    "n_table_entries": "nTableEntries",
    "n_types": "nTypes",
    "n_data_segments": "nDataSegments",
    "n_elem_segments": "nElemSegments",
    "n_imports": "nImports",
    "n_exports": "nExports",
    "n_data_segment_bytes": "nDataSegmentBytes",
}
DUMPED = {
    "contract_data": ("contract", "durability", "key_type", "value_type", "last_modified_ledger"),
    "contract_code": ("hash", "code", "code_size", *COSTS, "last_modified_ledger"),
    "config_settings": ("name", "last_modified_ledger"),
    "ttl": ("key_hash", "live_until_ledger", "last_modified_ledger"),
}
