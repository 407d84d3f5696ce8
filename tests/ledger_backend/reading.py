"""What a source gave before it raised an error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import pytest

from aurora_ingest.ledger_backend.backend import RawLedger

_E = TypeVar("_E", bound=Exception)


def read_until(kind: type[_E], ledgers: Iterable[RawLedger], match: str | None = None) -> tuple[list[int], _E]:
    """The sequences that came, and the error after them, whose text must have the pattern in it."""
    given: list[int] = []
    with pytest.raises(kind, match=match) as raised:
        given.extend(raw.sequence for raw in ledgers)  # what came before the error stays in the list
    return given, raised.value
