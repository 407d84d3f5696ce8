"""Ledgers of the private network, plain as core wrote them; and options that never wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.ledger_backend.backend import BackendOptions
from ledger_backend.origins import frames, unpacked


@pytest.fixture(scope="session")
def core_stream(shared_data: Path) -> bytes:
    """What core wrote to METADATA_OUTPUT_STREAM: ledgers 2 to 400 of standalone-p19."""
    return unpacked(shared_data / "standalone-p19" / "meta" / "ledger-close-meta.xdr.zst")


@pytest.fixture(scope="session")
def core_ledgers(core_stream: bytes) -> dict[int, bytes]:
    """The same ledgers by sequence."""
    return dict(enumerate(frames(core_stream), start=2))


@pytest.fixture
def waits() -> list[float]:
    """Seconds that the code under test would have waited."""
    return []


@pytest.fixture
def impatient(waits: list[float]) -> Iterator[BackendOptions]:
    """Options that note waits instead of waiting."""
    policy = RetryPolicy(rounds=3, sleep=waits.append, chance=lambda: 1.0)
    return BackendOptions(workers=3, poll_interval=0.01, retry=policy, sleep=waits.append)
