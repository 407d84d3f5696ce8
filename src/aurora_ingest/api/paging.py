"""Pages of collections: ``cursor``, ``order`` and ``limit`` in, records with links to the pages beside out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import Depends, Query
from pydantic import BeforeValidator, Field
from starlette.requests import Request

from aurora_ingest.api.hal import base_url
from aurora_ingest.api.problems import BadRequest

DEFAULT_LIMIT: Final = 10
MAX_LIMIT: Final = 200
NOW: Final = "now"
"""The cursor of a stream that begins with what comes next."""
_MAX_NUMBER: Final = 2**63 - 1
_NUMBER: Final = re.compile(r"[0-9]{1,19}")


def empty_is_absent(value: object) -> object:
    """Takes ``parameter=`` for a parameter that was not sent, as Horizon does."""
    return None if value == "" else value


@dataclass(frozen=True)
class Page:
    """One page of a collection.

    Attributes:
        cursor: paging token that the page begins behind; empty is the first page.
        order: ``asc`` or ``desc``.
        limit: most records, 1 to 200.
    """

    cursor: str = ""
    order: str = "asc"
    limit: int = DEFAULT_LIMIT

    @property
    def descending(self) -> bool:
        """Whether the page goes backwards."""
        return self.order == "desc"

    def number(self) -> int | None:
        """Reads a cursor that is one number, as those of offers and history are.

        Returns:
            The number; None on the first page. After ``now`` comes nothing yet: it is the greatest number.

        Raises:
            BadRequest: it is not one.
        """
        if not self.cursor:
            return None
        if self.cursor == NOW:
            return _MAX_NUMBER
        if not _NUMBER.fullmatch(self.cursor) or int(self.cursor) > _MAX_NUMBER:
            raise BadRequest.of_field("cursor", "invalid cursor: expected a number of 63 bits")
        return int(self.cursor)

    def parts(self, number: int, separator: str = "-") -> tuple[str, ...] | None:
        """Reads a cursor that is made of several parts.

        Returns:
            The parts; None on the first page.

        Raises:
            BadRequest: it has another number of them.
        """
        if not self.cursor:
            return None
        found = tuple(self.cursor.split(separator))
        if len(found) != number:
            raise BadRequest.of_field("cursor", f"invalid cursor: expected {number} parts with {separator!r} between")
        return found


async def _page(
    cursor: Annotated[
        str | None, Query(max_length=512, description="Paging token that the page begins behind.")
    ] = None,
    order: Annotated[
        Literal["asc", "desc"] | None, BeforeValidator(empty_is_absent), Query(description="Direction.")
    ] = None,
    limit: Annotated[
        Annotated[int, Field(ge=1, le=MAX_LIMIT)] | None,
        BeforeValidator(empty_is_absent),
        Query(description="Most records."),
    ] = None,
) -> Page:
    return Page(cursor or "", order or "asc", limit or DEFAULT_LIMIT)


Paging = Annotated[Page, Depends(_page)]
"""The parameter of an endpoint that gives a collection."""


def collection(records: Sequence[Mapping[str, Any]], page: Page, request: Request) -> dict[str, Any]:
    """Returns the document of a page.

    Args:
        records: documents of the records in the order of the page, each with its ``paging_token``.
        page: the page that was asked for.
        request: the request; its other parameters are kept in the links.
    """
    others = [(key, value) for key, value in request.query_params.multi_items() if key not in _PAGING]
    address = f"{base_url(request)}{request.url.path}"

    def to(cursor: str, order: str) -> dict[str, str]:
        items = sorted([*others, ("cursor", cursor), ("limit", str(page.limit)), ("order", order)])
        return {"href": f"{address}?{urlencode(items)}"}

    first = str(records[0]["paging_token"]) if records else page.cursor
    last = str(records[-1]["paging_token"]) if records else page.cursor
    return {
        "_links": {
            "self": to(page.cursor, page.order),
            "next": to(last, page.order),
            "prev": to(first, "asc" if page.descending else "desc"),
        },
        "_embedded": {"records": list(records)},
    }


_PAGING: Final = frozenset({"cursor", "order", "limit", "X-Client-Name", "X-Client-Version"})
