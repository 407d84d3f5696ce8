"""Batches of the ledger table `changes`, made by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pyarrow as pa

from aurora_ingest.ledger.genesis import CHANGES_SCHEMA


def setting_key(number: int) -> bytes:
    """Returns the LedgerKey of a config setting, the shortest there is."""
    return bytes([0, 0, 0, 8, 0, 0, 0, number])


def change_batch(rows: Sequence[tuple[str, bytes, bytes | None, bytes | None]], *, ledger: int = 7) -> pa.RecordBatch:
    """Returns changes in this order: kind, LedgerKey, image before, image after."""
    made = [
        {
            "ledger_sequence": ledger,
            "change_index": index,
            "phase": "fee",
            "type": kind,
            "entry_type": int.from_bytes(key[:4], "big"),
            "ledger_key": key,
            "key_hash": hashlib.sha256(key).digest(),
            "pre_xdr": pre,
            "post_xdr": post,
        }
        for index, (kind, key, pre, post) in enumerate(rows)
    ]
    return pa.RecordBatch.from_pylist(made, CHANGES_SCHEMA)
