"""What a database holds when somebody comes to follow into it, and whether that is enough."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import sqlalchemy as sa

from aurora_ingest.db import builds, cursor, guards
from aurora_ingest.errors import StateError


class Found(Enum):
    """What a database holds, as the decision at the start sees it."""

    NOTHING = "no state"
    OLDER = "a state of an older version"
    INVALID = "a state that was found wrong"
    STATE = "a state"


def look(database: sa.Engine, passphrase: str) -> tuple[Found, int | None]:
    """Returns what the database holds, and the ledger that it stands at, None without a state.

    Args:
        database: migrated.
        passphrase: of the network that is to be followed.

    Raises:
        MigrationError: a state of a newer version: this node has to stop.
        NetworkMismatchError: the state of another network.
    """
    with database.connect() as connection:
        guards.check_network(connection, passphrase)
        guards.check_version(connection)
        last, version = cursor.read_last_ledger(connection), cursor.read_version(connection)
        invalid = cursor.is_state_invalid(connection)
    if last is None:
        return Found.NOTHING, None
    if version != cursor.CURRENT_VERSION:
        return Found.OLDER, last
    return (Found.INVALID if invalid else Found.STATE), last


def require_tables(database: sa.Engine, tables: Sequence[str]) -> None:
    """Refuses to follow onto some of the tables only: the others would get changed rows and lack the rest.

    Raises:
        StateError: the state was built with some tables left out.
    """
    with database.connect() as connection:
        built = builds.published_tables(connection)
    lost = [] if built is None else [table for table in tables if table not in built]
    if lost:
        raise StateError(
            f"the state was built without {', '.join(lost)}: build all tables with build-state before following"
        )
