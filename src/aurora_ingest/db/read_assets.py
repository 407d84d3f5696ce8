"""Statistics of issued assets for the service, with those of their contracts and with their issuers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from aurora_ingest.db.read_pages import KeyPage, json_value, paged
from aurora_ingest.db.tables import accounts, asset_contracts, contract_asset_stats, exp_asset_stats

KINDS = ("native", "credit_alphanum4", "credit_alphanum12")
"""Horizon's name of each asset type."""


@dataclass(frozen=True)
class AssetRow:
    """An issued asset that somebody holds, or that has a contract.

    Attributes:
        kind: ``credit_alphanum4`` or ``credit_alphanum12``.
        code: its code.
        issuer: its issuer.
        accounts: holders by kind; None if only its contract is there.
        balances: amounts by kind of holder, whole numbers as text; None likewise.
        contract_id: hash that is its contract's id, None without a live contract.
        contracts: ``balance`` and ``holders`` of contracts that hold it, None if none does.
        issuer_flags: flags of the issuer, 0 if that account is gone.
        home_domain: the issuer's, empty if that account is gone.
    """

    kind: str
    code: str
    issuer: str
    accounts: dict[str, int] | None
    balances: dict[str, str] | None
    contract_id: bytes | None
    contracts: dict[str, Any] | None
    issuer_flags: int
    home_domain: str


def read_assets(connection: sa.Connection, code: str | None, issuer: str | None, page: KeyPage) -> list[AssetRow]:
    """Returns a page of assets, by code, then by issuer.

    Args:
        connection: in a reading transaction.
        code: the code that they have to have.
        issuer: the account that has to have issued them.
        page: which of them.
    """
    stats, contracts, sums = exp_asset_stats.c, asset_contracts.c, contract_asset_stats.c
    keys = _keys(code, issuer, page)
    same = [sa.and_(*(key == table[key.name] for key in keys.c)) for table in (stats, contracts)]
    joined = (
        keys.outerjoin(exp_asset_stats, same[0])
        .outerjoin(asset_contracts, same[1])
        .outerjoin(contract_asset_stats, sums.contract_id == contracts.contract_id)
        .outerjoin(accounts, accounts.c.account_id == keys.c.asset_issuer)
    )
    query = sa.select(
        *keys.c,
        stats.accounts,
        stats.balances,
        contracts.contract_id,
        sums.stat,
        accounts.c.flags,
        accounts.c.home_domain,
    ).select_from(joined)
    rows = connection.execute(paged(query, [keys.c.asset_code, keys.c.asset_issuer], page))
    return [_asset(row) for row in rows]


def _keys(code: str | None, issuer: str | None, page: KeyPage) -> sa.Subquery:
    """Returns a page of names of assets, from statistics and from contracts."""
    parts = []
    for table in (exp_asset_stats, asset_contracts):
        columns = table.c
        query = sa.select(columns.asset_code, columns.asset_issuer, columns.asset_type).where(columns.asset_type != 0)
        if code is not None:
            query = query.where(columns.asset_code == code)
        if issuer is not None:
            query = query.where(columns.asset_issuer == issuer)
        parts.append(sa.select(paged(query, [columns.asset_code, columns.asset_issuer], page).subquery()))
    return sa.union(*parts).subquery()


def _asset(row: sa.Row[Any]) -> AssetRow:
    return AssetRow(
        kind=KINDS[row.asset_type],
        code=row.asset_code,
        issuer=row.asset_issuer,
        accounts=json_value(row.accounts),
        balances=json_value(row.balances),
        contract_id=row.contract_id,
        contracts=json_value(row.stat),
        issuer_flags=row.flags or 0,
        home_domain=row.home_domain or "",
    )
