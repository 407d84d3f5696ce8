"""Which contract is the asset contract of which asset."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.transforms.ledger_unit import PARTIAL_PREFIX, PARTITION, RANGE
from aurora_ingest.transforms.processors.columns import renamed
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec

INSTANCE = 1
BALANCE = 2
SCHEMA = pa.schema(
    [
        pa.field("key_hash", pa.binary(32), nullable=False),
        pa.field("contract_id", pa.binary(32), nullable=False),
        pa.field("asset_type", pa.int32(), nullable=False),
        pa.field("asset_code", pa.string(), nullable=False),
        pa.field("asset_issuer", pa.string(), nullable=False),
        pa.field("expiration_ledger", pa.int64(), nullable=False),
    ]
)
PARTIAL_SCHEMA = pa.schema(
    [
        pa.field("key_hash", pa.binary(32), nullable=False),
        pa.field("contract_id", pa.binary(32)),
        pa.field("kind", pa.int32()),
        pa.field("asset_type", pa.int32()),
        pa.field("asset_code", pa.string()),
        pa.field("asset_issuer", pa.string()),
        pa.field("amount", pa.decimal256(39, 0)),
    ]
)
_SOURCES = {"kind": "asset_contract_kind", "amount": "balance_amount"}


def asset_contract_entries(contract_data: pa.RecordBatch) -> pa.RecordBatch:
    """Pick the instances and balances of asset contracts out of all contract data.

    Args:
        contract_data: entry table ``contract_data``, read with a network id.

    Returns:
        Rows of ``PARTIAL_SCHEMA`` in the order of the entries; their TTL is not known yet.
    """
    found = contract_data.filter(pc.is_valid(contract_data.column("asset_contract_kind")))
    return renamed(found, PARTIAL_SCHEMA, _SOURCES)


def live_rows(entries: pa.RecordBatch, kind: int, ledger: int) -> pa.RecordBatch:
    """Keep the rows of one kind that have not expired at a ledger.

    Args:
        entries: asset-contract rows with ``live_until_ledger``.
        kind: ``INSTANCE`` or ``BALANCE``.
        ledger: an entry lives up to and with its ``live_until_ledger``.
    """
    alive = pc.greater_equal(entries.column("live_until_ledger"), ledger)
    return entries.filter(pc.and_(pc.equal(entries.column("kind"), kind), alive))


def asset_contract_rows(entries: pa.RecordBatch, ledger: int) -> pa.RecordBatch:
    """Make one row per asset contract that lives at a ledger.

    Args:
        entries: asset-contract rows of one partition with ``live_until_ledger``, sorted by key_hash.
        ledger: ledger of the state.

    Returns:
        Rows of ``SCHEMA``, sorted by key_hash.
    """
    return renamed(live_rows(entries, INSTANCE, ledger), SCHEMA, {"expiration_ledger": "live_until_ledger"})


TABLE = TableSpec(
    name="asset_contracts",
    schema=SCHEMA,
    primary_key=("key_hash",),
    stage=PARTITION,
    columns={},
    rows=lambda unit: asset_contract_rows(unit.post["asset_contract_rows"], unit.last_ledger),
)
PARTIAL = TableSpec(
    name=f"{PARTIAL_PREFIX}asset_contracts",
    schema=PARTIAL_SCHEMA,
    primary_key=(),
    stage=RANGE,
    columns={"contract_data": tuple(_SOURCES.get(name, name) for name in PARTIAL_SCHEMA.names)},
    rows=lambda unit: asset_contract_entries(unit.post["contract_data"]),
)


class ProcessAssetContracts(ProcessTable):
    """Adds the table ``asset_contracts``."""

    spec = TABLE


class ProcessPartialAssetContracts(ProcessTable):
    """Puts asset-contract entries aside for the join with their TTL."""

    spec = PARTIAL
