"""Data entries: names and values that accounts keep on the ledger."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import RANGE
from aurora_ingest.transforms.processors.columns import batch_of, bytes_where_text_differs
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("ledger_key", pa.string(), nullable=False),
        pa.field("account_id", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("value", pa.string(), nullable=False),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
        pa.field("sponsor", pa.string()),
        pa.field("name_bytes", pa.binary()),
    ]
)
COLUMNS = (
    "ledger_key_base64",
    "account_id",
    "name",
    "name_text",
    "value_base64",
    "last_modified_ledger",
    "sponsor",
)


def account_data_rows(data: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per data entry.

    Args:
        data: entry table ``data``.

    Returns:
        Rows of ``SCHEMA`` in the order of the entries; key and value in base64. ``name_bytes`` is set only where the
        name is not UTF-8 text without NUL.
    """
    return batch_of(
        SCHEMA,
        {
            "ledger_key": data.column("ledger_key_base64"),
            "account_id": data.column("account_id"),
            "name": data.column("name_text"),
            "value": data.column("value_base64"),
            "last_modified_ledger": data.column("last_modified_ledger"),
            "sponsor": data.column("sponsor"),
            "name_bytes": bytes_where_text_differs(data.column("name"), data.column("name_text")),
        },
    )


TABLE = TableSpec(
    name="accounts_data",
    schema=SCHEMA,
    primary_key=("ledger_key",),
    stage=RANGE,
    columns={"data": COLUMNS},
    rows=lambda unit: account_data_rows(unit.post["data"]),
)


class ProcessAccountsData(ProcessTable):
    """Adds the table ``accounts_data``."""

    spec = TABLE
