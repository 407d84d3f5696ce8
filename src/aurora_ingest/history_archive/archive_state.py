"""History archive state (HAS): which buckets make the ledger entries of a checkpoint, and the hash over them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from aurora_ingest.errors import ArchiveStateError
from aurora_ingest.history_archive.paths import is_hash
from aurora_ingest.network import UINT32_MAX

LEVELS: Final = 11
NO_BUCKET: Final = "0" * 64
"""The name that stands for an empty bucket, which has no file."""
HOT_ARCHIVE_PROTOCOL: Final = 23
"""From this header protocol on the bucket list hash covers the hot archive too."""
MAX_STATE_BYTES: Final = 1 << 20
"""A real HAS has about 12 kB; 22 levels full of running merges about 60 kB."""


@dataclass(frozen=True)
class BucketLevel:
    """One level of a bucket list; names are 64 lower-case hex digits, `NO_BUCKET` if empty."""

    curr: str
    snap: str


@dataclass(frozen=True)
class ArchiveState:
    """A HAS of version 1 or 2, without the running merges (``next``), which are in neither state nor hash.

    Attributes:
        version: 1, or 2 with a hot archive.
        current_ledger: the checkpoint; 0 in an archive that was initialised and has no checkpoint yet.
        live: 11 levels, newest first.
        hot: 11 levels of the hot archive, newest first; None in version 1.
        network_passphrase: which network the archive says it is of; None in old archives.
        server: the software that wrote it, for people.
    """

    version: int
    current_ledger: int
    live: tuple[BucketLevel, ...]
    hot: tuple[BucketLevel, ...] | None = None
    network_passphrase: str | None = None
    server: str = ""

    @property
    def has_checkpoint(self) -> bool:
        """False in an archive that was initialised but never published to."""
        return self.current_ledger > 0

    def live_buckets(self) -> tuple[str, ...]:
        """Names of the live buckets, newest first (level 0 curr, level 0 snap, level 1 curr, …), empty ones left out.

        A name that stands twice in the list is given twice.
        """
        return _names(self.live)

    def hot_buckets(self) -> tuple[str, ...]:
        """Names of the hot-archive buckets, newest first, empty ones left out; none in version 1."""
        return _names(self.hot or ())

    def bucket_list_hash(self, protocol: int) -> str:
        """The hash that the checkpoint's ledger header must state.

        Per list SHA-256 over the levels' SHA-256(curr ‖ snap), empty buckets as 32 zero bytes; from protocol 23
        SHA-256(live list hash ‖ hot list hash).

        Args:
            protocol: ``ledgerVersion`` of that header.

        Returns:
            64 lower-case hex digits.

        Raises:
            ArchiveStateError: the protocol needs a hot archive and this state has none.
        """
        live = _list_hash(self.live)
        if protocol < HOT_ARCHIVE_PROTOCOL:
            return live.hex()
        if self.hot is None:
            raise ArchiveStateError(
                f"state of ledger {self.current_ledger} is version {self.version} without hotArchiveBuckets, "
                f"but protocol {protocol} has a hot archive"
            )
        return hashlib.sha256(live + _list_hash(self.hot)).hexdigest()

    def to_json(self) -> str:
        """The state as an archive keeps it, every ``next`` cleared."""
        document: dict[str, Any] = {
            "version": self.version,
            "server": self.server,
            "currentLedger": self.current_ledger,
        }
        if self.network_passphrase is not None:
            document["networkPassphrase"] = self.network_passphrase
        document["currentBuckets"] = _to_json(self.live)
        if self.hot is not None:
            document["hotArchiveBuckets"] = _to_json(self.hot)
        return json.dumps(document, indent=4) + "\n"


def parse_archive_state(data: bytes, file: str) -> ArchiveState:
    """Reads a HAS; fields it does not know are ignored.

    Args:
        data: the JSON document.
        file: the file's name, for messages.

    Raises:
        ArchiveStateError: too large, not JSON, not version 1 or 2, a list without exactly 11 levels, a name that is not
            64 hex digits.
    """
    if len(data) > MAX_STATE_BYTES:
        raise ArchiveStateError(f"{file}: {len(data)} bytes; a state has at most {MAX_STATE_BYTES}")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArchiveStateError(f"{file}: not a JSON document: {error}") from error
    if not isinstance(document, dict):
        raise ArchiveStateError(f"{file}: not a JSON object but {type(document).__name__}")
    version = _integer(document, "version", file)
    if version not in {1, 2}:
        raise ArchiveStateError(f"{file}: version {version}; this build reads versions 1 and 2")
    passphrase = document.get("networkPassphrase")
    if passphrase is not None and not isinstance(passphrase, str):
        raise ArchiveStateError(f"{file}: networkPassphrase is not text but {passphrase!r}")
    return ArchiveState(
        version=version,
        current_ledger=_integer(document, "currentLedger", file),
        live=_levels(document, "currentBuckets", file),
        # Version 1 has no such field: if one stands there it is an unknown field like any other.
        hot=_levels(document, "hotArchiveBuckets", file) if version >= 2 else None,
        network_passphrase=passphrase or None,
        server=str(document.get("server", "")),
    )


def _integer(document: dict[str, Any], name: str, file: str) -> int:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= UINT32_MAX:
        raise ArchiveStateError(f"{file}: {name} is {_shown(value)}, expected a whole number of 32 bits")
    return value


def _levels(document: dict[str, Any], name: str, file: str) -> tuple[BucketLevel, ...]:
    levels = document.get(name)
    if not isinstance(levels, list) or len(levels) != LEVELS:
        got = f"{len(levels)} levels" if isinstance(levels, list) else _shown(levels)
        raise ArchiveStateError(f"{file}: {name} has {got}, expected a list of exactly {LEVELS} levels")
    return tuple(
        BucketLevel(*(_bucket_name(level, side, f"{file}: {name}[{index}]") for side in ("curr", "snap")))
        for index, level in enumerate(levels)
    )


def _bucket_name(level: object, side: str, where: str) -> str:
    name = level.get(side) if isinstance(level, dict) else None
    if not isinstance(name, str) or not is_hash(name.lower()):
        raise ArchiveStateError(f"{where}.{side} is {_shown(name)}, expected 64 hex digits")
    return name.lower()


def _shown(value: object) -> str:
    """A value from the document, cut to a length that people read."""
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _names(levels: tuple[BucketLevel, ...]) -> tuple[str, ...]:
    return tuple(name for level in levels for name in (level.curr, level.snap) if name != NO_BUCKET)


def _list_hash(levels: tuple[BucketLevel, ...]) -> bytes:
    hashes = (hashlib.sha256(bytes.fromhex(level.curr + level.snap)).digest() for level in levels)
    return hashlib.sha256(b"".join(hashes)).digest()


def _to_json(levels: tuple[BucketLevel, ...]) -> list[dict[str, Any]]:
    return [{"curr": level.curr, "next": {"state": 0}, "snap": level.snap} for level in levels]
