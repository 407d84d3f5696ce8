"""Copies pubnet's whole state of 2017 several times into one bucket: the input of Horizon's measured state build."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from archive_writer import ArchiveWriter, WrittenArchive, frame

CHECKPOINT = 12_001_023
NAMES = ("account", "trust_line", "offer", "data")
_ACCOUNT, _TRUST_LINE, _OFFER, _DATA = range(4)
_KEY_AT = 12
"""Place of the owner's Ed25519 key in all four entries: after last modified ledger, type and key type."""
_OFFER_ID_STEP = 1_000_000_000


def live_entries(tar: Path) -> tuple[list[bytes], int]:
    """Return the LedgerEntry XDR of pubnet's state at 12001023, and the protocol of that ledger.

    The newest record of a key wins and a dead one hides, by a dict over whole keys: slow, and independent of the
    kernel.
    """
    with tarfile.open(tar) as files:
        names = {name.removeprefix("./"): name for name in files.getnames()}

        def read(path: str) -> bytes:
            member = files.extractfile(names[path])
            assert member is not None
            return member.read()

        digits = f"{CHECKPOINT:08x}"
        place = f"{digits[:2]}/{digits[2:4]}/{digits[4:6]}"
        state = json.loads(read(f"history/{place}/history-{digits}.json"))
        headers = list(records(gzip.decompress(read(f"ledger/{place}/ledger-{digits}.xdr.gz"))))
        newest: dict[bytes, bytes | None] = {}
        for level in state["currentBuckets"]:
            for bucket in (level["curr"], level["snap"]):
                if int(bucket, 16):
                    path = f"bucket/{bucket[:2]}/{bucket[2:4]}/{bucket[4:6]}/bucket-{bucket}.xdr.gz"
                    for record in records(gzip.decompress(read(path))):
                        kind = struct.unpack_from(">i", record)[0]
                        if kind == 1:
                            newest.setdefault(record[4:], None)
                        else:
                            newest.setdefault(ledger_key(record[4:]), record[4:])
    protocol = struct.unpack_from(">I", headers[-1], 32)[0]
    return [entry for entry in newest.values() if entry is not None], protocol


def records(stream: bytes) -> Iterator[bytes]:
    """Yield the records of a framed stream."""
    at = 0
    while at < len(stream):
        length = struct.unpack_from(">I", stream, at)[0] & 0x7FFF_FFFF
        yield stream[at + 4 : at + 4 + length]
        at += 4 + length


def ledger_key(entry: bytes) -> bytes:
    """Return the LedgerKey XDR of an account, trust line, offer or data entry.

    Raises:
        ValueError: the entry is of another type; there was none in 2017.
    """
    kind = struct.unpack_from(">i", entry, 4)[0]
    end = _KEY_AT + 32
    if kind == _TRUST_LINE:
        end += 44 if struct.unpack_from(">i", entry, end)[0] == 1 else 52
    elif kind == _OFFER:
        end += 8
    elif kind == _DATA:
        length = struct.unpack_from(">I", entry, end)[0]
        end += 4 + length + -length % 4
    elif kind != _ACCOUNT:
        raise ValueError(f"entry type {kind} in pubnet's state of 2017; expected 0 to 3")
    return entry[4:end]


def sort_key(entry: bytes) -> bytes:
    """Return bytes in whose order core sorts the entries: data names by content, the rest as encoded."""
    key = ledger_key(entry)
    if key[3] == _DATA:
        # Names hold no NUL (checked by core), so content before length is content padded with NULs.
        return key[:40] + key[44:]
    return key


def copied(entry: bytes, copy: int) -> bytes:
    """Return an entry as it stands in a copy of the state: another owner, another offer id."""
    if not copy:
        return entry
    mask = int.from_bytes(hashlib.sha256(b"replica %d" % copy).digest(), "big")
    owner = int.from_bytes(entry[_KEY_AT : _KEY_AT + 32], "big") ^ mask
    end = _KEY_AT + 32
    moved = entry[:_KEY_AT] + owner.to_bytes(32, "big") + entry[end:]
    if entry[7] == _OFFER:
        offer = struct.unpack_from(">q", entry, end)[0] + copy * _OFFER_ID_STEP
        moved = moved[:end] + struct.pack(">q", offer) + moved[end + 8 :]
    return moved


def write_pubnet_copies(folder: Path, tar: Path, copies: int, *, passphrase: str) -> WrittenArchive:
    """Write an archive whose level 10 holds that state ``copies`` times, in the protocol of that ledger.

    Balances no longer add up to the header's total coins.

    Args:
        folder: where; must be empty or missing.
        tar: ``pubnet-archive-11999936-12001023.tar``.
        copies: how many times, the original included.
        passphrase: of the new archive.
    """
    state, protocol = live_entries(tar)
    everything = sorted((copied(entry, copy) for copy in range(copies) for entry in state), key=sort_key)
    archive = ArchiveWriter(folder, passphrase, CHECKPOINT, protocol)
    bucket = archive.bucket((10, "curr"))
    for start in range(0, len(everything), 4096):
        some = everything[start : start + 4096]
        bucket.write(b"".join(frame(bytes(4) + entry) for entry in some), len(some))
    counts = Counter(NAMES[entry[7]] for entry in everything)
    return archive.close(dict(counts))
