"""Bytes of a stream as they come: from a file at rest, a file that grows, a named pipe or standard input."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from aurora_ingest.errors import BackendError, LedgerStreamError

CHUNK: Final = 512 << 10
"""Bytes of one read: a compressed stream becomes some ten times as many ledgers at once."""
STDIN: Final = "-"


class Tap(Protocol):
    """An open stream."""

    def read(self) -> bytes | None:
        """The next bytes; None if there are none yet; ``b""`` if none will come any more.

        Raises:
            BackendError: the system refuses.
        """
        ...

    def close(self) -> None:
        """Closes it; may be called twice."""
        ...


def is_pipe(path: str) -> bool:
    """Whether a path is standard input or a named pipe: something that can be read once only."""
    if path == STDIN:
        return True
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


class FileTap:
    """A file, from a place on.

    Args:
        path: the file.
        start: byte to start at.
        grows: whether the end is only the end for now.

    Raises:
        BackendError: it cannot be opened.
    """

    def __init__(self, path: str, start: int = 0, *, grows: bool = False) -> None:
        try:
            self._handle = Path(path).open("rb")  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise BackendError(f"{path}: {error.strerror or error}") from error
        self._handle.seek(start)
        self._path = path
        self._grows = grows
        self._place = start

    def read(self) -> bytes | None:
        """The next bytes; see `Tap.read`.

        Raises:
            LedgerStreamError: the file became shorter than what was read already.
        """
        try:
            data = self._handle.read(CHUNK)
            size = self._place if data else Path(self._path).stat().st_size
        except OSError as error:
            raise BackendError(f"{self._path}: {error.strerror or error}") from error
        if size < self._place:
            raise LedgerStreamError(
                f"{self._path}: shrank to {size} bytes, of which {self._place} had been read: was it begun anew?",
                path=self._path,
            )
        self._place += len(data)
        return data or (None if self._grows else b"")

    def close(self) -> None:
        """Closes the file."""
        self._handle.close()


class PipeTap:
    """A named pipe or standard input, read without blocking.

    A pipe that nobody has written to yet looks like one that everybody has closed: until the first byte comes it is
    taken for the former.

    Args:
        path: the pipe, or ``-`` for standard input.
        patience: seconds that one call may wait for bytes.

    Raises:
        BackendError: it cannot be opened.
    """

    def __init__(self, path: str, patience: float) -> None:
        self._named = path != STDIN
        self._patience = patience
        self._begun = False
        try:
            # Non-blocking, so that opening does not wait for a writer and can be stopped.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if self._named else sys.stdin.fileno()
        except (OSError, ValueError) as error:
            raise BackendError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
        self._path = path

    def read(self) -> bytes | None:
        """The next bytes; see `Tap.read`."""
        ready, _, _ = select.select([self._descriptor], [], [], self._patience)
        if not ready:
            return None
        try:
            data = os.read(self._descriptor, CHUNK)
        except BlockingIOError:
            return None
        except OSError as error:
            raise BackendError(f"{self._path}: {error.strerror or error}") from error
        if not data and self._named and not self._begun:
            time.sleep(self._patience)  # a writer opened it and closed it again: select would not wait any more
            return None
        self._begun = True
        return data

    def close(self) -> None:
        """Closes the pipe; standard input is not ours to close."""
        if self._named and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Silence:
    """How long nothing has come.

    Args:
        limit: seconds after which it is too long.
        clock: monotonic seconds.
    """

    def __init__(self, limit: float, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        self._since = clock()

    def broken(self) -> None:
        """Something came."""
        self._since = self._clock()

    @property
    def too_long(self) -> bool:
        """Whether the limit has passed."""
        return self._clock() - self._since > self.limit
