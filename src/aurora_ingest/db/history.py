"""History in the database: one transaction replaces all rows of a chunk of ledgers, with its books."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from aurora_ingest.db import chunk_locks, cursor, guards, live, quarantine, schema
from aurora_ingest.db.engine import writing
from aurora_ingest.db.history_books import ingest_history_chunks, ingest_ledger_counts
from aurora_ingest.db.load import load_batch
from aurora_ingest.db.quarantine import Quarantined, RefusedRow
from aurora_ingest.db.tables import METADATA
from aurora_ingest.ledger.ledger_range import LedgerRange

_BY_ID: Final = 32
LEDGER_KEYS: Final[dict[str, tuple[str, int]]] = {
    "history_ledgers": ("sequence", 0),
    "history_transactions": ("id", _BY_ID),
    "history_operations": ("id", _BY_ID),
    "history_contract_events": ("ledger_sequence", 0),
    "ledger_entry_changes": ("ledger_sequence", 0),
    "order_book_levels": ("ledger_sequence", 0),
}
"""Column by which the rows of a ledger are found in each history table, and by how many bits the ledger is shifted."""

COUNTS_SCHEMA: Final = pa.schema(
    [
        pa.field("ledger_sequence", pa.int64(), nullable=False),
        pa.field("table_name", pa.string(), nullable=False),
        pa.field("rows_in", pa.int64(), nullable=False),
        pa.field("rows_out", pa.int64(), nullable=False),
        pa.field("quarantined", pa.int64(), nullable=False),
    ]
)
"""Rows of ``ingest_ledger_counts``."""


@dataclass(frozen=True)
class HistoryTarget:
    """What is written into a database, and from where; picklable, so that every worker has it.

    Attributes:
        tables: history tables, in the order in which they are written.
        source: what the ledgers come from, in words.
        network_passphrase: network of the ledgers.
        keep_going: put refused records into quarantine instead of stopping at the first one.
    """

    tables: tuple[str, ...]
    source: str
    network_passphrase: str
    keep_going: bool = False


@dataclass(frozen=True)
class ChunkRows:
    """What a written chunk holds: rows by table, and how many records are in quarantine."""

    rows: Mapping[str, int]
    quarantined: int


def ledger_bounds(table: str, ledgers: LedgerRange) -> tuple[str, int, int]:
    """Returns a table's column that tells the ledger, and its least and greatest value in a range of ledgers.

    Args:
        table: a table of LEDGER_KEYS, or ``ingest_ledger_counts``.
        ledgers: the range.
    """
    column, bits = {**LEDGER_KEYS, ingest_ledger_counts.name: ("ledger_sequence", 0)}[table]
    return column, ledgers.first << bits, ((ledgers.last + 1) << bits) - 1


def check(engine: sa.Engine, ledgers: LedgerRange, target: HistoryTarget) -> None:
    """Refuses a database that the history may not go into.

    Raises:
        MigrationError: the schema is not ours.
        NetworkMismatchError: the database holds another network.
        DatabaseError: the ledgers go beyond the cursor and a follower runs.
    """
    schema.require(engine)
    with engine.connect() as connection:
        guards.check_network(connection, target.network_passphrase)
    live.refuse_beyond_cursor(engine, ledgers)


def prepare(engine: sa.Engine, target: HistoryTarget) -> None:
    """Notes the network in a new database.

    Raises:
        NetworkMismatchError: the database holds another network.
    """
    try:
        with writing(engine) as connection:
            if cursor.read(connection, cursor.NETWORK) is None:
                cursor.write(connection, cursor.NETWORK, target.network_passphrase)
    except IntegrityError:
        pass  # another run was first; it has to be of the same network
    with engine.connect() as connection:
        guards.check_network(connection, target.network_passphrase)


def unwritten(engine: sa.Engine, chunks: Iterable[LedgerRange], target: HistoryTarget) -> tuple[LedgerRange, ...]:
    """Returns the chunks of which a ledger or a table was never written from this source by this version's rules.

    Args:
        engine: the database.
        chunks: chunks of a run.
        target: what the run writes.
    """
    books = ingest_history_chunks.c
    query = (
        sa.select(books.first_ledger, books.last_ledger, books.tables)
        .where(books.source == target.source, books.version == cursor.CURRENT_VERSION)
        .order_by(books.first_ledger)
    )
    written: dict[str, list[tuple[int, int]]] = {table: [] for table in target.tables}
    with engine.connect() as connection:
        for first, last, tables in connection.execute(query):
            for table in tables.split(","):
                if table in written:
                    written[table].append((first, last))
    return tuple(chunk for chunk in chunks if not all(covers(spans, chunk) for spans in written.values()))


def covers(spans: Sequence[tuple[int, int]], ledgers: LedgerRange) -> bool:
    """Tells whether ranges, sorted by their first ledger, hold every ledger of another range."""
    need = ledgers.first
    for first, last in spans:
        if first <= need <= last:
            need = last + 1
    return need > ledgers.last


class ChunkTransaction:
    """The transaction that replaces one chunk; nothing of it is seen before it is committed.

    Opening it takes the locks of the chunk's ledgers and deletes their rows from every table of the target. It is
    committed by ``commit``, and rolled back by ``close`` or with the connection.
    """

    def __init__(self, engine: sa.Engine, chunk: LedgerRange, target: HistoryTarget) -> None:
        """Opens it.

        Args:
            engine: the database.
            chunk: ledgers to replace.
            target: tables to replace and how.

        Raises:
            DatabaseError: the chunk goes beyond the cursor and a follower runs.
        """
        self._chunk = chunk
        self._target = target
        self._rows = dict.fromkeys(target.tables, 0)
        self._quarantined = 0
        live.refuse_beyond_cursor(engine, chunk)
        self._stack = ExitStack()
        self._connection = self._stack.enter_context(writing(engine))
        try:
            chunk_locks.lock_ledgers(self._connection, chunk)
            delete_ledgers(self._connection, target.tables, chunk)
        except BaseException:
            self.close()
            raise

    def write(self, table: str, batch: pa.RecordBatch) -> list[RefusedRow]:
        """Writes rows of one table.

        Returns:
            The rows that were refused, always empty unless the target keeps going; put them into quarantine.

        Raises:
            RowRejectedError: the database refuses a row, and the target does not keep going.
        """
        refused: list[RefusedRow] = []
        if self._target.keep_going:
            refused = quarantine.load_good(self._connection, table, batch)
        else:
            quarantine.load_all(self._connection, table, batch)
        self._rows[table] += batch.num_rows - len(refused)
        return refused

    def write_counts(self, counts: pa.RecordBatch) -> None:
        """Writes rows of COUNTS_SCHEMA, each ledger and table once."""
        load_batch(self._connection, ingest_ledger_counts.name, counts)

    def put_into_quarantine(self, records: Iterable[Quarantined]) -> None:
        """Keeps records that could not be stored."""
        self._quarantined += quarantine.put(self._connection, records)

    def commit(self) -> ChunkRows:
        """Writes the chunk's receipt and makes everything visible."""
        done = ChunkRows(dict(self._rows), self._quarantined)
        _write_receipt(self._connection, self._chunk, self._target, done)
        self._end()
        return done

    def commit_mended(self) -> None:
        """Makes visible what was mended inside chunks that have their receipts; these are brought up to date."""
        recount(self._connection, self._chunk)
        self._end()

    def _end(self) -> None:
        commit_chunk(self._connection)
        self._stack.close()

    def close(self) -> None:
        """Rolls back what was not committed and gives the connection back."""
        transaction = self._connection.get_transaction()
        if transaction is not None and transaction.is_active:
            transaction.rollback()
        self._stack.close()


def commit_chunk(connection: sa.Connection) -> None:
    """Commits the transaction of a chunk: the one moment at which the chunk becomes visible."""
    connection.commit()


def delete_ledgers(connection: sa.Connection, tables: Iterable[str], ledgers: LedgerRange) -> None:
    """Deletes the rows of ledgers from history tables, with their counts and what is in quarantine of them."""
    names = list(tables)
    for name in names:
        column, least, greatest = ledger_bounds(name, ledgers)
        table = METADATA.tables[name]
        connection.execute(sa.delete(table).where(table.columns[column].between(least, greatest)))
    counts = ingest_ledger_counts
    inside = counts.c.ledger_sequence.between(ledgers.first, ledgers.last) & counts.c.table_name.in_(names)
    connection.execute(sa.delete(counts).where(inside))
    quarantine.forget(connection, ledgers, names)


def _write_receipt(connection: sa.Connection, chunk: LedgerRange, target: HistoryTarget, done: ChunkRows) -> None:
    receipt = {
        "first_ledger": chunk.first,
        "last_ledger": chunk.last,
        "tables": ",".join(target.tables),
        "source": target.source,
        "version": cursor.CURRENT_VERSION,
        "rows": json.dumps(done.rows, sort_keys=True),
        "quarantined": done.quarantined,
        "finished_at": time.time(),
    }
    trim_receipts(connection, chunk, target.tables)
    connection.execute(sa.insert(ingest_history_chunks).values(**receipt))


def trim_receipts(connection: sa.Connection, ledgers: LedgerRange, tables: Iterable[str]) -> None:
    """Takes some ledgers of some tables out of the receipts: somebody else has written them, or they have left.

    Args:
        connection: in a transaction that writes.
        ledgers: which ledgers.
        tables: of which tables; receipts keep the ledgers of their other tables.
    """
    books = ingest_history_chunks
    gone = set(tables)
    meets = (books.c.first_ledger <= ledgers.last) & (books.c.last_ledger >= ledgers.first)
    for row in connection.execute(sa.select(books).where(meets)).mappings().all():
        names = row["tables"].split(",")
        kept = ",".join(name for name in names if name not in gone)
        if kept == row["tables"]:
            continue
        inside = (max(row["first_ledger"], ledgers.first), min(row["last_ledger"], ledgers.last))
        pieces = {
            (row["first_ledger"], ledgers.first - 1): row["tables"],
            inside: kept,
            (ledgers.last + 1, row["last_ledger"]): row["tables"],
        }
        _replace_receipt(
            connection, dict(row), {span: left for span, left in pieces.items() if left and span[0] <= span[1]}
        )


def _replace_receipt(connection: sa.Connection, row: Mapping[str, Any], pieces: Mapping[tuple[int, int], str]) -> None:
    """Puts receipts of pieces of its ledgers and tables in the place of a receipt."""
    books = ingest_history_chunks
    for span, tables in {(row["first_ledger"], row["last_ledger"]): row["tables"], **pieces}.items():
        same = (books.c.first_ledger == span[0]) & (books.c.last_ledger == span[1]) & (books.c.tables == tables)
        connection.execute(sa.delete(books).where(same))
    for (first, last), tables in pieces.items():
        connection.execute(
            sa.insert(books).values(**{**row, "first_ledger": first, "last_ledger": last, "tables": tables})
        )
        recount(connection, LedgerRange(first, last))


def recount(connection: sa.Connection, ledgers: LedgerRange) -> None:
    """Brings the receipts of the chunks that meet some ledgers up to date with the counts of their ledgers."""
    books, counts = ingest_history_chunks, ingest_ledger_counts
    meets = (books.c.first_ledger <= ledgers.last) & (books.c.last_ledger >= ledgers.first)
    for receipt in connection.execute(sa.select(books).where(meets)).all():
        names = receipt.tables.split(",")
        inside = counts.c.ledger_sequence.between(receipt.first_ledger, receipt.last_ledger)
        sums = (
            sa.select(counts.c.table_name, sa.func.sum(counts.c.rows_out), sa.func.sum(counts.c.quarantined))
            .where(inside & counts.c.table_name.in_(names))
            .group_by(counts.c.table_name)
        )
        found = {name: (int(out), int(held)) for name, out, held in connection.execute(sums)}
        this = (
            (books.c.first_ledger == receipt.first_ledger)
            & (books.c.last_ledger == receipt.last_ledger)
            & (books.c.tables == receipt.tables)
        )
        rows = json.dumps({name: found.get(name, (0, 0))[0] for name in names}, sort_keys=True)
        held = sum(each[1] for each in found.values())
        connection.execute(sa.update(books).where(this).values(rows=rows, quarantined=held))


def mend_rows(engine: sa.Engine, ledgers: LedgerRange, target: HistoryTarget) -> tuple[int, int]:
    """Tries the rows in quarantine again, ledger by ledger, each in its own transaction.

    Args:
        engine: the database.
        ledgers: only rows of these.
        target: only rows of its tables.

    Returns:
        how many rows are in their tables now, and how many stayed in quarantine.
    """
    with engine.connect() as connection:
        places = quarantine.places(connection, ledgers, quarantine.ROW)
    mended = stayed = 0
    for ledger, table in ((ledger, table) for ledger, some in places.items() for table in some):
        if table not in target.tables:
            continue
        here = LedgerRange(ledger, ledger)
        with writing(engine) as connection:
            chunk_locks.lock_ledgers(connection, here)
            rows = [
                each for each in quarantine.held(connection, here) if (each.kind, each.table) == (quarantine.ROW, table)
            ]
            batch = pa.Table.from_batches([quarantine.row_of(each) for each in rows]).combine_chunks().to_batches()[0]
            refused = {each.row for each in quarantine.load_good(connection, table, batch)}
            good = [each for number, each in enumerate(rows) if number not in refused]
            quarantine.take_out(connection, good)
            counts = ingest_ledger_counts
            this = (counts.c.ledger_sequence == ledger) & (counts.c.table_name == table)
            moved = {"rows_out": counts.c.rows_out + len(good), "quarantined": counts.c.quarantined - len(good)}
            connection.execute(sa.update(counts).where(this).values(**moved))
            recount(connection, here)
        mended += len(good)
        stayed += len(refused)
    return mended, stayed
