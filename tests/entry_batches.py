"""Small batches of the kernel's entry tables and units around them, for tests of processors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa
from stellar_sdk import StrKey

from aurora_ingest import _kernel
from aurora_ingest.transforms.ledger_unit import RANGE, LedgerUnit, Receipt
from aurora_ingest.transforms.processors.asset_contracts import asset_contract_partials

SCHEMAS: dict[str, pa.Schema] = {table: pa.schema(_kernel.entry_schema(table)) for table in _kernel.ENTRY_TYPES}
I64_MAX = 2**63 - 1
I128_MAX = 2**127 - 1


def account(number: int) -> str:
    """The address of an account that nobody owns."""
    return StrKey.encode_ed25519_public_key(hashlib.sha256(b"account %d" % number).digest())


def hash_of(number: int) -> bytes:
    """32 bytes that look like a hash."""
    return hashlib.sha256(b"hash %d" % number).digest()


USD: dict[str, Any] = {"asset_type": 1, "asset_code": "USD", "asset_issuer": account(99)}


def entries(table: str, *rows: Mapping[str, Any]) -> pa.RecordBatch:
    """A batch of an entry table; columns that a row leaves out are null, or zero or empty where null is not allowed."""
    schema = SCHEMAS[table]
    lost = {name for row in rows for name in row} - set(schema.names)
    assert not lost, f"{table} has no columns {lost}"
    columns = [pa.array([row.get(field.name, absent(field)) for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def absent(field: pa.Field) -> Any:
    """What stands in a column that a row leaves out."""
    if field.nullable:
        return None
    if pa.types.is_boolean(field.type):
        return False
    if pa.types.is_integer(field.type):
        return 0
    if pa.types.is_string(field.type):
        return ""
    if pa.types.is_fixed_size_binary(field.type):
        return bytes(field.type.byte_width)
    if pa.types.is_binary(field.type):
        return b""
    return []


def whole_post(rows: int) -> dict[str, pa.RecordBatch]:
    """All ten entry tables with so many rows each; a price is 1, for no float equals 0 / 0."""
    set_ = {"offer": {"price_n": 1, "price_d": 1}}
    return {table: entries(table, *[set_.get(table, {})] * rows) for table in SCHEMAS}


def unit_with(post: Mapping[str, pa.RecordBatch], kind: str = RANGE, **changes: Any) -> LedgerUnit:
    """A snapshot unit at ledger 100."""
    fields: dict[str, Any] = {
        "kind": kind,
        "index": 3,
        "last": False,
        "first_ledger": 100,
        "last_ledger": 100,
        "pre": {},
        "post": post,
        "tables": {},
        "receipt": Receipt(kind, 3, last=False),
    }
    return LedgerUnit(**fields | changes)


def instance(number: int) -> dict[str, Any]:
    """Contract data that is the instance of the asset contract of USD."""
    return {"key_hash": hash_of(number), "contract_id": hash_of(1), "asset_contract_kind": 1, **USD}


def balance(number: int, amount: int, contract: int = 1) -> dict[str, Any]:
    """Contract data that is a balance which an asset contract keeps."""
    kind = {"asset_contract_kind": 2, "balance_amount": Decimal(amount)}
    return {"key_hash": hash_of(number), "contract_id": hash_of(contract), **kind}


def joined(*rows: tuple[Mapping[str, Any], int]) -> pa.RecordBatch:
    """Instances and balances as the second stage sees them: partial rows with their live_until_ledger."""
    partials = asset_contract_partials(entries("contract_data", *(row for row, _ in rows)))
    field = pa.field("live_until_ledger", pa.int64(), nullable=False)
    return partials.append_column(field, pa.array([until for _, until in rows], pa.int64()))


def shares_buffers(made: pa.Array, source: pa.Array) -> bool:
    """Whether an array is another one, not copied."""
    addresses = [[buffer and buffer.address for buffer in array.buffers()] for array in (made, source)]
    return addresses[0] == addresses[1]
