"""A source of ledgers that a thread reads ahead, so that whoever asks gets what is there and need not wait."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from types import TracebackType
from typing import Final

from aurora_ingest.errors import BackendError, StateError
from aurora_ingest.ledger_backend.backend import LedgerBackend, RawLedger

AHEAD_BYTES: Final = 64 << 20
"""Bytes of ledgers that are read ahead."""
TELL_AFTER: Final = 30.0
"""Seconds of silence of a source after which that is told; later after twice the time each."""
_LOG = logging.getLogger(__name__)


class LedgerFeed:
    """The ledgers of one source from some ledger on, as they come.

    Ledgers stay until later ones are asked for, so that the same ones can be taken again after a failure even from a
    pipe. For use by any number of threads.
    """

    def __init__(self, backend: LedgerBackend, ahead_bytes: int = AHEAD_BYTES) -> None:
        """Keeps the source; reading starts with the first question.

        Args:
            backend: the source.
            ahead_bytes: bytes of ledgers to read ahead; a larger ledger is read all the same.
        """
        self._backend = backend
        self._ahead_bytes = ahead_bytes
        self._condition = threading.Condition()
        self._waiting: deque[RawLedger] = deque()
        self._bytes = 0
        self._next: int | None = None
        self._fault: Exception | None = None
        self._ended = False
        self._generation = 0
        self._thread: threading.Thread | None = None
        self._silent_since = time.monotonic()
        self._told = 0

    def __enter__(self) -> LedgerFeed:  # noqa: PYI034 - typing has Self only from Python 3.11 on
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def has_ended(self) -> bool:
        """Whether the source has said that no more ledgers will come, and all have been taken."""
        with self._condition:
            return self._ended and not self._waiting

    @property
    def newest(self) -> int | None:
        """Last ledger that was read ahead, None before the first one."""
        with self._condition:
            return self._waiting[-1].sequence if self._waiting else None

    def wait(self, first: int, seconds: float) -> bool:
        """Waits until a ledger is there.

        Args:
            first: the ledger; earlier ones are dropped.
            seconds: longest time.

        Returns:
            True if it is there.

        Raises:
            BackendError: the source does not have it, or does not answer; the next question starts anew.
        """
        until = time.monotonic() + seconds
        with self._condition:
            self._go_to(first)
            while not self._waiting:
                self._raise_fault()
                left = until - time.monotonic()
                if left <= 0 or self._ended:
                    break
                self._condition.wait(left)
            is_there = bool(self._waiting)
        if not is_there:
            self._tell_silence(first)
        return is_there

    def take(self, first: int, most: int, most_bytes: int) -> list[RawLedger]:
        """Gives the ledgers that are there, without waiting.

        Args:
            first: ledger to begin with; earlier ones are dropped.
            most: most ledgers.
            most_bytes: bytes after which no further ledger is added.

        Returns:
            Consecutive ledgers from ``first`` on; none if it is not there yet.

        Raises:
            BackendError: as `wait`.
        """
        with self._condition:
            self._go_to(first)
            if not self._waiting:
                self._raise_fault()
            taken: list[RawLedger] = []
            size = 0
            for raw in self._waiting:
                if len(taken) == most or size >= most_bytes:
                    break
                taken.append(raw)
                size += len(raw.data)
        if not taken:
            self._tell_silence(first)
        return taken

    def close(self) -> None:
        """Stops reading."""
        with self._condition:
            self._generation += 1
            thread, self._thread = self._thread, None
            self._condition.notify_all()
        if thread is not None and self._backend.repeatable:
            thread.join()

    def _go_to(self, first: int) -> None:
        """Drops what lies before a ledger, and reads from there unless the thread is on its way to it."""
        while self._waiting and self._waiting[0].sequence < first:
            self._bytes -= len(self._waiting.popleft().data)
            self._condition.notify_all()
        is_on_its_way = first == (self._waiting[0].sequence if self._waiting else self._next)
        if self._thread is not None and is_on_its_way:
            return
        if self._thread is not None and not self._backend.repeatable:
            message = f"{self._backend.describe()} cannot be read again from ledger {first} on: it is past it"
            raise StateError(message)
        self._generation += 1
        self._waiting.clear()
        self._bytes = 0
        self._fault, self._ended, self._next = None, False, first
        self._condition.notify_all()
        self._thread = threading.Thread(
            target=self._read, args=(first, self._generation), name="ledger-feed", daemon=True
        )
        self._thread.start()

    def _tell_silence(self, first: int) -> None:
        """Says now and then that a source has nothing to give, and what it has: it may be behind, or begin again."""
        seconds = time.monotonic() - self._silent_since
        if seconds < TELL_AFTER * 2**self._told or self._ended:
            return
        self._told += 1
        try:
            there = self._backend.available()
        except BackendError as error:
            held = str(error)
        else:
            held = "not known" if there is None else f"ledgers {there}"
        facts = {"ledger": first, "source": self._backend.describe(), "it_has": held, "seconds": round(seconds)}
        _LOG.warning("Source has not given the next ledger yet", extra=facts)

    def _raise_fault(self) -> None:
        if self._fault is not None:
            fault = self._fault
            if self._backend.repeatable:
                self._thread = self._fault = None
            raise fault

    def _read(self, first: int, generation: int) -> None:
        def is_over() -> bool:
            return self._generation != generation

        try:
            for raw in self._backend.follow(first, is_over):
                if not self._put(raw, generation):
                    return
        except Exception as error:  # noqa: BLE001 - it is raised where the ledger is asked for
            with self._condition:
                if not is_over():
                    self._fault = error
                    self._condition.notify_all()
            return
        with self._condition:
            if not is_over():
                self._ended = True
                self._condition.notify_all()

    def _put(self, raw: RawLedger, generation: int) -> bool:
        with self._condition:
            while self._generation == generation and self._waiting and self._bytes >= self._ahead_bytes:
                self._condition.wait()
            if self._generation != generation:
                return False
            self._waiting.append(raw)
            self._bytes += len(raw.data)
            self._next = raw.sequence + 1
            self._silent_since, self._told = time.monotonic(), 0
            self._condition.notify_all()
            return True


_feeds: dict[str, LedgerFeed] = {}
_lock = threading.Lock()


def feed_of(name: str, backend: LedgerBackend) -> LedgerFeed:
    """Returns this process's feed of a name; made of the source when there is none yet."""
    with _lock:
        if name not in _feeds:
            _feeds[name] = LedgerFeed(backend)
        return _feeds[name]


def close_feed(name: str) -> None:
    """Stops this process's feed of a name, if there is one."""
    with _lock:
        feed = _feeds.pop(name, None)
    if feed is not None:
        feed.close()
