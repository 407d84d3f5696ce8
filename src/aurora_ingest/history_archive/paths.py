"""Where a history archive keeps its files, relative to the archive's address."""

from __future__ import annotations

from typing import Final

from aurora_ingest.errors import UsageError

CATEGORIES: Final = {
    "history": "json",
    "ledger": "xdr.gz",
    "transactions": "xdr.gz",
    "results": "xdr.gz",
    "scp": "xdr.gz",
}
"""Kinds of per-checkpoint files and their endings; ``scp`` is optional in an archive."""


def checkpoint_path(category: str, checkpoint: int) -> str:
    """Path of a per-checkpoint file.

    Args:
        category: one of `CATEGORIES`.
        checkpoint: checkpoint ledger sequence.

    Returns:
        for instance ``history/01/6f/91/history-016f913f.json``.
    """
    digits = f"{checkpoint:08x}"
    return f"{category}/{digits[:2]}/{digits[2:4]}/{digits[4:6]}/{category}-{digits}.{CATEGORIES[category]}"


def bucket_path(bucket: str) -> str:
    """Path of a bucket.

    Args:
        bucket: its hash, 64 lower-case hex digits.

    Returns:
        for instance ``bucket/2a/44/16/bucket-2a4416….xdr.gz``.

    Raises:
        UsageError: not a bucket's name.
    """
    if not is_hash(bucket):
        raise UsageError(f"{bucket!r} is not the name of a bucket; expected 64 lower-case hex digits")
    return f"bucket/{bucket[:2]}/{bucket[2:4]}/{bucket[4:6]}/bucket-{bucket}.xdr.gz"


def is_hash(text: str) -> bool:
    """Whether the text is a SHA-256 in 64 lower-case hex digits."""
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
