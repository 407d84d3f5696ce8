"""Genesis: ledger 1, which no stream of closed ledgers holds; its header, and its one entry, the root account."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from aurora_ingest import _kernel
from aurora_ingest.ledger.change import ACCOUNT, CREATED

if TYPE_CHECKING:
    from aurora_ingest.network import Network

GENESIS_LEDGER: Final = 1
GENESIS: Final = "genesis"
"""Name of the one phase of ledger 1."""
TOTAL_COINS: Final = 10**18
"""Native stroops at genesis, all of them in the root account."""
BASE_FEE: Final = 100
BASE_RESERVE: Final = 100_000_000
MAX_TX_SET_SIZE: Final = 100
_LEVELS: Final = 11
"""Levels of the bucket list, each of two buckets."""
_HASH: Final = 32
_THRESHOLDS: Final = bytes([1, 0, 0, 0])
_NOTHING: Final = bytes(4)
"""An absent optional, an empty text, an empty list, version 0 of an extension, or an ed25519 key type."""

CHANGES_SCHEMA: Final = pa.schema(
    [
        pa.field("ledger_sequence", pa.int64(), nullable=False),
        pa.field("change_index", pa.int64(), nullable=False),
        pa.field("phase", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("entry_type", pa.int32(), nullable=False),
        pa.field("ledger_key", pa.binary(), nullable=False),
        pa.field("key_hash", pa.binary(32), nullable=False),
        pa.field("pre_xdr", pa.binary()),
        pa.field("post_xdr", pa.binary()),
    ]
)
"""The columns of the ledger table ``changes`` that compaction reads."""


def root_account(network: Network) -> bytes:
    """The public key of a network's root account: that of the ed25519 seed SHA-256(passphrase), 32 bytes."""
    return _kernel.ed25519_public_key(network.network_id)


def root_entry(network: Network) -> bytes:
    """The root account as LedgerEntry XDR, as core writes it into ledger 1.

    It holds all coins, has sequence number 0 and a master key of weight 1, and was last modified in ledger 1.
    """
    account = b"".join(
        [
            _NOTHING + root_account(network),
            struct.pack(">qqI", TOTAL_COINS, 0, 0),  # balance, sequence number, sub-entries
            _NOTHING,  # no inflation destination
            _NOTHING,  # flags
            _NOTHING,  # home domain
            _THRESHOLDS,
            _NOTHING,  # signers
            _NOTHING,  # extension
        ]
    )
    return struct.pack(">II", GENESIS_LEDGER, ACCOUNT) + account + _NOTHING


def genesis_header(network: Network) -> bytes:
    """The LedgerHeader XDR of ledger 1; its SHA-256 is the hash that ledger 2 names as the ledger before.

    It has protocol 0, closed at time 0, and stands on nothing: hashes of what is not there are zero. The bucket list
    holds one bucket, in its first place: a LIVEENTRY record of the root account.
    """
    record = _NOTHING + root_entry(network)
    bucket = _sha256(struct.pack(">I", len(record) | 1 << 31) + record)
    levels = [_sha256(first + bytes(_HASH)) for first in (bucket, *[bytes(_HASH)] * (_LEVELS - 1))]
    return b"".join(
        [
            struct.pack(">I", 0),  # protocol
            bytes(_HASH),  # hash of the ledger before
            bytes(_HASH) + struct.pack(">QII", 0, 0, 0),  # set of transactions, close time, no upgrades, extension
            bytes(_HASH),  # hash of the results
            _sha256(b"".join(levels)),
            struct.pack(">IqqIQ", GENESIS_LEDGER, TOTAL_COINS, 0, 0, 0),  # fee pool, inflation sequence, id pool
            struct.pack(">III", BASE_FEE, BASE_RESERVE, MAX_TX_SET_SIZE),
            bytes(4 * _HASH),  # skip list
            _NOTHING,  # extension
        ]
    )


def genesis_hash(network: Network) -> str:
    """The hash of ledger 1, lower-case hex."""
    return _sha256(genesis_header(network)).hex()


def genesis_changes(network: Network) -> pa.RecordBatch:
    """What ledger 1 did to the empty state, in the form of the ledger table ``changes``: it created the root account.

    Returns:
        One row of CHANGES_SCHEMA.
    """
    entry = root_entry(network)
    key = _kernel.ledger_key_of(entry)
    row = {
        "ledger_sequence": GENESIS_LEDGER,
        "change_index": 0,
        "phase": GENESIS,
        "type": CREATED,
        "entry_type": ACCOUNT,
        "ledger_key": key,
        "key_hash": _sha256(key),
        "pre_xdr": None,
        "post_xdr": entry,
    }
    return pa.RecordBatch.from_pylist([row], CHANGES_SCHEMA)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
