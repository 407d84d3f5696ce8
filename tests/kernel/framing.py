"""Framed records: taken out of archives, and put together for a test."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

LIVE = 0
_LAST_FRAGMENT = 0x80000000


def frame(record: bytes) -> bytes:
    """Returns a record with its length before it."""
    return (len(record) | _LAST_FRAGMENT).to_bytes(4, "big") + record


def records(data: bytes) -> Iterator[bytes]:
    """Returns the records of a framed stream."""
    start = 0
    while start < len(data):
        length = int.from_bytes(data[start : start + 4], "big") & ~_LAST_FRAGMENT
        yield data[start + 4 : start + 4 + length]
        start += 4 + length


def bucket_of(entries: Iterable[bytes]) -> bytes:
    """Returns a bucket of these ledger entries as LIVEENTRY records, without METAENTRY."""
    return b"".join(frame(LIVE.to_bytes(4, "big") + entry) for entry in entries)


def inflated_files(archive: Path, prefix: str) -> Iterator[bytes]:
    """Returns the inflated files `<prefix>-….xdr.gz` of an archive that is a folder or a tar file."""
    if archive.is_dir():
        for path in sorted(archive.rglob(f"{prefix}-*.xdr.gz")):
            yield gzip.decompress(path.read_bytes())
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if Path(member.name).match(f"{prefix}-*.xdr.gz"):
                packed = tar.extractfile(member)
                assert packed is not None
                yield gzip.decompress(packed.read())


def is_hot(bucket: bytes) -> bool:
    """Says whether a bucket is of the hot archive: META whose extension names that list."""
    return bucket[4:8] == b"\xff\xff\xff\xff" and bucket[12:20] == b"\0\0\0\1\0\0\0\1"
