"""What every source of ledgers can do, what it gives, and how patient it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from aurora_ingest.errors import MissingLedgersError, UsageError
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.ledger.ledger_range import LedgerRange

FIRST_CLOSED_LEDGER: Final = 2
"""Ledger 1 is genesis: nobody closed it, so it has no LedgerCloseMeta of its own."""
_SHOWN_HOLES: Final = 5
_LOOKS_BEFORE_A_HOLE: Final = 3


@dataclass(frozen=True)
class RawLedger:
    """One ledger as it came.

    Attributes:
        sequence: ledger sequence.
        data: LedgerCloseMeta XDR, bare; of a stream looked at no further than to know its sequence, since
            `LedgerDecoder` checks it wholly.
        origin: file or table and place, for messages.
        has_meta: whether the source had what the transactions changed; without it the metas in ``data`` are empty.
        has_set: whether the source had the transaction set itself; without it ``data`` holds the envelopes in a
            legacy set, whose hash proves nothing.
    """

    sequence: int
    data: bytes
    origin: str
    has_meta: bool = True
    has_set: bool = True


@dataclass(frozen=True)
class BackendOptions:
    """What can be set about a source; each kind of source uses what concerns it.

    Attributes:
        kind: one of `detect.KINDS`, where the address does not tell; None detects it.
        workers: objects of a data lake that are fetched at the same time.
        buffer_bytes: bytes of files that may wait for their turn or be under way.
        poll_interval: seconds between two looks for the next ledger when following.
        silence: seconds without a new byte after which the writer of a half-written record is taken for dead.
        retry: how patient to be per file.
        ledgers_per_file: of a data lake without a manifest; None infers it from the names.
        files_per_partition: of a data lake without a manifest; None infers it from the names.
        judge_sets: refuse an archive's ledger whose missing transactions are not accounted for by its header; a
            verifier, which judges hashes itself, switches this off and gets what is there.
        sleep: waits that many seconds.
    """

    kind: str | None = None
    workers: int = 8
    buffer_bytes: int = 64 << 20
    poll_interval: float = 1.0
    silence: float = 300.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    ledgers_per_file: int | None = None
    files_per_partition: int | None = None
    judge_sets: bool = True
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        """Refuses numbers that nothing could work with.

        Raises:
            UsageError: a number below its least.
        """
        for name, least in (("workers", 1), ("buffer_bytes", 1), ("ledgers_per_file", 1), ("files_per_partition", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} of a ledger source is {value}; expected at least {least}")


class LedgerBackend(Protocol):
    """A source of ledgers; picklable, so that every worker opens its own.

    Attributes:
        name: the kind of source.
    """

    name: str

    @property
    def repeatable(self) -> bool:
        """Whether what was read can be read again, also by several workers at once; a pipe cannot."""
        ...

    def describe(self) -> str:
        """The source in a few words, without secrets."""
        ...

    def has_genesis(self) -> bool:
        """Whether ledger 1 can be read."""
        ...

    def check(self, ledgers: LedgerRange) -> None:
        """Looks at planning time whether the whole range is there, as far as that can be known without reading it.

        Raises:
            MissingLedgersError: it is not; names the holes.
            BackendError: the source is not what it should be.
            NetworkMismatchError: it is of another network.
        """
        ...

    def available(self) -> LedgerRange | None:
        """From the lowest to the highest ledger that is there, holes not considered; None if it cannot be known.

        Raises:
            BackendError: the source is not what it should be.
        """
        ...

    def read(self, ledgers: LedgerRange) -> Iterator[RawLedger]:
        """Gives exactly these ledgers, ascending, each once.

        Raises:
            MissingLedgersError: a ledger is not there; those before it have been given.
            LedgerStreamError: its bytes are cut off or damaged.
            BackendError: the source does not answer.
        """
        ...

    def follow(self, first: int, stop: Callable[[], bool]) -> Iterator[RawLedger]:
        """Gives the ledgers from ``first`` on, ascending, each once, and waits for those to come.

        It ends when ``stop`` says so, or when a stream ends that cannot grow any more.

        Raises:
            MissingLedgersError: the next ledger is not there, but later ones are.
            LedgerStreamError: its bytes are cut off or damaged.
            BackendError: the source does not answer.
        """
        ...


def follow_by_polling(
    read: Callable[[LedgerRange], Iterator[RawLedger]],
    newest: Callable[[], int | None],
    first: int,
    stop: Callable[[], bool],
    options: BackendOptions,
) -> Iterator[RawLedger]:
    """Follows a source that can say which ledger is its newest: see `LedgerBackend.follow`.

    A ledger that is missing though later ones are there may be on its way, since some writers work in parallel: it is
    asked for a few times more before it counts as a hole.

    Args:
        read: gives the ledgers of a range.
        newest: the newest ledger of the source, or None if it has none.
        first: ledger to start with.
        stop: tells to end.
        options: give the interval between two looks.
    """
    ledger, looks = first, 0
    while not stop():
        there = newest()
        if there is not None and there >= ledger:
            try:
                for raw in read(LedgerRange(ledger, there)):
                    yield raw
                    ledger, looks = raw.sequence + 1, 0
                    if stop():
                        return
                continue
            except MissingLedgersError:
                looks += 1
                if looks > _LOOKS_BEFORE_A_HOLE:
                    raise
        options.sleep(options.poll_interval)


def readable_range(backend: LedgerBackend, ledgers: LedgerRange) -> tuple[LedgerRange, str]:
    """The part of a range that a source can have, and a sentence about where ledger 1 comes from.

    Args:
        backend: the source.
        ledgers: as the user asked.

    Returns:
        the range, less ledger 1 if the source cannot have it; and the sentence, empty if ledger 1 was not asked for.

    Raises:
        MissingLedgersError: only ledger 1 was asked for, of a source that cannot have it.
    """
    if ledgers.first >= FIRST_CLOSED_LEDGER:
        return ledgers, ""
    if backend.has_genesis():
        return ledgers, f"ledger 1 (genesis) comes from {backend.describe()}"
    told = f"ledger 1 is genesis, which {backend.describe()} does not hold"
    if ledgers.last < FIRST_CLOSED_LEDGER:
        raise MissingLedgersError(f"{told}; a history archive has its header", [ledgers])
    return LedgerRange(FIRST_CLOSED_LEDGER, ledgers.last), f"{told}: reading starts at ledger 2"


def holes(ledgers: LedgerRange, present: Iterable[int]) -> list[LedgerRange]:
    """The ledgers of a range that are not present, as ascending ranges.

    Args:
        ledgers: the range that should be there.
        present: ledger sequences, ascending; those outside the range do not matter.
    """
    found: list[LedgerRange] = []
    expected = ledgers.first
    for ledger in present:
        if ledger > ledgers.last:
            break
        if ledger > expected:
            found.append(LedgerRange(expected, ledger - 1))
        expected = max(expected, ledger + 1)
    if expected <= ledgers.last:
        found.append(LedgerRange(expected, ledgers.last))
    return found


def joined(ranges: Iterable[LedgerRange]) -> list[LedgerRange]:
    """Ascending ranges with those that meet made one."""
    found: list[LedgerRange] = []
    for each in ranges:
        if found and found[-1].meets(each):
            found[-1] = LedgerRange(found[-1].first, each.last)
        else:
            found.append(each)
    return found


def missing(source: str, ranges: Sequence[LedgerRange], why: str = "") -> MissingLedgersError:
    """The error that names a source and its holes.

    Args:
        source: what lacks the ledgers.
        ranges: the holes, ascending.
        why: what follows the message.
    """
    shown = ", ".join(str(each) for each in ranges[:_SHOWN_HOLES])
    more = f" and {len(ranges) - _SHOWN_HOLES} more holes" if len(ranges) > _SHOWN_HOLES else ""
    count = sum(len(each) for each in ranges)
    what = f"ledger {shown} is" if count == 1 else f"{count} ledgers are"
    where = "" if count == 1 else f": {shown}{more}"
    return MissingLedgersError(f"{source}: {what} not there{where}{why}", ranges)
