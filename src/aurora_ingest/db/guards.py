"""What has to hold of a database before a build touches it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from aurora_ingest.db import cursor, schema
from aurora_ingest.db.engine import is_postgres, shown
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.errors import DatabaseError, MigrationError, NetworkMismatchError


def check_target(engine: sa.Engine, passphrase: str, checkpoint: int, tables: Sequence[str]) -> None:
    """Refuses a database that this build may not, or could not, publish into.

    Raises:
        MigrationError: the schema is not ours, or the state is of a newer version.
        NetworkMismatchError: the state is another network's.
        DatabaseError: views depend on the tables; or the other tables stand at another ledger.
    """
    schema.require(engine)
    with engine.connect() as connection:
        check_network(connection, passphrase)
        version = cursor.read_version(connection)
        if version is not None and version > cursor.CURRENT_VERSION:
            raise MigrationError(
                f"database {shown(engine)} holds a state of version {version}, this one makes "
                f"{cursor.CURRENT_VERSION}: install a newer aurora-ingest"
            )
        check_other_tables(connection, checkpoint, tables)
        check_views(connection, tables)


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


def check_views(connection: sa.Connection, tables: Sequence[str]) -> None:
    """Refuses tables that views depend on: the swap would take their tables away.

    Raises:
        DatabaseError: there are such views.
    """
    if not is_postgres(connection):
        return
    query = sa.text(
        "SELECT DISTINCT v.relname AS view, t.relname AS base FROM pg_depend d "
        "JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class "
        "JOIN pg_class t ON t.oid = d.refobjid "
        "WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass "
        "AND v.oid <> t.oid AND t.relnamespace = current_schema()::regnamespace AND t.relname = ANY(:tables) "
        "ORDER BY 1, 2"
    )
    found = connection.execute(query, {"tables": list(tables)}).all()
    if found:
        named = ", ".join(f"{row.view} (on {row.base})" for row in found)
        raise DatabaseError(
            f"views depend on tables that a build replaces: {named}; drop them and create them again after"
        )
