"""From a decoded ledger to all that is written of it: rows of state and history, made before anything is locked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from aurora_ingest.db.history import COUNTS_SCHEMA
from aurora_ingest.db.lead import PreparedLedger
from aurora_ingest.ledger.change import CHANGES, COMPACTED_COLUMNS
from aurora_ingest.network import Network
from aurora_ingest.transforms.extract_changes import compacted
from aurora_ingest.transforms.ledger_counts import has_lost_changes, ledger_counts, quarantined_records
from aurora_ingest.transforms.ledger_unit import LedgerUnit
from aurora_ingest.transforms.processors import decoded_columns, entry_columns, history_by_table
from aurora_ingest.transforms.processors.processor import processed
from aurora_ingest.transforms.state_changes import state_change, with_tables

_HEADER = ("ledger_hash", "previous_ledger_hash", "close_time", "transaction_count", "raw_bytes")


@dataclass(frozen=True)
class LedgerRules:
    """What is made of every ledger; picklable.

    Attributes:
        network: the ledgers' network.
        state_tables: state tables that are kept.
        history_tables: history tables that are written.
    """

    network: Network
    state_tables: tuple[str, ...]
    history_tables: tuple[str, ...] = ()

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Return the columns of the kernel's LedgerDecoder that are needed, by its table."""
        columns = dict(decoded_columns(self.history_tables))
        for table, names in (("ledgers", _HEADER), (CHANGES, COMPACTED_COLUMNS)):
            columns[table] = (*columns.get(table, ()), *names)
        return {table: tuple(dict.fromkeys((*names, "ledger_sequence"))) for table, names in columns.items()}


def with_rows(unit: LedgerUnit, rules: LedgerRules) -> LedgerUnit:
    """Make all rows of one ledger, as the chain of `CompactChangesPerLedger` and the processors does.

    Args:
        unit: unit of kind LEDGER with the decoded tables of ``rules.columns``.
        rules: what is made.

    Raises:
        StateError: the ledger contradicts itself, or rows break a schema.
    """
    columns = entry_columns(rules.state_tables)
    unit = with_tables(compacted(unit, columns, rules.network.network_id), rules.state_tables)
    for process in history_by_table(rules.history_tables):
        unit = processed(unit, process.spec)
    return unit


def prepared_ledger(unit: LedgerUnit, rules: LedgerRules) -> PreparedLedger:
    """Take what is written of one ledger out of its unit.

    Args:
        unit: unit of kind LEDGER behind the chain of processors.
        rules: what is written.

    Raises:
        StateError: rows got lost on the way.
    """
    specs = [process.spec for process in history_by_table(rules.history_tables)]
    header = unit.decoded["ledgers"]
    return PreparedLedger(
        sequence=unit.last_ledger,
        ledger_hash=header.column("ledger_hash")[0].as_py(),
        previous_ledger_hash=header.column("previous_ledger_hash")[0].as_py(),
        state=state_change(unit, rules.state_tables, rules.network),
        history={spec.name: unit.tables[spec.name] for spec in specs},
        counts=_together(ledger_counts(unit, spec) for spec in specs),
        quarantined=tuple(record for spec in specs for record in quarantined_records(unit, spec.name)),
        state_lost=has_lost_changes(unit),
    )


def _together(counts: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    table = pa.Table.from_batches(counts, COUNTS_SCHEMA).combine_chunks()
    return table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], COUNTS_SCHEMA)
