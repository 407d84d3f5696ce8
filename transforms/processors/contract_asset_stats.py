"""Table ``contract_asset_stats``: how many contracts hold an asset in its contract, and how much."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import PARTIAL_PREFIX, PARTITION, TOTALS, LedgerUnit
from aurora_ingest.transforms.processors.asset_contracts import BALANCE, JOINED, living
from aurora_ingest.transforms.processors.asset_contracts import TABLE as ASSET_CONTRACTS
from aurora_ingest.transforms.processors.columns import EXACT, HASH, joined, repeated, summed, text_of
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

NAME = "contract_asset_stats"
KEYS = ("contract_id",)
SCHEMA = pa.schema(
    [
        pa.field("contract_id", HASH, nullable=False),
        pa.field("stat", pa.string(), nullable=False),
    ]
)
PARTIAL_SCHEMA = pa.schema(
    [
        pa.field("contract_id", HASH, nullable=False),
        pa.field("balance", EXACT, nullable=False),
        pa.field("holders", pa.int64(), nullable=False),
    ]
)


def contract_asset_stat_partials(joined_rows: pa.RecordBatch, ledger: int) -> pa.RecordBatch:
    """Count the living balances of every contract, and add them up.

    Horizon's meaning: a balance of zero counts as a holder.

    Args:
        joined_rows: rows of ``partial:asset_contracts`` with ``live_until_ledger``.
        ledger: the ledger of the state.

    Returns:
        Batch of PARTIAL_SCHEMA, one row per contract.
    """
    found = living(joined_rows, BALANCE, ledger)
    columns = [
        found.column("contract_id"),
        found.column("amount").cast(EXACT),
        repeated(1, len(found)),
    ]
    return summed(pa.Table.from_arrays(columns, schema=PARTIAL_SCHEMA), KEYS, PARTIAL_SCHEMA)


def add_contract_asset_stats(partials: pa.Table) -> pa.RecordBatch:
    """Add up partial rows by contract.

    Args:
        partials: table of PARTIAL_SCHEMA.

    Returns:
        One row per contract, sorted by contract_id.
    """
    return summed(partials, KEYS, PARTIAL_SCHEMA).sort_by("contract_id")


def contract_asset_stat_rows(totals: pa.RecordBatch) -> pa.RecordBatch:
    """Make one row per contract from its sums, in the same order, without contracts that have no holder.

    ``stat`` is the JSON of Horizon's jsonb column; the balance is a text, exact beyond 39 digits.

    Args:
        totals: batch of PARTIAL_SCHEMA with one row per contract.
    """
    totals = totals.filter(pc.not_equal(totals.column("holders"), 0))
    stat = joined(
        '{"balance": "', text_of(totals.column("balance")), '", "holders": ', text_of(totals.column("holders")), "}"
    )
    return pa.RecordBatch.from_arrays([totals.column("contract_id"), stat], schema=SCHEMA)


def _partial_rows(unit: LedgerUnit) -> pa.RecordBatch:
    return contract_asset_stat_partials(unit.post[JOINED], unit.last_ledger)


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return contract_asset_stat_rows(unit.post[NAME])


PARTIAL = TableSpec(
    name=PARTIAL_PREFIX + NAME,
    schema=PARTIAL_SCHEMA,
    primary_key=(),
    stage=PARTITION,
    columns={},
    rows=_partial_rows,
    needs=ASSET_CONTRACTS.needs,
)
TABLE = TableSpec(
    name=NAME,
    schema=SCHEMA,
    primary_key=KEYS,
    stage=TOTALS,
    columns={},
    rows=_rows,
    needs=(PARTIAL.name,),
)


class ProcessContractAssetStatPartials(ProcessTable):
    """Adds ``partial:contract_asset_stats``: each partition's own sums."""

    spec = PARTIAL


class ProcessContractAssetStats(ProcessTable):
    """Adds ``contract_asset_stats``."""

    spec = TABLE
