"""The book of the state verifier: which checkpoints were compared with the archive, by whom, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Double, String, Text

from aurora_ingest.db.engine import clock
from aurora_ingest.db.tables import METADATA

SOUND: Final = "sound"
MISMATCH: Final = "mismatch"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"

ingest_verifications: Final = sa.Table(
    "ingest_verifications",
    METADATA,
    Column("checkpoint", BigInteger(), nullable=False, autoincrement=False),
    Column("node", Text(), nullable=False),
    Column("verified_at", Double(), nullable=False),
    Column("seconds", Double(), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("detail", Text(), nullable=False),
    sa.PrimaryKeyConstraint("checkpoint", "node", "verified_at"),
)


@dataclass(frozen=True)
class VerificationNote:
    """One comparison of the state with the archive.

    Attributes:
        checkpoint: ledger of both.
        node: who compared.
        seconds_ago: time since its end, by the database's clock.
        seconds: how long it took.
        outcome: SOUND, MISMATCH, FAILED (nothing can be said) or CANCELLED.
        detail: what differed or why nothing can be said; empty for a sound state.
    """

    checkpoint: int
    node: str
    seconds_ago: float
    seconds: float
    outcome: str
    detail: str


def note(
    connection: sa.Connection, checkpoint: int, node: str, *, seconds: float, outcome: str, detail: str = ""
) -> None:
    """Writes one comparison into the book."""
    facts = {"checkpoint": checkpoint, "node": node, "seconds": seconds, "outcome": outcome, "detail": detail}
    connection.execute(sa.insert(ingest_verifications).values(verified_at=clock(connection), **facts))


def read_last(connection: sa.Connection, count: int = 1) -> tuple[VerificationNote, ...]:
    """Returns the last comparisons, the newest first."""
    book = ingest_verifications.c
    ago = (clock(connection) - book.verified_at).label("ago")
    query = sa.select(book.checkpoint, book.node, ago, book.seconds, book.outcome, book.detail)
    rows = connection.execute(query.order_by(book.verified_at.desc()).limit(count)).all()
    return tuple(
        VerificationNote(row.checkpoint, row.node, max(row.ago, 0.0), row.seconds, row.outcome, row.detail)
        for row in rows
    )
