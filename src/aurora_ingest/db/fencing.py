"""Who may still write a build: its epoch is checked, and kept, in every transaction that writes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from aurora_ingest.db import backends
from aurora_ingest.db.build_books import ingest_builds
from aurora_ingest.db.engine import is_postgres, writer
from aurora_ingest.errors import FencedError

BUILDING: Final = "building"
PUBLISHED: Final = "published"
ABANDONED: Final = "abandoned"


@dataclass(frozen=True)
class Build:
    """The right to write one build; picklable, so that every worker has it.

    Attributes:
        build_id: hex name of the build.
        epoch: fencing token: whoever opened the build last has the highest.
        tables: state tables of the build.
        network_passphrase: network of the archive.
    """

    build_id: str
    epoch: int
    tables: tuple[str, ...]
    network_passphrase: str


@contextmanager
def writing_build(engine: sa.Engine, build: Build) -> Iterator[tuple[sa.Connection, str]]:
    """One transaction that writes a build, together with the build's status; see `hold`.

    Raises:
        FencedError: another builder has taken the build over, or it was abandoned; also when that one ended our
            session in the middle.
    """
    try:
        with noted_writer(engine, build) as connection, connection.begin():
            yield connection, hold(connection, build)
    except (psycopg.OperationalError, OperationalError) as error:
        _refuse_if_fenced(engine, build, error)
        raise


@contextmanager
def noted_writer(engine: sa.Engine, build: Build) -> Iterator[sa.Connection]:
    """A connection for transactions that write a build, known to whoever takes the build over."""
    with writer(engine) as connection:
        backends.note(connection, build.build_id)
        yield connection


def _refuse_if_fenced(engine: sa.Engine, build: Build, cause: Exception) -> None:
    """Says why the database ended a session, if it was because of another builder."""
    try:
        with engine.connect() as connection:
            hold(connection, build)
    except FencedError as error:
        raise error from cause
    except SQLAlchemyError:
        return  # the database does not answer: the caller raises what happened first


def hold(connection: sa.Connection, build: Build, *, exclusive: bool = False) -> str:
    """Makes sure that `build` may still be written, and keeps that so until the transaction ends.

    Args:
        connection: in a transaction.
        build: the right to write.
        exclusive: nobody else may write the build meanwhile.

    Returns:
        The build's status: building or published.

    Raises:
        FencedError: another builder has taken the build over, or it was abandoned.
    """
    query = sa.select(ingest_builds.c.epoch, ingest_builds.c.status).where(ingest_builds.c.build_id == build.build_id)
    if is_postgres(connection):
        query = query.with_for_update(read=not exclusive)
    row = connection.execute(query).first()
    if row is None or row.epoch != build.epoch or row.status == ABANDONED:
        found = "is gone" if row is None else f"is at epoch {row.epoch} and {row.status}"
        raise FencedError(
            f"build {build.build_id[:12]} {found}, this builder has epoch {build.epoch}: "
            "another one took it over or dropped it; this one has to stop"
        )
    return str(row.status)
