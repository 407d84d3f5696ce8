"""``ledger_entry_changes`` against stellar-etl: accounts, trust lines and offers, one net change per key and ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from aurora_ingest import _kernel
from differential.built_state import PUBNET, TESTNET
from differential.closed_ledgers import history, lake
from differential.test_etl_history import exported, instant

pytestmark = pytest.mark.shared_data

LAKES = {"pubnet-30822015-30822025": PUBNET, "testnet-1410048-1410303": TESTNET}
ROWS = {"accounts": 710 + 1361, "trustlines": 552 + 200, "offers": 1792 + 12}
STROOPS = 10_000_000
KINDS = {(False, True): 0, (True, True): 1, (True, False): 2}
"""stellar-etl's ``ledger_entry_change`` by what there was before and is after: created, updated, removed."""
ASSET_TYPES = ("native", "credit_alphanum4", "credit_alphanum12")
FLOATS = {"balance", "buying_liabilities", "selling_liabilities", "amount"}
FIELDS = {
    "accounts": (
        *("account_id", "balance", "buying_liabilities", "selling_liabilities", "sequence_number", "num_subentries"),
        *("flags", "master_weight", "threshold_low", "threshold_medium", "threshold_high", "last_modified_ledger"),
        *("num_sponsored", "num_sponsoring", "sponsor"),
    ),
    "trustlines": (
        *("account_id", "balance", "trust_line_limit", "buying_liabilities", "selling_liabilities", "flags"),
        *("last_modified_ledger", "sponsor", "asset_code", "asset_issuer"),
    ),
    "offers": ("seller_id", "offer_id", "amount", "flags", "last_modified_ledger", "sponsor"),
}
KERNEL_TABLES = {"accounts": "account", "trustlines": "trust_line", "offers": "offer"}


def net_changes(shared_data: Path, name: str) -> dict[str, list[dict[str, Any]]]:
    """Returns one change per key and ledger, in the words of stellar-etl, by its tables."""
    tables = history(lake(shared_data / "lakes" / name), LAKES[name], ("history_ledgers", "ledger_entry_changes"))
    closed = {row["sequence"]: instant(row["closed_at"]) for row in tables["history_ledgers"].to_pylist()}
    net: dict[tuple[int, bytes], tuple[int, bytes | None, bytes | None]] = {}
    for row in tables["ledger_entry_changes"].to_pylist():
        place = (row["ledger_sequence"], row["ledger_key"])
        first = net.get(place, (0, row["pre"], None))[1]
        net[place] = (row["entry_type"], first, row["post"])
    made: dict[str, list[dict[str, Any]]] = {}
    for table, number in (("accounts", 0), ("trustlines", 1), ("offers", 2)):
        chosen = [(ledger, pre, post) for (ledger, _), (kind, pre, post) in net.items() if kind == number]
        images = [pre if post is None else post for _, pre, post in chosen]
        entries = entry_rows(images, KERNEL_TABLES[table], LAKES[name])
        made[table] = [
            described(table, entry)
            | {
                "ledger_sequence": ledger,
                "closed_at": closed[ledger],
                "deleted": post is None,
                "ledger_entry_change": KINDS[pre is not None, post is not None],
            }
            for entry, (ledger, pre, post) in zip(entries, chosen, strict=True)
        ]
    return made


def entry_rows(images: list[bytes | None], table: str, passphrase: str) -> Iterator[dict[str, Any]]:
    network_id = hashlib.sha256(passphrase.encode()).digest()
    entries = _kernel.entry_rows(pa.array(images, pa.binary()), columns={table: None}, network_id=network_id)
    yield from pa.record_batch(entries[table]).to_pylist()


def described(table: str, entry: dict[str, Any]) -> dict[str, Any]:
    row = {field: entry[field] for field in FIELDS[table]}
    row |= {field: row[field] / STROOPS for field in FLOATS & row.keys()}
    if table == "trustlines":
        row |= {"asset_type": ASSET_TYPES[entry["asset_type"]], "ledger_key": entry["ledger_key_base64"]}
    if table == "offers":
        row |= {"pricen": entry["price_n"], "priced": entry["price_d"]}
        for side in ("selling", "buying"):
            row |= {f"{side}_asset_{part}": entry[f"{side}_asset_{part}"] or "" for part in ("code", "issuer")}
            row[f"{side}_asset_type"] = ASSET_TYPES[entry[f"{side}_asset_type"]]
    return row


def test_net_changes_are_equal_field_by_field(shared_data: Path) -> None:
    compared = dict.fromkeys(ROWS, 0)
    for name in LAKES:
        for table, ours in net_changes(shared_data, name).items():
            theirs = exported(shared_data / "oracle/stellar-etl" / name / f"{table}.jsonl.zst")
            fields = list(ours[0])
            assert as_texts(ours, fields) == as_texts(theirs, fields), f"{name} {table}"
            compared[table] += len(theirs)
    assert compared == ROWS


def as_texts(rows: list[dict[str, Any]], fields: list[str]) -> list[list[str]]:
    """Returns rows that can be sorted; whole floats are integers in JSON."""
    return sorted([str(float(row[field]) if field in FLOATS else row[field]) for field in fields] for row in rows)
