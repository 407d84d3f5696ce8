"""How long and how often a file is asked for before it is given up."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def _even_chance() -> float:
    """A number from 0 up to 1; a function of this module so that a policy can be pickled."""
    return random.random()  # noqa: S311 - jitter, not a secret


@dataclass(frozen=True)
class RetryPolicy:
    """The retry budget of one file over all mirrors.

    A round asks every mirror that may still have the file once, without waiting between mirrors. Between rounds the
    reader waits: a random time from half of up to the whole backoff, which doubles from round to round. A mirror that
    named a time (Retry-After) is not asked before it, and the others are asked meanwhile.

    Attributes:
        rounds: rounds per file, at least 1.
        first_wait: seconds of backoff after the first round.
        longest_wait: seconds that the backoff does not exceed; Retry-After may.
        total_wait: seconds that one file may spend waiting; a mirror that asks for more is given up.
        connect_timeout: seconds to wait for a connection.
        read_timeout: seconds to wait for the next bytes.
        slowest_rate: bytes per second, measured over `slow_window`, below which a transfer is given up as stalled.
        slow_window: seconds of reading over which the rate is measured.
        sleep: waits that many seconds.
        clock: monotonic seconds.
        wall_clock: seconds since 1970, for a Retry-After that is a date.
        chance: a random number from 0 up to 1.
    """

    rounds: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    total_wait: float = 600.0
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    slowest_rate: float = 1024.0
    slow_window: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    chance: Callable[[], float] = _even_chance

    def backoff(self, finished_rounds: int) -> float:
        """Seconds to wait after so many rounds (from 1), with jitter."""
        # Bounded exponent: 2.0 ** 1024 overflows.
        whole = min(self.first_wait * 2.0 ** min(finished_rounds - 1, 64), self.longest_wait)
        return whole * (1.0 + self.chance()) / 2.0

    def seconds_until(self, retry_after: str | None) -> float | None:
        """What a Retry-After header asks for.

        Args:
            retry_after: seconds as a whole number, or an HTTP date.

        Returns:
            seconds from now, 0 for a date in the past; None if there is no header or it cannot be read.
        """
        text = (retry_after or "").strip()
        if text.isdecimal():
            # Longer numbers are nonsense and would overflow a float.
            return float(text[:18])
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=timezone.utc)
        return max(date.timestamp() - self.wall_clock(), 0.0)
