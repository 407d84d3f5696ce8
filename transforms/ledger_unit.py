"""The element that travels through every pipeline: one unit of ledger data, its tables and its receipt."""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from apache_beam.coders import Coder, registry

RANGE = "range"
PARTITION = "partition"
TOTALS = "totals"
CHUNK = "chunk"
LEDGER = "ledger"
TICK = "tick"
PARTIAL_PREFIX = "partial:"

_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True)
class SpillFile:
    """One spilled Arrow IPC file: the rows of one partial table of one unit.

    Attributes:
        partial: name of the partial table, without the prefix ``partial:``.
        path: file name relative to the work directory.
        rows: number of rows in the file.
        partitioned: True if record batch ``p`` of the file holds hash partition ``p``.
    """

    partial: str
    path: str
    rows: int
    partitioned: bool


@dataclass(frozen=True)
class ParquetPart:
    """One Parquet file of a build: its place below the dataset's table folder, rows, bytes and SHA-256 (hex)."""

    table: str
    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Receipt:
    """What one unit left behind; small, shuffled, and stored so that a finished unit is not done again.

    Attributes:
        kind: ``range``, ``partition`` or ``totals``.
        index: number of the unit among its kind, from 0.
        last: True for the last unit of its kind.
        first_key: hex of the first sort key of a range (empty for other kinds).
        entries: live ledger entries by entry table.
        rows: rows by SQL or Parquet table.
        spills: partial rows waiting for the second stage.
        parts: Parquet files written.
    """

    kind: str
    index: int
    last: bool
    first_key: str = ""
    entries: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    spills: tuple[SpillFile, ...] = ()
    parts: tuple[ParquetPart, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the receipt as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Receipt:
        """Build a receipt from the values of ``to_json``.

        Raises:
            KeyError: a field is missing.
        """
        return cls(
            kind=value["kind"],
            index=value["index"],
            last=value["last"],
            first_key=value["first_key"],
            entries=dict(value["entries"]),
            rows=dict(value["rows"]),
            spills=tuple(SpillFile(**spill) for spill in value["spills"]),
            parts=tuple(ParquetPart(**part) for part in value["parts"]),
        )


@dataclass(frozen=True)
class LedgerUnit:
    """One ledger, one chunk of ledgers, one key range of a snapshot, or one unit of a snapshot's later stages.

    Attributes:
        kind: ``range`` (key range of a snapshot), ``partition`` (second stage, by key hash), ``totals``, ``chunk``
            (consecutive ledgers of one chunk of history), ``ledger`` (one ledger) or ``tick`` (no ledger: what came
            before it is to be acted on).
        index: number of the unit among its kind, from 0; in a chunk, number of the unit in the chunk.
        last: True for the last unit of its kind; in a chunk, for the last of the chunk.
        first_ledger: first ledger the unit speaks of.
        last_ledger: last ledger, inclusive; equals ``first_ledger`` in a snapshot.
        pre: batches of the entries that existed before the change, by entry table; empty in a snapshot.
        post: batches of the entries that exist after it, by entry table; rows of ``pre`` and ``post`` meet by their
            ``ledger_key``.
        tables: rows that the processors made, by table; partial tables are named ``partial:<table>``.
        receipt: what was written of the unit so far.
        done: True if a former run has written the unit; nothing of it is built or written again.
        decoded: batches of the closed ledgers, by table of the kernel's LedgerDecoder.
        removed: ``ledger_key``, ``key_hash`` and ``entry_type`` of the entries that left without a known pre-image.
        chunk: first and last ledger of the chunk that the unit is a part of.
    """

    kind: str
    index: int
    last: bool
    first_ledger: int
    last_ledger: int
    pre: Mapping[str, pa.RecordBatch]
    post: Mapping[str, pa.RecordBatch]
    tables: Mapping[str, pa.RecordBatch]
    receipt: Receipt
    done: bool = False
    decoded: Mapping[str, pa.RecordBatch] = field(default_factory=dict)
    removed: pa.RecordBatch | None = None
    chunk: tuple[int, int] | None = None

    @property
    def entries(self) -> Mapping[str, int]:
        """Live ledger entries by entry table."""
        return self.receipt.entries

    @property
    def row_tables(self) -> dict[str, pa.RecordBatch]:
        """The tables that sinks write: all but the partial ones."""
        return {name: batch for name, batch in self.tables.items() if not name.startswith(PARTIAL_PREFIX)}

    def with_table(self, name: str, batch: pa.RecordBatch) -> LedgerUnit:
        """Return the unit with one more table.

        Raises:
            ValueError: the table is there already.
        """
        if name in self.tables:
            message = f"unit {self.kind} {self.index}: table {name} was filled twice"
            raise ValueError(message)
        return dataclasses.replace(self, tables={**self.tables, name: batch})

    def with_receipt(self, **changes: Any) -> LedgerUnit:  # fields of Receipt
        """Return the unit with changed fields of its receipt."""
        return dataclasses.replace(self, receipt=dataclasses.replace(self.receipt, **changes))

    def emptied(self) -> LedgerUnit:
        """Return the unit without any rows, once its last reader is through."""
        return dataclasses.replace(self, pre={}, post={}, tables={}, decoded={}, removed=None)


def batch_to_ipc(batch: pa.RecordBatch) -> bytes:
    """Serialise one batch as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def batch_from_ipc(data: bytes | memoryview) -> pa.RecordBatch:
    """Read the batch of ``batch_to_ipc`` without copying its buffers."""
    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        return reader.read_next_batch()


def _frames(data: bytes) -> Iterator[memoryview]:
    """Yield the length-prefixed pieces of an encoded unit."""
    view = memoryview(data)
    at = 0
    while at < len(view):
        (length,) = _LENGTH.unpack_from(view, at)
        yield view[at + _LENGTH.size : at + _LENGTH.size + length]
        at += _LENGTH.size + length


class RecordBatchCoder(Coder):  # type: ignore[misc]  # Beam's Coder is untyped
    """Arrow IPC for a RecordBatch: a slice costs its own rows, not its parent's buffers."""

    def encode(self, value: pa.RecordBatch) -> bytes:
        """Encode one batch."""
        return batch_to_ipc(value)

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """Decode one batch."""
        return batch_from_ipc(encoded)

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """Tell the size in bytes without encoding: Beam's counters ask for it often."""
        return int(value.nbytes)

    def is_deterministic(self) -> bool:
        """Equal batches have equal bytes."""
        return True

    def to_type_hint(self) -> type:
        """Return the element type."""
        return pa.RecordBatch


class LedgerUnitCoder(Coder):  # type: ignore[misc]  # Beam's Coder is untyped
    """A JSON head with the names, then one Arrow IPC stream per batch."""

    def encode(self, value: LedgerUnit) -> bytes:
        """Encode one unit."""
        sides = ("pre", "post", "tables", "decoded")
        removed = [] if value.removed is None else [value.removed]
        head = {
            "kind": value.kind,
            "index": value.index,
            "last": value.last,
            "ledgers": [value.first_ledger, value.last_ledger],
            "done": value.done,
            "chunk": value.chunk,
            "removed": len(removed),
            "receipt": value.receipt.to_json(),
            "names": {side: list(getattr(value, side)) for side in sides},
        }
        pieces = [json.dumps(head, separators=(",", ":")).encode()]
        batches = [batch for side in sides for batch in getattr(value, side).values()]
        pieces += [batch_to_ipc(batch) for batch in batches + removed]
        return b"".join(part for piece in pieces for part in (_LENGTH.pack(len(piece)), piece))

    def decode(self, encoded: bytes) -> LedgerUnit:
        """Decode one unit."""
        frames = _frames(encoded)
        head = json.loads(bytes(next(frames)))
        sides = {side: {name: batch_from_ipc(next(frames)) for name in names} for side, names in head["names"].items()}
        first_ledger, last_ledger = head["ledgers"]
        return LedgerUnit(
            kind=head["kind"],
            index=head["index"],
            last=head["last"],
            first_ledger=first_ledger,
            last_ledger=last_ledger,
            receipt=Receipt.from_json(head["receipt"]),
            done=head["done"],
            removed=batch_from_ipc(next(frames)) if head["removed"] else None,
            chunk=None if head["chunk"] is None else tuple(head["chunk"]),
            **sides,
        )

    def estimate_size(self, value: LedgerUnit) -> int:
        """Tell about the size in bytes without encoding: Beam's counters ask for it after every step of the chain.

        Whole buffers count, also of batches that are a part of them: `nbytes` is 500 times as slow.
        """
        sides = (value.pre, value.post, value.tables, value.decoded)
        removed = 0 if value.removed is None else value.removed.get_total_buffer_size()
        return int(removed + sum(batch.get_total_buffer_size() for side in sides for batch in side.values()))

    def is_deterministic(self) -> bool:
        """Equal units have equal bytes."""
        return True

    def to_type_hint(self) -> type:
        """Return the element type."""
        return LedgerUnit


class ReceiptCoder(Coder):  # type: ignore[misc]  # Beam's Coder is untyped
    """JSON, the very text that the database stores."""

    def encode(self, value: Receipt) -> bytes:
        """Encode one receipt."""
        return json.dumps(value.to_json(), separators=(",", ":"), sort_keys=True).encode()

    def decode(self, encoded: bytes) -> Receipt:
        """Decode one receipt."""
        return Receipt.from_json(json.loads(encoded))

    def is_deterministic(self) -> bool:
        """Equal receipts have equal bytes."""
        return True

    def to_type_hint(self) -> type:
        """Return the element type."""
        return Receipt


registry.register_coder(pa.RecordBatch, RecordBatchCoder)
registry.register_coder(LedgerUnit, LedgerUnitCoder)
registry.register_coder(Receipt, ReceiptCoder)
