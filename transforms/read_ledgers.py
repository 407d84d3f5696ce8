"""Reading bounded ranges of ledgers: chunk by chunk, in slices small enough to keep memory flat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest import _kernel
from aurora_ingest.errors import LedgerStreamError, NetworkMismatchError, StateError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.backend import LedgerBackend, RawLedger
from aurora_ingest.ledger_backend.meta_stream import MetaStream
from aurora_ingest.network import Network
from aurora_ingest.transforms import metrics
from aurora_ingest.transforms.chunk_slices import named
from aurora_ingest.transforms.ledger_counts import (
    REFUSED_LEDGERS,
    REFUSED_SCHEMA,
    REFUSED_TRANSACTIONS,
    REFUSED_TRANSACTIONS_SCHEMA,
)
from aurora_ingest.transforms.ledger_unit import CHUNK, LedgerUnit, Receipt

SLICE_BYTES: Final = 4 << 20
"""Raw bytes of ledgers at which a slice is full; a larger ledger is a slice of its own. Tables take four times that."""

_JUDGED: Final = (
    "ledger_sequence",
    "protocol_version",
    "transaction_count",
    "unmatched_transactions",
    "bad_inner_hashes",
)


@dataclass(frozen=True)
class LedgerReading:
    """Where ledgers come from and what is decoded of them; picklable.

    Attributes:
        backend: the source.
        network: the network, whose id the transaction hashes are made with.
        columns: columns of the kernel's ledger tables that the processors read.
        keep_going: ledgers and transactions that do not decode are passed on as refused instead of raising.
        slice_bytes: raw bytes at which a slice is full.
    """

    backend: LedgerBackend
    network: Network
    columns: Mapping[str, tuple[str, ...]]
    keep_going: bool = False
    slice_bytes: int = SLICE_BYTES

    def decoder(self) -> _kernel.LedgerDecoder:
        """Return a new decoder of these columns and those that every ledger is judged by."""
        columns: dict[str, Sequence[str] | None] = {
            table: tuple(dict.fromkeys((*names, "ledger_sequence"))) for table, names in self.columns.items()
        }
        columns["ledgers"] = tuple(dict.fromkeys((*self.columns.get("ledgers", ()), *_JUDGED)))
        return _kernel.LedgerDecoder(network_id=self.network.network_id, columns=columns)


def read_chunks(reading: LedgerReading, chunks: Sequence[LedgerRange]) -> Iterator[LedgerUnit]:
    """Read chunks in one pass over their source.

    Args:
        reading: the source, and what is decoded.
        chunks: ascending and apart; ledgers between them are read over.

    Yields:
        the slices of the first chunk, then of the second, and so on; each has at least one ledger.

    Raises:
        BackendError: the source does not have a ledger.
        NetworkMismatchError: no transaction hash of a ledger fits: it is of another network.
        StateError: a ledger does not decode, or contradicts itself.
        UnsupportedProtocolError: a ledger of a newer protocol.
    """
    waiting = iter(chunks)
    chunk = next(waiting)
    slices = _Slices(reading, chunk)
    stream = _ledgers(reading, LedgerRange(chunks[0].first, chunks[-1].last))
    while True:
        with named(chunk):
            raw = next(stream, None)
            if raw is None:
                break
            if raw.sequence < chunk.first:
                continue
            slices.add(raw)
            full = slices.is_full or raw.sequence == chunk.last
            unit = slices.take(last=raw.sequence == chunk.last) if full else None
        if unit is not None:
            ended = unit.last
            yield unit
            unit = None  # or two slices would be in memory while the next one is decoded
            if ended:
                following = next(waiting, None)
                if following is None:
                    return
                chunk = following
                slices = _Slices(reading, chunk)
    message = f"chunk {chunk}: {reading.backend.describe()} ended before ledger {chunk.last}"
    raise StateError(message)


@dataclass(frozen=True)
class _Unreadable:
    """A ledger whose bytes are damaged where they lie, so that there is nothing to keep of it but the reason."""

    sequence: int
    reason: str
    data: bytes = b""
    has_meta: bool = True


def _ledgers(reading: LedgerReading, ledgers: LedgerRange) -> Iterator[RawLedger | _Unreadable]:
    """Yields the ledgers of a range; a reading that keeps going steps over those that cannot be read.

    A stream is read up to a damage only: what comes after it cannot be found.
    """
    steps_over = reading.keep_going and reading.backend.repeatable and reading.backend.name != MetaStream.name
    expected = ledgers.first
    while expected <= ledgers.last:
        try:
            for raw in reading.backend.read(LedgerRange(expected, ledgers.last)):
                yield raw
                expected = raw.sequence + 1
        except LedgerStreamError as error:
            if not steps_over:
                raise
            yield _Unreadable(expected, str(error))
            expected += 1
        else:
            return


class _Slices:
    """Gathers the ledgers of one chunk into slices."""

    def __init__(self, reading: LedgerReading, chunk: LedgerRange) -> None:
        self._reading = reading
        self._chunk = chunk
        self._decoder = reading.decoder()
        self._expected = chunk.first
        self._index = 0
        self._first = chunk.first
        self._bytes = 0
        self._kept: dict[int, RawLedger | _Unreadable] = {}
        self._refused: dict[int, str] = {}

    @property
    def is_full(self) -> bool:
        """Whether the slice has as many bytes as it should."""
        return self._bytes >= self._reading.slice_bytes

    def add(self, raw: RawLedger | _Unreadable) -> None:
        """Decodes one more ledger, the next one."""
        if raw.sequence != self._expected:
            message = f"ledger {raw.sequence} came, expected {self._expected}"
            raise StateError(message)
        if isinstance(raw, _Unreadable):
            self._refused[raw.sequence] = raw.reason
        else:
            self._push(raw)
        if self._reading.keep_going:
            self._kept[raw.sequence] = raw
        self._bytes += len(raw.data)
        self._expected = raw.sequence + 1

    def _push(self, raw: RawLedger) -> None:
        try:
            sequence = self._decoder.push(raw.data, has_meta=raw.has_meta, tolerant=self._reading.keep_going)
        except ValueError as error:
            if not self._reading.keep_going:
                message = f"{raw.origin}: ledger {raw.sequence} does not decode: {error}"
                raise StateError(message) from error
            self._refused[raw.sequence] = str(error)
            return
        if sequence != raw.sequence:
            message = f"{raw.origin}: ledger {sequence} stands in the place of {raw.sequence}"
            raise StateError(message)

    def take(self, *, last: bool) -> LedgerUnit:
        """Ends the slice and gives it."""
        decoded = {name: pa.record_batch(batch) for name, batch in self._decoder.take().items()}
        found = faults(decoded["ledgers"], self._reading.network)
        for ledger in sorted(found):
            if not self._reading.keep_going or not isinstance(found[ledger], StateError):
                raise found[ledger]
        decoded = _without(decoded, found)
        self._refused.update({ledger: str(error) for ledger, error in found.items()})
        transactions = [each for each in self._decoder.take_refused() if each[0] not in found]
        if transactions:
            decoded[REFUSED_TRANSACTIONS] = refused_transactions_batch(transactions, self._kept)
        if self._refused:
            decoded[REFUSED_LEDGERS] = self._refused_batch()
        unit = LedgerUnit(
            kind=CHUNK,
            index=self._index,
            last=last,
            first_ledger=self._first,
            last_ledger=self._expected - 1,
            pre={},
            post={},
            tables={},
            receipt=Receipt(CHUNK, self._index, last),
            decoded=decoded,
            chunk=(self._chunk.first, self._chunk.last),
        )
        metrics.publish(metrics.LedgersRead(unit.last_ledger - unit.first_ledger + 1, self._bytes))
        self._index += 1
        self._first = self._expected
        self._bytes = 0
        self._kept.clear()
        self._refused.clear()
        return unit

    def _refused_batch(self) -> pa.RecordBatch:
        rows = [
            {
                "ledger_sequence": ledger,
                "raw": self._kept[ledger].data,
                "has_meta": self._kept[ledger].has_meta,
                "reason": self._refused[ledger],
            }
            for ledger in sorted(self._refused)
        ]
        return pa.RecordBatch.from_pylist(rows, REFUSED_SCHEMA)


def refused_transactions_batch(
    refused: Iterable[tuple[int, int, bool, str]], raws: Mapping[int, RawLedger | _Unreadable]
) -> pa.RecordBatch:
    """Return transactions that did not decode as rows of REFUSED_TRANSACTIONS_SCHEMA.

    Args:
        refused: what the kernel tells of them, ascending.
        raws: their ledgers.
    """
    rows, seen = [], set[int]()
    for ledger, order, changes_lost, reason in refused:
        raw = raws[ledger]
        data = b"" if ledger in seen else raw.data
        seen.add(ledger)
        rows.append((ledger, order, changes_lost, data, raw.has_meta, reason))
    names = REFUSED_TRANSACTIONS_SCHEMA.names
    return pa.RecordBatch.from_pylist([dict(zip(names, row, strict=True)) for row in rows], REFUSED_TRANSACTIONS_SCHEMA)


def faults(ledgers: pa.RecordBatch, network: Network) -> dict[int, Exception]:
    """Find the ledgers that decode but cannot be right.

    Args:
        ledgers: the columns of _JUDGED, n ledgers.
        network: the network they should be of.

    Returns:
        The error of each such ledger: transactions whose hash fits no result are of another network if that is so of
        all of them, else the ledger contradicts itself.
    """
    suspicious = pc.or_(
        pc.or_(
            pc.greater(ledgers.column("unmatched_transactions"), 0), pc.greater(ledgers.column("bad_inner_hashes"), 0)
        ),
        pc.greater(ledgers.column("protocol_version"), network.newest_protocol),
    )
    if not pc.any(suspicious).as_py():
        return {}
    found: dict[int, Exception] = {}
    for row in ledgers.filter(suspicious).select(list(_JUDGED)).to_pylist():  # bad ledgers are few
        error = _fault(row, network)
        if error is not None:
            found[row["ledger_sequence"]] = error
    return found


def _fault(row: Mapping[str, int], network: Network) -> Exception | None:
    ledger, count = row["ledger_sequence"], row["transaction_count"]
    try:
        network.require_protocol(row["protocol_version"], ledger)
    except Exception as error:  # noqa: BLE001  # it is given back, to be raised or kept with the ledger
        return error
    if row["unmatched_transactions"] >= 2 * count > 0:
        return NetworkMismatchError(
            f"ledger {ledger}: none of its {count} transaction hashes is that of a transaction of the network "
            f"{network.passphrase!r}: the ledgers are of another network, or --network names the wrong one"
        )
    if row["unmatched_transactions"]:
        return StateError(
            f"ledger {ledger}: {row['unmatched_transactions']} of its transactions and results do not belong to each "
            "other: a result without its transaction, or a transaction without its result"
        )
    if row["bad_inner_hashes"]:
        return StateError(
            f"ledger {ledger}: {row['bad_inner_hashes']} fee bumps have results of another inner transaction"
        )
    return None


def _without(decoded: Mapping[str, pa.RecordBatch], ledgers: Iterable[int]) -> dict[str, pa.RecordBatch]:
    """Returns the tables without the rows of some ledgers."""
    gone = pa.array(list(ledgers), pa.int64())
    if not len(gone):
        return dict(decoded)
    return {
        name: batch.filter(pc.invert(pc.is_in(batch.column("ledger_sequence"), gone)))
        for name, batch in decoded.items()
    }


class _ReadChunksFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Reading of one group of chunks."""

    def __init__(self, reading: LedgerReading) -> None:
        self._reading = reading

    def process(self, chunks: Sequence[tuple[int, int]]) -> Iterator[LedgerUnit]:
        yield from read_chunks(self._reading, [LedgerRange(first, last) for first, last in chunks])


class ReadLedgers(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Groups of chunks, each a tuple of (first, last) ledgers ascending → LedgerUnits of kind CHUNK, their slices.

    Bounded. The slices of a chunk come one after the other from one call, so that a writer fused to it can keep one
    transaction per chunk; a group is one pass over the source, groups are read in parallel. Reading again gives the
    same slices. Nothing but one slice is in memory. Fails when the source lacks a ledger, when a ledger does not
    decode or contradicts itself (unless it keeps going), and on ledgers of another network.
    """

    def __init__(self, reading: LedgerReading) -> None:
        """Keep the source and what is decoded."""
        super().__init__()
        self._reading = reading

    def expand(self, chunks: beam.PCollection[tuple[tuple[int, int], ...]]) -> beam.PCollection[LedgerUnit]:
        """Wire the ParDo."""
        return chunks | beam.ParDo(_ReadChunksFn(self._reading)).with_output_types(LedgerUnit)
