"""Requests to stop a graph that runs in the same process: what is under way is finished, nothing more is begun."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_requests: Final[dict[str, Callable[[], bool]]] = {}


@contextmanager
def may_be_stopped(name: str, is_asked: Callable[[], bool]) -> Iterator[None]:
    """Lets the steps of a graph know of requests for the time of a block.

    Args:
        name: what the graph follows: the name of its feed.
        is_asked: tells whether to stop.
    """
    _requests[name] = is_asked
    try:
        yield
    finally:
        _requests.pop(name, None)


def is_asked_to_stop(name: str) -> bool:
    """Tells whether what follows a feed is to stop; never in a process that runs only a part of the graph."""
    is_asked = _requests.get(name)
    return is_asked is not None and is_asked()
