"""Until when each contract entry lives; a row stays until the entry is evicted."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import PARTIAL_PREFIX, RANGE
from aurora_ingest.transforms.processors.columns import renamed
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("key_hash", pa.binary(32), nullable=False),
        pa.field("live_until_ledger", pa.int64(), nullable=False),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
    ]
)
PARTIAL_SCHEMA = pa.schema([SCHEMA.field("key_hash"), SCHEMA.field("live_until_ledger")])


def ttl_rows(ttls: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per TTL entry.

    Args:
        ttls: entry table ``ttl``.

    Returns:
        Rows of ``SCHEMA`` in the order of the entries; ``key_hash`` is the SHA-256 of the ledger key of the contract
        data or code that lives until ``live_until_ledger``, inclusive.
    """
    return renamed(ttls, SCHEMA, {})


TABLE = TableSpec(
    name="ttl",
    schema=SCHEMA,
    primary_key=("key_hash",),
    stage=RANGE,
    columns={"ttl": tuple(SCHEMA.names)},
    rows=lambda unit: ttl_rows(unit.post["ttl"]),
)
PARTIAL = TableSpec(
    name=f"{PARTIAL_PREFIX}ttl",
    schema=PARTIAL_SCHEMA,
    primary_key=(),
    stage=RANGE,
    columns={"ttl": tuple(PARTIAL_SCHEMA.names)},
    rows=lambda unit: renamed(unit.post["ttl"], PARTIAL_SCHEMA, {}),
)


class ProcessTtl(ProcessTable):
    """Adds the table ``ttl``."""

    spec = TABLE


class ProcessPartialTtl(ProcessTable):
    """Puts TTLs aside for the join by key hash."""

    spec = PARTIAL
