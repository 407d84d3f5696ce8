from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

import closed_network
from aurora_ingest.db import live, nodes
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.transforms import presence
from aurora_ingest.transforms.presence import Presence

pytestmark = pytest.mark.postgres


@pytest.fixture
def engine(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    monkeypatch.setattr(presence, "_SECONDS", 0.0)
    opened = closed_network.state_at(postgres_url)
    yield opened
    opened.dispose()


def _nodes(engine: sa.Engine) -> list[tuple[str, int | None, int | None]]:
    with engine.connect() as connection:
        return [(each.node, each.position, each.led) for each in nodes.read_nodes(connection)]


def test_a_node_is_announced_until_its_end(engine: sa.Engine) -> None:
    here = Presence(engine, "one")
    assert here.keep()
    assert live.is_announced(engine, live.FOLLOWER)
    here.moved(70, (69, 70))
    here.moved(71, ())
    assert here.keep()
    assert _nodes(engine) == [("one", 71, 70)]
    here.end()
    assert not live.is_announced(engine, live.FOLLOWER)
    assert _nodes(engine) == []


def test_a_node_waits_for_a_reingest_beyond_the_cursor(engine: sa.Engine) -> None:
    here = Presence(engine, "one")
    with live.reingesting(engine, LedgerRange(90, 95)):
        assert not here.keep()
        assert not live.is_announced(engine, live.FOLLOWER)
    assert here.keep()
    here.end()


def test_an_announcement_that_the_server_ended_is_made_again(engine: sa.Engine) -> None:
    here = Presence(engine, "one")
    assert here.keep()
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid() "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with engine.connect() as connection:
        assert connection.execute(sa.text(end)).all()
    assert not here.keep()
    assert here.keep()
    assert live.is_announced(engine, live.FOLLOWER)
    here.end()
