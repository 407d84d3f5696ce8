"""How much of each asset contract's asset contracts hold, and how many of them."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from aurora_ingest.transforms.ledger_unit import PARTIAL_PREFIX, PARTITION, TOTALS
from aurora_ingest.transforms.processors.asset_contracts import BALANCE, live_rows
from aurora_ingest.transforms.processors.columns import batch_of, concat_text
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec
from aurora_ingest.transforms.processors.sums import SUM_TYPE, running_sums

SCHEMA = pa.schema(
    [
        pa.field("contract_id", pa.binary(32), nullable=False),
        pa.field("stat", pa.string(), nullable=False),
    ]
)
PARTIAL_SCHEMA = pa.schema(
    [
        pa.field("contract_id", pa.binary(32), nullable=False),
        pa.field("balance", SUM_TYPE, nullable=False),
        pa.field("holders", pa.int64(), nullable=False),
    ]
)
_KEY = ("contract_id",)


def contract_asset_stat_partials(entries: pa.RecordBatch, ledger: int) -> pa.RecordBatch:
    """Sum the live balances of one partition by contract.

    Args:
        entries: asset-contract rows with ``live_until_ledger``.
        ledger: ledger of the state.

    Returns:
        Rows of ``PARTIAL_SCHEMA``, sorted by contract_id.
    """
    live = live_rows(entries, BALANCE, ledger)
    ones = batch_of(
        PARTIAL_SCHEMA,
        {
            "contract_id": live.column("contract_id"),
            "balance": live.column("amount").cast(SUM_TYPE),
            "holders": pa.repeat(pa.scalar(1, pa.int64()), live.num_rows),
        },
    )
    return sum_contract_asset_stats([ones])


def sum_contract_asset_stats(partials: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """Add up partial rows by contract; exact beyond 39 digits."""
    return running_sums(partials, PARTIAL_SCHEMA, _KEY)


def contract_asset_stat_rows(sums: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per contract.

    Args:
        sums: rows of ``PARTIAL_SCHEMA``, one per contract.

    Returns:
        Rows of ``SCHEMA`` in the same order; ``stat`` is Horizon's JSON.
    """
    stat = concat_text(
        '{"balance": "',
        sums.column("balance").cast(pa.string()),
        '", "holders": ',
        sums.column("holders").cast(pa.string()),
        "}",
    )
    return batch_of(SCHEMA, {"contract_id": sums.column("contract_id"), "stat": stat})


TABLE = TableSpec(
    name="contract_asset_stats",
    schema=SCHEMA,
    primary_key=_KEY,
    stage=TOTALS,
    columns={},
    rows=lambda unit: contract_asset_stat_rows(unit.post["contract_asset_stats"]),
)
PARTIAL = TableSpec(
    name=f"{PARTIAL_PREFIX}contract_asset_stats",
    schema=PARTIAL_SCHEMA,
    primary_key=(),
    stage=PARTITION,
    columns={},
    rows=lambda unit: contract_asset_stat_partials(unit.post["asset_contract_rows"], unit.last_ledger),
)


class ProcessContractAssetStats(ProcessTable):
    """Adds the table ``contract_asset_stats``."""

    spec = TABLE


class ProcessPartialContractAssetStats(ProcessTable):
    """Puts sums by contract aside for the totals."""

    spec = PARTIAL
