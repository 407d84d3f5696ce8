"""What a database holds: cursor, version, rows and unfinished builds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from aurora_ingest.db import builds, cursor, nodes, schema
from aurora_ingest.db.engine import clock
from aurora_ingest.db.gaps import Gaps, read_gaps
from aurora_ingest.db.lead_books import ingest_commits
from aurora_ingest.db.read_only import read_only_session
from aurora_ingest.db.tables import STATE_TABLES
from aurora_ingest.db.verifier_books import VerificationNote, read_last

_VERIFICATIONS: Final = 3
"""Comparisons that are shown."""


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
        ledger_hash: hash of that ledger, lower-case hex.
        leader: node that wrote the last ledger that was followed, None before the first one.
        seconds_since_commit: time since that, by the database's clock.
        nodes: nodes that follow, the one heard of last first.
        gaps: ledgers that history tables lack below the cursor, by table.
        verified: the last comparisons of the state with an archive, the newest first.
    """

    network_passphrase: str | None
    last_ledger: int | None
    version: int | None
    state_invalid: bool
    rows: dict[str, int]
    unfinished: tuple[builds.UnfinishedBuild, ...]
    ledger_hash: str | None
    leader: str | None
    seconds_since_commit: float | None
    nodes: tuple[nodes.Node, ...]
    gaps: dict[str, tuple[str, ...]]
    verified: tuple[VerificationNote, ...]


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
        return status_of(connection, rows, read_gaps(connection))


def status_of(connection: sa.Connection, rows: dict[str, int], gaps: Gaps) -> DatabaseStatus:
    """Reads all that is cheap to read; what grows with the tables comes from the caller.

    Args:
        connection: in a reading transaction.
        rows: rows of each state table.
        gaps: ledgers that history tables lack.
    """
    leader, seconds = _last_commit(connection)
    return DatabaseStatus(
        network_passphrase=cursor.read(connection, cursor.NETWORK),
        last_ledger=cursor.read_last_ledger(connection),
        version=cursor.read_version(connection),
        state_invalid=cursor.is_state_invalid(connection),
        rows=rows,
        unfinished=builds.unfinished_builds(connection),
        ledger_hash=cursor.read_last_hash(connection),
        leader=leader,
        seconds_since_commit=seconds,
        nodes=nodes.read_nodes(connection),
        gaps={table: tuple(str(each) for each in found) for table, found in gaps.items()},
        verified=read_last(connection, _VERIFICATIONS),
    )


def _last_commit(connection: sa.Connection) -> tuple[str | None, float | None]:
    commits = ingest_commits.c
    since = clock(connection) - commits.committed_at
    row = connection.execute(sa.select(commits.node, since).order_by(commits.ledger.desc()).limit(1)).first()
    return (None, None) if row is None else (str(row[0]), max(float(row[1]), 0.0))
