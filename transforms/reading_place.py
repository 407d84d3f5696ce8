"""Where a reader of ledgers is, what it may read next, and how that is kept in Beam state from tick to tick."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Final

from apache_beam.coders import Coder

from aurora_ingest.errors import StateError

LEDGERS_PER_TICK: Final = 256
LEDGERS_AHEAD: Final = 1024
"""Ledgers that may be read before the first of them is committed."""
BYTES_AHEAD: Final = 64 << 20
"""Bytes of such ledgers after which no more are read; the committer keeps them in its state."""
NO_POSITION: Final = -1
"""Value of a tick that leaves it to the reader where to go on."""
STALL_SECONDS: Final = 60.0
"""Time after which ledgers that were read, and that nobody commits, are read again."""


@dataclass(frozen=True)
class Place:
    """The last ledger read, and the cursor as it was seen then.

    Attributes:
        position: last ledger read.
        cursor: the committed cursor as it was seen last.
        since: when ledgers began to wait for the cursor as it stands, seconds since 1970.
        ahead: last ledger and bytes of each reading beyond the cursor, ascending.
    """

    position: int
    cursor: int
    since: float = 0.0
    ahead: tuple[tuple[int, int], ...] = ()

    def read_to(self, ledger: int, size: int) -> Place:
        """Return the place after one more reading of so many bytes."""
        return replace(self, position=ledger, ahead=(*self.ahead, (ledger, size)))


@dataclass(frozen=True)
class KeptPlace:
    """A place with what has kept it: version and processors of the graph."""

    place: Place
    made_by: str


def next_place(former: Place | None, hint: int, last_ledger: int, now: float) -> Place:
    """Tell where to go on reading.

    Args:
        former: where the reader was, None at its beginning.
        hint: a ledger to go on after, or NO_POSITION.
        last_ledger: the committed cursor.
        now: seconds since 1970.

    Returns:
        The former place. But the cursor if that has moved back below what was seen (a rebuild, a restored backup), or
        if it has stood still for too long behind what was read: the committer may then wait for ledgers that it has
        passed on as committed and that are not any more. At the beginning the hint, else the cursor.
    """
    if former is None:
        return Place(last_ledger if hint == NO_POSITION else hint, last_ledger, now)
    waits = former.position > last_ledger
    stalls = waits and last_ledger == former.cursor and now - former.since > STALL_SECONDS
    if last_ledger < former.cursor or stalls:
        return Place(last_ledger, last_ledger, now)
    since = former.since if waits and last_ledger == former.cursor else now
    return Place(former.position, last_ledger, since, tuple(each for each in former.ahead if each[0] > last_ledger))


def wanted(place: Place, until: int | None) -> int:
    """Tell how many ledgers to read at a tick: none while too many are read and not committed by anybody.

    Args:
        place: where the reader is.
        until: last ledger to read, or None.
    """
    if sum(size for _, size in place.ahead) >= BYTES_AHEAD:
        return 0
    ahead = max(place.position - place.cursor, 0)
    most = min(LEDGERS_PER_TICK, LEDGERS_AHEAD - ahead)
    return max(most if until is None else min(most, until - place.position), 0)


def require_same_maker(place: KeptPlace, made_by: str) -> None:
    """Refuse to go on with what another release, or the same one with other processors, has kept.

    Raises:
        StateError: it was kept by another one.
    """
    if place.made_by != made_by:
        raise StateError(
            f"the savepoint or checkpoint was made by {place.made_by}, this is {made_by}: start the job without it, "
            "the cursor in the database is enough to go on"
        )


class KeptPlaceCoder(Coder):  # type: ignore[misc]  # Beam's Coder is untyped
    """JSON, readable by any release, so that it can be refused by name."""

    def encode(self, value: KeptPlace) -> bytes:
        """Encode a place."""
        place = value.place
        fields = [value.made_by, place.position, place.cursor, place.since, place.ahead]
        return json.dumps(fields, separators=(",", ":")).encode()

    def decode(self, encoded: bytes) -> KeptPlace:
        """Decode a place."""
        made_by, position, cursor, since, ahead = json.loads(encoded)
        return KeptPlace(Place(position, cursor, since, tuple((ledger, size) for ledger, size in ahead)), made_by)

    def is_deterministic(self) -> bool:
        """Equal places have equal bytes."""
        return True

    def to_type_hint(self) -> type:
        """Return the element type."""
        return KeptPlace
