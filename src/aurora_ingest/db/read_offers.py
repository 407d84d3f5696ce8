"""Open offers for the service: one, or a page of them by seller, assets and sponsor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from aurora_ingest.db.read_pages import KeyPage, paged
from aurora_ingest.db.tables import offers
from aurora_ingest.ledger.asset import Asset


@dataclass(frozen=True)
class OfferFilter:
    """Which offers; all that is given has to hold.

    Attributes:
        seller: account that made them.
        selling: asset that they sell.
        buying: asset that they buy.
        sponsor: account that holds their reserve.
    """

    seller: str | None = None
    selling: Asset | None = None
    buying: Asset | None = None
    sponsor: str | None = None


def read_offer(connection: sa.Connection, offer_id: int) -> sa.Row[Any] | None:
    """Returns the row of an open offer, None if there is none of this id."""
    query = sa.select(offers).where(offers.c.offer_id == offer_id, sa.not_(offers.c.deleted))
    return connection.execute(query).first()


def read_offers(connection: sa.Connection, chosen: OfferFilter, page: KeyPage) -> Sequence[sa.Row[Any]]:
    """Returns a page of rows of open offers, by id."""
    columns = offers.c
    query = sa.select(offers).where(sa.not_(columns.deleted))
    wanted = (
        (columns.seller_id, chosen.seller),
        (columns.selling_asset, chosen.selling and chosen.selling.key),
        (columns.buying_asset, chosen.buying and chosen.buying.key),
        (columns.sponsor, chosen.sponsor),
    )
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    return connection.execute(paged(query, [columns.offer_id], page)).all()
