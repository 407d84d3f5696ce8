"""Ledgers from stellar-core's SQL database, as the original read them."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from aurora_ingest.errors import BackendError, LedgerStreamError, NetworkMismatchError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend import assembly
from aurora_ingest.ledger_backend.backend import BackendOptions, RawLedger, follow_by_polling, holes, missing
from aurora_ingest.network import Network

if TYPE_CHECKING:
    from aurora_ingest.db.core_database import CoreDatabase, CoreLedger

_AT_ONCE: Final = 32
"""Ledgers per set of queries: one snapshot, and a bounded number of rows in memory."""
_BEFORE: Final = (
    "; cores of protocol 20 and later no longer write it: read their meta stream, a data lake or an archive"
)


class CoreDatabaseBackend:
    """stellar-core's database as a source of ledgers; picklable.

    Args:
        url: ``sqlite:///file.db`` or ``postgresql://user@host/name``.
        network: the network that it must be of.
        options: how to read.

    Raises:
        UsageError: no such kind of database.
    """

    name = "core-db"
    repeatable = True

    def __init__(self, url: str, network: Network, options: BackendOptions | None = None) -> None:
        # Imported here: SQLAlchemy takes a while, and most sources need none.
        from aurora_ingest.db.core_database import CoreDatabase

        self._url = url
        self.network = network
        self.options = options or BackendOptions()
        self._database: CoreDatabase = CoreDatabase(url)

    def __reduce__(self) -> tuple[type[CoreDatabaseBackend], tuple[object, ...]]:
        """Pickles what was asked for, not the open connections."""
        return CoreDatabaseBackend, (self._url, self.network, self.options)

    def describe(self) -> str:
        """The database's address, without the password."""
        return f"core database {self._database.shown}"

    def has_genesis(self) -> bool:
        """Whether the header of ledger 1 is still there."""
        there = self.available()
        return there is not None and there.first == 1

    def available(self) -> LedgerRange | None:
        """From the lowest to the highest ledger; None if there is none.

        Raises:
            BackendError: the database does not answer, or lacks a table.
            NetworkMismatchError: it is of another network.
        """
        self._require_tables()
        return self._database.extent()

    def check(self, ledgers: LedgerRange) -> None:
        """Looks for the tables, the network and the headers of the range.

        Raises:
            MissingLedgersError: headers are not there; names the holes.
            BackendError: a table is not there, or the database does not answer.
            NetworkMismatchError: it is of another network.
        """
        self._require_tables()
        self._require(ledgers, self._database.sequences(ledgers))

    def read(self, ledgers: LedgerRange) -> Iterator[RawLedger]:
        """Gives exactly these ledgers; see `LedgerBackend.read`."""
        for part in ledgers.chunks(_AT_ONCE):
            found = self._database.ledgers(part)
            for ledger in found[: self._whole(part, found)]:
                yield self._raw(ledger)
            self._require(ledgers, (ledger.sequence for ledger in found), part)

    def follow(self, first: int, stop: Callable[[], bool]) -> Iterator[RawLedger]:
        """Gives the ledgers from ``first`` on as core commits them; see `LedgerBackend.follow`."""
        self._require_tables()
        return follow_by_polling(self.read, self._newest, first, stop, self.options)

    def _newest(self) -> int | None:
        extent = self._database.extent()
        return None if extent is None else extent.last

    @staticmethod
    def _whole(part: LedgerRange, found: Sequence[CoreLedger]) -> int:
        """How many ledgers come before the first hole."""
        return next((place for place, ledger in enumerate(found) if ledger.sequence != part.first + place), len(found))

    def _require(self, ledgers: LedgerRange, there: Iterator[int] | list[int], part: LedgerRange | None = None) -> None:
        """Refuses holes.

        Raises:
            MissingLedgersError: headers are not there.
        """
        lost = holes(part or ledgers, there)
        if not lost:
            return
        if part is not None:  # tell all holes of the range, not only those seen so far
            rest = LedgerRange(lost[0].first, ledgers.last)
            lost = holes(rest, self._database.sequences(rest)) or lost
        extent = self._database.extent()
        raise missing(self.describe(), lost, f"; it has ledgers {extent}" if extent else "; it has no ledgers")

    def _require_tables(self) -> None:
        lost = self._database.missing_tables()
        if lost:
            what = "no table" if "." not in lost[0] else "no column"
            raise BackendError(f"{self.describe()} has {what} {lost[0]}{_BEFORE}")
        passphrase = self._database.passphrase()
        if passphrase is not None and passphrase != self.network.passphrase:
            raise NetworkMismatchError(
                f"{self.describe()} is of network {passphrase!r}, expected {self.network.passphrase!r}"
            )

    def _raw(self, ledger: CoreLedger) -> RawLedger:
        """The LedgerCloseMeta that core would have written, but for the order inside of change lists.

        Raises:
            LedgerStreamError: rows are missing, out of order, or not base64.
        """
        origin = f"ledger {ledger.sequence} of {self.describe()}"
        self._require_order(origin, "txhistory", [row[0] for row in ledger.transactions])
        self._require_order(origin, "txfeehistory", [row[0] for row in ledger.fees])
        self._require_order(origin, "upgradehistory", [row[0] for row in ledger.upgrades])
        if len(ledger.fees) != len(ledger.transactions):
            raise LedgerStreamError(
                f"{origin}: {len(ledger.transactions)} rows in txhistory, but {len(ledger.fees)} in txfeehistory",
                path=origin,
            )
        try:
            header = b64decode(ledger.header, validate=True)
            facts = assembly.HeaderFacts.of(header)
            envelopes = [b64decode(row[1], validate=True) for row in ledger.transactions]
            processing = [
                b"".join(b64decode(text, validate=True) for text in (result, changes, meta))
                for (_, _, result, meta), (_, changes) in zip(ledger.transactions, ledger.fees, strict=True)
            ]
            upgrades = [
                b64decode(upgrade, validate=True) + b64decode(changes, validate=True)
                for _, upgrade, changes in ledger.upgrades
            ]
            entry = assembly.header_entry(bytes.fromhex(ledger.ledger_hash), header)
        except (binascii.Error, ValueError) as error:
            raise LedgerStreamError(f"{origin}: {error}", path=origin) from error
        transactions = assembly.legacy_set(facts.previous_hash, envelopes)
        data = assembly.ledger_close_meta(entry, transactions, processing, upgrades)
        # A generalized set is not in SQL. The ledger that upgrades to 20 has a legacy one: its verdict is lost, too.
        return RawLedger(ledger.sequence, data, origin, has_set=facts.protocol < assembly.GENERALIZED_FROM)

    @staticmethod
    def _require_order(origin: str, table: str, indexes: list[int]) -> None:
        expected = list(range(1, len(indexes) + 1))
        if indexes != expected:
            place = next(i for i, pair in enumerate(zip(indexes, expected, strict=True)) if pair[0] != pair[1])
            raise LedgerStreamError(
                f"{origin}: row {place} of {table} has index {indexes[place]}, expected {expected[place]}", path=origin
            )
