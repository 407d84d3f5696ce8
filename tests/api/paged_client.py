"""A client that follows the links of pages, forwards and back."""

from __future__ import annotations

from typing import Any

import requests

Json = dict[str, Any]


def get(session: requests.Session, address: str, params: dict[str, Any] | None = None) -> Json:
    """Returns a document that has to be there."""
    response = session.get(address, params=params, timeout=60)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/hal+json"
    found: Json = response.json()
    return found


def records(session: requests.Session, address: str, params: dict[str, Any], limit: int = 3) -> list[Json]:
    """Returns all records of a collection, page by page; each page has to lead back to the one before it."""
    found: list[Json] = []
    before: list[Json] = []
    page = get(session, address, params | {"limit": limit})
    while True:
        here = page["_embedded"]["records"]
        assert len(here) <= limit
        if here and before:
            back = get(session, page["_links"]["prev"]["href"])
            assert back["_embedded"]["records"] == before[::-1]
        if not here:
            return found
        found += here
        before = here
        page = get(session, page["_links"]["next"]["href"])
