"""One processor per table, in the order of the chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyarrow as pa

from aurora_ingest.transforms.processors import (
    asset_contracts,
    contract_asset_stats,
    exp_asset_stats,
    ttl,
)
from aurora_ingest.transforms.processors.accounts import ProcessAccounts
from aurora_ingest.transforms.processors.accounts_data import ProcessAccountsData
from aurora_ingest.transforms.processors.accounts_signers import ProcessAccountsSigners
from aurora_ingest.transforms.processors.claimable_balance_claimants import ProcessClaimableBalanceClaimants
from aurora_ingest.transforms.processors.claimable_balances import ProcessClaimableBalances
from aurora_ingest.transforms.processors.config_settings import ProcessConfigSettings
from aurora_ingest.transforms.processors.contract_asset_balances import ProcessContractAssetBalances
from aurora_ingest.transforms.processors.contract_code import ProcessContractCode
from aurora_ingest.transforms.processors.contract_data import ProcessContractData
from aurora_ingest.transforms.processors.liquidity_pools import ProcessLiquidityPools
from aurora_ingest.transforms.processors.offers import ProcessOffers
from aurora_ingest.transforms.processors.processor import ProcessTable, TableSpec
from aurora_ingest.transforms.processors.trust_lines import ProcessTrustLines

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
    ttl.ProcessTtl,
    asset_contracts.ProcessAssetContracts,
    ProcessContractAssetBalances,
    exp_asset_stats.ProcessExpAssetStats,
    contract_asset_stats.ProcessContractAssetStats,
)
_ASSET_CONTRACT_ENTRIES = (asset_contracts.ProcessPartialAssetContracts, ttl.ProcessPartialTtl)
_NEEDS: dict[str, tuple[type[ProcessTable], ...]] = {
    "asset_contracts": _ASSET_CONTRACT_ENTRIES,
    "contract_asset_balances": _ASSET_CONTRACT_ENTRIES,
    "exp_asset_stats": (exp_asset_stats.ProcessPartialExpAssetStats,),
    "contract_asset_stats": (*_ASSET_CONTRACT_ENTRIES, contract_asset_stats.ProcessPartialContractAssetStats),
}
TABLES: tuple[str, ...] = tuple(process.spec.name for process in PROCESSORS)
PARTIAL_SCHEMAS: dict[str, pa.Schema] = {
    "asset_contracts": asset_contracts.PARTIAL_SCHEMA,
    "contract_asset_stats": contract_asset_stats.PARTIAL_SCHEMA,
    "exp_asset_stats": exp_asset_stats.PARTIAL_SCHEMA,
    "ttl": ttl.PARTIAL_SCHEMA,
}
_SUMS: dict[str, Callable[[Iterable[pa.RecordBatch]], pa.RecordBatch]] = {
    "contract_asset_stats": contract_asset_stats.sum_contract_asset_stats,
    "exp_asset_stats": exp_asset_stats.sum_asset_stats,
}


def by_table(tables: Iterable[str]) -> tuple[type[ProcessTable], ...]:
    """Return the processors of some tables in chain order, with those that put partial rows aside for them.

    Args:
        tables: names out of ``TABLES``.
    """
    wanted = set(tables)
    partials = {process: None for table in TABLES if table in wanted for process in _NEEDS.get(table, ())}
    return (*(process for process in PROCESSORS if process.spec.name in wanted), *partials)


def entry_columns(tables: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns that the chain for some tables reads, by the kernel's entry table."""
    columns: dict[str, dict[str, None]] = {}
    for process in by_table(tables):
        for entry, names in process.spec.columns.items():
            columns.setdefault(entry, {}).update(dict.fromkeys(names))
    return {entry: tuple(names) for entry, names in columns.items()}


def sum_partials(table: str, partials: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """Add up the partial rows of an additive table, one row per key, sorted.

    Raises:
        KeyError: the table is not additive.
    """
    return _SUMS[table](partials)


__all__ = [
    "PARTIAL_SCHEMAS",
    "PROCESSORS",
    "TABLES",
    "ProcessTable",
    "TableSpec",
    "by_table",
    "entry_columns",
    "sum_partials",
]
