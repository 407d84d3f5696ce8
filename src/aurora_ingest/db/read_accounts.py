"""Accounts for the service: one, or a page of those with a signer, a sponsor, an asset or shares of a pool."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from aurora_ingest.db.read_pages import KeyPage, closing_times, paged
from aurora_ingest.db.tables import accounts, accounts_data, accounts_signers, trust_lines
from aurora_ingest.ledger.asset import Asset

_ASSET_TYPES = {"credit_alphanum4": 1, "credit_alphanum12": 2}


@dataclass(frozen=True)
class AccountRows:
    """An account with all that belongs to it.

    Attributes:
        account: row of ``accounts``.
        signers: its rows of ``accounts_signers``, by signer.
        trust_lines: its rows of ``trust_lines``, by code, issuer and pool.
        data: its rows of ``accounts_data``, by name.
        modified_at: when the ledger closed that changed it last, None if history does not reach back to it.
    """

    account: sa.Row[Any]
    signers: Sequence[sa.Row[Any]]
    trust_lines: Sequence[sa.Row[Any]]
    data: Sequence[sa.Row[Any]]
    modified_at: datetime | None


def read_account(connection: sa.Connection, account_id: str) -> AccountRows | None:
    """Returns an account, None if there is none of this id."""
    found = _whole(connection, [account_id])
    return found[0] if found else None


def read_accounts_of_signer(connection: sa.Connection, signer: str, page: KeyPage) -> list[AccountRows]:
    """Returns a page of the accounts that a key signs for, by id."""
    columns = accounts_signers.c
    query = sa.select(columns.account_id).where(columns.signer == signer)
    return _whole(connection, _ids(connection, paged(query, [columns.account_id], page)))


def read_accounts_of_sponsor(connection: sa.Connection, sponsor: str, page: KeyPage) -> list[AccountRows]:
    """Returns a page of the accounts of which something is sponsored by an account, by id.

    That is the account itself, a signer, a trust line or a data entry of it.
    """
    parts = []
    for table in (accounts, accounts_signers, accounts_data, trust_lines):
        query = sa.select(table.c.account_id).where(table.c.sponsor == sponsor).distinct()
        parts.append(sa.select(paged(query, [table.c.account_id], page).subquery().c.account_id))
    found = sa.union(*parts).subquery()
    return _whole(connection, _ids(connection, paged(sa.select(found.c.account_id), [found.c.account_id], page)))


def read_accounts_of_asset(connection: sa.Connection, asset: Asset, page: KeyPage) -> list[AccountRows]:
    """Returns a page of the accounts that trust an issued asset, by id."""
    columns = trust_lines.c
    query = sa.select(columns.account_id).where(
        columns.asset_issuer == asset.issuer,
        columns.asset_code == asset.code,
        columns.asset_type == _ASSET_TYPES[asset.kind],
    )
    return _whole(connection, _ids(connection, paged(query, [columns.account_id], page)))


def read_accounts_of_pool(connection: sa.Connection, pool_id: str, page: KeyPage) -> list[AccountRows]:
    """Returns a page of the accounts that trust the shares of a liquidity pool, by id."""
    columns = trust_lines.c
    # The index has only the rows of shares, and is taken where the query tells that it needs no others.
    shares = (columns.liquidity_pool_id == pool_id, columns.liquidity_pool_id != "")
    query = sa.select(columns.account_id).where(*shares)
    return _whole(connection, _ids(connection, paged(query, [columns.account_id], page)))


def read_data_entry(connection: sa.Connection, account_id: str, name: str) -> sa.Row[Any] | None:
    """Returns the row of a data entry, None if the account has none of this name."""
    columns = accounts_data.c
    query = sa.select(accounts_data).where(columns.account_id == account_id, columns.name == name).limit(1)
    return connection.execute(query).first()


def _ids(connection: sa.Connection, query: sa.Select[Any]) -> list[str]:
    return list(connection.execute(query).scalars())


def _whole(connection: sa.Connection, ids: Sequence[str]) -> list[AccountRows]:
    """Returns accounts with all that belongs to them, in the order of the ids."""
    if not ids:
        return []
    query = sa.select(accounts).where(accounts.c.account_id.in_(ids))
    rows = {row.account_id: row for row in connection.execute(query)}
    lines = trust_lines.c
    signers = _by_account(connection, accounts_signers, ids, [accounts_signers.c.signer])
    trusted = _by_account(connection, trust_lines, ids, [lines.asset_code, lines.asset_issuer, lines.liquidity_pool_id])
    data = _by_account(connection, accounts_data, ids, [accounts_data.c.name])
    times = closing_times(connection, (row.last_modified_ledger for row in rows.values()))
    return [
        AccountRows(
            account=rows[each],
            signers=signers[each],
            trust_lines=trusted[each],
            data=data[each],
            modified_at=times.get(rows[each].last_modified_ledger),
        )
        for each in ids
        if each in rows
    ]


def _by_account(
    connection: sa.Connection, table: sa.Table, ids: Sequence[str], order: Sequence[sa.ColumnElement[Any]]
) -> defaultdict[str, list[sa.Row[Any]]]:
    found: defaultdict[str, list[sa.Row[Any]]] = defaultdict(list)
    query = sa.select(table).where(table.c.account_id.in_(ids)).order_by(table.c.account_id, *order)
    for row in connection.execute(query):
        found[row.account_id].append(row)
    return found
