"""What has to hold of a database before a build touches it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from aurora_ingest.db import cursor, schema
from aurora_ingest.db.dependents import check_dependents
from aurora_ingest.db.engine import shown
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.errors import DatabaseError, MigrationError, NetworkMismatchError


def check_target(engine: sa.Engine, passphrase: str, checkpoint: int, tables: Sequence[str]) -> None:
    """Refuses a database that this build may not, or could not, publish into.

    Raises:
        MigrationError: the schema is not ours, or the state is of a newer version.
        NetworkMismatchError: the state is another network's.
        DatabaseError: things hang on the tables that would be lost; or the other tables stand at another ledger.
    """
    schema.require(engine)
    with engine.connect() as connection:
        check_network(connection, passphrase)
        check_version(connection)
        check_other_tables(connection, checkpoint, tables)
        check_dependents(connection, tables)


def check_version(connection: sa.Connection) -> None:
    """Refuses a database whose state was made by newer rules than ours.

    Raises:
        MigrationError: it is.
    """
    version = cursor.read_version(connection)
    if version is not None and version > cursor.CURRENT_VERSION:
        raise MigrationError(
            f"database {shown(connection.engine)} holds a state of version {version}, this one makes "
            f"{cursor.CURRENT_VERSION}: install a newer aurora-ingest"
        )


def check_network(connection: sa.Connection, passphrase: str) -> None:
    """Refuses a database with the state of another network.

    Raises:
        NetworkMismatchError: it is.
    """
    stored = cursor.read(connection, cursor.NETWORK)
    if stored is not None and stored != passphrase:
        raise NetworkMismatchError(
            f"the database holds the network {stored!r}, the build is of {passphrase!r}; use another database"
        )


def check_other_tables(connection: sa.Connection, checkpoint: int, tables: Sequence[str]) -> None:
    """Refuses a build of some tables when the others would then stand at another ledger.

    Raises:
        DatabaseError: they have rows and the cursor is at another ledger.
    """
    others = [table for table in STATE_TABLES if table not in tables]
    last = cursor.read_last_ledger(connection)
    if last is None or last == checkpoint:
        return
    full = [table for table in others if connection.execute(sa.select(STATE_TABLES[table]).limit(1)).first()]
    if full:
        raise DatabaseError(
            f"tables {', '.join(full)} stand at ledger {last} and are not part of this build of ledger {checkpoint}: "
            "build all tables, or the same ledger, or use another database"
        )
