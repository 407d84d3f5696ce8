"""All ledgers of the shared data: counts are the known ones, every hash is right, every transaction is matched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from stellar_sdk.xdr import OperationType

from aurora_ingest._kernel import LedgerDecoder
from kernel import ledger_files
from kernel.ledger_files import Source

pytestmark = pytest.mark.shared_data

# Joined together by a generator of load tests, which did not compute set and result hashes anew.
SYNTHETIC = ("galexie/loadtest/load-test-ledgers-v22.xdr.zstd", "galexie/loadtest/load-test-ledgers-v24.xdr.zstd")
COUNTS = ("ledgers", "txs", "tx_ok", "tx_failed", "ops", "changes", "events", "tx_events", "feebump", "evicted_keys")
VERSIONS = tuple(f"lcm_v{version}" for version in range(3))


def decoded(source: Source) -> dict[str, pa.RecordBatch]:
    """All tables of a source."""
    decoder = LedgerDecoder(network_id=source.network_id)
    for sequence, data in source.ledgers:
        assert decoder.push(data) == sequence
    return {name: pa.record_batch(batch) for name, batch in decoder.take().items()}


def total(column: Any) -> int:
    """The sum of a column, 0 for an empty one."""
    return int(pc.sum(column).as_py() or 0)


def counts(tables: dict[str, pa.RecordBatch]) -> Counter[str]:
    """What `lcm-facts.json` counts, out of the tables; a STATE is seen as the image before its change."""
    ledgers, changes, events = tables["ledgers"], tables["changes"], tables["contract_events"]
    ours = changes.filter(pc.invert(pc.is_in(changes["phase"], pa.array(["upgrade", "eviction"]))))
    lists = pc.sum(pc.list_value_length(ledgers["upgrades"])).as_py()
    counted = {
        "ledgers": ledgers.num_rows,
        "txs": total(ledgers["transaction_count"]),
        "tx_ok": total(ledgers["successful_transaction_count"]),
        "tx_failed": total(ledgers["failed_transaction_count"]),
        "ops": tables["operations"].num_rows,
        "changes": 2 * ours.num_rows - ours["pre_xdr"].null_count,
        "events": total(pc.and_(pc.is_valid(events["operation_order"]), pc.invert(events["is_diagnostic"]))),
        "tx_events": total(pc.is_valid(events["stage"])),
        "feebump": total(pc.equal(tables["transactions"]["envelope_type"], 5)),
        "soroban_txs": total(tables["transactions"]["is_soroban"]),
        "evicted_keys": total(ledgers["evicted_keys"]),
        "upgrades": lists,
    }
    counted |= {f"lcm_v{version}": n for version, n in Counter(ledgers["lcm_version"].to_pylist()).items()}
    # The facts count by result: one that was never applied has no type, and old cores answer a passive offer with the
    # result of a sell offer.
    results = [result for result in tables["operations"]["result_xdr"].to_pylist() if result and result[:4] == bytes(4)]
    kinds = Counter(int.from_bytes(result[4:8], "big") for result in results)
    counted |= {f"op:{OperationType(kind).name}": n for kind, n in kinds.items()}
    return Counter(counted)


def require_hashes(sources: Iterable[Source]) -> Counter[str]:
    """Requires that every ledger is proven by its header, less genesis and the joined load tests; counts all."""
    seen: Counter[str] = Counter()
    for source in sources:
        tables = decoded(source)
        for table in tables.values():
            table.validate(full=True)
        ledgers = tables["ledgers"]
        assert ledgers["ledger_hash"].equals(ledgers["computed_hash"]), source.name
        assert total(ledgers["unmatched_transactions"]) == total(ledgers["bad_inner_hashes"]) == 0, source.name
        real = ledgers.filter(pc.greater(ledgers["ledger_sequence"], 1))
        if source.name not in SYNTHETIC:
            assert real["tx_set_hash"].equals(real["computed_tx_set_hash"]), source.name
            assert real["result_hash"].equals(real["computed_result_hash"]), source.name
        orders = tables["transactions"]["application_order"]
        assert len(orders) == total(ledgers["transaction_count"])
        seen.update(counts(tables))
        seen.update(f"set:{kind}" for kind in ledgers["tx_set_kind"].to_pylist())
        seen.update(f"change:{kind}" for kind in tables["changes"]["type"].to_pylist())
    return seen


def test_counts_of_every_file_are_the_known_ones(shared_data: Path) -> None:
    facts = ledger_files.facts(shared_data)
    for source in ledger_files.public_files(shared_data):
        got, known = counts(decoded(source)), Counter(facts[source.name])
        names = {*COUNTS, "soroban_txs", *VERSIONS, *(name for name in [*known, *got] if name.startswith("op:"))}
        assert {n: got[n] for n in names} == {n: known[n] for n in names}, source.name


def test_public_ledgers_are_proven_by_their_headers(shared_data: Path) -> None:
    seen = require_hashes(ledger_files.public_files(shared_data))
    assert all(seen[f"set:{kind}"] for kind in ("legacy", "generalized", "parallel"))


def test_cores_tests_are_proven_by_their_headers(shared_data: Path) -> None:
    seen = require_hashes(ledger_files.core_tests(shared_data))
    assert seen["ledgers"] > 14_000
    assert seen["feebump"]
    assert seen["change:evicted"]
    assert seen["change:restored"]


def test_streams_of_our_networks_are_proven_by_their_headers(shared_data: Path) -> None:
    seen = require_hashes(ledger_files.core_streams(shared_data))
    assert all(seen[version] for version in VERSIONS)
    assert seen["change:evicted"] == seen["evicted_keys"] > 2000


def test_a_foreign_network_matches_no_transaction(shared_data: Path) -> None:
    source = ledger_files.ledger_file(shared_data, "wallet-backend/ledger-51000294.xdr.gz", "bare")
    tables = decoded(source._replace(passphrase="another network"))
    ledger = tables["ledgers"].to_pylist()[0]
    assert ledger["unmatched_transactions"] == 2 * ledger["transaction_count"] > 0
    assert tables["transactions"].num_rows == tables["operations"].num_rows == 0
    assert tables["changes"].equals(decoded(source)["changes"])
