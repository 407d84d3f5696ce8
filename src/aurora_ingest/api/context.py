"""What a request reads from: one read-only transaction, at one ledger that the answer names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request

from aurora_ingest.api.hal import HalResponse
from aurora_ingest.api.ledger_watch import LedgerWatch
from aurora_ingest.api.limits import Gate, Tally
from aurora_ingest.api.order_book_stream import OrderBookStream
from aurora_ingest.api.problems import OverCapacity, Timeout
from aurora_ingest.api.readiness import ready_ledger
from aurora_ingest.api.serve_options import ServeOptions
from aurora_ingest.db.reader import Standing, reading
from aurora_ingest.errors import BusyDatabaseError, StatementTimeoutError


@dataclass(frozen=True)
class Snapshot:
    """The database as it was at one moment.

    Attributes:
        connection: in a transaction that only reads and sees that moment.
        ledger: the ledger of the whole answer.
        standing: more about the database.
    """

    connection: sa.Connection
    ledger: int
    standing: Standing

    def answer(self, document: Mapping[str, Any]) -> HalResponse:
        """Returns the document as an answer that names its ledger."""
        return HalResponse(document, headers={"Latest-Ledger": str(self.ledger)})


@dataclass(frozen=True)
class Service:
    """What all requests share.

    Attributes:
        options: the settings.
        engine: the database, for reading.
        order_book: the order book in memory.
        searches: the gate before searches for paths.
        watch: tells of new ledgers.
        streams: how many streams are open.
    """

    options: ServeOptions
    engine: sa.Engine
    order_book: OrderBookStream
    searches: Gate
    watch: LedgerWatch
    streams: Tally


@contextmanager
def snapshot(request: Request) -> Iterator[Snapshot]:
    """The read snapshot of a request; opened after the request has been judged, in an endpoint that is a plain `def`.

    Raises:
        StillIngesting: there is no state yet, or one of another version.
        StateInvalid: the state was found wrong.
        Timeout: a statement took longer than allowed.
        OverCapacity: the database has no connection free or does not answer.
    """
    service: Service = request.app.state.service
    with database_answers(), reading(service.engine, service.options.statement_seconds) as (connection, standing):
        ledger = ready_ledger(standing)
        request.state.latest_ledger = ledger
        yield Snapshot(connection, ledger, standing)


@contextmanager
def database_answers() -> Iterator[None]:
    """Answers failures of the database inside of the block with problems.

    Raises:
        Timeout: a statement took longer than allowed.
        OverCapacity: no connection is free, or the database does not answer.
    """
    try:
        yield
    except StatementTimeoutError as error:
        raise Timeout from error
    except BusyDatabaseError as error:
        raise OverCapacity(headers={"Retry-After": "1"}) from error
