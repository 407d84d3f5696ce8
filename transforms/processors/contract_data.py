"""Table ``contract_data``: every entry that contracts keep in the ledger, expired ones included."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit
from aurora_ingest.transforms.processors.columns import HASH, selected
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("key_hash", HASH, nullable=False),
        pa.field("contract", pa.string(), nullable=False),
        pa.field("contract_id", HASH),
        pa.field("key_type", pa.string(), nullable=False),
        pa.field("key", pa.binary(), nullable=False),
        pa.field("durability", pa.string(), nullable=False),
        pa.field("value_type", pa.string(), nullable=False),
        pa.field("value", pa.binary(), nullable=False),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
    ]
)


def contract_data_rows(contract_data: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per contract data entry, in the same order.

    ``key_hash`` is the SHA-256 of the ledger key, under which ``ttl`` has the entry's lifetime; ``contract`` is the
    strkey of the address that owns the entry; ``key`` and ``value`` are XDR of an SCVal.

    Args:
        contract_data: entry table ``contract_data`` with the columns of ``TABLE.columns``.
    """
    return selected(contract_data, SCHEMA, key=contract_data.column("key_xdr"), value=contract_data.column("value_xdr"))


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return contract_data_rows(unit.post["contract_data"])


TABLE = TableSpec(
    name="contract_data",
    schema=SCHEMA,
    primary_key=("key_hash",),
    stage=RANGE,
    columns={
        "contract_data": (
            "key_hash",
            "contract",
            "contract_id",
            "key_type",
            "key_xdr",
            "durability",
            "value_type",
            "value_xdr",
            "last_modified_ledger",
        )
    },
    rows=_rows,
)


class ProcessContractData(ProcessTable):
    """Adds ``contract_data``."""

    spec = TABLE
