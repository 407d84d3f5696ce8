"""Ledgers of stellar-core's own unit tests, protocols 20 to 27: every rule that needs no archive holds on every one."""

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
from aurora_ingest.network import Network
from aurora_ingest.transforms.verify import ledger_facts

pytestmark = pytest.mark.shared_data

NETWORK = Network("(V) (;,,;) (V)")
TABLES = {"ledgers": (*DECODED_COLUMNS, "header_xdr"), "changes": None}


def _judge(ledgers: list[bytes]) -> list[dict[str, Any]]:
    decoder = _kernel.LedgerDecoder(network_id=NETWORK.network_id, columns=TABLES)
    for ledger in ledgers:
        decoder.push(ledger)
    tables = {name: pa.record_batch(batch) for name, batch in decoder.take().items()}
    every = [True] * len(ledgers)
    plan: Any = SimpleNamespace(network=NETWORK)
    facts = ledger_facts(tables["ledgers"], tables["changes"], every, every, plan)
    return list(judge_ledgers(facts, None, Rules(NETWORK.passphrase, 64)).to_pylist())


def test_ledgers_that_stellar_core_closed_in_its_own_tests(shared_data: Path) -> None:
    packed = (shared_data / "public/stellar-core/test-lcm-current.tar.zst").read_bytes()
    plain = zstandard.ZstdDecompressor().stream_reader(packed).read()
    counts: dict[str, Counter[str]] = {name: Counter() for name in COLUMNS}
    files = 0
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".xdr") else None
            if file is None:
                continue
            frames = _kernel.LedgerFrames(framing="framed", compression="none")
            ledgers = [ledger for _, ledger in [*frames.feed(file.read()), *frames.finish()]]
            files += 1
            for row in _judge(ledgers):
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
