"""Files fetched in parallel and given out in order, with a bound on the bytes that wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


def prefetched(
    items: Iterable[_T], fetch: Callable[[_T], _R], size: Callable[[_R], int], workers: int, buffer_bytes: int
) -> Iterator[tuple[_T, _R]]:
    """Fetches items ahead of their turn.

    At most ``workers`` fetches are under way; none is begun while finished ones of more than ``buffer_bytes`` wait, so
    that memory holds those bytes and ``workers`` items more at most.

    Args:
        items: what to fetch, in order.
        fetch: gets one; called in threads.
        size: bytes of what was fetched.
        workers: fetches at the same time.
        buffer_bytes: bytes of finished items that may wait.

    Yields:
        each item with what was fetched, in order; the error of a failed fetch is raised in its item's turn.
    """
    source = iter(items)
    waiting: deque[tuple[_T, Future[_R]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ledgers")
    try:
        while True:
            while _may_begin(waiting, size, workers, buffer_bytes):
                try:
                    item = next(source)
                except StopIteration:
                    break
                waiting.append((item, pool.submit(fetch, item)))
            if not waiting:
                return
            item, future = waiting.popleft()
            yield item, future.result()
            del future  # else its bytes live on until the next turn
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _may_begin(
    waiting: deque[tuple[_T, Future[_R]]], size: Callable[[_R], int], workers: int, buffer_bytes: int
) -> bool:
    finished = [future for _, future in waiting if future.done()]
    if len(waiting) - len(finished) >= workers:
        return False
    return sum(size(future.result()) for future in finished if future.exception() is None) <= buffer_bytes
