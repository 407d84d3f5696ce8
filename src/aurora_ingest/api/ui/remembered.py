"""Answers that many ask for at once and the database is to give only now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Remembered(Generic[Answer]):
    """The last answer to one question; for threads.

    While one thread asks anew, others get the answer before; only the very first one is waited for.
    """

    def __init__(self, seconds: float) -> None:
        """Remembers nothing yet.

        Args:
            seconds: how long an answer is good.
        """
        self._seconds = seconds
        self._asking = threading.Lock()
        self._last: tuple[Answer, float] | None = None

    def get(self, ask: Callable[[], Answer]) -> Answer:
        """Returns the answer, from memory while it is good; a failure is raised and not remembered."""
        last = self._last
        if last is not None and time.monotonic() < last[1]:
            return last[0]
        if not self._asking.acquire(blocking=last is None):
            assert last is not None
            return last[0]
        try:
            if self._last is not None and self._last is not last:
                return self._last[0]  # another thread has asked in the meantime
            answer = ask()
            self._last = (answer, time.monotonic() + self._seconds)
            return answer
        finally:
            self._asking.release()
