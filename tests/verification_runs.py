"""Running a verification in this process, and copies of real ledgers in which a test may break something."""

from __future__ import annotations

import gzip
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from aurora_ingest.history_archive.paths import checkpoint_path
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger.verdicts import BAD, COLUMNS
from aurora_ingest.network import STANDALONE, Network
from aurora_ingest.pipelines.options import VerifyOptions
from aurora_ingest.pipelines.verify_range import plan_verification, read_report, verify_range
from aurora_ingest.runners import launch
from aurora_ingest.transforms.verify_report import read_verdicts

ACCELERATED = STANDALONE.with_checkpoint_frequency(8)


@dataclass(frozen=True)
class Verified:
    """What a verification found: its report, and its rows by ledger sequence."""

    report: dict[str, Any]
    rows: dict[int, dict[str, Any]]

    @property
    def bad(self) -> dict[int, list[str]]:
        """The bad columns of each ledger that has one."""
        found = {ledger: [name for name in COLUMNS if row[name] == BAD] for ledger, row in self.rows.items()}
        return {ledger: columns for ledger, columns in found.items() if columns}

    def counts(self, column: str) -> dict[str, int]:
        return dict(self.report["counts"][column])

    def note(self, ledger: int) -> str:
        return str(self.rows[ledger]["note"])


def verify(work: Path, first: int, last: int, *, network: Network = ACCELERATED, **options: Any) -> Verified:
    """Verifies the ledgers on FnApiRunner and gives every row."""
    shutil.rmtree(work / "verify", ignore_errors=True)
    asked = VerifyOptions(network=network, ledgers=LedgerRange(first, last), work_dir=str(work / "verify"), **options)
    plan = plan_verification(asked)
    launch.run(lambda pipeline: verify_range(pipeline, plan), launch.choose_engine(()))
    report = read_report(plan)
    rows = [row for batch in read_verdicts(plan, report) for row in batch.to_pylist()]
    assert [row["ledger_sequence"] for row in rows] == list(plan.ledgers)
    return Verified(report, {row["ledger_sequence"]: row for row in rows})


def _split(data: bytes) -> list[bytearray]:
    records: list[bytearray] = []
    while data:
        length = struct.unpack(">I", data[:4])[0] & 0x7FFF_FFFF
        records.append(bytearray(data[4 : 4 + length]))
        data = data[4 + length :]
    return records


def _framed(records: list[bytearray]) -> bytes:
    return b"".join(struct.pack(">I", 0x8000_0000 | len(record)) + bytes(record) for record in records)


def change_file(archive: Path, category: str, checkpoint: int, change: Callable[[list[bytearray]], object]) -> None:
    """Gives the records of an archive's file to `change` and writes back what it leaves."""
    path = archive / checkpoint_path(category, checkpoint)
    records = _split(gzip.decompress(path.read_bytes()))
    change(records)
    path.write_bytes(gzip.compress(_framed(records)))


def change_stream(source: Path, target: Path, change: Callable[[dict[int, bytearray]], list[int] | None]) -> Path:
    """Writes a changed copy of a stream of LedgerCloseMeta.

    Args:
        source: the stream, zstd.
        target: where the copy goes, not compressed.
        change: may change the records, by ledger sequence, and return the order in which they are written.
    """
    data = zstandard.ZstdDecompressor().stream_reader(source.read_bytes()).read()
    from aurora_ingest import _kernel

    by_ledger = {_kernel.ledger_sequence_of(bytes(record)): record for record in _split(data)}
    order = change(by_ledger) or list(by_ledger)
    target.write_bytes(_framed([by_ledger[ledger] for ledger in order]))
    return target


def record_of(records: list[bytearray], ledger: int) -> bytearray:
    """The transactions or results record of a ledger."""
    return next(record for record in records if int.from_bytes(record[:4], "big") == ledger)
