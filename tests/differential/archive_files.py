"""The files of a history archive, out of a folder or a tar, read without the product's own archive code."""

from __future__ import annotations

import functools
import gzip
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stellar_sdk import xdr

_LEVELS = 11


@functools.cache
def opened(path: Path) -> Callable[[str], bytes]:
    """Returns a reader of the archive's files by their relative name."""
    if path.is_dir():
        return lambda name: (path / name).read_bytes()
    tar = tarfile.open(path)  # noqa: SIM115  # stays open for the whole session
    members = {member.name.removeprefix("./"): member for member in tar.getmembers()}

    def read(name: str) -> bytes:
        file = tar.extractfile(members[name])
        assert file is not None
        return file.read()

    return read


def _named(kind: str, key: str, suffix: str) -> str:
    return f"{kind}/{key[:2]}/{key[2:4]}/{key[4:6]}/{kind}-{key}{suffix}"


def archive_state(path: Path, checkpoint: int) -> dict[str, Any]:
    """Returns the HAS of a checkpoint."""
    return dict(json.loads(opened(path)(_named("history", f"{checkpoint:08x}", ".json"))))


def live_buckets(path: Path, checkpoint: int) -> list[str]:
    """Returns the hashes of the live buckets, newest first, without empty ones."""
    levels = archive_state(path, checkpoint)["currentBuckets"]
    assert len(levels) == _LEVELS
    hashes = [level[side] for level in levels for side in ("curr", "snap")]
    return [name for name in hashes if int(name, 16)]


def bucket(path: Path, name: str) -> bytes:
    """Returns the compressed bytes of a bucket."""
    return opened(path)(_named("bucket", name, ".xdr.gz"))


def headers(path: Path, checkpoint: int) -> Iterator[xdr.LedgerHeaderHistoryEntry]:
    """Yields the ledger headers of a checkpoint file."""
    data = gzip.decompress(opened(path)(_named("ledger", f"{checkpoint:08x}", ".xdr.gz")))
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big") & 0x7FFFFFFF
        yield xdr.LedgerHeaderHistoryEntry.from_xdr_bytes(data[at + 4 : at + 4 + length])
        at += 4 + length


def header(path: Path, checkpoint: int) -> xdr.LedgerHeader:
    """Returns the header of the checkpoint ledger itself."""
    return next(entry.header for entry in headers(path, checkpoint) if entry.header.ledger_seq.uint32 == checkpoint)
