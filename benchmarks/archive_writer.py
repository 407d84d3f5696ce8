"""Writes the files of a history archive: gzipped buckets named by their hash, the state (HAS), and a ledger file whose
header chain ends in the bucket list hash.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEVELS = 11
EMPTY = bytes(32)
HOT_ARCHIVE_PROTOCOL = 23
META_PROTOCOL = 11
META = -1
LIST_LIVE, LIST_HOT = 0, 1
Place = tuple[int, str]
"""A bucket's place in its list: level 0 (newest) to 10, and ``curr`` or ``snap``."""


@dataclass(frozen=True)
class WrittenArchive:
    """What an archive holds, for whoever reads it.

    Attributes:
        folder: root of the archive.
        passphrase: its network.
        checkpoint: its only checkpoint.
        protocol: ``ledgerVersion`` of its headers.
        ledger_hash: hash of the checkpoint's header, hex.
        live_entries: entry table to number of entries that are alive.
        buckets: file name of each live bucket, newest first, to its number of records, METAENTRY left out.
        raw_bytes: size of all live buckets, uncompressed.
    """

    folder: Path
    passphrase: str
    checkpoint: int
    protocol: int
    ledger_hash: str
    live_entries: Mapping[str, int]
    buckets: Mapping[str, int]
    raw_bytes: int

    @property
    def url(self) -> str:
        """Address of the archive."""
        return self.folder.resolve().as_uri()

    @property
    def network_id(self) -> bytes:
        """SHA-256 of the passphrase."""
        return hashlib.sha256(self.passphrase.encode()).digest()

    @property
    def entries(self) -> int:
        """Live entries of all types."""
        return sum(self.live_entries.values())

    @property
    def largest_bucket(self) -> Path:
        """File of the bucket with most records."""
        return self.folder / max(self.buckets, key=lambda name: self.buckets[name])

    @staticmethod
    def load(folder: Path) -> WrittenArchive:
        """Read what an earlier run wrote to ``facts.json``.

        Raises:
            FileNotFoundError: no archive was finished in that folder.
        """
        return WrittenArchive(folder=folder, **json.loads((folder / "facts.json").read_text()))


def frame(record: bytes) -> bytes:
    """Put the record mark of RFC 5531 before a record."""
    return struct.pack(">I", len(record) | 1 << 31) + record


class BucketWriter:
    """One bucket file while it is written; records must come in core's key order."""

    def __init__(self, folder: Path, place: Place, protocol: int, bucket_list: int, gzip_level: int) -> None:
        """Open a scratch file and write the METAENTRY, if buckets of that protocol have one."""
        self._root = folder
        self._scratch = folder / f"writing-{bucket_list}-{place[0]:02}-{place[1]}"
        self._file = self._scratch.open("wb")
        self._sha256 = hashlib.sha256()
        self._gzip = zlib.compressobj(gzip_level, zlib.DEFLATED, 31)
        # Compressing is three quarters of the work and runs without the GIL: one thread per bucket, one write ahead.
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pending: Future[None] | None = None
        self.records = 0
        self.raw_bytes = 0
        if protocol >= HOT_ARCHIVE_PROTOCOL:
            self._put(frame(struct.pack(">iIii", META, protocol, 1, bucket_list)))
        elif protocol >= META_PROTOCOL:
            self._put(frame(struct.pack(">iIi", META, protocol, 0)))

    def write(self, framed: bytes, records: int) -> None:
        """Append framed records."""
        self._put(framed)
        self.records += records

    def _put(self, framed: bytes) -> None:
        if self._pending is not None:
            self._pending.result()
        self._pending = self._thread.submit(self._compress, framed)
        self.raw_bytes += len(framed)

    def _compress(self, framed: bytes) -> None:
        self._sha256.update(framed)
        self._file.write(self._gzip.compress(framed))

    def close(self) -> tuple[bytes, str | None]:
        """Finish the file and give it its name.

        Returns:
            The bucket's hash and its path in the archive; 32 zero bytes and None if it has no records.
        """
        if self._pending is not None:
            self._pending.result()
        self._thread.shutdown()
        self._file.write(self._gzip.flush())
        self._file.close()
        if not self.records:
            self._scratch.unlink()
            return EMPTY, None
        digest = self._sha256.digest()
        name = digest.hex()
        path = f"bucket/{name[:2]}/{name[2:4]}/{name[4:6]}/bucket-{name}.xdr.gz"
        (self._root / path).parent.mkdir(parents=True, exist_ok=True)
        self._scratch.replace(self._root / path)
        return digest, path


class ArchiveWriter:
    """An archive with one checkpoint; buckets are opened when first asked for."""

    def __init__(self, folder: Path, passphrase: str, checkpoint: int, protocol: int, *, gzip_level: int = 6) -> None:
        """Start in a folder that is empty or does not exist.

        Raises:
            FileExistsError: something is in the folder.
            ValueError: the ledger is not a checkpoint of 64 ledgers.
        """
        if (checkpoint + 1) % 64:
            raise ValueError(f"ledger {checkpoint} is not a checkpoint: {checkpoint} + 1 is no multiple of 64")
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty: remove it, or give another --out")
        self._folder = folder
        self._passphrase = passphrase
        self._checkpoint = checkpoint
        self._protocol = protocol
        self._gzip_level = gzip_level
        self._writers: dict[tuple[int, Place], BucketWriter] = {}

    def bucket(self, place: Place, bucket_list: int = LIST_LIVE) -> BucketWriter:
        """Return the writer of one bucket."""
        if (bucket_list, place) not in self._writers:
            self._writers[bucket_list, place] = BucketWriter(
                self._folder, place, self._protocol, bucket_list, self._gzip_level
            )
        return self._writers[bucket_list, place]

    def close(self, live_entries: Mapping[str, int]) -> WrittenArchive:
        """Finish the buckets, then write ledger file, HAS, root HAS and ``facts.json``."""
        digests: dict[tuple[int, Place], bytes] = {}
        buckets: dict[str, int] = {}
        raw_bytes = 0
        for key in sorted(self._writers):
            writer = self._writers[key]
            digests[key], path = writer.close()
            if path is not None and key[0] == LIST_LIVE:
                buckets[path] = writer.records
                raw_bytes += writer.raw_bytes
        list_hash = _list_hash(digests, LIST_LIVE)
        if self._protocol >= HOT_ARCHIVE_PROTOCOL:
            list_hash = hashlib.sha256(list_hash + _list_hash(digests, LIST_HOT)).digest()
        ledger_hash = self._write_ledgers(list_hash)
        self._write_state(digests)
        facts: dict[str, Any] = {
            "passphrase": self._passphrase,
            "checkpoint": self._checkpoint,
            "protocol": self._protocol,
            "ledger_hash": ledger_hash.hex(),
            "live_entries": dict(live_entries),
            "buckets": buckets,
            "raw_bytes": raw_bytes,
        }
        (self._folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
        return WrittenArchive(folder=self._folder, **facts)

    def _path(self, category: str, ending: str) -> Path:
        digits = f"{self._checkpoint:08x}"
        path = self._folder / category / digits[:2] / digits[2:4] / digits[4:6] / f"{category}-{digits}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _write_ledgers(self, list_hash: bytes) -> bytes:
        """Write the checkpoint's headers, each naming the hash of the one before; return the last one's hash."""
        first = max(1, self._checkpoint - 63)
        previous = EMPTY if first == 1 else hashlib.sha256(b"ledger before the archive").digest()
        records = []
        for ledger in range(first, self._checkpoint + 1):
            bucket_list = list_hash if ledger == self._checkpoint else hashlib.sha256(b"list %d" % ledger).digest()
            header = _header(ledger, self._protocol, previous, bucket_list)
            previous = hashlib.sha256(header).digest()
            records.append(frame(previous + header + bytes(4)))
        self._path("ledger", "xdr.gz").write_bytes(gzip.compress(b"".join(records), mtime=0))
        return previous

    def _write_state(self, digests: Mapping[tuple[int, Place], bytes]) -> None:
        hot = self._protocol >= HOT_ARCHIVE_PROTOCOL
        state: dict[str, Any] = {
            "version": 2 if hot else 1,
            "server": "aurora-ingest benchmark",
            "currentLedger": self._checkpoint,
            "networkPassphrase": self._passphrase,
            "currentBuckets": _levels(digests, LIST_LIVE),
        }
        if hot:
            state["hotArchiveBuckets"] = _levels(digests, LIST_HOT)
        text = json.dumps(state, indent=4) + "\n"
        self._path("history", "json").write_text(text)
        root = self._folder / ".well-known" / "stellar-history.json"
        root.parent.mkdir(exist_ok=True)
        root.write_text(text)


def _list_hash(digests: Mapping[tuple[int, Place], bytes], bucket_list: int) -> bytes:
    levels = (
        hashlib.sha256(b"".join(digests.get((bucket_list, (level, side)), EMPTY) for side in ("curr", "snap"))).digest()
        for level in range(LEVELS)
    )
    return hashlib.sha256(b"".join(levels)).digest()


def _levels(digests: Mapping[tuple[int, Place], bytes], bucket_list: int) -> list[dict[str, Any]]:
    return [
        {
            "curr": digests.get((bucket_list, (level, "curr")), EMPTY).hex(),
            "next": {"state": 0},
            "snap": digests.get((bucket_list, (level, "snap")), EMPTY).hex(),
        }
        for level in range(LEVELS)
    ]


def _header(ledger: int, protocol: int, previous: bytes, bucket_list: bytes) -> bytes:
    """XDR of a LedgerHeader with made-up sets and sums."""
    made_up = hashlib.sha256(b"ledger %d" % ledger).digest()
    close_value = made_up + struct.pack(">Qii", 1_700_000_000 + 5 * ledger, 0, 0)
    counters = struct.pack(">IqqIQIII", ledger, 1 << 60, 1 << 40, 0, 1 << 33, 100, 5_000_000, 1000)
    return struct.pack(">I", protocol) + previous + close_value + made_up + bucket_list + counters + bytes(4 * 32 + 4)
