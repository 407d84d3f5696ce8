"""What one ledger does to the state tables, as batches; made by the client before any lock is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

LIFETIMES: Final = pa.schema(
    [
        pa.field("key_hash", pa.binary(32), nullable=False),
        pa.field("live_until_ledger", pa.int64(), nullable=False),
        pa.field("returned", pa.bool_(), nullable=False),
    ]
)
"""Times to live that a ledger set.

``returned``: the entry lives again by it alone: it lives now, had expired (or nothing tells), and did not change.
"""


@dataclass(frozen=True)
class TableChange:
    """What a ledger does to one table whose rows follow from the entries one by one.

    Attributes:
        upserts: rows that are there after the ledger, new or changed; all columns of the table.
        leaving: primary keys of rows that were there before and are not there after it.
    """

    upserts: pa.RecordBatch
    leaving: pa.RecordBatch


@dataclass(frozen=True)
class AssetContractChange:
    """What a ledger does to asset contracts and the balances that they keep.

    Attributes:
        rows: instances and balances among the changed contract data; asset_contract.SCHEMA.
        keys: ``key_hash`` of every contract data entry that changed, came or left.
        lifetimes: LIFETIMES of every TTL entry that changed and is there.
    """

    rows: pa.RecordBatch
    keys: pa.RecordBatch
    lifetimes: pa.RecordBatch


@dataclass(frozen=True)
class StateChange:
    """What one ledger does to all state tables.

    Attributes:
        ledger: the ledger.
        network_id: SHA-256 of the passphrase.
        tables: changes of the tables whose rows follow from entries one by one, in the order in which they are applied.
        asset_stats: rows of ``exp_asset_stats`` with what is to be added to each number, negative to take away.
        contracts: changes of the tables of asset contracts.
    """

    ledger: int
    network_id: bytes
    tables: Mapping[str, TableChange]
    asset_stats: pa.RecordBatch | None
    contracts: AssetContractChange | None


@dataclass(frozen=True)
class AppliedRows:
    """Rows of one table that a ledger wrote and that it took away."""

    written: int = 0
    left: int = 0
