"""Every ledger of the shared data: files of every framing, members of archives, answers of servers, core's streams."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from aurora_ingest._kernel import LedgerFrames

PUBNET = "Public Global Stellar Network ; September 2015"
TESTNET = "Test SDF Network ; September 2015"
LOAD_TEST = "load test network"
UNIT_TESTS = "(V) (;,,;) (V)"
STANDALONE = "Standalone Network ; February 2017"

CORE_TESTS = "public/stellar-core/test-lcm-current.tar.zst"
CORE_STREAMS = (
    "standalone-p19/meta/ledger-close-meta.xdr.zst",
    "standalone-p19-accel/meta/ledger-close-meta.xdr.zst",
    "standalone-p19-bulk/meta/ledger-close-meta.xdr.zst",
    "standalone-p23/meta/ledger-close-meta.xdr.zst",
    "standalone-p23/meta/ledger-close-meta-plain.xdr.zst",
)

Ledgers = list[tuple[int, bytes]]


class Source(NamedTuple):
    """Ledgers of one file."""

    name: str
    passphrase: str
    ledgers: Ledgers

    @property
    def network_id(self) -> bytes:
        """SHA-256 of the passphrase."""
        return hashlib.sha256(self.passphrase.encode()).digest()


def plain(path: Path) -> bytes:
    """The uncompressed bytes of a file."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()


def whole(data: bytes, framing: Any, *, compression: Any = "none", step: int | None = None) -> Ledgers:
    """All ledgers of a stream fed in chunks of `step` bytes."""
    frames = LedgerFrames(framing=framing, compression=compression)
    size = step or max(1, len(data))
    ledgers = [ledger for start in range(0, len(data), size) for ledger in frames.feed(data[start : start + size])]
    return ledgers + frames.finish()


def facts(shared: Path) -> dict[str, dict[str, Any]]:
    """What is known of every file of ledgers in `public`."""
    files: dict[str, dict[str, Any]] = json.loads((shared / "public/lcm-facts.json").read_text())["files"]
    return files


def passphrase(name: str) -> str:
    """The network of a file of ledgers in `public`."""
    if "loadtest" in name:
        return LOAD_TEST
    if name.startswith(("diamante-block-go", "lighthorizon", "stellar-horizon", "galexie/testbucket")):
        return TESTNET
    return PUBNET


def ledger_file(shared: Path, name: str, framing: str) -> Source:
    """The ledgers of one file in `public`."""
    path = shared / "public" / name
    if framing.startswith("base64"):
        lines = plain(path).split()
        ledgers = [ledger for line in lines for ledger in whole(base64.b64decode(line), "single")]
    else:
        kind = {"framed": "framed", "bare": "single"}.get(framing, "batch")
        ledgers = whole(path.read_bytes(), kind, compression="gzip" if path.suffix == ".gz" else "zstd", step=100_000)
    return Source(name, passphrase(name), ledgers)


def public_files(shared: Path) -> Iterator[Source]:
    """Every file that `lcm-facts.json` describes."""
    for name, fact in facts(shared).items():
        yield ledger_file(shared, name, fact["framing"])


def core_tests(shared: Path) -> Iterator[Source]:
    """Every member of stellar-core's own corpus."""
    with tarfile.open(fileobj=io.BytesIO(plain(shared / CORE_TESTS))) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if member.name.endswith(".xdr") and content is not None:
                yield Source(member.name, UNIT_TESTS, whole(content.read(), "framed"))


def rpc_answers(shared: Path) -> Iterator[Source]:
    """The ledgers in answers of stellar-rpc."""
    for network, method in ((STANDALONE, "ledgers"), (TESTNET, "latest_ledger")):
        name = f"java-stellar-sdk-get_{method}.json"
        result = json.loads((shared / "public/rpc-json" / name).read_text())["result"]
        metas = [ledger["metadataXdr"] for ledger in result.get("ledgers", [result])]
        yield Source(name, network, [ledger for meta in metas for ledger in whole(base64.b64decode(meta), "single")])


def core_streams(shared: Path) -> Iterator[Source]:
    """What stellar-core streamed while it closed the ledgers of our own networks."""
    for name in CORE_STREAMS:
        yield Source(name, STANDALONE, whole((shared / name).read_bytes(), "framed", compression="zstd", step=1 << 20))
