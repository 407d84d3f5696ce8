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

    At most ``workers`` fetches are under way. None is begun while what waits and what is under way, each taken for as
    large as the largest so far, has more than ``buffer_bytes``: memory holds about that much, and one item at least.

    Args:
        items: what to fetch, in order.
        fetch: gets one; called in threads.
        size: bytes of what was fetched.
        workers: fetches at the same time.
        buffer_bytes: bytes that may wait or be under way.

    Yields:
        each item with what was fetched, in order; the error of a failed fetch, or of ``items``, is raised in its turn.
    """
    source = iter(items)
    waiting: deque[tuple[_T, Future[_R]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ledgers")
    largest = 0
    failure: Exception | None = None
    try:
        while True:
            while failure is None and (not waiting or _may_begin(waiting, size, workers, buffer_bytes, largest)):
                try:
                    item = next(source)
                except StopIteration:
                    break
                except Exception as error:  # noqa: BLE001 - raised when its turn comes, after what was begun before it
                    failure = error
                else:
                    waiting.append((item, pool.submit(fetch, item)))
            if not waiting:
                if failure is not None:
                    raise failure
                return
            item, future = waiting.popleft()
            found = future.result()
            largest = max(largest, size(found))
            yield item, found
            del found, future  # else its bytes live on until the next turn
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _may_begin(
    waiting: deque[tuple[_T, Future[_R]]], size: Callable[[_R], int], workers: int, buffer_bytes: int, largest: int
) -> bool:
    finished = [future for _, future in waiting if future.done()]
    under_way = len(waiting) - len(finished)
    if under_way >= workers:
        return False
    sizes = [size(future.result()) for future in finished if future.exception() is None]
    return sum(sizes) + (under_way + 1) * max(largest, *sizes, 0) <= buffer_bytes
