"""Asset contracts among stored contract data: the kernel recognises their instances and balances once more."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest import _kernel
from aurora_ingest.ledger.change import CONTRACT_DATA, ENTRY_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable

INSTANCE: Final = 1
BALANCE: Final = 2
SCHEMA: Final = pa.schema(
    [
        pa.field("key_hash", pa.binary(32), nullable=False),
        pa.field("contract_id", pa.binary(32), nullable=False),
        pa.field("kind", pa.int32(), nullable=False),
        pa.field("asset_type", pa.int32()),
        pa.field("asset_code", pa.string()),
        pa.field("asset_issuer", pa.string()),
        pa.field("amount", pa.decimal256(39, 0)),
    ]
)
"""What is known of an instance (kind 1) or a balance (kind 2) beside its time to live."""
_COLUMNS: Final = (
    "key_hash",
    "contract_id",
    "asset_contract_kind",
    "asset_type",
    "asset_code",
    "asset_issuer",
    "balance_amount",
)
_CONTRACT_ADDRESS: Final = struct.pack(">I", 1)
_PERSISTENT: Final = struct.pack(">I", 1)
_VERSION_0: Final = bytes(4)


def recognised(stored: Iterable[tuple[bytes, bytes, bytes]], network_id: bytes) -> pa.RecordBatch:
    """Picks the instances and balances of asset contracts out of persistent contract data.

    For the few entries that come back to life without a change of their own; those that change bring their columns.

    Args:
        stored: contract id (32 bytes), key and value (XDR SCVal) of each entry, as in the table ``contract_data``.
        network_id: SHA-256 of the passphrase.

    Returns:
        Batch of SCHEMA; entries that are neither are left out.
    """
    entries = [
        _VERSION_0  # last modified, which nothing here depends on
        + struct.pack(">I", CONTRACT_DATA)
        + _VERSION_0
        + _CONTRACT_ADDRESS
        + contract_id
        + key
        + _PERSISTENT
        + value
        + _VERSION_0
        for contract_id, key, value in stored
    ]
    if not entries:
        return pa.RecordBatch.from_pylist([], SCHEMA)
    table = ENTRY_TYPES[CONTRACT_DATA]
    made = _kernel.entry_rows(pa.array(entries, pa.binary()), columns={table: _COLUMNS}, network_id=network_id)
    rows = pa.record_batch(made[table])
    found = rows.filter(pc.is_valid(rows.column("asset_contract_kind"))).select(list(_COLUMNS))
    return pa.RecordBatch.from_arrays(found.columns, schema=SCHEMA)
