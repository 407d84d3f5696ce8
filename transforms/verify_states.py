"""States at checkpoints, read out of the archive's buckets."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest import _kernel
from aurora_ingest.errors import ArchiveError, BucketError, TrustError
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.history_archive.archive_state import HOT_ARCHIVE_PROTOCOL, ArchiveState
from aurora_ingest.ledger.supply import native_sum
from aurora_ingest.transforms.merge_buckets import CHUNK_BYTES, BucketStreams, kernel_faults_named, run_merger
from aurora_ingest.transforms.verify_fingerprints import (
    LEDGER_KEY,
    spill_fingerprints,
    state_fingerprints,
)
from aurora_ingest.transforms.verify_plan import (
    StateReceipt,
    VerifyPlan,
)

_ENTRY_COLUMNS = (LEDGER_KEY, "entry_xdr")
_HOLDERS = ("account", "claimable_balance", "liquidity_pool", "contract_data")
"""Entry tables whose entries can hold native stroops."""


def read_state(plan: VerifyPlan, checkpoint: int) -> StateReceipt:
    """Read a checkpoint's archive state and, if the plan asks for it, all its entries.

    Memory is flat in the number of entries. A state or bucket that cannot be read is told in the receipt.

    Args:
        plan: the verification; has an archive.
        checkpoint: ledger sequence.
    """
    archive = plan.archive
    assert archive is not None
    try:
        state = archive.state(checkpoint)
    except (ArchiveError, TrustError) as error:
        return StateReceipt(checkpoint, fault=str(error))
    live_hash = state.bucket_list_hash(HOT_ARCHIVE_PROTOCOL - 1)
    full_hash = "" if state.hot is None else state.bucket_list_hash(HOT_ARCHIVE_PROTOCOL)
    if not plan.read_buckets:
        return StateReceipt(checkpoint, live_hash, full_hash)
    try:
        native, entries, paths = _read_entries(plan, archive, state)
        native += hot_native(archive, state, plan.network.network_id)
    except (ArchiveError, TrustError, BucketError) as error:
        return StateReceipt(checkpoint, live_hash, full_hash, bucket_fault=str(error))
    return StateReceipt(checkpoint, live_hash, full_hash, native=native, entries=entries, paths=paths)


def _read_entries(plan: VerifyPlan, archive: HistoryArchive, state: ArchiveState) -> tuple[int, int, tuple[str, ...]]:
    """Merge the live buckets; return native stroops, number of entries and the files of their fingerprints."""
    names = state.live_buckets()
    sources = [_kernel.BucketSource(name, "gzip", bytes.fromhex(name)) for name in names]
    columns = dict.fromkeys(_kernel.ENTRY_TYPES, _ENTRY_COLUMNS)
    merger = _kernel.BucketMerger(sources, columns=columns, network_id=plan.network.network_id)
    streams = BucketStreams(lambda source: archive.open_bucket(names[source]), lambda _source, _bytes: None)
    checkpoint, native, entries, paths = state.current_ledger, 0, 0, []
    try:
        with kernel_faults_named(f"checkpoint {checkpoint}"):
            for merged in run_merger(merger, streams.next_chunk):
                tables = {name: pa.record_batch(batch) for name, batch in merged.batches}
                entries += sum(merged.entries.values())
                native += sum(
                    native_sum(
                        pa.array(_kernel.native_balances(tables[name].column("entry_xdr"), plan.network.network_id))
                    )
                    for name in _HOLDERS
                )
                if checkpoint in plan.compared:
                    rows = pa.Table.from_batches([tables[name].select(_ENTRY_COLUMNS) for name in _kernel.ENTRY_TYPES])
                    path = f"states/{checkpoint:010d}/{merged.index:05d}.arrow"
                    keys, xdr = (rows.column(name).combine_chunks() for name in _ENTRY_COLUMNS)
                    spill_fingerprints(plan, path, state_fingerprints(keys, xdr))
                    paths.append(path)
    finally:
        streams.close()
    return native, entries, tuple(paths)


def hot_native(archive: HistoryArchive, state: ArchiveState, network_id: bytes) -> int:
    """Add up the native stroops in the hot archive: only entries of one contract, so they are held in memory.

    The buckets are read oldest first: whatever a newer bucket says of a key replaces what was known.

    Raises:
        ArchiveError: a bucket is not there or damaged.
        HashMismatchError: a bucket is not what its name says.
        BucketError: a bucket breaks the format.
    """
    columns = {"contract_data": _ENTRY_COLUMNS, "dead": (LEDGER_KEY,)}
    held = pa.table({LEDGER_KEY: pa.array([], pa.binary()), "balance": pa.array([], pa.int64())})
    for name in reversed(state.hot_buckets()):
        decoder = _kernel.BucketDecoder(
            columns=columns, kind="hot", expected_sha256=bytes.fromhex(name), network_id=network_id
        )
        with kernel_faults_named(f"hot-archive bucket {name}"):
            for table, batch in _batches(archive, name, decoder):
                told = batch.column(LEDGER_KEY)
                held = held.filter(pc.invert(pc.is_in(held.column(LEDGER_KEY), told)))
                if table == "contract_data":
                    balances = pa.array(_kernel.native_balances(batch.column("entry_xdr"), network_id))
                    rows = pa.table({LEDGER_KEY: told, "balance": balances}).filter(pc.not_equal(balances, 0))
                    held = pa.concat_tables([held, rows])
    return native_sum(held.column("balance"))


def _batches(
    archive: HistoryArchive, name: str, decoder: _kernel.BucketDecoder
) -> Iterator[tuple[str, pa.RecordBatch]]:
    stream = archive.open_bucket(name)
    try:
        while chunk := stream.read(CHUNK_BYTES):
            yield from ((table, pa.record_batch(batch)) for table, batch in decoder.feed(chunk))
        yield from ((table, pa.record_batch(batch)) for table, batch in decoder.finish())
    finally:
        stream.close()


class _ReadStateFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The reading of one checkpoint."""

    def __init__(self, plan: VerifyPlan) -> None:
        self._plan = plan

    def process(self, checkpoint: int) -> Iterator[StateReceipt]:
        yield read_state(self._plan, checkpoint)


class ReadStates(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Checkpoints → one StateReceipt each; fingerprints of their entries lie in the work directory.

    Bounded, any order, one worker per checkpoint; a checkpoint read twice writes the same files twice. A state that
    cannot be read is told in its receipt and is a verdict, not a failure.
    """

    def __init__(self, plan: VerifyPlan) -> None:
        """Keep the plan."""
        super().__init__()
        self._plan = plan

    def expand(self, checkpoints: beam.PCollection[int]) -> beam.PCollection[StateReceipt]:
        """Wire the ParDo."""
        return (
            checkpoints
            | "SpreadCheckpoints" >> beam.Reshuffle()
            | "ReadStates" >> beam.ParDo(_ReadStateFn(self._plan)).with_output_types(StateReceipt)
        )
