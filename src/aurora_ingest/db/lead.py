"""Leading: the node that moves the cursor on by one ledger writes that ledger, all in one transaction."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import psycopg
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from aurora_ingest.db import chunk_locks, cursor, guards, holders, lost_state, quarantine
from aurora_ingest.db.apply_state import StagedState, apply_state, stage_states
from aurora_ingest.db.engine import clock, is_postgres, writer
from aurora_ingest.db.history import delete_ledgers, ledger_bounds, trim_receipts
from aurora_ingest.db.history_books import ingest_ledger_counts
from aurora_ingest.db.lead_books import ingest_commits
from aurora_ingest.db.load import load_batch
from aurora_ingest.db.quarantine import Quarantined
from aurora_ingest.db.sifting import sifted
from aurora_ingest.db.state_change import StateChange
from aurora_ingest.db.tables import METADATA
from aurora_ingest.errors import AuroraError, DatabaseError, HashMismatchError, RowRejectedError
from aurora_ingest.ledger.ledger_range import LedgerRange

MAX_LOCK_SECONDS: Final = 2.0
"""After so much time under the lock no further ledger of a group is begun."""
_TOO_LONG: Final = "57014"
_WAITING: Final = {"55P03", _TOO_LONG, "40001", "40P01"}
"""SQLSTATE of a lock that is not free, a statement that took too long, and transactions that met: try again later."""
_FAILURES: Final = (DBAPIError, psycopg.Error, sqlite3.Error)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedLedger:
    """A closed ledger with everything that is to be written of it.

    Attributes:
        sequence: ledger sequence.
        ledger_hash: hash of its header, lower-case hex.
        previous_ledger_hash: hash of the ledger before, as its header states it.
        state: what it does to the state tables.
        history: rows by history table; tables that are not named are left alone.
        counts: rows of history.COUNTS_SCHEMA that go with the history; none without history.
        quarantined: records of the ledger that could not be read or stored.
        state_lost: the state lacks some of what the ledger did, and has to be built again.
    """

    sequence: int
    ledger_hash: str
    previous_ledger_hash: str
    state: StateChange
    history: Mapping[str, pa.RecordBatch] = field(default_factory=dict)
    counts: pa.RecordBatch | None = None
    quarantined: tuple[Quarantined, ...] = ()
    state_lost: bool = False


class Outcome(Enum):
    """What became of a group of ledgers."""

    LED = "led"
    """This node wrote at least the first of those that were not written yet."""
    FOLLOWED = "followed"
    """All of them had been committed by somebody before."""
    WAITS = "waits"
    """The cursor stands further back than just before the first of them, or the state waits for a rebuild."""
    REFUSED = "refused"
    """Nothing is decided: the cursor is locked by another node, or the database does not answer. Try again."""


@dataclass(frozen=True)
class CommitResult:
    """What a call of `Committer.commit` came to.

    Attributes:
        outcome: as it says.
        last_ledger: the committed cursor that was seen, None when none was.
        committed: ledgers that this call wrote, ascending.
        lock_seconds: how long the cursor was held locked.
        ended_holders: sessions of other nodes that held the cursor past their deadline and were ended.
        quarantined: records that went into quarantine with these ledgers.
    """

    outcome: Outcome
    last_ledger: int | None
    committed: tuple[int, ...] = ()
    lock_seconds: float = 0.0
    ended_holders: int = 0
    quarantined: int = 0


@dataclass(frozen=True)
class _Staged:
    """A ledger whose rows the database has."""

    ledger: PreparedLedger
    state: StagedState


class Committer:
    """Commits ledgers to one database as one of several nodes; not for use by two threads at once."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        node: str,
        network_passphrase: str,
        deadline_seconds: float = 30.0,
        keep_going: bool = False,
    ) -> None:
        """Keeps where to write, and as whom.

        Args:
            engine: the database.
            node: name of this node, unique among those of the database.
            network_passphrase: network of the ledgers.
            deadline_seconds: how long any node may hold the cursor; statements of this one are limited to it.
            keep_going: rows that the database refuses go into quarantine with their ledger instead of stopping it.
        """
        self._engine = engine
        self._node = node
        self._network_passphrase = network_passphrase
        self._deadline = deadline_seconds
        self._keep_going = keep_going

    def commit(self, group: Sequence[PreparedLedger]) -> CommitResult:
        """Writes those ledgers of a group that follow on the cursor, unless another node is at it.

        All of the group in one transaction; when that fails, one by one, so that all before the culprit are written.

        Args:
            group: consecutive ledgers, ascending.

        Raises:
            HashMismatchError: a ledger is not the successor of the one that the database stands at.
            NetworkMismatchError: the database holds another network.
            MigrationError: a newer version has taken the database over; this node has to stop.
            StateError: a ledger contradicts the state, or has a value that its column cannot hold.
            DatabaseError: there is no state to apply ledgers to, or the database refused the rows.
        """
        try:
            last = self._glance()
            pending = [ledger for ledger in group if ledger.sequence > last]
            if not pending:
                self._require_same_chain(group, last)
                return CommitResult(Outcome.FOLLOWED, last)
            if pending[0].sequence != last + 1:
                return CommitResult(Outcome.WAITS, last)
            return self._commit_alone(pending[0]) if len(pending) == 1 else self._commit_or_find(pending)
        except _FAILURES as error:
            if not _is_passing(error):
                kind = RowRejectedError if quarantine.is_of_a_row(error) else DatabaseError
                raise kind(f"ledger {group[0].sequence}: the database refused it: {_told(error)}") from error
            _LOG.info("Commit waits", extra={"ledger": group[0].sequence, "reason": _told(error)})
            return CommitResult(Outcome.REFUSED, None, ended_holders=self._end_stuck_holders())

    def _commit_or_find(self, pending: Sequence[PreparedLedger]) -> CommitResult:
        """Commits all; if one of them is bad, those before it."""
        try:
            return self._commit_together(pending)
        except (AuroraError, *_FAILURES) as error:
            # What took too long together may be done in time one by one.
            if not isinstance(error, AuroraError) and _is_passing(error) and _state(error) != _TOO_LONG:
                raise
            _LOG.warning("Group failed, ledgers go singly", extra={"ledger": pending[0].sequence, "error": str(error)})
        committed: list[int] = []
        seconds, held = 0.0, 0
        result = CommitResult(Outcome.REFUSED, None)
        for ledger in pending:
            try:
                result = self._commit_alone(ledger)
            except (AuroraError, *_FAILURES):
                if committed:
                    break  # the culprit is told when it comes first
                raise
            committed += result.committed
            seconds += result.lock_seconds
            held += result.quarantined
            if result.outcome is not Outcome.LED:
                break
        if not committed:
            return result
        return CommitResult(Outcome.LED, committed[-1], tuple(committed), seconds, quarantined=held)

    def _commit_alone(self, ledger: PreparedLedger) -> CommitResult:
        """Commits one ledger; without the rows that the database refuses, if this node keeps going."""
        try:
            return self._commit_together([ledger])
        except (RowRejectedError, *_FAILURES) as error:
            if not self._keep_going or not quarantine.is_of_a_row(error):
                raise
            _LOG.warning("Ledger is sifted", extra={"ledger": ledger.sequence, "error": quarantine.first_line(error)})
        with writer(self._engine) as connection, connection.begin() as transaction:
            self._limit(connection)
            last = self._checked_cursor(connection, lock=True)
            good = sifted(connection, ledger) if last + 1 == ledger.sequence else ledger
            transaction.rollback()  # all of it was a trial
        return self._commit_together([good])

    def _glance(self) -> int:
        """Reads the cursor without any lock, so that rows of ledgers that are there already are not even sent."""
        with self._engine.connect() as connection:
            return self._checked_cursor(connection, lock=False)

    def _require_same_chain(self, group: Sequence[PreparedLedger], last: int) -> None:
        """Refuses to follow when the ledger at the cursor is not the one that this node has read.

        Raises:
            HashMismatchError: the database and the source of this node are of different chains.
        """
        with self._engine.connect() as connection:
            now, stored = cursor.read_last_with_hash(connection)
        for ledger in group:
            # When the cursor has moved on, a later ledger will be compared.
            if ledger.sequence == now == last and stored is not None and ledger.ledger_hash != stored:
                raise HashMismatchError(
                    f"ledger {last} has hash {ledger.ledger_hash}, the database has {stored}: source and database are "
                    "of different chains",
                    expected=stored,
                    computed=ledger.ledger_hash,
                )

    def _checked_cursor(self, connection: sa.Connection, *, lock: bool) -> int:
        last = lock_cursor(connection) if lock else cursor.read_last_ledger(connection)
        guards.check_network(connection, self._network_passphrase)
        guards.check_version(connection)
        if last is None:
            raise DatabaseError("the database holds no state to apply ledgers to: make one with build-state")
        return last

    def _commit_together(self, pending: Sequence[PreparedLedger]) -> CommitResult:
        """One transaction: rows are sent, the cursor is locked and looked at, then only the server works."""
        with writer(self._engine) as connection, connection.begin() as transaction:
            staged = [_Staged(*pair) for pair in zip(pending, send_ledgers(connection, pending), strict=True)]
            self._limit(connection)
            locked_at = time.monotonic()
            last = self._checked_cursor(connection, lock=True)
            left = [each for each in staged if each.ledger.sequence > last]
            if not left or left[0].ledger.sequence != last + 1:
                return CommitResult(Outcome.WAITS if left else Outcome.FOLLOWED, last)
            if cursor.is_state_invalid(connection):
                return CommitResult(Outcome.WAITS, last)
            before = cursor.read_last_hash(connection)
            applied: list[PreparedLedger] = []
            for each in left:
                if applied and (applied[-1].state_lost or time.monotonic() - locked_at > MAX_LOCK_SECONDS):
                    break
                require_successor(each.ledger, before)
                apply_state(connection, each.state)
                before = each.ledger.ledger_hash
                applied.append(each.ledger)
            self._write_books(connection, applied)
            cursor.write(connection, cursor.LAST_LEDGER, str(applied[-1].sequence))
            cursor.write(connection, cursor.LAST_HASH, str(before))
            commit(transaction)
            committed = tuple(ledger.sequence for ledger in applied)
            seconds, held = time.monotonic() - locked_at, sum(len(ledger.quarantined) for ledger in applied)
            return CommitResult(Outcome.LED, committed[-1], committed, seconds, quarantined=held)

    def _limit(self, connection: sa.Connection) -> None:
        """Has the server end this session's transaction when it holds the cursor for too long."""
        if is_postgres(connection):
            limit = round(self._deadline * 1000)
            for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
                connection.exec_driver_sql(f"SET LOCAL {name} = {limit}")

    def _write_books(self, connection: sa.Connection, ledgers: Sequence[PreparedLedger]) -> None:
        """Writes the history of ledgers whose state is applied, and who wrote them."""
        tables = list(dict.fromkeys(table for ledger in ledgers for table in ledger.history))
        here = LedgerRange(ledgers[0].sequence, ledgers[-1].sequence)
        if tables:
            chunk_locks.lock_ledgers(connection, here)
            delete_ledgers(connection, tables, here)
            trim_receipts(connection, here, tables)
            _move_history(connection, ledgers, here)
        records = [record for ledger in ledgers for record in ledger.quarantined]
        if records:
            quarantine.forget(connection, here, {record.table for record in records})
            quarantine.put(connection, records)
        if ledgers[-1].state_lost:
            lost_state.mark(connection, ledgers[-1].sequence)
        note = {"node": self._node, "committed_at": clock(connection)}
        notes = [{"ledger": ledger.sequence, **note} for ledger in ledgers]
        connection.execute(sa.insert(ingest_commits).values(notes))

    def _end_stuck_holders(self) -> int:
        try:
            with self._engine.connect() as connection:
                return holders.end_past_deadline(connection, self._deadline)
        except (OperationalError, InterfaceError):
            return 0  # the database does not answer; the next try will tell


def send_ledgers(connection: sa.Connection, ledgers: Sequence[PreparedLedger]) -> list[StagedState]:
    """Sends the rows of ledgers ahead of the lock: the slow part, in which other nodes are not held up.

    Raises:
        RowRejectedError: a value that its column cannot hold.
    """
    if is_postgres(connection):
        for table, batch in _history_of(ledgers).items():
            staging = _history_stage(table)
            connection.exec_driver_sql(
                f'CREATE TEMPORARY TABLE IF NOT EXISTS "{staging}" (LIKE "{table}") ON COMMIT DELETE ROWS'
            )
            load_batch(connection, table, batch, into=staging)
    return stage_states(connection, [ledger.state for ledger in ledgers])


def lock_cursor(connection: sa.Connection) -> int | None:
    """Locks the cursor's row and returns the committed cursor; never waits. SQLite holds its write lock already.

    Raises:
        OperationalError: another transaction holds it.
    """
    return cursor.read_last_ledger(connection, lock=True, nowait=True)


def commit(transaction: sa.RootTransaction) -> None:
    """Ends a transaction: the one moment at which its ledgers become visible."""
    transaction.commit()


def require_successor(ledger: PreparedLedger, before: str | None) -> None:
    """Refuses a ledger that is not chained to the one that the database stands at.

    Raises:
        HashMismatchError: its header names another hash.
    """
    if before is not None and ledger.previous_ledger_hash != before:
        raise HashMismatchError(
            f"ledger {ledger.sequence} names {ledger.previous_ledger_hash} as the hash of ledger "
            f"{ledger.sequence - 1}, the database has {before}: source and database are of different chains",
            expected=before,
            computed=ledger.previous_ledger_hash,
        )


def _history_of(ledgers: Sequence[PreparedLedger]) -> dict[str, pa.RecordBatch]:
    """Returns the rows of ledgers by table of history, and their counts; tables without rows are left out."""
    parts: dict[str, list[pa.RecordBatch]] = {}
    for ledger in ledgers:
        counts = {} if ledger.counts is None else {ingest_ledger_counts.name: ledger.counts}
        for table, batch in {**ledger.history, **counts}.items():
            if batch.num_rows:
                parts.setdefault(table, []).append(batch)
    return {table: pa.concat_batches(batches) for table, batches in parts.items()}


def _move_history(connection: sa.Connection, ledgers: Sequence[PreparedLedger], here: LedgerRange) -> None:
    for table, batch in _history_of(ledgers).items():
        if not is_postgres(connection):
            load_batch(connection, table, batch)
            continue
        columns = ", ".join(f'"{column.name}"' for column in METADATA.tables[table].columns)
        column, least, greatest = ledger_bounds(table, here)
        connection.exec_driver_sql(
            f'INSERT INTO "{table}" ({columns}) SELECT {columns} FROM "{_history_stage(table)}" '  # noqa: S608 - ours
            f'WHERE "{column}" BETWEEN {least:d} AND {greatest:d}'
        )


def _history_stage(table: str) -> str:
    return f"live_{table}"


def _is_passing(error: Exception) -> bool:
    """Tells a lock or a database that is not there now from rows that will be refused again."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    state = _state(error)
    if state in _WAITING or isinstance(error, InterfaceError):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    # Class 08 and 57P are lost connections and shutdowns; without a state the connection broke.
    lost = isinstance(origin, psycopg.OperationalError) and (state is None or state[:2] == "08" or state[:3] == "57P")
    return lost or (isinstance(origin, sqlite3.OperationalError) and "locked" in str(origin))


def _state(error: Exception) -> str | None:
    state: str | None = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None)
    return state


def _told(error: Exception) -> str:
    origin = error.orig if isinstance(error, DBAPIError) else error
    return str(origin).strip().splitlines()[0] if str(origin).strip() else type(origin).__name__
