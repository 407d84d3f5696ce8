"""What a ledger's unit does to each state table: rows to write over, keys that leave, and what sums gain or lose."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from aurora_ingest.db.state_change import LIFETIMES, AssetContractChange, StateChange, TableChange
from aurora_ingest.errors import UsageError
from aurora_ingest.ledger.change import CONTRACT_CODE, CONTRACT_DATA, TTL
from aurora_ingest.network import Network
from aurora_ingest.transforms.ledger_unit import PARTIAL_PREFIX, RANGE, LedgerUnit
from aurora_ingest.transforms.processors import by_table, exp_asset_stats
from aurora_ingest.transforms.processors.asset_contracts import NAME as ASSET_CONTRACTS
from aurora_ingest.transforms.processors.columns import HASH, empty
from aurora_ingest.transforms.processors.processor import TableSpec, processed

_HASH_IN_KEY = slice(4, 36)
"""Place of the hash in the LedgerKey of contract code and of a TTL."""
_UNSEEN = {"contract_data": CONTRACT_DATA, "contract_code": CONTRACT_CODE, "ttl": TTL}
"""Tables whose rows may leave without a former image, by the entry type that they are made from."""
_OF_CONTRACTS = (ASSET_CONTRACTS, "contract_asset_balances", "contract_asset_stats")
_JOINED_WITH = ("contract_data", "ttl")
_SEPARATOR = "|"
"""Stands between the parts of a key; no part that is a text has it."""


def with_tables(unit: LedgerUnit, tables: Iterable[str]) -> LedgerUnit:
    """Return a compacted ledger's unit behind the processors of these tables, as the chain of ParDos leaves it."""
    for process in by_table(tables):
        if process.spec.stage == RANGE:
            unit = processed(unit, process.spec)
    return unit


def state_change(unit: LedgerUnit, tables: Iterable[str], network: Network) -> StateChange:
    """Compare the rows after a ledger with those before it.

    The rows after are in the unit; those before are made here by the same functions, from ``pre``. A row leaves when
    its primary key is among the latter only, so tables with many rows per entry need no rule of their own.

    Args:
        unit: unit of one ledger, compacted, behind the processors of these tables.
        tables: the state tables that are kept.
        network: the ledger's network.

    Raises:
        UsageError: some of the tables of asset contracts are kept without those that they are joined with.
    """
    specs = [process.spec for process in by_table(tables)]
    ranged = [spec for spec in specs if spec.stage == RANGE and not spec.is_partial]
    names = {spec.name for spec in specs}
    with_contracts = _keeps_contracts(names)
    stats = unit.tables.get(PARTIAL_PREFIX + exp_asset_stats.NAME)
    return StateChange(
        ledger=unit.last_ledger,
        network_id=network.network_id,
        tables={spec.name: _table_change(unit, spec) for spec in ranged},
        asset_stats=None if stats is None else exp_asset_stats.asset_stat_rows(stats),
        contracts=_contract_change(unit) if with_contracts else None,
    )


def _keeps_contracts(names: set[str]) -> bool:
    if not names.intersection(_OF_CONTRACTS):
        return False
    lost = {*_OF_CONTRACTS, *_JOINED_WITH} - names
    if lost:
        message = (
            f"ledgers cannot be applied to a state without {min(lost)}: {', '.join(_OF_CONTRACTS)} go together, "
            f"and need {' and '.join(_JOINED_WITH)}"
        )
        raise UsageError(message)
    return True


def _table_change(unit: LedgerUnit, spec: TableSpec) -> TableChange:
    after = unit.tables[spec.name]
    keys = list(spec.primary_key)
    leaving = empty(spec.schema).select(keys)
    if any(unit.pre[table].num_rows for table in spec.columns):
        before = spec.rows(dataclasses.replace(unit, post=unit.pre)).select(keys)
        leaving = before.filter(pc.invert(pc.is_in(_joined(before), _joined(after.select(keys)))))
    if spec.name in _UNSEEN:
        unseen = _unseen(unit, _UNSEEN[spec.name])
        column = pa.concat_arrays([leaving.column(0), unseen])
        leaving = pa.RecordBatch.from_arrays([column], names=keys)
    return TableChange(after, leaving)


def _joined(keys: pa.RecordBatch) -> pa.Array:
    """Return keys of one or more columns as one column; only texts stand in keys of more."""
    return keys.column(0) if keys.num_columns == 1 else pc.binary_join_element_wise(*keys.columns, _SEPARATOR)


def _unseen(unit: LedgerUnit, entry_type: int) -> pa.Array:
    """Return the hashes by which the table of an entry type knows the keys that left without a former image."""
    if unit.removed is None:
        return pa.array([], HASH)
    removed = unit.removed.filter(pc.equal(unit.removed.column("entry_type"), entry_type))
    if entry_type == CONTRACT_CODE:
        return pc.binary_slice(removed.column("ledger_key"), _HASH_IN_KEY.start, _HASH_IN_KEY.stop).cast(HASH)
    return removed.column("key_hash")


def _contract_change(unit: LedgerUnit) -> AssetContractChange:
    changed = [side["contract_data"].column("key_hash") for side in (unit.pre, unit.post)]
    keys = pc.unique(pa.concat_arrays([*changed, _unseen(unit, CONTRACT_DATA)]))
    return AssetContractChange(
        rows=unit.tables[PARTIAL_PREFIX + ASSET_CONTRACTS],
        keys=pa.RecordBatch.from_arrays([keys], names=["key_hash"]),
        lifetimes=_lifetimes(unit.pre["ttl"], unit.post["ttl"], keys, unit.last_ledger),
    )


def _lifetimes(before: pa.RecordBatch, after: pa.RecordBatch, changed: pa.Array, ledger: int) -> pa.RecordBatch:
    """Return every time to live that the ledger set, and which entries return by it alone: expired before, living now.

    Args:
        before: entry table ``ttl`` before the ledger.
        after: the same after it.
        changed: key hashes of the contract data that changed themselves; these bring their value.
        ledger: the ledger.
    """
    hashes, until = after.column("key_hash"), after.column("live_until_ledger")
    former = before.column("live_until_ledger").take(pc.index_in(hashes, before.column("key_hash")))
    expired = pc.fill_null(pc.less(former, ledger), pa.scalar(value=True))
    living = pc.and_(expired, pc.greater_equal(until, ledger))
    returned = pc.and_(living, pc.invert(pc.is_in(hashes, changed)))
    return pa.RecordBatch.from_arrays([hashes, until, returned], schema=LIFETIMES)
