"""Reading ledgers so that what cannot be read is told and passed over, not raised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from aurora_ingest import _kernel
from aurora_ingest.errors import ArchiveError, ArchiveFileCorruptError, AuroraError, MissingLedgersError
from aurora_ingest.history_archive.gzip_check import gunzip
from aurora_ingest.history_archive.paths import checkpoint_path
from aurora_ingest.ledger.checkpoint import checkpoint_containing, checkpoint_ledgers
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.archive_files import ArchiveFiles
from aurora_ingest.ledger_backend.backend import FIRST_CLOSED_LEDGER, BackendOptions, RawLedger
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
    """

    first: int
    last: int
    why: str
    culprit: int | None = None


def ledgers_and_holes(plan: VerifyPlan, ledgers: LedgerRange) -> Iterator[RawLedger | Hole]:
    """Every ledger of the range once and in order, as it came or as part of a hole.

    After a fault the source is asked again for what follows, unless it can be read only once or fails again and again.
    """
    expected, failures = ledgers.first, 0
    while expected <= ledgers.last:
        wanted = LedgerRange(expected, ledgers.last)
        try:
            for raw in _read(plan, wanted):
                yield raw
                expected, failures = raw.sequence + 1, 0
            hole = Hole(expected, ledgers.last, f"{plan.backend.describe()} ended before ledger {expected}")
        except MissingLedgersError as error:
            hole = _missing(error, LedgerRange(expected, ledgers.last))
        except AuroraError as error:
            hole = _faulty(plan, error, LedgerRange(expected, ledgers.last))
        if expected > ledgers.last:
            return
        failures += 1
        if not plan.backend.repeatable or failures > _PATIENCE:
            hole = Hole(hole.first, ledgers.last, hole.why, hole.culprit or hole.first)
        yield hole
        expected = hole.last + 1


def _read(plan: VerifyPlan, ledgers: LedgerRange) -> Iterator[RawLedger]:
    """What the source has; ledger 1, which nobody closed, from the archive if the source cannot have it."""
    if ledgers.first < FIRST_CLOSED_LEDGER and not plan.backend.has_genesis() and plan.archive is not None:
        headers = ArchiveFiles(plan.archive.urls, plan.network, BackendOptions(judge_sets=False))
        yield from headers.read(LedgerRange(ledgers.first, ledgers.first))
        if ledgers.last > ledgers.first:
            yield from plan.backend.read(LedgerRange(FIRST_CLOSED_LEDGER, ledgers.last))
    else:
        yield from plan.backend.read(ledgers)


def _missing(error: MissingLedgersError, left: LedgerRange) -> Hole:
    """The hole at the start of what is left, as far as the source knows it."""
    for lost in error.ranges:
        part = lost.intersection(left)
        if part is not None and part.first == left.first:
            return Hole(part.first, part.last, str(error))
    return Hole(left.first, left.first, str(error))


def _faulty(plan: VerifyPlan, error: AuroraError, left: LedgerRange) -> Hole:
    """The hole that a damaged file makes: one ledger, or in an archive all ledgers of the checkpoint's file."""
    if not isinstance(plan.backend, ArchiveFiles) or not isinstance(error, ArchiveError):
        return Hole(left.first, left.first, str(error))
    checkpoint = checkpoint_containing(left.first, plan.network.checkpoint_frequency)
    last = min(checkpoint, left.last)
    culprit = _misplaced_header(plan, checkpoint) if isinstance(error, ArchiveFileCorruptError) else None
    return Hole(left.first, last, str(error), culprit if culprit in left else left.first)


def _misplaced_header(plan: VerifyPlan, checkpoint: int) -> int | None:
    """The first ledger of a checkpoint whose header is not in its place; None if all are, or none is readable."""
    if plan.archive is None:
        return None
    path = checkpoint_path("ledger", checkpoint)
    try:
        batch = plan.archive.document(
            path,
            _MAX_FILE,
            lambda data: pa.record_batch(_kernel.read_ledger_headers(gunzip(data, _MAX_FILE), compression="none")),
        )
    except (AuroraError, ValueError):
        return None  # the caller tells the fault that brought it here
    found = batch.column("ledger_sequence").to_pylist()  # one checkpoint
    expected = list(checkpoint_ledgers(checkpoint, plan.network.checkpoint_frequency))
    return next((ledger for place, ledger in enumerate(expected) if found[place : place + 1] != [ledger]), None)
