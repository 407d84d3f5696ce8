"""Accounts as Horizon's table has them: balances, thresholds, flags, sponsorship and sequence times."""

from __future__ import annotations

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import RANGE
from aurora_ingest.transforms.processors.columns import batch_of, bytes_where_text_differs, text_or_empty
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
_AS_READ = tuple(
    name for name in SCHEMA.names if name not in {"inflation_destination", "home_domain", "home_domain_bytes"}
)
COLUMNS = (*_AS_READ, "inflation_destination", "home_domain", "home_domain_text")


def account_rows(accounts: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per account.

    Args:
        accounts: entry table ``account``; balances and liabilities in stroops.

    Returns:
        Rows of ``SCHEMA`` in the order of the entries. ``home_domain_bytes`` is set only where the domain is not
        UTF-8 text without NUL.
    """
    columns = {name: accounts.column(name) for name in _AS_READ}
    text = accounts.column("home_domain_text")
    columns["inflation_destination"] = text_or_empty(accounts.column("inflation_destination"))
    columns["home_domain"] = text
    columns["home_domain_bytes"] = bytes_where_text_differs(accounts.column("home_domain"), text)
    return batch_of(SCHEMA, columns)


TABLE = TableSpec(
    name="accounts",
    schema=SCHEMA,
    primary_key=("account_id",),
    stage=RANGE,
    columns={"account": COLUMNS},
    rows=lambda unit: account_rows(unit.post["account"]),
)


class ProcessAccounts(ProcessTable):
    """Adds the table ``accounts``."""

    spec = TABLE
