"""What a database holds: cursor, version, rows and unfinished builds."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from aurora_ingest.db import builds, cursor, schema
from aurora_ingest.db.read_only import read_only_session
from aurora_ingest.db.tables import STATE_TABLES


@dataclass(frozen=True)
class DatabaseStatus:
    """How a database stands.

    Attributes:
        network_passphrase: network of the state, None before the first one.
        last_ledger: ledger that all state tables stand at.
        version: version of the rules that made them.
        state_invalid: the state was found wrong and waits for a rebuild.
        rows: rows of each state table.
        unfinished: builds that were neither published nor abandoned.
    """

    network_passphrase: str | None
    last_ledger: int | None
    version: int | None
    state_invalid: bool
    rows: dict[str, int]
    unfinished: tuple[builds.UnfinishedBuild, ...]


def read_status(engine: sa.Engine) -> DatabaseStatus:
    """Reads how a database stands; all of it comes from one moment.

    Raises:
        MigrationError: the schema is not ours.
    """
    schema.require(engine)
    with read_only_session(engine) as connection:
        rows = {
            table: int(connection.execute(sa.select(sa.func.count()).select_from(sa.table(table))).scalar_one())
            for table in STATE_TABLES
        }
        return DatabaseStatus(
            network_passphrase=cursor.read(connection, cursor.NETWORK),
            last_ledger=cursor.read_last_ledger(connection),
            version=cursor.read_version(connection),
            state_invalid=cursor.is_state_invalid(connection),
            rows=rows,
            unfinished=builds.unfinished_builds(connection),
        )
