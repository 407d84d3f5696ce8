"""Whether a build may be taken up: whose it is, and whether its former builder is gone."""

from __future__ import annotations

import os
import socket
from typing import Any

import sqlalchemy as sa

from aurora_ingest.db import cursor
from aurora_ingest.db.build_books import ingest_build_heartbeats
from aurora_ingest.db.heartbeat import silence
from aurora_ingest.errors import UnfinishedBuildError


def refuse_unless_same(
    connection: sa.Connection, row: Any, build_id: str, checkpoint: int, *, resume: bool, takeover_after: float
) -> None:
    """Lets only the same build pass, asked for with resume, whose former builder is gone.

    Args:
        connection: in a transaction.
        row: the unfinished build, out of `ingest_builds`.
        build_id: the build that is asked for.
        checkpoint: its checkpoint.
        resume: whether going on was asked for.
        takeover_after: seconds without a heartbeat after which a builder counts as gone.

    Raises:
        UnfinishedBuildError: it may not pass.
    """
    name = f"unfinished build {row.build_id[:12]} of checkpoint {row.checkpoint}"
    if row.build_id != build_id:
        raise UnfinishedBuildError(
            f"{name} is there, this run would be {build_id[:12]} of checkpoint {checkpoint}; "
            "finish that one with --resume and its own options, or drop it with --abandon"
        )
    if not resume:
        raise UnfinishedBuildError(f"{name} is there; go on with --resume, or drop it with --abandon")
    beats = ingest_build_heartbeats
    node = connection.execute(sa.select(beats.c.node).where(beats.c.build_id == row.build_id)).scalar_one_or_none()
    silent = silence(connection, row.build_id)
    if silent < takeover_after and not _is_dead(node):
        raise UnfinishedBuildError(
            f"{name}: its builder {node} was heard of {silent:.0f} s ago; "
            f"--resume takes over after {takeover_after:.0f} s of silence (--takeover-after)"
        )


def is_visible(connection: sa.Connection, build_id: str, checkpoint: int) -> bool:
    """Tells whether a published build is still what readers see, and may stay so.

    Args:
        connection: in a transaction.
        build_id: a build that was published.
        checkpoint: its checkpoint.

    Returns:
        False if it has to be built again: its state was found wrong, or the database was set back behind it.

    Raises:
        UnfinishedBuildError: the state has moved on since and is right; building it again would set it back.
    """
    last = cursor.read_last_ledger(connection)
    if cursor.is_state_invalid(connection):
        return False
    if last is not None and last > checkpoint:
        raise UnfinishedBuildError(
            f"build {build_id[:12]} of checkpoint {checkpoint} was published and the state has moved on to ledger "
            f"{last}: nothing is left to resume; to set the state back to {checkpoint}, leave out --resume"
        )
    return last == checkpoint and cursor.read_version(connection) == cursor.CURRENT_VERSION


def _is_dead(node: str | None) -> bool:
    """Tells whether a builder on this machine is certainly gone."""
    if node is None:
        return True
    host, _, process = node.rpartition(":")
    if host != socket.gethostname() or not process.isdigit():
        return False
    if int(process) == os.getpid():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
