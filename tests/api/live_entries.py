"""The live entries of a checkpoint and the times of its ledgers, read from an archive by stellar-sdk alone."""

from __future__ import annotations

import gzip
from datetime import datetime, timezone
from pathlib import Path

from stellar_sdk import xdr

from differential.archive_files import bucket, headers, live_buckets
from kernel.framing import records
from kernel.sdk_rows import ledger_key

_DEAD = xdr.BucketEntryType.DEADENTRY
_META = xdr.BucketEntryType.METAENTRY


def live_entries(archive: Path, checkpoint: int) -> list[xdr.LedgerEntry]:
    """Returns the entries of a state: of each key the newest record, if it is not dead."""
    newest: dict[bytes, xdr.LedgerEntry | None] = {}
    for name in live_buckets(archive, checkpoint):
        for record in records(gzip.decompress(bucket(archive, name))):
            found = xdr.BucketEntry.from_xdr_bytes(record)
            if found.type == _DEAD:
                newest.setdefault(found.dead_entry.to_xdr_bytes(), None)
            elif found.type != _META:
                newest.setdefault(ledger_key(found.live_entry).to_xdr_bytes(), found.live_entry)
    return [entry for entry in newest.values() if entry is not None]


def closing_times(archive: Path, checkpoints: range) -> dict[int, str]:
    """Returns when ledgers closed, as Horizon writes it, by sequence."""
    times = {}
    for checkpoint in checkpoints:
        for entry in headers(archive, checkpoint):
            closed = datetime.fromtimestamp(entry.header.scp_value.close_time.time_point.uint64, timezone.utc)
            times[entry.header.ledger_seq.uint32] = closed.isoformat().replace("+00:00", "Z")
    return times
