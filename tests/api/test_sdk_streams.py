"""The real client streams while ledgers are written."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from stellar_sdk import Server
from stellar_sdk.call_builder.call_builder_sync.base_call_builder import BaseCallBuilder
from stellar_sdk.exceptions import SdkError

import closed_network
from api.paged_client import Json
from api.served import served
from aurora_ingest.db.history_tables import history_transactions
from aurora_ingest.db.lead import Committer, Outcome
from following.nodes import PATIENCE, until

BEFORE, LAST = closed_network.CHECKPOINT, closed_network.CHECKPOINT + 6


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    opened = closed_network.state_at(f"sqlite:///{tmp_path}/state.db")
    yield opened
    opened.dispose()


def test_ledgers_and_an_account_are_told_as_they_change(engine: sa.Engine, tmp_path: Path) -> None:
    payer = _payer(f"sqlite:///{tmp_path}/other.db")
    url = engine.url.render_as_string()
    with served(url, poll_seconds=0.02) as address, Server(address) as server:
        first = server.accounts().account_id(payer).call()
        account, closed = _Told(server.accounts().account_id(payer)), _Told(server.ledgers().cursor(str(BEFORE << 32)))
        documents, ledgers = account.events, closed.events
        until(lambda: documents == [first], "the account is told as it is")
        _write(engine, range(BEFORE + 1, LAST + 1))
        last = server.accounts().account_id(payer).call()
        assert last["sequence"] != first["sequence"]
        until(lambda: len(ledgers) == LAST - BEFORE, "every ledger is told")
        until(lambda: documents[-1] == last, "the account is told as it became")
        assert [each["sequence"] for each in ledgers] == list(range(BEFORE + 1, LAST + 1))
        assert ledgers == [server.ledgers().ledger(each["sequence"]).call() for each in ledgers]
        assert all(before != after for before, after in itertools.pairwise(documents))
        for told in (account, closed):
            told.end()
    for told in (account, closed):
        told.join()


class _Told:
    """What a stream tells, collected in a thread, which ends with the service."""

    def __init__(self, builder: BaseCallBuilder) -> None:
        self.events: list[Json] = []
        self._is_ending = False
        self._thread = threading.Thread(target=self._collect, args=(builder,), daemon=True)
        self._thread.start()

    def _collect(self, builder: BaseCallBuilder) -> None:
        try:
            self.events.extend(builder.stream())
        except (OSError, SdkError, KeyError):  # a stream without a cursor fails in the client's own message
            if not self._is_ending:
                raise

    def end(self) -> None:
        """Says that the service ends now."""
        self._is_ending = True

    def join(self) -> None:
        """Waits for the thread, whose client has found out that the service is gone."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def _payer(url: str) -> str:
    """Returns the account that pays for the most transactions of these ledgers."""
    engine = closed_network.state_at(url)
    _write(engine, range(BEFORE + 1, LAST + 1))
    account = history_transactions.c.account
    query = sa.select(account).group_by(account).order_by(sa.func.count().desc()).limit(1)
    with engine.connect() as connection:
        found: str = connection.execute(query).scalar_one()
    engine.dispose()
    return found


def _write(engine: sa.Engine, ledgers: range) -> None:
    node = Committer(engine, node="one", network_passphrase=closed_network.NETWORK.passphrase, deadline_seconds=30.0)
    for ledger in ledgers:
        assert node.commit([closed_network.prepared()[ledger]]).outcome is Outcome.LED
