"""Rows in = rows out + quarantined, for every ledger and table of a slice; and what a slice puts into quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.db.history import COUNTS_SCHEMA, LEDGER_KEYS
from aurora_ingest.db.quarantine import LEDGER, ROW, TRANSACTION, Quarantined, RefusedRow
from aurora_ingest.errors import StateError
from aurora_ingest.transforms.ledger_unit import LedgerUnit, batch_to_ipc
from aurora_ingest.transforms.processors import TableSpec

REFUSED_LEDGERS: Final = "refused"
"""Name under which a slice carries the ledgers that did not decode, beside the kernel's tables."""

REFUSED_SCHEMA: Final = pa.schema(
    [
        pa.field("ledger_sequence", pa.int64(), nullable=False),
        pa.field("raw", pa.binary(), nullable=False),
        pa.field("has_meta", pa.bool_(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
"""Rows of REFUSED_LEDGERS."""

REFUSED_TRANSACTIONS: Final = "refused_transactions"
"""Name under which a slice or a ledger carries the transactions that did not decode in ledgers that did."""

REFUSED_TRANSACTIONS_SCHEMA: Final = pa.schema(
    [
        pa.field("ledger_sequence", pa.int64(), nullable=False),
        pa.field("application_order", pa.int64(), nullable=False),
        pa.field("changes_lost", pa.bool_(), nullable=False),
        pa.field("raw", pa.binary(), nullable=False),
        pa.field("has_meta", pa.bool_(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
"""Rows of REFUSED_TRANSACTIONS; the first one of a ledger has its LedgerCloseMeta as ``raw``, the others nothing."""

_OF_LEDGERS: Final = "history_ledgers"
"""The table that needs nothing of a transaction that a damaged one cannot tell."""
_OF_CHANGES: Final = "ledger_entry_changes"
QUARANTINE_SCHEMA: Final = pa.schema(
    [
        pa.field("ledger_sequence", pa.int64(), nullable=False),
        pa.field("table_name", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("raw", pa.binary(), nullable=False),
        pa.field("has_meta", pa.bool_(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
"""Rows of ``ingest_quarantine``."""


def ledger_counts(unit: LedgerUnit, spec: TableSpec, refused: Mapping[int, int] | None = None) -> pa.RecordBatch:
    """Return what became of each ledger's rows of one table.

    Rows in are those that the kernel decoded; a ledger or a transaction that did not decode counts as one row in, in
    quarantine.

    Args:
        unit: a slice with the table filled.
        spec: the table.
        refused: rows that the sink put into quarantine, by ledger.

    Returns:
        COUNTS_SCHEMA, one row per ledger of the slice, ascending; ledgers without rows too.

    Raises:
        StateError: rows got lost between the kernel and the sink, or came from nowhere.
    """
    refused = refused or {}
    ledgers = decoded_ledgers(unit)
    (source,) = spec.columns
    came = _per_ledger(unit.decoded[source].column("ledger_sequence"))
    made = _per_ledger(ledgers_of_rows(spec.name, unit.tables[spec.name]))
    if came != made:
        ledger = min(ledger for ledger in came | made if came[ledger] != made[ledger])
        message = f"table {spec.name}: ledger {ledger} has {came[ledger]} decoded rows and {made[ledger]} rows to write"
        raise StateError(message)
    strangers = set(came) - set(ledgers)
    if strangers:
        message = f"table {spec.name}: rows of ledger {min(strangers)}, which is not in the slice"
        raise StateError(message)
    undecoded = refused_ledgers(unit).column("ledger_sequence").to_pylist()
    lost = Counter([*undecoded, *refused_transactions(unit, spec.name).column("ledger_sequence").to_pylist()])
    # Per ledger, not per row: a slice has some dozens of them.
    order = sorted([*ledgers, *undecoded])
    rows_in = [came[ledger] + lost[ledger] for ledger in order]
    held = [refused.get(ledger, 0) + lost[ledger] for ledger in order]
    out = [came_in - kept for came_in, kept in zip(rows_in, held, strict=True)]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(order, pa.int64()),
            pa.repeat(pa.scalar(spec.name), len(order)),
            pa.array(rows_in, pa.int64()),
            pa.array(out, pa.int64()),
            pa.array(held, pa.int64()),
        ],
        schema=COUNTS_SCHEMA,
    )


def decoded_ledgers(unit: LedgerUnit) -> list[int]:
    """Return the sequences of the ledgers of a slice that decoded, ascending."""
    sequences: list[int] = unit.decoded["ledgers"].column("ledger_sequence").to_pylist()
    return sequences


def refused_ledgers(unit: LedgerUnit) -> pa.RecordBatch:
    """Return the ledgers of a slice that did not decode, REFUSED_SCHEMA."""
    held = unit.decoded.get(REFUSED_LEDGERS)
    return pa.RecordBatch.from_pylist([], REFUSED_SCHEMA) if held is None else held


def ledgers_of_rows(table: str, batch: pa.RecordBatch) -> pa.Array:
    """Return the ledger of each row of a history table, int64."""
    column, bits = LEDGER_KEYS[table]
    values = batch.column(column).cast(pa.int64())
    return pc.shift_right(values, bits) if bits else values


def refused_transactions(unit: LedgerUnit, table: str) -> pa.RecordBatch:
    """Return the transactions that did not decode and whose rows a table lacks, REFUSED_TRANSACTIONS_SCHEMA.

    A ledger has its row without them; changes have theirs unless they are what does not decode.
    """
    held = unit.decoded.get(REFUSED_TRANSACTIONS)
    if held is None or table == _OF_LEDGERS:
        return pa.RecordBatch.from_pylist([], REFUSED_TRANSACTIONS_SCHEMA)
    return held.filter(held.column("changes_lost")) if table == _OF_CHANGES else held


def has_lost_changes(unit: LedgerUnit) -> bool:
    """Tell whether changes of entries are among what did not decode, so that no state can be made of the rest."""
    held = unit.decoded.get(REFUSED_TRANSACTIONS)
    return held is not None and bool(pc.any(held.column("changes_lost")).as_py())


def quarantined_records(unit: LedgerUnit, table: str) -> list[Quarantined]:
    """Return the records that a table's quarantine gets for ledgers and transactions that did not decode."""
    records = [
        Quarantined(row["ledger_sequence"], table, LEDGER, 0, row["raw"], row["has_meta"], row["reason"])
        for row in refused_ledgers(unit).to_pylist()  # bad ledgers are few
    ]
    raws = {row["ledger_sequence"]: row["raw"] for row in _refused_with_raw(unit)}
    for row in refused_transactions(unit, table).to_pylist():
        ledger = row["ledger_sequence"]
        raw = raws.pop(ledger, b"")  # the first one of the table has it
        place = row["application_order"]
        records.append(Quarantined(ledger, table, TRANSACTION, place, raw, row["has_meta"], row["reason"]))
    return records


def _refused_with_raw(unit: LedgerUnit) -> list[dict[str, Any]]:
    held = unit.decoded.get(REFUSED_TRANSACTIONS)
    if held is None:
        return []
    rows: list[dict[str, Any]] = held.filter(pc.greater(pc.binary_length(held.column("raw")), 0)).to_pylist()
    return rows


def quarantined_rows(table: str, batch: pa.RecordBatch, refused: Iterable[RefusedRow]) -> list[Quarantined]:
    """Return the records that a table's quarantine gets for rows that the sink refused.

    Args:
        table: the table.
        batch: the rows that were to be written.
        refused: those that were not.
    """
    records = []
    ledgers = ledgers_of_rows(table, batch)
    for each in refused:
        ledger = ledgers[each.row].as_py()
        first = pc.index(ledgers, pa.scalar(ledger, pa.int64())).as_py()
        raw = batch_to_ipc(batch.slice(each.row, 1))
        records.append(Quarantined(ledger, table, ROW, each.row - first, raw, has_meta=True, reason=each.reason))
    return records


def quarantine_batch(records: Iterable[Quarantined]) -> pa.RecordBatch:
    """Return records as rows of QUARANTINE_SCHEMA."""
    return pa.RecordBatch.from_pylist(
        [
            {
                "ledger_sequence": each.ledger,
                "table_name": each.table,
                "kind": each.kind,
                "position": each.position,
                "raw": each.raw,
                "has_meta": each.has_meta,
                "reason": each.reason,
            }
            for each in records
        ],
        QUARANTINE_SCHEMA,
    )


def _per_ledger(ledgers: pa.Array) -> Counter[int]:
    counts = pc.value_counts(ledgers)
    return Counter(dict(zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True)))
