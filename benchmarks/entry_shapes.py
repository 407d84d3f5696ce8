"""Ledger entries by the thousand: XDR written once as a shape with holes, the holes filled by numpy for all entries."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Bytes2D = npt.NDArray[np.uint8]
"""One row of bytes per entry."""


def fixed(rows: Bytes2D | bytes, count: int) -> Bytes2D:
    """Return rows as they are, or the same bytes for every entry."""
    if isinstance(rows, bytes):
        return np.broadcast_to(np.frombuffer(rows, np.uint8), (count, len(rows)))
    return rows


def be64(values: npt.NDArray[np.int64]) -> Bytes2D:
    """Return 64-bit numbers as XDR writes them."""
    return values.astype(">i8").view(np.uint8).reshape(-1, 8)


def be32(values: npt.NDArray[np.int64]) -> Bytes2D:
    """Return 32-bit numbers as XDR writes them."""
    return values.astype(">i4").view(np.uint8).reshape(-1, 4)


def random_bytes(rng: np.random.Generator, count: int, width: int) -> Bytes2D:
    """Return random rows."""
    return np.frombuffer(rng.bytes(count * width), np.uint8).reshape(count, width)


@dataclass
class Shape:
    """The XDR of a LedgerEntry with holes.

    Built front to back. The ledger key is the entry type and the bytes between ``key_from`` and ``key_to``; the sort
    key is every part added with ``order`` set, padded with zeros to that width. Both must have the same layout in all
    shapes of one entry type.
    """

    entry_type: int
    share: float = 1.0
    body: bytearray = field(default_factory=bytearray)
    holes: dict[str, tuple[int, int]] = field(default_factory=dict)
    sort_parts: list[tuple[int, int, int]] = field(default_factory=list)
    key_from: int = 0
    key_to: int = 0

    def __post_init__(self) -> None:
        """Begin with what every entry begins with: last modified ledger and type."""
        if not self.body:
            self.hole("modified", 4).i32(self.entry_type)

    def raw(self, data: bytes, order: int = 0) -> Shape:
        """Append bytes, padded to four as XDR does."""
        if order:
            self.sort_parts.append((len(self.body), len(self.body) + len(data), order))
        self.body += data + bytes(-len(data) % 4)
        return self

    def hole(self, name: str, width: int, order: int = 0) -> Shape:
        """Append bytes that differ from entry to entry."""
        self.holes[name] = (len(self.body), len(self.body) + width)
        return self.raw(bytes(width), order)

    def i32(self, *values: int, order: int = 0) -> Shape:
        """Append 32-bit numbers, enums, discriminants, lengths or booleans."""
        return self.raw(struct.pack(f">{len(values)}i", *values), order)

    def i64(self, *values: int) -> Shape:
        """Append 64-bit numbers."""
        return self.raw(struct.pack(f">{len(values)}q", *values))

    def text(self, data: bytes) -> Shape:
        """Append a string or variable opaque."""
        return self.i32(len(data)).raw(data)

    def account(self, name: str, order: int = 0) -> Shape:
        """Append an AccountID whose key is a hole."""
        return self.i32(0).hole(name, 32, order)

    def asset(self, prefix: str, kind: int) -> Shape:
        """Append an Asset of a kind (0 native, 1 or 2 with 4 or 12 letters) with holes for code and issuer."""
        self.i32(kind)
        if kind:
            self.hole(f"{prefix}_code", 4 if kind == 1 else 12).account(f"{prefix}_issuer")
        return self

    def end_of_entry(self, *, sponsored: bool = False) -> Shape:
        """Append the extension of LedgerEntry: none, or version 1 with a sponsor."""
        return self.i32(1, 1).account("sponsor").i32(0) if sponsored else self.i32(0)

    def begin_key(self) -> Shape:
        """Mark where the fields of the ledger key begin."""
        self.key_from = len(self.body)
        return self

    def end_key(self) -> Shape:
        """Mark where they end."""
        self.key_to = len(self.body)
        return self

    def fill(self, values: Mapping[str, Bytes2D | bytes], count: int) -> Bytes2D:
        """Return the LedgerEntry XDR of ``count`` entries.

        Args:
            values: for every hole its bytes, one row per entry or the same for all.
            count: number of entries.

        Raises:
            KeyError: a hole is not filled.
        """
        rows = np.empty((count, len(self.body)), np.uint8)
        rows[:] = np.frombuffer(bytes(self.body), np.uint8)
        for name, (start, end) in self.holes.items():
            rows[:, start:end] = fixed(values[name], count)
        return rows

    def keys(self, rows: Bytes2D) -> Bytes2D:
        """Return the LedgerKey XDR of each entry."""
        kind = fixed(struct.pack(">i", self.entry_type), len(rows))
        return np.concatenate([kind, rows[:, self.key_from : self.key_to]], axis=1)

    def sort_keys(self, rows: Bytes2D) -> npt.NDArray[np.bytes_]:
        """Return, as fixed-width byte strings, what core compares within the entry type."""
        width = sum(part[2] for part in self.sort_parts)
        keys = np.zeros((len(rows), width), np.uint8)
        at = 0
        for start, end, room in self.sort_parts:
            keys[:, at : at + end - start] = rows[:, start:end]
            at += room
        return keys.view(f"S{width}").ravel()


@dataclass(frozen=True)
class Batch:
    """Entries of one shape."""

    shape: Shape
    rows: Bytes2D
