"""Verifying chunks of ledgers: read whatever is there, decode it, judge each ledger, put its last changes aside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest import _kernel
from aurora_ingest.errors import StateError
from aurora_ingest.ledger.change import (
    ACCOUNT,
    CLAIMABLE_BALANCE,
    COMPACTED_COLUMNS,
    CONTRACT_DATA,
    CREATED,
    LIQUIDITY_POOL,
    REMOVED,
    UPDATED,
)
from aurora_ingest.ledger.compaction import compact
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger.verdicts import missing_ledgers
from aurora_ingest.ledger.verification import (
    DECODED_COLUMNS,
    HAS_SET,
    NATIVE_CHANGE,
    SIGNED,
    judge_ledgers,
)
from aurora_ingest.ledger_backend.backend import RawLedger
from aurora_ingest.network import Network
from aurora_ingest.transforms import metrics
from aurora_ingest.transforms.ledger_unit import batch_to_ipc
from aurora_ingest.transforms.verify_faults import broken_column
from aurora_ingest.transforms.verify_fingerprints import change_fingerprints, spill_fingerprints
from aurora_ingest.transforms.verify_plan import ChunkReceipt, VerifyPlan
from aurora_ingest.transforms.verify_reading import Hole, ledgers_and_holes

_HEADER = "header_xdr"
_CHANGE_COLUMNS = (*COMPACTED_COLUMNS, "transaction_order", "operation_order", "upgrade_index", "list_index")
_HOLDERS = (ACCOUNT, CLAIMABLE_BALANCE, LIQUIDITY_POOL, CONTRACT_DATA)
"""Entry types that can hold native stroops."""
_COUNTED = (CREATED, UPDATED, REMOVED)
"""Changes that move native stroops: what is evicted or restored moves between the live list and the hot archive."""


@dataclass
class _Slice:
    """Consecutive ledgers that are decoded together."""

    first: int
    has_meta: list[bool] = field(default_factory=list)
    has_set: list[bool] = field(default_factory=list)

    @property
    def sequences(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The ledgers."""
        return np.arange(self.first, self.first + len(self.has_meta), dtype=np.int64)


class ChunkVerifier:
    """Judges the ledgers of one chunk slice by slice; memory does not grow with the chunk.

    Args:
        plan: the verification.
        chunk: its ledgers, one of ``plan.chunks``.
    """

    def __init__(self, plan: VerifyPlan, chunk: LedgerRange) -> None:
        self._plan = plan
        self._chunk = chunk
        self._columns = {"ledgers": (*DECODED_COLUMNS, _HEADER), "changes": _CHANGE_COLUMNS}
        self._decoder = self._new_decoder()
        self._slice: _Slice | None = None
        self._previous: pa.RecordBatch | None = None
        self._first_row: bytes | None = None
        self._checkpoint_rows: list[bytes] = []
        self._verdicts: list[pa.RecordBatch] = []
        self._changes: dict[int, list[str]] = {}
        self._with_changes: dict[int, int] = {}
        self._contradictions: dict[int, str] = {}

    def run(self) -> ChunkReceipt:
        """Read, judge and put aside."""
        for read in ledgers_and_holes(self._plan, self._chunk):
            if isinstance(read, Hole):
                self._skip(read)
            else:
                self._take(read)
        self._flush()
        path = f"verdicts/{self._chunk.first:010d}.arrow"
        self._plan.work.write(path, _ipc(self._verdicts))
        last = self._previous
        return ChunkReceipt(
            ledgers=self._chunk,
            path=path,
            first_row=self._first_row,
            last_row=None if last is None else batch_to_ipc(last),
            checkpoint_rows=tuple(self._checkpoint_rows),
            changes={later: tuple(paths) for later, paths in self._changes.items()},
            with_changes=dict(self._with_changes),
            contradictions=dict(self._contradictions),
        )

    def _new_decoder(self) -> _kernel.LedgerDecoder:
        return _kernel.LedgerDecoder(network_id=self._plan.network.network_id, columns=self._columns)

    def _take(self, raw: RawLedger) -> None:
        try:
            sequence = self._decoder.push(raw.data, has_meta=raw.has_meta)
        except _kernel.XdrError as error:
            why = f"{raw.origin}: {error}"
            self._skip(Hole(raw.sequence, raw.sequence, why, column=broken_column(raw.data, error.offset)))
            return
        if self._slice is None:
            self._slice = _Slice(sequence)
        self._slice.has_meta.append(raw.has_meta)
        self._slice.has_set.append(raw.has_set)
        if self._decoder.bytes >= self._plan.slice_bytes or self._plan.is_checkpoint(sequence):
            self._flush()

    def _skip(self, hole: Hole) -> None:
        self._flush()
        self._verdicts.append(missing_ledgers(hole.first, hole.last, hole.why, hole.culprit, hole.column))
        self._previous = None

    def _flush(self) -> None:
        """Judge the ledgers decoded since the last time."""
        ended, self._slice = self._slice, None
        if ended is None:
            return
        metrics.publish(metrics.LedgersRead(self._decoder.ledgers, self._decoder.bytes))
        tables = {name: pa.record_batch(batch) for name, batch in self._decoder.take().items()}
        facts = ledger_facts(tables["ledgers"], tables["changes"], ended.has_meta, ended.has_set, self._plan)
        require_known_protocols(facts, self._plan.network)
        self._verdicts.append(judge_ledgers(facts, self._previous, self._plan.rules))
        if ended.first == self._chunk.first:
            self._first_row = batch_to_ipc(facts.slice(0, 1))
        # A copy of the one row: a slice would keep the whole batch alive.
        self._previous = facts.take(pa.array([facts.num_rows - 1]))
        last_ledger = ended.first + facts.num_rows - 1
        if self._plan.is_checkpoint(last_ledger):
            self._checkpoint_rows.append(batch_to_ipc(self._previous))
        self._put_aside(ended, tables["changes"])

    def _put_aside(self, ended: _Slice, changes: pa.RecordBatch) -> None:
        """Fold the changes of each ledger, and spill what they did for the checkpoint that comes next."""
        compacted, known = [], []
        places = np.searchsorted(changes.column("ledger_sequence").to_numpy(), ended.sequences + np.arange(2)[:, None])
        for sequence, has_meta, first, last in zip(ended.sequences, ended.has_meta, *places, strict=True):
            if not has_meta:
                continue
            try:
                compacted.append(compact(changes.slice(first, last - first)))
                known.append(int(sequence))
            except StateError as error:
                self._contradictions[int(sequence)] = str(error)
        pair = self._plan.pair_of(ended.first)
        if pair is None or not compacted:
            return
        # A source may hold ledger 1, whose one change the genesis state stands for.
        count = sum(sequence > pair.earlier for sequence in known)
        self._with_changes[pair.later] = self._with_changes.get(pair.later, 0) + count
        path = f"changes/{pair.later:010d}/{ended.first:010d}.arrow"
        spill_fingerprints(self._plan, path, change_fingerprints(pa.Table.from_batches(compacted)))
        self._changes.setdefault(pair.later, []).append(path)


def ledger_facts(
    ledgers: pa.RecordBatch, changes: pa.RecordBatch, has_meta: list[bool], has_set: list[bool], plan: VerifyPlan
) -> pa.RecordBatch:
    """Make the rows that `judge_ledgers` works on.

    Args:
        ledgers: the kernel's table, ``DECODED_COLUMNS`` and ``header_xdr``.
        changes: its table of changes of the same ledgers, in order.
        has_meta: per ledger, whether its changes are known.
        has_set: per ledger, whether the source held the transaction set itself.
        plan: the network.
    """
    signed = pa.array(_kernel.close_values_signed(ledgers.column(_HEADER), plan.network.network_id))
    moved, known = native_changes(changes, ledgers.column("ledger_sequence").to_numpy(), plan.network.network_id)
    unknown = ~(known & np.array(has_meta, dtype=bool))
    columns = {name: ledgers.column(name) for name in DECODED_COLUMNS}
    columns |= {SIGNED: signed, HAS_SET: pa.array(has_set), NATIVE_CHANGE: pa.array(moved, mask=unknown)}
    return pa.record_batch(columns)


def require_known_protocols(facts: pa.RecordBatch, network: Network) -> None:
    """Refuse to judge ledgers by rules that are not known yet.

    Raises:
        UnsupportedProtocolError: a header is of a newer protocol, and is not merely damaged.
    """
    proven = pc.equal(facts.column("ledger_hash"), facts.column("computed_hash"))
    newer = pc.and_(proven, pc.greater(facts.column("protocol_version"), network.newest_protocol))
    for row in facts.filter(newer).slice(0, 1).to_pylist():
        network.require_protocol(row["protocol_version"], row["ledger_sequence"])


def native_changes(
    changes: pa.RecordBatch, sequences: np.ndarray[tuple[int], np.dtype[np.int64]], network_id: bytes
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Add up, ledger by ledger, by how much the entries' native stroops changed.

    Args:
        changes: the kernel's table with `_CHANGE_COLUMNS`, in order.
        sequences: the ledgers.
        network_id: of the network.

    Returns:
        Per ledger the net change, and whether it is known: not if the former image of an updated or removed entry
        stands neither beside the change nor earlier in the ledger.
    """
    held = changes.filter(pc.is_in(changes.column("entry_type"), pa.array(_HOLDERS, pa.int32())))
    kind, pre = held.column("type"), held.column("pre_xdr")
    before, after = (
        pc.fill_null(pa.array(_kernel.native_balances(images, network_id)), 0).to_numpy(zero_copy_only=False)
        for images in (pre, held.column("post_xdr"))
    )
    ledger = np.searchsorted(sequences, held.column("ledger_sequence").to_numpy())
    known = np.ones(len(sequences), dtype=bool)
    lost = pc.and_(pc.is_null(pre), pc.is_in(kind, pa.array((UPDATED, REMOVED)))).to_numpy(zero_copy_only=False)
    if lost.any():
        earlier = _earlier_change(held.column("ledger_key"), ledger)
        before = np.where(lost, after[earlier], before)
        known[ledger[lost & (earlier < 0)]] = False
    moved = np.zeros(len(sequences), dtype=np.int64)
    counted = pc.is_in(kind, pa.array(_COUNTED)).to_numpy(zero_copy_only=False)
    np.add.at(moved, ledger[counted], (after - before)[counted])
    return moved, known


def _earlier_change(
    keys: pa.Array, ledger: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The row of the change before of the same key in the same ledger, or -1."""
    code = keys.dictionary_encode().indices.to_numpy()
    order = np.lexsort((np.arange(len(code)), code, ledger))
    same = (code[order][1:] == code[order][:-1]) & (ledger[order][1:] == ledger[order][:-1])
    earlier = np.full(len(code), -1, dtype=np.int64)
    earlier[order[1:][same]] = order[:-1][same]
    return earlier


def _ipc(batches: list[pa.RecordBatch]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


class _VerifyChunkFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """The judgement of one chunk."""

    def __init__(self, plan: VerifyPlan) -> None:
        self._plan = plan

    def process(self, chunk: LedgerRange) -> Iterator[ChunkReceipt]:
        yield ChunkVerifier(self._plan, chunk).run()
        metrics.publish(metrics.ChunkFinished(chunk.first, chunk.last))


class VerifyLedgers(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Chunks of ledgers → one ChunkReceipt each; verdicts and last changes lie in the work directory.

    Bounded, any order, one worker per chunk; a chunk judged twice writes the same files twice. The first ledger of a
    chunk is judged without the one before it; its facts travel in the receipt, so that the report can judge it again
    beside the last of the chunk before. A source that lacks a ledger or cannot read one is a verdict, not a failure.
    """

    def __init__(self, plan: VerifyPlan) -> None:
        """Keep the plan."""
        super().__init__()
        self._plan = plan

    def expand(self, chunks: beam.PCollection[LedgerRange]) -> beam.PCollection[ChunkReceipt]:
        """Wire the ParDo."""
        return (
            chunks
            | "SpreadChunks" >> beam.Reshuffle()
            | "VerifyChunks" >> beam.ParDo(_VerifyChunkFn(self._plan)).with_output_types(ChunkReceipt)
        )
