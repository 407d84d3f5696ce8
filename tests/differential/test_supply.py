from __future__ import annotations

import base64
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zstandard
from stellar_sdk import Asset, StrKey, xdr

from aurora_ingest import _kernel
from differential.archive_files import archive_state, bucket, header
from differential.built_state import PUBNET, STANDALONE, TESTNET, built_state
from differential.networks import P19, P23

pytestmark = pytest.mark.shared_data

NATIVE = base64.b64encode(bytes(4)).decode()
PUBLIC = {
    "pubnet": ("pubnet-archive-11999936-12001023", 12001023, PUBNET),
    "testnet": ("testnet-archive-1-8063", 8063, TESTNET),
}


def total(column: pa.ChunkedArray) -> int:
    return int(pc.sum(column.cast(pa.decimal256(76, 0))).as_py() or 0)


def native_in_contracts(contracts: pa.Table, passphrase: str) -> int:
    """Adds up what the native asset's contract keeps."""
    own = Asset.native().contract_id(passphrase)
    mine = contracts.filter(pc.equal(contracts.column("contract"), own)).select(["key", "value"])
    return sum(balance_of(row["key"], row["value"]) for row in mine.to_pylist())


def balance_of(key: bytes, value: bytes) -> int:
    """Returns the amount of an entry of an asset contract, read with stellar-sdk; 0 if it is no balance."""
    name = xdr.SCVal.from_xdr_bytes(key).to_json_dict()
    if not isinstance(name, dict) or name.get("vec", [])[:1] != [{"symbol": "Balance"}]:
        return 0
    return int(xdr.SCVal.from_xdr_bytes(value).to_json_dict()["map"][0]["val"]["i128"])


def native_in_hot_archive(archive: Path, checkpoint: int, passphrase: str) -> int:
    """Adds up what the native asset's contract keeps in the hot archive: newest bucket first, one value per key."""
    own = StrKey.decode_contract(Asset.native().contract_id(passphrase))
    values: dict[bytes, int] = {}
    for level in archive_state(archive, checkpoint).get("hotArchiveBuckets", []):
        for name in (level["curr"], level["snap"]):
            if not int(name, 16):
                continue
            batches = _kernel.read_bucket(bucket(archive, name), kind="hot", expected_sha256=bytes.fromhex(name))
            rows = pa.record_batch(batches["contract_data"]).to_pylist()
            for row in rows:
                amount = balance_of(row["key_xdr"], row["value_xdr"]) if row["contract_id"] == own else 0
                values.setdefault(row["ledger_key"], amount)
            for row in pa.record_batch(batches["dead"]).to_pylist():
                values.setdefault(row["ledger_key"], 0)
    return sum(values.values())


def native(built: dict[str, pa.Table], passphrase: str) -> int:
    claimable, pools = built["claimable_balances"], built["liquidity_pools"]
    reserves = [side for text in pools.column("asset_reserves").to_pylist() for side in json.loads(text)]
    return (
        total(built["accounts"].column("balance"))
        + total(claimable.filter(pc.equal(claimable.column("asset"), NATIVE)).column("amount"))
        + sum(int(side["reserve"]) for side in reserves if side["asset"] == NATIVE)
        + native_in_contracts(built["contract_data"], passphrase)
    )


@pytest.mark.parametrize("name", PUBLIC)
def test_public_networks_hold_all_coins(name: str, shared_data: Path) -> None:
    stem, checkpoint, passphrase = PUBLIC[name]
    archive = shared_data / "public/stellar-archivist" / f"{stem}.tar"
    head = header(archive, checkpoint)
    coins = native(built_state(archive, checkpoint, passphrase), passphrase)
    assert coins + head.fee_pool.int64 == head.total_coins.int64


@pytest.mark.parametrize("network,checkpoint", [*P19, *P23])
def test_own_networks_hold_all_coins(network: str, checkpoint: int, shared_data: Path) -> None:
    archive = shared_data / network / "archive"
    head = header(archive, checkpoint)
    coins = native(built_state(archive, checkpoint, STANDALONE), STANDALONE)
    coins += native_in_hot_archive(archive, checkpoint, STANDALONE)
    assert coins + head.fee_pool.int64 == head.total_coins.int64


@pytest.mark.parametrize("name", PUBLIC)
def test_counts_and_native_sums_are_those_worked_out_with_stellar_sdk(name: str, shared_data: Path) -> None:
    stem, checkpoint, passphrase = PUBLIC[name]
    folder = shared_data / "public/stellar-archivist"
    facts = json.loads((folder / f"{stem}.facts.json").read_text())
    at = next(state for state in facts["state_at"] if state["checkpoint"] == checkpoint)
    built = built_state(folder / f"{stem}.tar", checkpoint, passphrase)
    tables = {
        "ACCOUNT": "accounts",
        "TRUSTLINE": "trust_lines",
        "OFFER": "offers",
        "DATA": "accounts_data",
        "CLAIMABLE_BALANCE": "claimable_balances",
        "LIQUIDITY_POOL": "liquidity_pools",
        "CONTRACT_DATA": "contract_data",
        "CONTRACT_CODE": "contract_code",
        "CONFIG_SETTING": "config_settings",
        "TTL": "ttl",
    }
    assert {kind: built[table].num_rows for kind, table in tables.items() if built[table].num_rows} == at[
        "live_entries"
    ]
    assert total(built["accounts"].column("balance")) == at["native_in_accounts"]
    assert native_in_contracts(built["contract_data"], passphrase) == at["native_elsewhere_contracts"]


def test_pubnet_asset_stats_are_those_worked_out_from_the_bucket_list(shared_data: Path) -> None:
    stem, checkpoint, passphrase = PUBLIC["pubnet"]
    stats = built_state(shared_data / "public/stellar-archivist" / f"{stem}.tar", checkpoint, passphrase)[
        "exp_asset_stats"
    ]
    data = (shared_data / "public/derived/pubnet-assetstats-12001023.json.zst").read_bytes()
    expected = json.loads(zstandard.ZstdDecompressor().decompressobj().decompress(data))["assets"]
    found = {}
    for row in stats.to_pylist():
        accounts, balances = json.loads(row["accounts"]), json.loads(row["balances"])
        found[f"{row['asset_code']}:{row['asset_issuer']}"] = {
            f"{kind}_{what}": int(numbers[kind])
            for kind in ("authorized", "unauthorized")
            for what, numbers in (("accounts", accounts), ("amount", balances))
        }
    assert found == expected


def stats_in_python(built: dict[str, pa.Table]) -> dict[tuple[Any, ...], dict[str, list[int]]]:
    """Works the asset stats out from the finished tables, row by row."""
    stats: dict[tuple[Any, ...], dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))

    def count(asset: tuple[Any, ...], kind: str, amount: int) -> None:
        held = stats[asset][kind]
        held[0] += 1
        held[1] += amount

    for row in built["trust_lines"].to_pylist():
        if row["asset_type"] != 3:
            flags = row["flags"]
            kind = "authorized" if flags & 1 else "authorized_to_maintain_liabilities" if flags & 2 else "unauthorized"
            count((row["asset_type"], row["asset_code"], row["asset_issuer"]), kind, row["balance"])
    held = [(row["asset"], "claimable_balances", row["amount"]) for row in built["claimable_balances"].to_pylist()]
    for row in built["liquidity_pools"].to_pylist():
        sides = json.loads(row["asset_reserves"])
        held += [(side["asset"], "liquidity_pools", int(side["reserve"])) for side in sides]
    for asset, kind, amount in held:
        if asset != NATIVE:
            found = Asset.from_xdr_object(xdr.Asset.from_xdr(asset))
            count((1 if len(found.code) <= 4 else 2, found.code, found.issuer), kind, amount)
    return stats


@pytest.mark.parametrize("network,checkpoint", [P19[5], P19[-1], P23[-1]])
def test_asset_stats_follow_from_the_other_tables(network: str, checkpoint: int, shared_data: Path) -> None:
    built = built_state(shared_data / network / "archive", checkpoint, STANDALONE)
    expected = stats_in_python(built)
    rows = built["exp_asset_stats"].to_pylist()
    places = [(row["asset_type"], row["asset_code"], row["asset_issuer"]) for row in rows]
    assert [(code, issuer, kind) for kind, code, issuer in places] == sorted((c, i, k) for k, c, i in expected)
    for place, row in zip(places, rows, strict=True):
        numbers = expected[place]
        accounts, balances = json.loads(row["accounts"]), json.loads(row["balances"])
        assert accounts == {kind: numbers[kind][0] for kind in accounts}
        assert balances == {kind: str(numbers[kind][1]) for kind in accounts}
        assert len(accounts) == 5


def test_every_kind_of_holder_occurs_in_the_data(shared_data: Path) -> None:
    built = built_state(shared_data / "standalone-p19/archive", 383, STANDALONE)
    kinds: dict[str, int] = defaultdict(int)
    for numbers in stats_in_python(built).values():
        for kind, (count, _) in numbers.items():
            kinds[kind] += count
    assert all(kinds[kind] > 0 for kind in ("authorized", "unauthorized", "liquidity_pools", "claimable_balances"))
