"""Elements that a pipeline of this process takes from memory; those of a Create would be compressed with the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

_HELD: dict[str, list[Any]] = {}


class TakeHeldFn(beam.DoFn):  # type: ignore[misc]  # Beam is untyped
    """Names → the elements that are held under them."""

    def process(self, name: str) -> Iterator[Any]:
        """Yield them."""
        yield from _HELD[name]


def hold(name: str, elements: Iterable[Any]) -> None:
    """Hold elements in the place of former ones."""
    _HELD[name] = list(elements)
