"""The cursor and the facts beside it, under the names that the original gave them in `key_value_store`."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from aurora_ingest.db.engine import is_postgres
from aurora_ingest.db.tables import key_value_store

CURRENT_VERSION: Final = 3
"""Version of the rules that make the tables; 1 and 2 were the original's. A state of another version is rebuilt."""

LAST_LEDGER: Final = "exp_ingest_last_ledger"
LAST_HASH: Final = "exp_ingest_last_ledger_hash"
VERSION: Final = "exp_ingest_version"
STATE_INVALID: Final = "exp_state_invalid"
NETWORK: Final = "network_passphrase"
HISTORY_TABLES: Final = "aurora_history_tables"
"""History tables that nodes write as they follow, with commas between, or `none`."""


def read(connection: sa.Connection, key: str, *, lock: bool = False, nowait: bool = False) -> str | None:
    """Returns the value of `key`, None when there is none.

    Args:
        connection: in a transaction.
        key: one of the names above.
        lock: hold the row until the transaction ends, so that nobody else can move it.
        nowait: fail at once when somebody else holds it.

    Raises:
        OperationalError: somebody else holds it.
    """
    query = sa.select(key_value_store.c.value).where(key_value_store.c.key == key)
    if lock and is_postgres(connection):
        query = query.with_for_update(nowait=nowait)
    value: str | None = connection.execute(query).scalar_one_or_none()
    return value


def read_last_ledger(connection: sa.Connection, *, lock: bool = False, nowait: bool = False) -> int | None:
    """Returns the ledger that all state tables stand at, None before the first state. The original's 0 means none."""
    value = read(connection, LAST_LEDGER, lock=lock, nowait=nowait)
    return int(value) or None if value is not None else None


def read_last_hash(connection: sa.Connection) -> str | None:
    """Returns the hash of that ledger, lower-case hex, None before the first state."""
    return read(connection, LAST_HASH)


def read_last_with_hash(connection: sa.Connection) -> tuple[int | None, str | None]:
    """Returns the last ledger and its hash, of one moment: a ledger may be committed between two statements."""
    query = sa.select(key_value_store.c.key, key_value_store.c.value).where(
        key_value_store.c.key.in_((LAST_LEDGER, LAST_HASH))
    )
    values = {row.key: row.value for row in connection.execute(query)}
    return int(values.get(LAST_LEDGER, "0")) or None, values.get(LAST_HASH)


def read_version(connection: sa.Connection) -> int | None:
    """Returns the version of the rules that made the state, None before the first state."""
    value = read(connection, VERSION)
    return int(value) or None if value is not None else None


def is_state_invalid(connection: sa.Connection) -> bool:
    """Tells whether the state was found wrong and waits for a rebuild."""
    return read(connection, STATE_INVALID) == "true"


def write(connection: sa.Connection, key: str, value: str) -> None:
    """Sets the value of `key`."""
    changed = connection.execute(
        sa.update(key_value_store).where(key_value_store.c.key == key).values(value=value)
    ).rowcount
    if changed == 0:
        connection.execute(sa.insert(key_value_store).values(key=key, value=value))
