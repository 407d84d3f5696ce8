"""Makes any number of small ledgers that follow on a checkpoint of the repository's own network, each naming the last.

One closed ledger whose transactions only update entries is repeated under new numbers; previous hash and header
hash are computed anew, so that a follower accepts the chain. The transactions are the same ones again and again, as is
what they write: the work per ledger is that of any such ledger.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import inputs
import zstandard
from make_lake import ledger_sequence_place

ARCHIVE: Final = inputs.HERE.parent / "tests" / "data" / "standalone-accel"
STREAM: Final = inputs.HERE.parent / "tests" / "data" / "standalone-accel-ledgers.xdr.zst"
CHECKPOINT: Final = 95
TEMPLATE: Final = 92
"""Seven transactions, seven operations, 22 changed entries, nothing created or removed, 10.5 kB."""
NETWORK_FLAGS: Final = ("--network", "standalone", "--checkpoint-frequency", "8")
_UINT = struct.Struct(">I")
_HASH, _HEADER, _PREVIOUS = slice(4, 36), 36, slice(40, 72)


def own_ledgers() -> dict[int, bytes]:
    """Return the repository's own ledgers, LedgerCloseMeta v0, by sequence."""
    with STREAM.open("rb") as packed:
        data = zstandard.ZstdDecompressor().stream_reader(packed).read()
    found, place = {}, 0
    while place < len(data):
        length = _UINT.unpack_from(data, place)[0] & 0x7FFF_FFFF
        lcm = data[place + 4 : place + 4 + length]
        found[_UINT.unpack_from(lcm, ledger_sequence_place(lcm))[0]] = lcm
        place += 4 + length
    return found


def chained(count: int) -> Iterator[tuple[int, bytes]]:
    """Yield ``count`` ledgers after the checkpoint, each with its sequence."""
    own = own_ledgers()
    before = own[CHECKPOINT][_HASH]
    lcm = bytearray(own[TEMPLATE])
    place = ledger_sequence_place(lcm)
    # Behind ledgerSeq: coins, fee pool, inflation, id pool, base fee and reserve, set size, skip list, extension.
    end = place + 4 + 8 + 8 + 4 + 8 + 4 + 4 + 4 + 4 * 32
    end += 4 if _UINT.unpack_from(lcm, end)[0] == 0 else 4 + 4 + 4
    for sequence in range(CHECKPOINT + 1, CHECKPOINT + 1 + count):
        lcm[_PREVIOUS] = before
        _UINT.pack_into(lcm, place, sequence)
        before = hashlib.sha256(lcm[_HEADER:end]).digest()
        lcm[_HASH] = before
        yield sequence, bytes(lcm)


def framed(lcm: bytes) -> bytes:
    """Return a ledger as stellar-core writes it to a stream."""
    return _UINT.pack(len(lcm) | 1 << 31) + lcm


def stream_of(count: int) -> Path:
    """Return a framed stream of that many ledgers, made on the first call and kept."""
    path = inputs.SCRATCH / f"chained-{TEMPLATE}-x{count}.xdr"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        with draft.open("wb") as file:
            for _, lcm in chained(count):
                file.write(framed(lcm))
        draft.rename(path)
    return path


def main() -> None:
    """Print the stream's place: ``chained_ledgers.py COUNT``."""
    print(stream_of(int(sys.argv[1])))


if __name__ == "__main__":
    main()
