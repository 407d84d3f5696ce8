"""The SQL database of stellar-core, read and never written: the original's queries, and the upgrades it left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from aurora_ingest.db.engine import address_of
from aurora_ingest.errors import BackendError, UsageError
from aurora_ingest.ledger.ledger_range import LedgerRange

_BUSY_SECONDS: Final = 60
_METADATA = sa.MetaData()

_HEADERS = sa.Table(
    "ledgerheaders",
    _METADATA,
    sa.Column("ledgerseq", sa.Integer),
    sa.Column("ledgerhash", sa.Text),
    sa.Column("closetime", sa.BigInteger),
    sa.Column("data", sa.Text),
)
_TRANSACTIONS = sa.Table(
    "txhistory",
    _METADATA,
    sa.Column("ledgerseq", sa.Integer),
    sa.Column("txindex", sa.Integer),
    sa.Column("txbody", sa.Text),
    sa.Column("txresult", sa.Text),
    sa.Column("txmeta", sa.Text),
)
_FEES = sa.Table(
    "txfeehistory",
    _METADATA,
    sa.Column("ledgerseq", sa.Integer),
    sa.Column("txindex", sa.Integer),
    sa.Column("txchanges", sa.Text),
)
_UPGRADES = sa.Table(
    "upgradehistory",
    _METADATA,
    sa.Column("ledgerseq", sa.Integer),
    sa.Column("upgradeindex", sa.Integer),
    sa.Column("upgrade", sa.Text),
    sa.Column("changes", sa.Text),
)
_STATE = sa.Table("storestate", _METADATA, sa.Column("statename", sa.Text), sa.Column("state", sa.Text))
_NEEDED: Final = (_HEADERS, _TRANSACTIONS, _FEES, _UPGRADES)


@dataclass(frozen=True)
class CoreLedger:
    """The rows of one ledger as core keeps them: text columns are XDR in base64.

    Attributes:
        sequence: ledger sequence.
        ledger_hash: hex.
        header: LedgerHeader.
        transactions: (txindex, TransactionEnvelope, TransactionResultPair, TransactionMeta), ascending by txindex.
        fees: (txindex, LedgerEntryChanges), ascending by txindex.
        upgrades: (upgradeindex, LedgerUpgrade, LedgerEntryChanges), ascending by upgradeindex.
    """

    sequence: int
    ledger_hash: str
    header: str
    transactions: Sequence[tuple[int, str, str, str]]
    fees: Sequence[tuple[int, str]]
    upgrades: Sequence[tuple[int, str, str]]


class CoreDatabase:
    """A database of stellar-core.

    Args:
        url: ``postgresql://user@host/name`` or ``sqlite:///file.db``.

    Raises:
        UsageError: no such kind of database.
    """

    def __init__(self, url: str) -> None:
        self._address = address_of(url)

    @property
    def shown(self) -> str:
        """The address for messages, without the password."""
        return self._address.render_as_string(hide_password=True)

    @cached_property
    def _engine(self) -> sa.Engine:
        # No pool: a source that only looks now and then should not keep one of core's connections.
        address = self._address
        if address.get_backend_name() != "sqlite":
            return sa.create_engine(address, poolclass=sa.NullPool, isolation_level="REPEATABLE READ")
        if not address.database or address.database == ":memory:":
            raise UsageError(f"core database {self.shown} names no file")
        # A URI with mode=ro: core's file is not ours to create, lock for writing or put into another journal mode.
        read_only = address.set(database=f"file:{address.database}", query={"mode": "ro", "uri": "true"})
        return sa.create_engine(read_only, poolclass=sa.NullPool, connect_args={"timeout": _BUSY_SECONDS})

    def missing_tables(self) -> list[str]:
        """Which of the needed tables, or which column of one, the database does not have.

        Raises:
            BackendError: it does not answer.
        """
        with self._reading() as connection:
            inspector = sa.inspect(connection)
            there = set(inspector.get_table_names())
            lost = [table.name for table in _NEEDED if table.name not in there]
            for table in _NEEDED:
                if table.name in there:
                    columns = {column["name"] for column in inspector.get_columns(table.name)}
                    lost += [f"{table.name}.{column.name}" for column in table.columns if column.name not in columns]
        return lost

    def passphrase(self) -> str | None:
        """The passphrase of the network that core noted; None if it did not.

        Raises:
            BackendError: the database does not answer.
        """
        with self._reading() as connection:
            if not sa.inspect(connection).has_table(_STATE.name):
                return None
            # CHARACTER(32): PostgreSQL fills up with spaces, and compares without them.
            query = sa.select(_STATE.c.state).where(_STATE.c.statename == sa.cast("networkpassphrase", sa.CHAR(32)))
            found: str | None = connection.execute(query).scalar()
        return found

    def extent(self) -> LedgerRange | None:
        """From the lowest to the highest ledger; None if there is none.

        Raises:
            BackendError: the database does not answer.
        """
        with self._reading() as connection:
            query = sa.select(sa.func.min(_HEADERS.c.ledgerseq), sa.func.max(_HEADERS.c.ledgerseq))
            first, last = connection.execute(query).one()
        return None if first is None else LedgerRange(first, last)

    def sequences(self, ledgers: LedgerRange) -> list[int]:
        """The ledgers of the range that have a header, ascending.

        Raises:
            BackendError: the database does not answer.
        """
        with self._reading() as connection:
            return list(connection.execute(_of(_HEADERS, ledgers, "ledgerseq")).scalars())

    def ledgers(self, ledgers: LedgerRange) -> list[CoreLedger]:
        """The ledgers of the range that have a header, ascending, read in one snapshot.

        Raises:
            BackendError: the database does not answer.
        """
        with self._reading() as connection:
            headers = _rows(connection, _of(_HEADERS, ledgers, "ledgerseq", "ledgerhash", "data"))
            transactions = _by_ledger(
                connection, _of(_TRANSACTIONS, ledgers, "ledgerseq", "txindex", "txbody", "txresult", "txmeta")
            )
            fees = _by_ledger(connection, _of(_FEES, ledgers, "ledgerseq", "txindex", "txchanges"))
            upgrades = _by_ledger(
                connection, _of(_UPGRADES, ledgers, "ledgerseq", "upgradeindex", "upgrade", "changes")
            )
        return [
            CoreLedger(
                sequence,
                ledger_hash,
                header,
                transactions.get(sequence, []),
                fees.get(sequence, []),
                upgrades.get(sequence, []),
            )
            for sequence, ledger_hash, header in headers
        ]

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """One transaction that only reads; all its statements see the same ledgers.

        Raises:
            BackendError: the database does not answer, or refuses.
        """
        try:
            with self._engine.connect().execution_options(postgresql_readonly=True) as connection:
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN")  # the driver begins none for a query
                yield connection
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise BackendError(f"core database {self.shown}: {reason}") from error


def _of(table: sa.Table, ledgers: LedgerRange, *columns: str) -> sa.Select[Any]:
    """Columns of a table's rows of a range, by ledger and, where there is one, by the index in it."""
    order = [table.c.ledgerseq, *(column for column in table.c if column.name in {"txindex", "upgradeindex"})]
    chosen = sa.select(*(table.c[name] for name in columns))
    return chosen.where(table.c.ledgerseq.between(ledgers.first, ledgers.last)).order_by(*order)


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(query)]


def _by_ledger(connection: sa.Connection, query: sa.Select[Any]) -> dict[int, list[Any]]:
    """The rows by their first column, without it."""
    found: dict[int, list[Any]] = {}
    for ledger, *rest in connection.execute(query):
        found.setdefault(ledger, []).append(tuple(rest))
    return found
