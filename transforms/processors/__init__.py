"""The processors: one file per table, each with its schema, its rows function and its PTransform."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa

from aurora_ingest.errors import UsageError
from aurora_ingest.transforms.ledger_unit import PARTIAL_PREFIX
from aurora_ingest.transforms.processors import contract_asset_stats, exp_asset_stats
from aurora_ingest.transforms.processors.accounts import ProcessAccounts
from aurora_ingest.transforms.processors.accounts_data import ProcessAccountsData
from aurora_ingest.transforms.processors.accounts_signers import ProcessAccountsSigners
from aurora_ingest.transforms.processors.asset_contracts import ProcessAssetContractPartials, ProcessAssetContracts
from aurora_ingest.transforms.processors.claimable_balance_claimants import ProcessClaimableBalanceClaimants
from aurora_ingest.transforms.processors.claimable_balances import ProcessClaimableBalances
from aurora_ingest.transforms.processors.columns import empty
from aurora_ingest.transforms.processors.config_settings import ProcessConfigSettings
from aurora_ingest.transforms.processors.contract_asset_balances import ProcessContractAssetBalances
from aurora_ingest.transforms.processors.contract_asset_stats import (
    ProcessContractAssetStatPartials,
    ProcessContractAssetStats,
)
from aurora_ingest.transforms.processors.contract_code import ProcessContractCode
from aurora_ingest.transforms.processors.contract_data import ProcessContractData
from aurora_ingest.transforms.processors.exp_asset_stats import ProcessAssetStatPartials, ProcessAssetStats
from aurora_ingest.transforms.processors.history_contract_events import ProcessHistoryContractEvents
from aurora_ingest.transforms.processors.history_ledgers import ProcessHistoryLedgers
from aurora_ingest.transforms.processors.history_operations import ProcessHistoryOperations
from aurora_ingest.transforms.processors.history_transactions import ProcessHistoryTransactions
from aurora_ingest.transforms.processors.ledger_entry_changes import ProcessLedgerEntryChanges
from aurora_ingest.transforms.processors.liquidity_pools import ProcessLiquidityPools
from aurora_ingest.transforms.processors.offers import ProcessOffers
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec
from aurora_ingest.transforms.processors.trust_lines import ProcessTrustLines
from aurora_ingest.transforms.processors.ttl import ProcessTtl, ProcessTtlPartials

__all__ = [
    "HISTORY_PROCESSORS",
    "HISTORY_TABLES",
    "PARTIAL_SCHEMAS",
    "PROCESSORS",
    "TABLES",
    "ProcessTable",
    "TableSpec",
    "by_table",
    "decoded_columns",
    "entry_columns",
    "history_by_table",
    "sum_partials",
]

PROCESSORS: tuple[type[ProcessTable], ...] = (
    ProcessAccounts,
    ProcessAccountsSigners,
    ProcessAccountsData,
    ProcessTrustLines,
    ProcessOffers,
    ProcessClaimableBalances,
    ProcessClaimableBalanceClaimants,
    ProcessLiquidityPools,
    ProcessContractData,
    ProcessContractCode,
    ProcessConfigSettings,
    ProcessTtl,
    ProcessAssetStatPartials,
    ProcessAssetContractPartials,
    ProcessTtlPartials,
    ProcessContractAssetBalances,
    ProcessAssetContracts,
    ProcessContractAssetStatPartials,
    ProcessAssetStats,
    ProcessContractAssetStats,
)
"""All processors in the order of the chain: first those of key ranges, then of partitions, then of totals."""

TABLES: tuple[str, ...] = tuple(process.spec.name for process in PROCESSORS if not process.spec.is_partial)
"""Names of all tables in the order of the chain."""

HISTORY_PROCESSORS: tuple[type[ProcessTable], ...] = (
    ProcessHistoryLedgers,
    ProcessHistoryTransactions,
    ProcessHistoryOperations,
    ProcessHistoryContractEvents,
    ProcessLedgerEntryChanges,
)
"""The processors of closed ledgers, in the order of the chain."""

HISTORY_TABLES: tuple[str, ...] = tuple(process.spec.name for process in HISTORY_PROCESSORS)
"""Names of the history tables in the order of the chain."""

PARTIAL_SCHEMAS: dict[str, pa.Schema] = {
    process.spec.name.removeprefix(PARTIAL_PREFIX): process.spec.schema
    for process in PROCESSORS
    if process.spec.is_partial
}
"""Schemas of the partial tables, by name without ``partial:``."""

_SUMS: dict[str, Callable[[pa.Table], pa.RecordBatch]] = {
    exp_asset_stats.NAME: exp_asset_stats.add_asset_stats,
    contract_asset_stats.NAME: contract_asset_stats.add_contract_asset_stats,
}
_ROWS_BEFORE_ADDING = 1 << 18


def by_table(names: Iterable[str]) -> tuple[type[ProcessTable], ...]:
    """Return the processors that make these tables, and those of the partial tables they need, in chain order.

    Args:
        names: names out of TABLES, in any order.

    Raises:
        UsageError: there is no such table.
    """
    specs = {process.spec.name: process.spec for process in PROCESSORS}
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in specs:
            message = f"unknown table {name}; known are {', '.join(TABLES)}"
            raise UsageError(message)
        if name not in wanted:
            wanted.add(name)
            waiting += specs[name].needs
    return tuple(process for process in PROCESSORS if process.spec.name in wanted)


def entry_columns(tables: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns of the kernel's entry tables that these tables read, by entry table.

    Args:
        tables: names out of TABLES, in any order.

    Raises:
        UsageError: there is no such table.
    """
    return _columns_of(by_table(tables))


def history_by_table(names: Iterable[str]) -> tuple[type[ProcessTable], ...]:
    """Return the processors that make these history tables, in chain order.

    Args:
        names: names out of HISTORY_TABLES, in any order.

    Raises:
        UsageError: there is no such table.
    """
    wanted = set(names)
    unknown = wanted - set(HISTORY_TABLES)
    if unknown:
        message = f"unknown history table {min(unknown)}; known are {', '.join(HISTORY_TABLES)}"
        raise UsageError(message)
    return tuple(process for process in HISTORY_PROCESSORS if process.spec.name in wanted)


def decoded_columns(tables: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns of the kernel's LedgerDecoder that these history tables read, by its table.

    Args:
        tables: names out of HISTORY_TABLES, in any order.

    Raises:
        UsageError: there is no such table.
    """
    return _columns_of(history_by_table(tables))


def _columns_of(processors: Iterable[type[ProcessTable]]) -> dict[str, tuple[str, ...]]:
    columns: dict[str, dict[str, None]] = {}
    for process in processors:
        for table, names in process.spec.columns.items():
            columns.setdefault(table, {}).update(dict.fromkeys(names))
    return {table: tuple(names) for table, names in columns.items()}


def sum_partials(name: str, batches: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """Add up the partial rows of all units; memory grows with the number of keys, not with that of batches.

    Args:
        name: ``exp_asset_stats`` or ``contract_asset_stats``.
        batches: batches of PARTIAL_SCHEMAS[name], in any order.

    Returns:
        One row per key, sorted by the table's primary key; no rows for no batches.

    Raises:
        KeyError: partial rows of that name are not additive.
    """
    add, schema = _SUMS[name], PARTIAL_SCHEMAS[name]
    total = empty(schema)
    for pieces in _pieces(batches):
        total = add(pa.Table.from_batches([total, *pieces], schema))
    return total


def _pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Yield the batches in groups of about _ROWS_BEFORE_ADDING rows."""
    piece: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        piece.append(batch)
        rows += len(batch)
        if rows >= _ROWS_BEFORE_ADDING:
            yield piece
            piece, rows = [], 0
    if piece:
        yield piece
