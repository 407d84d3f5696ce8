"""Table ``ttl``: until which ledger each contract data and code entry lives, expired ones included."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import PARTIAL_PREFIX, RANGE, LedgerUnit
from aurora_ingest.transforms.processors.columns import HASH, selected
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

NAME = "ttl"
SCHEMA = pa.schema(
    [
        pa.field("key_hash", HASH, nullable=False),
        pa.field("live_until_ledger", pa.int64(), nullable=False),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
    ]
)
PARTIAL_SCHEMA = pa.schema([SCHEMA.field("key_hash"), SCHEMA.field("live_until_ledger")])


def ttl_rows(ttl: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per TTL entry, in the same order; nothing is copied.

    ``key_hash`` is the SHA-256 of the ledger key of the entry that lives until ``live_until_ledger``, inclusive.

    Args:
        ttl: entry table ``ttl`` with the columns of the table.
    """
    return selected(ttl, SCHEMA)


def ttl_partials(ttl: pa.RecordBatch) -> pa.RecordBatch:
    """Return key hash and lifetime of every TTL entry, for the join with the entries themselves; not copied.

    Args:
        ttl: entry table ``ttl``.
    """
    return selected(ttl, PARTIAL_SCHEMA)


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return ttl_rows(unit.post[NAME])


def _partial_rows(unit: LedgerUnit) -> pa.RecordBatch:
    return ttl_partials(unit.post[NAME])


TABLE = TableSpec(
    name=NAME,
    schema=SCHEMA,
    primary_key=("key_hash",),
    stage=RANGE,
    columns={NAME: tuple(SCHEMA.names)},
    rows=_rows,
)
PARTIAL = TableSpec(
    name=PARTIAL_PREFIX + NAME,
    schema=PARTIAL_SCHEMA,
    primary_key=(),
    stage=RANGE,
    columns={NAME: tuple(PARTIAL_SCHEMA.names)},
    rows=_partial_rows,
)


class ProcessTtl(ProcessTable):
    """Adds ``ttl``."""

    spec = TABLE


class ProcessTtlPartials(ProcessTable):
    """Adds ``partial:ttl``: lifetimes that wait for their entries."""

    spec = PARTIAL
