"""Table ``accounts_data``: the named values that accounts keep in the ledger."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit
from aurora_ingest.transforms.processors.columns import bytes_not_shown, selected
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


def account_data_rows(data: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per data entry, in the same order.

    ``ledger_key`` (XDR) and ``value`` are base64. ``name`` is for reading; ``name_bytes`` holds the ledger's own
    bytes where they are no UTF-8 text without NUL.

    Args:
        data: entry table ``data`` with the columns of ``TABLE.columns``.
    """
    shown = data.column("name_text")
    return selected(
        data,
        SCHEMA,
        ledger_key=data.column("ledger_key_base64"),
        name=shown,
        value=data.column("value_base64"),
        name_bytes=bytes_not_shown(data.column("name"), shown),
    )


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return account_data_rows(unit.post["data"])


TABLE = TableSpec(
    name="accounts_data",
    schema=SCHEMA,
    primary_key=("ledger_key",),
    stage=RANGE,
    columns={
        "data": (
            "ledger_key_base64",
            "account_id",
            "name",
            "name_text",
            "value_base64",
            "last_modified_ledger",
            "sponsor",
        )
    },
    rows=_rows,
)


class ProcessAccountsData(ProcessTable):
    """Adds ``accounts_data``."""

    spec = TABLE
