"""The lakes of the shared data and the files that they were made from, read here without the code under test."""

from __future__ import annotations

import base64
import gzip
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.network import LOAD_TEST, PUBNET, TESTNET, Network


@dataclass(frozen=True)
class Lake:
    """A lake and its origin in `public`."""

    name: str
    network: Network
    ledgers: LedgerRange
    origin: str

    def expected(self, shared: Path) -> dict[int, bytes]:
        """LedgerCloseMeta by ledger, as the origin has them."""
        path = shared / "public" / self.origin
        if path.is_dir():
            parts = [bare_of_batch(unpacked(each)) for each in sorted(path.glob("*.zst"), reverse=True)]
            return dict(zip(self.ledgers, parts, strict=True))
        data = unpacked(path)
        if self.origin.endswith("base64.txt.zst"):
            lines = dict(zip((6154623, 16154623, 26154623, 46154623), data.split(), strict=True))
            return {self.ledgers.first: base64.b64decode(lines[self.ledgers.first])}
        if path.parent.name == "wallet-backend":
            return {self.ledgers.first: data}
        if "--" in path.name:
            return {self.ledgers.first: bare_of_batch(data)}
        return dict(zip(self.ledgers, frames(data), strict=True))


def _one(ledger: int, origin: str) -> Lake:
    return Lake(f"pubnet-{ledger}", PUBNET, LedgerRange(ledger, ledger), origin)


_LIGHT = "lighthorizon/testnet-1410048-1410303.lcm.xdr.zst"
_TTP = "stellar-go-ttp/pubnet-lcm-base64.txt.zst"

LAKES = (
    Lake("testnet-997-999", TESTNET, LedgerRange(997, 999), "galexie/testbucket"),
    Lake("testnet-1410048-1410303", TESTNET, LedgerRange(1410048, 1410303), _LIGHT),
    Lake("testnet-1410048-1410303-b64", TESTNET, LedgerRange(1410048, 1410303), _LIGHT),
    Lake(
        "pubnet-30822015-30822025",
        PUBNET,
        LedgerRange(30822015, 30822025),
        "stellar-etl/pubnet-30822015-30822025/ledgers.lcm.xdr.zst",
    ),
    Lake(
        "loadtest-10048-10077",
        LOAD_TEST,
        LedgerRange(10048, 10077),
        "galexie/loadtest/load-test-ledgers-v26.xdr.zstd",
    ),
    *(_one(ledger, _TTP) for ledger in (6154623, 16154623, 26154623, 46154623)),
    *(_one(ledger, f"wallet-backend/ledger-{ledger}.xdr.gz") for ledger in (51000294, 57500008, 63092988, 63092996)),
    _one(53312000, "galexie/pubnet/FCD285FF--53312000.xdr.zstd"),
    _one(60659332, "galexie/pubnet/FC62697B--60659332.xdr.zst"),
)


def unpacked(path: Path) -> bytes:
    """A file without its compression."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    with path.open("rb") as handle:
        return zstandard.ZstdDecompressor().stream_reader(handle).read()


def frames(data: bytes) -> Iterator[bytes]:
    """The bodies of framed records."""
    place = 0
    while place < len(data):
        (mark,) = struct.unpack_from(">I", data, place)
        assert mark & 0x8000_0000
        yield data[place + 4 : place + 4 + (mark & 0x7FFF_FFFF)]
        place += 4 + (mark & 0x7FFF_FFFF)


def bare_of_batch(data: bytes) -> bytes:
    """The ledger of a batch of one."""
    first, last, count = struct.unpack_from(">III", data)
    assert first == last
    assert count == 1
    return data[12:]


def framed(ledger: bytes) -> bytes:
    """A record as core writes it."""
    return struct.pack(">I", len(ledger) | 0x8000_0000) + ledger
