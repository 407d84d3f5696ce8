"""Everything that contracts store, expired entries among it until they are evicted."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import RANGE
from aurora_ingest.transforms.processors.columns import renamed
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("key_hash", pa.binary(32), nullable=False),
        pa.field("contract", pa.string(), nullable=False),
        pa.field("contract_id", pa.binary(32)),
        pa.field("key_type", pa.string(), nullable=False),
        pa.field("key", pa.binary(), nullable=False),
        pa.field("durability", pa.string(), nullable=False),
        pa.field("value_type", pa.string(), nullable=False),
        pa.field("value", pa.binary(), nullable=False),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
    ]
)
_SOURCES = {"key": "key_xdr", "value": "value_xdr"}


def contract_data_rows(contract_data: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per contract data entry.

    Args:
        contract_data: entry table ``contract_data``.

    Returns:
        Rows of ``SCHEMA`` in the order of the entries; ``key`` and ``value`` are ScVal XDR, their types SEP-51 names.
        When an entry expires tells the row of ``ttl`` with the same ``key_hash``.
    """
    return renamed(contract_data, SCHEMA, _SOURCES)


TABLE = TableSpec(
    name="contract_data",
    schema=SCHEMA,
    primary_key=("key_hash",),
    stage=RANGE,
    columns={"contract_data": tuple(_SOURCES.get(name, name) for name in SCHEMA.names)},
    rows=lambda unit: contract_data_rows(unit.post["contract_data"]),
)


class ProcessContractData(ProcessTable):
    """Adds the table ``contract_data``."""

    spec = TABLE
