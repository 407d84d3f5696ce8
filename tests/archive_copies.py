"""Copies of the small archive of tests/data that a test may break, and how to open them without waiting."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.history_archive.paths import checkpoint_path
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.network import STANDALONE, Network

GOOD = Path(__file__).parent / "data" / "standalone-accel"
NETWORK = STANDALONE.with_checkpoint_frequency(8)
OTHER_HASH = "ab" * 32


def _never(seconds: float) -> None:
    pytest.fail(f"waited {seconds} s for a local archive")


POLICY = RetryPolicy(sleep=_never)


def open_archive(*folders: Path, network: Network = NETWORK) -> HistoryArchive:
    return HistoryArchive([str(folder) for folder in folders], network, retry=POLICY)


def change_state(folder: Path, checkpoint: int, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / checkpoint_path("history", checkpoint)
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def change_headers(folder: Path, checkpoint: int, change: Callable[[list[bytearray]], object]) -> None:
    """Gives the framed records of a ledger file to `change` and writes back what it leaves."""
    path = folder / checkpoint_path("ledger", checkpoint)
    data = gzip.decompress(path.read_bytes())
    records: list[bytearray] = []
    while data:
        length = struct.unpack(">I", data[:4])[0] & 0x7FFF_FFFF
        records.append(bytearray(data[4 : 4 + length]))
        data = data[4 + length :]
    change(records)
    framed = b"".join(struct.pack(">I", 0x8000_0000 | len(record)) + bytes(record) for record in records)
    path.write_bytes(gzip.compress(framed))
