"""Reading ledgers so that what cannot be read is told and passed over, not raised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from aurora_ingest import _kernel
from aurora_ingest.errors import ArchiveFileCorruptError, AuroraError, LedgerStreamError, MissingLedgersError
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.history_archive.gzip_check import gunzip
from aurora_ingest.history_archive.paths import checkpoint_path
from aurora_ingest.ledger.checkpoint import checkpoint_containing, checkpoint_ledgers
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend import assembly
from aurora_ingest.ledger_backend.archive_files import ArchiveFiles
from aurora_ingest.ledger_backend.backend import FIRST_CLOSED_LEDGER, RawLedger
from aurora_ingest.transforms.verify_plan import VerifyPlan

_PATIENCE = 3
"""Ledgers in a row that may fail before the rest of a chunk is given up."""
_MAX_FILE = 64 << 20


@dataclass(frozen=True)
class Hole:
    """Ledgers that could not be read.

    Attributes:
        first: lowest ledger sequence.
        last: highest, inclusive.
        why: what kept them from being read.
        culprit: the ledger to which the fault could be traced, or None for all of them.
        column: the column of verdicts to which it could be traced.
    """

    first: int
    last: int
    why: str
    culprit: int | None = None
    column: str = "header_hash"


def ledgers_and_holes(plan: VerifyPlan, ledgers: LedgerRange) -> Iterator[RawLedger | Hole]:
    """Every ledger of the range once and in order, as it came or as part of a hole.

    After a fault the ledgers of the same checkpoint are asked for one by one, to find the one at fault, and then the
    rest; unless the source can be read only once, or fails again and again.
    """
    expected, failures = ledgers.first, 0
    one_by_one = 0
    while expected <= ledgers.last:
        left = LedgerRange(expected, expected if expected <= one_by_one else ledgers.last)
        try:
            for raw in _read(plan, left):
                yield raw
                expected, failures = raw.sequence + 1, 0
            hole = Hole(expected, left.last, f"{plan.backend.describe()} ended before ledger {expected}")
        except MissingLedgersError as error:
            hole = _missing(error, LedgerRange(expected, ledgers.last))
        except AuroraError as error:
            if len(left) > 1 and plan.can_seek:
                one_by_one = checkpoint_containing(expected, plan.network.checkpoint_frequency)
                continue
            hole = _faulty(plan, error, LedgerRange(expected, ledgers.last))
        if expected > left.last:
            continue
        failures += 1
        if not plan.backend.repeatable or failures > _PATIENCE:
            hole = replace(hole, last=ledgers.last, culprit=hole.culprit or hole.first)
        yield hole
        expected = hole.last + 1


def _read(plan: VerifyPlan, ledgers: LedgerRange) -> Iterator[RawLedger]:
    """What the source has; ledger 1, which nobody closed, from the archive if the source cannot have it."""
    if ledgers.first >= FIRST_CLOSED_LEDGER or plan.archive is None or plan.backend.has_genesis():
        yield from plan.backend.read(ledgers)
        return
    yield _genesis(plan, plan.archive)
    if ledgers.last > ledgers.first:
        yield from plan.backend.read(LedgerRange(FIRST_CLOSED_LEDGER, ledgers.last))


def _genesis(plan: VerifyPlan, archive: HistoryArchive) -> RawLedger:
    """Ledger 1 out of the archive's first file of headers: it has no transactions, so no other file is needed.

    Raises:
        ArchiveError: there is no such file, or none that can be read.
    """
    path = checkpoint_path("ledger", plan.network.checkpoint_frequency - 1)

    def parse(data: bytes) -> bytes:
        plain = gunzip(data, _MAX_FILE)
        length = int.from_bytes(plain[:4], "big") & 0x7FFF_FFFF
        return plain[4 : 4 + length]

    header = archive.document(path, _MAX_FILE, parse)
    try:
        facts = assembly.HeaderFacts.of(header[32:])
    except ValueError as error:
        raise ArchiveFileCorruptError(f"{path}: {error}") from error
    data = assembly.ledger_close_meta(header, assembly.empty_set(facts), assembly.without_meta([]))
    return RawLedger(FIRST_CLOSED_LEDGER - 1, data, f"header 0 of {path}", has_meta=False)


def _missing(error: MissingLedgersError, left: LedgerRange) -> Hole:
    """The hole at the start of what is left, as far as the source knows it."""
    for lost in error.ranges:
        part = lost.intersection(left)
        if part is not None and part.first == left.first:
            return Hole(part.first, part.last, str(error))
    return Hole(left.first, left.first, str(error))


def _faulty(plan: VerifyPlan, error: AuroraError, left: LedgerRange) -> Hole:
    """The hole that damage makes: one ledger, or in an archive all ledgers of the checkpoint's file."""
    if not isinstance(plan.backend, ArchiveFiles):
        return Hole(left.first, left.first, str(error))
    if isinstance(error, LedgerStreamError):
        # The records of this one ledger; its set would have been refused by the decoder.
        return Hole(left.first, left.first, str(error), column="result_hash")
    checkpoint = checkpoint_containing(left.first, plan.network.checkpoint_frequency)
    culprit = _misplaced_header(plan, checkpoint)
    return Hole(left.first, min(checkpoint, left.last), str(error), culprit if culprit in left else left.first)


def _misplaced_header(plan: VerifyPlan, checkpoint: int) -> int | None:
    """The first ledger of a checkpoint whose header is misplaced, unreadable or not itself; None if none is."""
    if plan.archive is None:
        return None
    ledgers = checkpoint_ledgers(checkpoint, plan.network.checkpoint_frequency)

    def read(data: bytes) -> pa.RecordBatch:
        return pa.record_batch(_kernel.read_ledger_headers(gunzip(data, _MAX_FILE), compression="none"))

    try:
        batch = plan.archive.document(checkpoint_path("ledger", checkpoint), _MAX_FILE, read)
    except _kernel.XdrError as error:
        return ledgers.first + error.record_index
    except (AuroraError, ValueError):
        return None  # the caller tells the fault that brought it here
    names = ("ledger_sequence", "protocol_version", "ledger_hash", "computed_hash")
    headers = list(zip(*(batch.column(name).to_pylist() for name in names), strict=True))  # one checkpoint
    for place, ledger in enumerate(ledgers):
        if place == len(headers):
            return ledger
        sequence, protocol, stated, computed = headers[place]
        if sequence != ledger or stated != computed or protocol > plan.network.newest_protocol:
            return ledger
    return None
