"""States at checkpoints: read out of the buckets, and rebuilt from the one before and the changes between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam import pvalue

from aurora_ingest import _kernel
from aurora_ingest.errors import ArchiveError, BucketError, TrustError
from aurora_ingest.history_archive.archive import HistoryArchive
from aurora_ingest.history_archive.archive_state import HOT_ARCHIVE_PROTOCOL, ArchiveState
from aurora_ingest.ledger.genesis import genesis_changes
from aurora_ingest.ledger.supply import native_sum
from aurora_ingest.ledger.verdicts import ABSENT, BAD, OK
from aurora_ingest.transforms.merge_buckets import CHUNK_BYTES, BucketStreams, kernel_faults_named, run_merger
from aurora_ingest.transforms.spill import KEY_HASH, partition_batches
from aurora_ingest.transforms.verify_fingerprints import (
    CHANGE_SCHEMA,
    ENTRY_HASH,
    LEDGER,
    LEDGER_KEY,
    STATE_SCHEMA,
    change_fingerprints,
    last_of_each,
    read_fingerprints,
    spill_fingerprints,
    state_fingerprints,
)
from aurora_ingest.transforms.verify_plan import (
    GENESIS_LEDGER,
    ChunkReceipt,
    PairReceipt,
    StatePair,
    StateReceipt,
    VerifyPlan,
)

_ENTRY_COLUMNS = (LEDGER_KEY, "entry_xdr")
Interval = tuple[int, tuple[str, ...]]
"""Ledgers between two states whose changes are known, and the files of their last changes in ledger order."""
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


def compare_pair(
    plan: VerifyPlan, pair: StatePair, intervals: Mapping[int, Interval], states: Mapping[int, StateReceipt]
) -> PairReceipt:
    """Rebuild the later state of a pair from the earlier and the changes between, and compare it with the archive's.

    Args:
        plan: the verification.
        pair: the two states.
        intervals: what reading the ledgers left behind, by later checkpoint.
        states: what reading the checkpoints left behind, by checkpoint.
    """
    between = pair.later - pair.earlier
    known, changes = intervals.get(pair.later, (0, ()))
    if known < between:
        told = f"{between - known} of {between} ledgers since {pair.earlier} have no changes" if known else ""
        return PairReceipt(pair.later, ABSENT, told)
    ends = [states[end] for end in (pair.earlier, pair.later) if end != GENESIS_LEDGER]
    for state in ends:
        if not state.live_hash or state.bucket_fault:
            verdict = BAD if state.checkpoint == pair.later else ABSENT
            return PairReceipt(pair.later, verdict, state.bucket_fault or state.fault)
    earlier = () if pair.earlier == GENESIS_LEDGER else states[pair.earlier].paths
    different, first = 0, ""
    for partition in range(plan.partitions):
        rows = _differences(
            _rebuilt(plan, pair, earlier, changes, partition),
            read_fingerprints(plan, states[pair.later].paths, partition, STATE_SCHEMA),
        )
        different += rows.num_rows
        first = first or _first_difference(rows, pair)
    if different:
        plural = "entry differs" if different == 1 else "entries differ"
        return PairReceipt(pair.later, BAD, f"{different} {plural} from the archive's buckets; {first}")
    return PairReceipt(pair.later, OK)


def _rebuilt(
    plan: VerifyPlan, pair: StatePair, earlier: tuple[str, ...], changes: tuple[str, ...], partition: int
) -> pa.Table:
    """The fingerprints of one partition after the changes; rows of entries that did not change have no key."""
    before = read_fingerprints(plan, earlier, partition, STATE_SCHEMA)
    if pair.earlier == GENESIS_LEDGER:
        genesis = change_fingerprints(genesis_changes(plan.network))
        before = pa.Table.from_batches([_of_partition(plan, genesis, partition)]).select(STATE_SCHEMA.names)
    changed = last_of_each(read_fingerprints(plan, changes, partition, CHANGE_SCHEMA), KEY_HASH)
    kept = before.filter(pc.invert(pc.is_in(before.column(KEY_HASH), changed.column(KEY_HASH).combine_chunks())))
    return pa.concat_tables([kept, changed], promote_options="default")


def _of_partition(plan: VerifyPlan, batch: pa.RecordBatch, partition: int) -> pa.RecordBatch:
    return partition_batches(batch, plan.partitions)[partition]


def _differences(rebuilt: pa.Table, archived: pa.Table) -> pa.Table:
    """Rows whose entry is in one state only, or another one; ``archived_hash`` is null where the archive has none."""
    archived = archived.rename_columns([KEY_HASH, "archived_hash"])
    both = rebuilt.join(archived, KEY_HASH, join_type="full outer")
    here, there = both.column(ENTRY_HASH), both.column("archived_hash")
    same = pc.or_kleene(pc.and_(pc.is_null(here), pc.is_null(there)), pc.fill_null(pc.equal(here, there), False))
    return both.filter(pc.invert(same))


def _first_difference(rows: pa.Table, pair: StatePair) -> str:
    """Tell one differing entry in words: the one with the lowest key hash."""
    if rows.num_rows == 0:
        return ""
    row = rows.sort_by(KEY_HASH).slice(0, 1).to_pylist()[0]
    key = row[LEDGER_KEY]
    name = _kernel.xdr_to_json("LedgerKey", key) if key else f"with key hash {row[KEY_HASH].hex()}"
    last = f"last changed in ledger {row[LEDGER]}" if row[LEDGER] else f"not changed since {pair.earlier}"
    if row["archived_hash"] is None:
        how = "which the archive does not have"
    elif row[ENTRY_HASH] is None:
        how = "which only the archive has"
    else:
        how = "which is another one in the archive"
    return f"the first is entry {name}, {last}, {how}"


class _ReadStateFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The reading of one checkpoint."""

    def __init__(self, plan: VerifyPlan) -> None:
        self._plan = plan

    def process(self, checkpoint: int) -> Iterator[StateReceipt]:
        yield read_state(self._plan, checkpoint)


class _ComparePairFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The comparison of one pair."""

    def __init__(self, plan: VerifyPlan) -> None:
        self._plan = plan

    def process(
        self, pair: StatePair, intervals: dict[int, Interval], states: dict[int, StateReceipt]
    ) -> Iterator[PairReceipt]:
        yield compare_pair(self._plan, pair, intervals, states)


def _intervals(chunk: ChunkReceipt) -> Iterator[tuple[int, Interval]]:
    """A chunk ends where its last checkpoint's interval does, so that no other chunk has a part of it."""
    for later, known in chunk.with_changes.items():
        yield later, (known, chunk.changes.get(later, ()))


def _by_checkpoint(state: StateReceipt) -> tuple[int, StateReceipt]:
    return state.checkpoint, state


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


class CompareStates(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Pairs of states → one PairReceipt each, once every ledger and every state has been read.

    Bounded, any order, one worker per pair. Only receipts are side inputs; the rows come from the work directory.
    """

    def __init__(
        self, plan: VerifyPlan, chunks: beam.PCollection[ChunkReceipt], states: beam.PCollection[StateReceipt]
    ) -> None:
        """Keep the plan and the receipts to wait for."""
        super().__init__()
        self._plan = plan
        self._receipts = (chunks, states)

    def expand(self, pairs: beam.PCollection[StatePair]) -> beam.PCollection[PairReceipt]:
        """Wire the ParDo."""
        chunks, states = self._receipts
        sides = (
            pvalue.AsDict(chunks | "Intervals" >> beam.FlatMap(_intervals)),
            pvalue.AsDict(states | "ByCheckpoint" >> beam.Map(_by_checkpoint)),
        )
        compare = beam.ParDo(_ComparePairFn(self._plan), *sides).with_output_types(PairReceipt)
        return pairs | "SpreadPairs" >> beam.Reshuffle() | "ComparePairs" >> compare
