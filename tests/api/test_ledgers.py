from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

import closed_network
from api.served import served
from aurora_ingest import cli


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path: Path = tmp_path_factory.mktemp("served") / "state.db"
    url = f"sqlite:///{path}"
    closed_network.state_at(url).dispose()
    reingest = ["reingest-range", "--network", "standalone", "--ledgers", str(closed_network.STREAM)]
    assert cli.run([*reingest, "--from", "2", "--to", "70", "--db-url", url, "--log-level", "warning"]) == 0
    with served(url) as address:
        yield address


def test_a_page_of_ledgers_links_to_the_pages_beside_it(service: str) -> None:
    first = requests.get(f"{service}/ledgers", {"limit": 3}, timeout=30)
    assert first.headers["Latest-Ledger"] == "63"
    records = first.json()["_embedded"]["records"]
    assert [record["sequence"] for record in records] == [2, 3, 4]
    after = requests.get(first.json()["_links"]["next"]["href"], timeout=30).json()
    assert [record["sequence"] for record in after["_embedded"]["records"]] == [5, 6, 7]
    before = requests.get(after["_links"]["prev"]["href"], timeout=30).json()
    assert [record["sequence"] for record in before["_embedded"]["records"]] == [4, 3, 2]


def test_ledgers_beyond_the_cursor_are_not_shown(service: str) -> None:
    newest = requests.get(f"{service}/ledgers", {"limit": 1, "order": "desc"}, timeout=30).json()
    assert newest["_embedded"]["records"][0]["sequence"] == 63
    assert requests.get(f"{service}/ledgers/64", timeout=30).status_code == 404
