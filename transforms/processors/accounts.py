"""Table ``accounts``: one row per account, in Horizon's columns."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit
from aurora_ingest.transforms.processors.columns import bytes_not_shown, or_empty, selected
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

SCHEMA = pa.schema(
    [
        pa.field("account_id", pa.string(), nullable=False),
        pa.field("balance", pa.int64(), nullable=False),
        pa.field("buying_liabilities", pa.int64(), nullable=False),
        pa.field("selling_liabilities", pa.int64(), nullable=False),
        pa.field("sequence_number", pa.int64(), nullable=False),
        pa.field("num_subentries", pa.int64(), nullable=False),
        pa.field("inflation_destination", pa.string(), nullable=False),
        pa.field("flags", pa.int64(), nullable=False),
        pa.field("home_domain", pa.string(), nullable=False),
        pa.field("master_weight", pa.int32(), nullable=False),
        pa.field("threshold_low", pa.int32(), nullable=False),
        pa.field("threshold_medium", pa.int32(), nullable=False),
        pa.field("threshold_high", pa.int32(), nullable=False),
        pa.field("last_modified_ledger", pa.int64(), nullable=False),
        pa.field("sponsor", pa.string()),
        pa.field("num_sponsored", pa.int64()),
        pa.field("num_sponsoring", pa.int64()),
        pa.field("sequence_ledger", pa.int64()),
        pa.field("sequence_time", pa.uint64()),
        pa.field("home_domain_bytes", pa.binary()),
    ]
)
MADE = ("inflation_destination", "home_domain", "home_domain_bytes")


def account_rows(accounts: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per account entry, in the same order.

    Balances and liabilities are stroops. ``home_domain`` is for reading; ``home_domain_bytes`` holds the ledger's
    own bytes where they are no UTF-8 text without NUL.

    Args:
        accounts: entry table ``account`` with the columns of ``TABLE.columns``.
    """
    shown = accounts.column("home_domain_text")
    return selected(
        accounts,
        SCHEMA,
        inflation_destination=or_empty(accounts.column("inflation_destination")),
        home_domain=shown,
        home_domain_bytes=bytes_not_shown(accounts.column("home_domain"), shown),
    )


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return account_rows(unit.post["account"])


TABLE = TableSpec(
    name="accounts",
    schema=SCHEMA,
    primary_key=("account_id",),
    stage=RANGE,
    columns={
        "account": (
            *(name for name in SCHEMA.names if name not in MADE),
            "inflation_destination",
            "home_domain",
            "home_domain_text",
        )
    },
    rows=_rows,
)


class ProcessAccounts(ProcessTable):
    """Adds ``accounts``."""

    spec = TABLE
