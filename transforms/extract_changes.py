"""Changes of ledger entries: units of decoded ledgers become one unit per ledger, with its entries before and after."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest import _kernel
from aurora_ingest.errors import StateError
from aurora_ingest.ledger.change import CHANGES, ENTRY_TYPES, MAY_LEAVE_UNSEEN
from aurora_ingest.ledger.compaction import compact
from aurora_ingest.ledger.genesis import GENESIS_LEDGER, genesis_changes
from aurora_ingest.network import Network
from aurora_ingest.transforms.ledger_counts import has_lost_changes
from aurora_ingest.transforms.ledger_unit import LEDGER, LedgerUnit, Receipt
from aurora_ingest.transforms.processors import entry_columns

REMOVED_COLUMNS = ("ledger_key", "key_hash", "entry_type")
Columns = Mapping[str, tuple[str, ...]]


def ledger_unit(ledger: int, decoded: Mapping[str, pa.RecordBatch], *, last: bool = False) -> LedgerUnit:
    """Return the unit of one ledger with its decoded rows and no entries yet.

    Args:
        ledger: ledger sequence, which is also the unit's index.
        decoded: tables of the kernel's LedgerDecoder with the rows of this ledger only.
        last: the unit is the last of its run.
    """
    return LedgerUnit(LEDGER, ledger, last, ledger, ledger, {}, {}, {}, Receipt(LEDGER, ledger, last), decoded=decoded)


def genesis_unit(network: Network) -> LedgerUnit:
    """Return the unit of ledger 1, which no ledger source holds: it created the root account."""
    return ledger_unit(GENESIS_LEDGER, {CHANGES: genesis_changes(network)})


def ledger_units(unit: LedgerUnit) -> Iterator[LedgerUnit]:
    """Cut a unit of decoded ledgers into one unit per ledger, in order; a ledger without any rows has its unit too.

    Args:
        unit: its decoded tables are sorted by ledger_sequence, as the kernel gives them; rows are not copied.

    Raises:
        StateError: a table has rows of ledgers that the unit does not speak of, or not in order.
    """
    ledgers = np.arange(unit.first_ledger, unit.last_ledger + 2)
    cuts = {}
    for table, batch in unit.decoded.items():
        sequences = batch.column("ledger_sequence").to_numpy()
        outside = len(sequences) and not ledgers[0] <= sequences[0] <= sequences[-1] < ledgers[-1]
        if outside or np.any(np.diff(sequences) < 0):
            message = (
                f"unit {unit.kind} {unit.index}: table {table} has rows that are not of ledgers {unit.first_ledger} to "
                f"{unit.last_ledger} in their order"
            )
            raise StateError(message)
        cuts[table] = np.searchsorted(sequences, ledgers)
    for place, ledger in enumerate(ledgers[:-1].tolist()):
        rows = {
            table: batch.slice(cuts[table][place], cuts[table][place + 1] - cuts[table][place])
            for table, batch in unit.decoded.items()
        }
        yield ledger_unit(ledger, rows, last=unit.last and ledger == unit.last_ledger)


def compacted(unit: LedgerUnit, columns: Columns, network_id: bytes) -> LedgerUnit:
    """Fill a ledger's unit with the entries that it changed, as they were before and as they are after it.

    ``pre`` and ``post`` meet by their keys, not row by row (ADR 0006). Keys that left, and of which nothing tells
    what they were, are in ``removed``: evicted ones, and those restored and removed again.

    Args:
        unit: unit of one ledger with the decoded table ``changes``.
        columns: columns of the entry tables to fill, by entry table.
        network_id: SHA-256 of the passphrase.

    Returns:
        The unit with ``pre``, ``post`` and ``removed``; rows in core's key order; the receipt counts the entries.

    Raises:
        ContradictoryChangesError: two changes cannot both have happened.
        StateError: an entry of a kind that is never archived was changed, but its former image is not told.
    """
    changes = unit.decoded[CHANGES]
    # Some changes of a ledger are no state of any ledger: the state stays as it was until it is built again.
    net = compact(changes.slice(0, 0) if has_lost_changes(unit) else changes)
    unseen = net.filter(pc.invert(net.column("pre_known")))
    _require_seen(unit.last_ledger, unseen)
    gone = unseen.filter(pc.is_null(unseen.column("post_xdr")))
    pre, post = (_typed(net.column(side), columns, network_id) for side in ("pre_xdr", "post_xdr"))
    unit = dataclasses.replace(unit, pre=pre, post=post, removed=gone.select(list(REMOVED_COLUMNS)))
    return unit.with_receipt(entries={table: batch.num_rows for table, batch in post.items()})


def _typed(images: pa.Array, columns: Columns, network_id: bytes) -> dict[str, pa.RecordBatch]:
    made = _kernel.entry_rows(images, columns=columns, network_id=network_id)
    return {table: pa.record_batch(batch) for table, batch in made.items()}


def _require_seen(ledger: int, unseen: pa.RecordBatch) -> None:
    """Refuse changes whose former image is lacking where sums and lists of signers need it."""
    archived = pc.is_in(unseen.column("entry_type"), pa.array(MAY_LEAVE_UNSEEN, pa.int32()))
    lost = unseen.filter(pc.invert(archived))
    if lost.num_rows:
        kind = ENTRY_TYPES[lost.column("entry_type")[0].as_py()]
        message = (
            f"ledger {ledger}: change {lost.column('first_change')[0].as_py()} of {kind} "
            f"{lost.column('ledger_key')[0].as_py().hex()} comes without the entry before it, which every meta of "
            "stellar-core has: take the ledger from another source"
        )
        raise StateError(message)


class _ExtractFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Cuts units of many ledgers."""

    def process(self, unit: LedgerUnit) -> Iterator[LedgerUnit]:
        yield from ledger_units(unit)


class ExtractChanges(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """LedgerUnits with decoded ledgers, one or many → one LedgerUnit per ledger with that ledger's decoded rows.

    Bounded or unbounded. Ledgers of one unit come out in their order; nothing is said of the order of units. A pure
    function of the unit, no windows, fully parallel, nothing is shuffled; a retried bundle makes the same units. Fails
    on rows of ledgers that the unit does not speak of.
    """

    def expand(self, units: beam.PCollection[LedgerUnit]) -> beam.PCollection[LedgerUnit]:
        """Wire the ParDo."""
        return units | beam.ParDo(_ExtractFn()).with_output_types(LedgerUnit)


class _CompactFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Fills one ledger's entries."""

    def __init__(self, columns: Columns, network_id: bytes) -> None:
        self._columns = columns
        self._network_id = network_id

    def process(self, unit: LedgerUnit) -> Iterator[LedgerUnit]:
        yield unit if unit.done else compacted(unit, self._columns, self._network_id)


class CompactChangesPerLedger(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """LedgerUnits of one ledger each → the same, with one net change per key: ``pre``, ``post`` and ``removed``.

    Bounded or unbounded, any order, no windows. Stateless, fully parallel, nothing is shuffled; a retried bundle makes
    the same units. Behind it the processors of a snapshot run unchanged: their rows are those of ``post``. Fails on
    changes that contradict each other, on changes of two ledgers in one unit, and on a lacking former image.
    """

    def __init__(self, tables: Iterable[str], network: Network) -> None:
        """Keep what is to be filled.

        Args:
            tables: the state tables that will be kept, names out of processors.TABLES.
            network: the network whose asset contracts are to be recognised.

        Raises:
            UsageError: there is no such table.
        """
        super().__init__()
        self._columns = entry_columns(tables)
        self._network_id = network.network_id

    def expand(self, units: beam.PCollection[LedgerUnit]) -> beam.PCollection[LedgerUnit]:
        """Wire the ParDo."""
        return units | beam.ParDo(_CompactFn(self._columns, self._network_id)).with_output_types(LedgerUnit)
