"""Ledgers that peers made: every rule that needs no archive holds on every one of them."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import zstandard

from aurora_ingest import _kernel
from aurora_ingest.ledger.verdicts import COLUMNS
from aurora_ingest.ledger.verification import DECODED_COLUMNS, Rules, judge_ledgers
from aurora_ingest.network import TESTNET, Network
from aurora_ingest.transforms.verify import ledger_facts

pytestmark = pytest.mark.shared_data

CORE_TESTS = Network("(V) (;,,;) (V)")
TABLES = {"ledgers": (*DECODED_COLUMNS, "header_xdr"), "changes": None}


def _judge(framed: bytes, network: Network) -> list[dict[str, Any]]:
    """Judges a stream of LedgerCloseMeta; no ledger of it may be bad."""
    frames = _kernel.LedgerFrames(framing="framed", compression="none")
    ledgers = [ledger for _, ledger in [*frames.feed(framed), *frames.finish()]]
    decoder = _kernel.LedgerDecoder(network_id=network.network_id, columns=TABLES)
    for ledger in ledgers:
        decoder.push(ledger)
    tables = {name: pa.record_batch(batch) for name, batch in decoder.take().items()}
    every = [True] * len(ledgers)
    plan: Any = SimpleNamespace(network=network)
    facts = ledger_facts(tables["ledgers"], tables["changes"], every, every, plan)
    return list(judge_ledgers(facts, None, Rules(network.passphrase, 64)).to_pylist())


def test_ledgers_of_stellar_core_s_own_tests_of_protocols_20_to_27(shared_data: Path) -> None:
    packed = (shared_data / "public/stellar-core/test-lcm-current.tar.zst").read_bytes()
    plain = zstandard.ZstdDecompressor().stream_reader(packed).read()
    counts: dict[str, Counter[str]] = {name: Counter() for name in COLUMNS}
    files = 0
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".xdr") else None
            if file is None:
                continue
            files += 1
            for row in _judge(file.read(), CORE_TESTS):
                assert row["note"] is None, member.name
                for name in COLUMNS:
                    counts[name][row[name]] += 1
    ledgers_judged = sum(counts["header_hash"].values())
    assert ledgers_judged > 14_000
    for name in ("header_hash", "tx_set_hash", "result_hash", "scp_signature"):
        assert counts[name] == {"ok": ledgers_judged}, name
    for name in ("chain_link", "supply"):
        assert counts[name] == {"ok": ledgers_judged - files, "absent": files}, name
    assert set(counts["transaction_hashes"]) == {"ok", "n/a"}


@pytest.mark.parametrize("peer,count", [("diamante-block-go", 25), ("stellar-horizon", 9)])
def test_scenarios_from_genesis(peer: str, count: int, shared_data: Path) -> None:
    streams = sorted((shared_data / "public" / peer / "scenarios").glob("*.lcm.xdr.zst"))
    assert len(streams) == count
    for stream in streams:
        rows = _judge(zstandard.ZstdDecompressor().stream_reader(stream.read_bytes()).read(), TESTNET)
        assert [row["ledger_sequence"] for row in rows] == list(range(1, len(rows) + 1))
        for name in ("header_hash", "chain_link", "result_hash"):
            assert {row[name] for row in rows} == {"ok"}, stream.name
        assert {row["tx_set_hash"] for row in rows[1:]} == {row["supply"] for row in rows[1:]} == {"ok"}, stream.name
        assert (rows[0]["tx_set_hash"], rows[0]["supply"]) == ("n/a", "absent")
