"""State of order books that outlives the rounds of a follower in this process (ADR 15)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

_MEMORIES: dict[str, dict[Hashable, Any]] = {}


class Remembered:
    """One value of a memory, with the face of Beam's ReadModifyWriteState."""

    def __init__(self, memory: dict[Hashable, Any], key: Hashable) -> None:
        """Keep where the value is."""
        self._memory = memory
        self._key = key

    def read(self) -> Any:
        """Return the value, None if there is none."""
        return self._memory.get(self._key)

    def write(self, value: Any) -> None:
        """Set the value."""
        self._memory[self._key] = value


def cell(memory: str | None, key: Hashable, state: Any) -> Any:
    """Return where a DoFn keeps a value: in a memory of this process, or in Beam's state.

    Args:
        memory: name of the memory; None where Beam's state outlives bundles.
        key: name of the value in it.
        state: Beam's ReadModifyWriteState.
    """
    return state if memory is None else Remembered(_MEMORIES.setdefault(memory, {}), key)


def forget(memory: str) -> None:
    """Drop a memory: whoever uses it again begins with a bootstrap."""
    _MEMORIES.pop(memory, None)


@contextmanager
def kept_if_whole(memory: str) -> Iterator[None]:
    """Keep a memory for the next round if the block is carried out, and drop it if it fails in the middle."""
    try:
        yield
    except BaseException:
        forget(memory)
        raise
