"""How much may go on at once: a gate with a few places inside and a short queue before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from aurora_ingest.api.problems import OverCapacity


class Gate:
    """Lets a number of tasks in, lets some more wait for a time, and sends the others away.

    Belongs to one event loop.
    """

    def __init__(self, places: int, waiting: int, seconds: float) -> None:
        """Makes an empty gate.

        Args:
            places: most tasks inside.
            waiting: most tasks that wait.
            seconds: longest time of waiting.
        """
        self._places = asyncio.Semaphore(places)
        self._limit = places + waiting
        self._seconds = seconds
        self.inside = 0

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """Has a place for the time of the block.

        Raises:
            OverCapacity: too many wait already, or no place became free in time.
        """
        if self.inside >= self._limit:
            raise OverCapacity(headers={"Retry-After": "1"})
        self.inside += 1
        try:
            if self._places.locked():
                await self._wait()
            else:
                await self._places.acquire()
            try:
                yield
            finally:
                self._places.release()
        finally:
            self.inside -= 1

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._places.acquire(), self._seconds)
        except asyncio.TimeoutError as error:
            raise OverCapacity(headers={"Retry-After": "1"}) from error


class Tally:
    """Counts what is open. Belongs to one event loop."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Counts one for the time of the block."""
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
