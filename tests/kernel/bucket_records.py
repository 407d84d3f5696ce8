"""Records and buckets made by hand: accounts and data entries, alive, new or dead."""

from __future__ import annotations

from collections.abc import Mapping

from aurora_ingest import _kernel
from kernel.framing import frame

META, LIVE, DEAD, INIT = -1, 0, 1, 2
Contents = Mapping[bytes, tuple[int, int]]
"""Name of a data entry, or 32 bytes of an account, to kind of its record and ledger of its last change."""


def word(value: int) -> bytes:
    """Returns a signed 32-bit integer as XDR."""
    return value.to_bytes(4, "big", signed=True)


def meta(protocol: int) -> bytes:
    """Returns METAENTRY without extension."""
    return word(META) + word(protocol) + word(0)


def entry(name: bytes, ledger: int) -> bytes:
    """Returns a LedgerEntry: an account when the name has 32 bytes, a data entry of account zero otherwise."""
    if len(name) == 32:
        account = word(0) + name + (10_000_000 + ledger).to_bytes(8, "big") + (ledger << 32).to_bytes(8, "big")
        # No subentries, no inflation destination, no flags, no home domain, thresholds 1/0/0/0, no signers.
        body = word(0) + account + word(0) * 4 + b"\1\0\0\0" + word(0) * 2
    else:
        text = len(name).to_bytes(4, "big") + name + bytes(-len(name) % 4)
        body = word(3) + word(0) + bytes(32) + text + word(4) + word(ledger) + word(0)
    return word(ledger) + body + word(0)


def record(kind: int, name: bytes, ledger: int = 1) -> bytes:
    """Returns a BucketEntry that is not META."""
    whole = entry(name, ledger)
    return word(kind) + (_kernel.ledger_key_of(whole) if kind == DEAD else whole)


def key_of(name: bytes) -> bytes:
    """Returns the sort key of an entry."""
    return _kernel.sort_key(_kernel.ledger_key_of(entry(name, 1)))


def stream(*bodies: bytes) -> bytes:
    """Returns records with their frames."""
    return b"".join(map(frame, bodies))


def bucket(contents: Contents, protocol: int = 19) -> bytes:
    """Returns a bucket in core's order, uncompressed."""
    ordered = sorted(contents, key=key_of)
    return stream(meta(protocol), *(record(contents[name][0], name, contents[name][1]) for name in ordered))
