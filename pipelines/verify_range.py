"""The verification of a range: every ledger judged by hashes, signatures, supply and the states of checkpoints."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import Any

import apache_beam as beam

from aurora_ingest.errors import LedgerStreamError, MissingLedgersError, UsageError, VerificationError
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.ledger.checkpoint import checkpoint_containing
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.archive_files import ArchiveFiles
from aurora_ingest.ledger_backend.backend import FIRST_CLOSED_LEDGER, BackendOptions, LedgerBackend, readable_range
from aurora_ingest.object_store.store import require_store
from aurora_ingest.pipelines.options import VerifyOptions
from aurora_ingest.transforms.verify import VerifyLedgers
from aurora_ingest.transforms.verify_pairs import CompareStates
from aurora_ingest.transforms.verify_plan import ChunkReceipt, PairReceipt, StatePair, StateReceipt, VerifyPlan
from aurora_ingest.transforms.verify_report import REPORT, ReportVerdicts
from aurora_ingest.transforms.verify_states import ReadStates

_log = logging.getLogger("aurora_ingest.verify")


def plan_verification(options: VerifyOptions) -> VerifyPlan:
    """Settle what will be verified by what; nothing is written.

    Args:
        options: the request.

    Raises:
        UsageError: neither archive nor ledgers, or a trusted ledger that nothing leads to.
        ArchiveError: the archive has no state that can be read.
        TrustError: the archive is of another network, or does not lead to the trusted ledger.
        BackendError: the source of the ledgers is not what it should be.
    """
    network = options.network
    require_store(options.parquet_dir, "--parquet")
    require_store(options.work_dir, "--work-dir")
    urls = options.archive_urls or (network.archive_urls if options.ledgers_url is None else ())
    backend = _backend(options, urls)
    if isinstance(backend, ArchiveFiles) and not urls and options.ledgers_url is not None:
        urls = (options.ledgers_url.removeprefix("archive+"),)  # an archive has its states too
    archive = HistoryArchive(urls, network, cache_dir=options.cache_dir) if urls else None
    newest = None if archive is None else archive.latest_checkpoint()
    if options.ledgers.first < FIRST_CLOSED_LEDGER and archive is not None and not backend.has_genesis():
        ledgers, told = options.ledgers, f"ledger 1 (genesis) comes from history archive {', '.join(archive.urls)}"
    else:
        ledgers, told = readable_range(backend, options.ledgers)
    if told:
        _log.info("%s", told)
    # An address that leads nowhere is told before anything starts; a ledger that is not there gets its verdict later.
    with contextlib.suppress(MissingLedgersError, LedgerStreamError):
        backend.check(ledgers)
    plan = VerifyPlan(
        network=network,
        ledgers=ledgers,
        backend=backend,
        archive=archive,
        newest_checkpoint=newest,
        trusted=_trusted(options.trusted_ledger, ledgers, archive),
        read_buckets=options.read_buckets and archive is not None,
        work_dir=options.work_dir,
        parquet_dir=options.parquet_dir,
    )
    if plan.read_buckets and plan.states:
        _log.info("all entries of %d checkpoints will be read; --no-state leaves them out", len(plan.states))
    return plan


def _backend(options: VerifyOptions, urls: tuple[str, ...]) -> LedgerBackend:
    """The source of the ledgers, which gives what is there and leaves the judgement to us."""
    backend_options = BackendOptions(kind=options.kind, judge_sets=False)
    if options.ledgers_url is not None:
        from aurora_ingest.ledger_backend.detect import open_backend

        return open_backend(options.ledgers_url, options.network, options=backend_options)
    if not urls:
        raise UsageError(
            f"network {options.network.name} has no archive that is known: give --history-archive-url or --ledgers"
        )
    return ArchiveFiles(urls, options.network, backend_options)


def _trusted(
    trusted: tuple[int, str] | None, ledgers: LedgerRange, archive: HistoryArchive | None
) -> tuple[int, str] | None:
    """The trusted ledger itself, or the ledger of the range to which the archive's chain leads from it."""
    if trusted is None or trusted[0] in ledgers or trusted[0] == ledgers.first - 1:
        return trusted
    if archive is None:
        raise UsageError(
            f"trusted ledger {trusted[0]} is not in {ledgers}: give --history-archive-url, whose headers lead there"
        )
    nearest = ledgers.first if trusted[0] < ledgers.first else ledgers.last
    checkpoint = checkpoint_containing(nearest, archive.network.checkpoint_frequency)
    proven = archive.verify_checkpoint(checkpoint, trusted=trusted)
    headers = archive.headers(checkpoint)
    if headers[-1].ledger_hash != proven.ledger_hash:
        raise VerificationError(
            f"two mirrors have different headers of checkpoint {checkpoint}: {headers[-1].ledger_hash} and "
            f"{proven.ledger_hash}; name one mirror"
        )
    return nearest, headers[nearest - headers[0].sequence].ledger_hash


def verify_range(pipeline: beam.Pipeline, plan: VerifyPlan) -> beam.PCollection[int]:
    """Add the whole verification to a pipeline.

    Chunks of ledgers and states of checkpoints are read side by side; then each pair of states is compared over the
    changes between; then one report puts the verdicts in order.

    Args:
        pipeline: where to add it.
        plan: what to verify.

    Returns:
        One number: how many ledgers are bad.
    """
    create = beam.Create
    chunks: beam.PCollection[ChunkReceipt] = (
        pipeline | "CreateChunks" >> create(plan.chunks) | "VerifyLedgers" >> VerifyLedgers(plan)
    )
    states: beam.PCollection[StateReceipt] = (
        pipeline | "CreateCheckpoints" >> create(plan.states).with_output_types(int) | "ReadStates" >> ReadStates(plan)
    )
    pairs: beam.PCollection[PairReceipt] = (
        pipeline
        | "CreatePairs" >> create(plan.pairs).with_output_types(StatePair)
        | "CompareStates" >> CompareStates(plan, chunks, states)
    )
    return chunks | "ReportVerdicts" >> ReportVerdicts(plan, states, pairs)


def read_report(plan: VerifyPlan) -> dict[str, Any]:
    """The report that a finished verification left in its work directory."""
    report: dict[str, Any] = json.loads(plan.work.read(REPORT))
    return report


def require_good(report: dict[str, Any]) -> None:
    """Refuse a report with a bad verdict.

    Raises:
        VerificationError: names the first bad ledger and column.
    """
    first = report["first_bad"]
    if first is not None:
        hint = f"; {report['hint']}" if report["hint"] else ""
        raise VerificationError(
            f"ledger {first['ledger']}: {first['column']} is bad; {report['bad_ledgers']} of {report['ledgers']} "
            f"ledgers are not what they should be: {first['note']}{hint}",
            ledger=first["ledger"],
            column=first["column"],
        )
