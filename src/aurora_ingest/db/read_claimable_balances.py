"""Claimable balances for the service: one, or a page of them by asset, sponsor and claimant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from aurora_ingest.db.read_pages import KeyPage, paged
from aurora_ingest.db.tables import claimable_balance_claimants, claimable_balances
from aurora_ingest.ledger.asset import Asset


@dataclass(frozen=True)
class BalanceFilter:
    """Which claimable balances; all that is given has to hold.

    Attributes:
        asset: asset that is set aside.
        sponsor: account that holds their reserve.
        claimant: account that may claim them.
    """

    asset: Asset | None = None
    sponsor: str | None = None
    claimant: str | None = None


def read_claimable_balance(connection: sa.Connection, balance_id: str) -> sa.Row[Any] | None:
    """Returns the row of a claimable balance, None if there is none of this id."""
    query = sa.select(claimable_balances).where(claimable_balances.c.id == balance_id)
    return connection.execute(query).first()


def read_claimable_balances(connection: sa.Connection, chosen: BalanceFilter, page: KeyPage) -> Sequence[sa.Row[Any]]:
    """Returns a page of rows of claimable balances, by the ledger that changed them last, then by id."""
    columns = claimable_balances.c
    query = sa.select(claimable_balances)
    order = [columns.last_modified_ledger, columns.id]
    if chosen.claimant is not None:
        theirs = claimable_balance_claimants.c
        query = query.join(claimable_balance_claimants, theirs.id == columns.id)
        query = query.where(theirs.destination == chosen.claimant)
        order = [theirs.last_modified_ledger, theirs.id]  # an account's share of the index is in this order
    if chosen.asset is not None:
        query = query.where(columns.asset == chosen.asset.key)
    if chosen.sponsor is not None:
        query = query.where(columns.sponsor == chosen.sponsor)
    return connection.execute(paged(query, order, page)).all()
