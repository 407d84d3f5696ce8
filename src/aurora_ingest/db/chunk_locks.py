"""Locks on ranges of ledgers, so that of two writers of the same ledgers one waits for the other.

The locks stand on a fixed grid of 64 ledgers, whatever chunks a run is cut into. A cell that a range covers wholly is
taken for it alone; of a cell that it covers in part the cell is shared and each ledger is taken alone, so that the two
chunks that meet inside a cell do not wait for each other. All locks are taken in ascending order, which leaves no room
for a deadlock, and go with the transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from aurora_ingest.db.engine import is_postgres
from aurora_ingest.ledger.ledger_range import LedgerRange

CELL: Final = 64
"""Ledgers per cell of the grid."""
_CELL_CLASS: Final = 0x4155_5202
_LEDGER_CLASS: Final = 0x4155_5203
"""First halves of the advisory locks' numbers: `AUR` and 2 or 3."""


def lock_ledgers(connection: sa.Connection, ledgers: LedgerRange) -> None:
    """Waits until nobody else writes history of these ledgers, and keeps it so until the transaction ends.

    SQLite needs nothing: a transaction that writes is the only one there.

    Args:
        connection: in a transaction that writes.
        ledgers: the ledgers that it is going to write.
    """
    if not is_postgres(connection):
        return
    for kind, first, last, shared in locks_of(ledgers):
        function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        query = sa.text(
            f"SELECT count({function}(CAST(:kind AS int), n)) "  # noqa: S608 - one of the two names above
            "FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n"
        )
        connection.execute(query, {"kind": kind, "first": first, "last": last})


def locks_of(ledgers: LedgerRange) -> Iterator[tuple[int, int, int, bool]]:
    """Yields the locks of a range in their order: class, first number, last number, and whether they are shared."""
    whole_first = -(-ledgers.first // CELL)
    whole_last = (ledgers.last + 1) // CELL - 1
    if whole_first > whole_last:
        for part in ledgers.chunks(CELL):
            yield from _part_of_a_cell(part)
        return
    if ledgers.first < whole_first * CELL:
        yield from _part_of_a_cell(LedgerRange(ledgers.first, whole_first * CELL - 1))
    yield (_CELL_CLASS, whole_first, whole_last, False)
    if ledgers.last >= (whole_last + 1) * CELL:
        yield from _part_of_a_cell(LedgerRange((whole_last + 1) * CELL, ledgers.last))


def _part_of_a_cell(ledgers: LedgerRange) -> Iterator[tuple[int, int, int, bool]]:
    yield (_CELL_CLASS, ledgers.first // CELL, ledgers.first // CELL, True)
    yield (_LEDGER_CLASS, ledgers.first, ledgers.last, False)
