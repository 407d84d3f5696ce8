"""A lock that many may share or one may have alone; whoever wants it alone goes before those who come later."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class SharedLock:
    """A lock for threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharers = 0
        self._is_alone = False
        self._waiting = 0

    @contextmanager
    def shared(self, seconds: float) -> Iterator[None]:
        """Holds the lock together with others.

        Raises:
            TimeoutError: it did not come free in this time.
        """
        with self._changed:
            end = time.monotonic() + seconds
            while self._is_alone or self._waiting:
                if not self._changed.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise TimeoutError
            self._sharers += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharers -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the lock alone."""
        with self._changed:
            self._waiting += 1
            while self._is_alone or self._sharers:
                self._changed.wait()
            self._waiting -= 1
            self._is_alone = True
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._changed.notify_all()
