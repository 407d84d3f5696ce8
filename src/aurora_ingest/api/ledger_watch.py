"""Tells tasks of the event loop when the database has come to another ledger."""

from __future__ import annotations

import asyncio


class LedgerWatch:
    """The newest ledger, and whoever waits for another one. Belongs to one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changed = asyncio.Event()
        self.ledger: int | None = None
        self.turn = 0
        self.is_ending = False

    def moved(self, ledger: int | None) -> None:
        """Takes in that there is something new, from any thread."""
        self._loop.call_soon_threadsafe(self._take, ledger)

    def end(self) -> None:
        """Wakes everybody up, since the service ends; from the loop's thread."""
        self.is_ending = True
        self._wake()

    async def wait(self, turn: int, seconds: float) -> bool:
        """Waits until there is something new since a turn, or the service ends, or the time is over.

        Args:
            turn: `turn` as it was before the caller last read the database.
            seconds: longest time.

        Returns:
            Whether anything happened.
        """
        if self.turn != turn or self.is_ending:
            return True
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True

    def _take(self, ledger: int | None) -> None:
        self.ledger = ledger
        self.turn += 1
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
