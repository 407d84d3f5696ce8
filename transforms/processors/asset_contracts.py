"""Table ``asset_contracts``: the contracts of issued assets, proven by their contract id."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import PARTIAL_PREFIX, PARTITION, RANGE, LedgerUnit
from aurora_ingest.transforms.processors.columns import HASH, selected
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec
from aurora_ingest.transforms.processors.ttl import PARTIAL as TTL_PARTIAL

NAME = "asset_contracts"
JOINED = "asset_contract_rows"
"""Entry table of a partition unit: the partial rows with their live_until_ledger."""
INSTANCE = 1
BALANCE = 2

SCHEMA = pa.schema(
    [
        pa.field("key_hash", HASH, nullable=False),
        pa.field("contract_id", HASH, nullable=False),
        pa.field("asset_type", pa.int32(), nullable=False),
        pa.field("asset_code", pa.string(), nullable=False),
        pa.field("asset_issuer", pa.string(), nullable=False),
        pa.field("expiration_ledger", pa.int64(), nullable=False),
    ]
)
PARTIAL_SCHEMA = pa.schema(
    [
        pa.field("key_hash", HASH, nullable=False),
        pa.field("contract_id", HASH, nullable=False),
        pa.field("kind", pa.int32(), nullable=False),
        pa.field("asset_type", pa.int32()),
        pa.field("asset_code", pa.string()),
        pa.field("asset_issuer", pa.string()),
        pa.field("amount", pa.decimal256(39, 0)),
    ]
)


def asset_contract_partials(contract_data: pa.RecordBatch) -> pa.RecordBatch:
    """Pick the instances of asset contracts and the balances they keep for other contracts.

    Their TTL lies elsewhere in the ledger, so the rows wait for the second stage.

    Args:
        contract_data: entry table ``contract_data`` with the columns of ``PARTIAL.columns``.

    Returns:
        Batch of PARTIAL_SCHEMA in the order of the entries; ``kind`` is 1 for an instance, 2 for a balance.
    """
    found = contract_data.filter(pc.is_valid(contract_data.column("asset_contract_kind")))
    return selected(
        found,
        PARTIAL_SCHEMA,
        kind=found.column("asset_contract_kind"),
        amount=found.column("balance_amount"),
    )


def living(joined: pa.RecordBatch, kind: int, ledger: int) -> pa.RecordBatch:
    """Return the rows of one kind that have not expired before a ledger.

    Args:
        joined: partial rows with ``live_until_ledger``.
        kind: INSTANCE or BALANCE.
        ledger: the ledger of the state; an entry still lives in the ledger it lives until.
    """
    alive = pc.greater_equal(joined.column("live_until_ledger"), ledger)
    return joined.filter(pc.and_(pc.equal(joined.column("kind"), kind), alive))


def asset_contract_rows(joined: pa.RecordBatch, ledger: int) -> pa.RecordBatch:
    """Make one row per living instance of an asset contract, in the same order.

    Args:
        joined: partial rows with ``live_until_ledger``.
        ledger: the ledger of the state; expired instances are left out, as in Horizon.
    """
    found = living(joined, INSTANCE, ledger)
    return selected(found, SCHEMA, expiration_ledger=found.column("live_until_ledger"))


def _partial_rows(unit: LedgerUnit) -> pa.RecordBatch:
    return asset_contract_partials(unit.post["contract_data"])


def _rows(unit: LedgerUnit) -> pa.RecordBatch:
    return asset_contract_rows(unit.post[JOINED], unit.last_ledger)


PARTIAL = TableSpec(
    name=PARTIAL_PREFIX + NAME,
    schema=PARTIAL_SCHEMA,
    primary_key=(),
    stage=RANGE,
    columns={
        "contract_data": (
            "key_hash",
            "contract_id",
            "asset_contract_kind",
            "asset_type",
            "asset_code",
            "asset_issuer",
            "balance_amount",
        )
    },
    rows=_partial_rows,
)
TABLE = TableSpec(
    name=NAME,
    schema=SCHEMA,
    primary_key=("key_hash",),
    stage=PARTITION,
    columns={},
    rows=_rows,
    needs=(PARTIAL.name, TTL_PARTIAL.name),
)


class ProcessAssetContractPartials(ProcessTable):
    """Adds ``partial:asset_contracts``: instances and balances that wait for their TTL."""

    spec = PARTIAL


class ProcessAssetContracts(ProcessTable):
    """Adds ``asset_contracts``."""

    spec = TABLE
