"""Real XDR values of many types, and small damages done to them."""

from __future__ import annotations

import base64
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from kernel.framing import inflated_files, is_hot, records

ARCHIVES = (
    "public/stellar-archivist/testnet-archive-1-8063.tar",
    "public/stellar-archivist/pubnet-archive-11999936-12001023.tar",
    "standalone-p19",
    "standalone-p23",
)
HISTORY_TYPES = {
    "ledger": "LedgerHeaderHistoryEntry",
    "transactions": "TransactionHistoryEntry",
    "results": "TransactionHistoryResultEntry",
}
PER_KIND = 150
LARGEST = 4096  # bytes of a value; larger ones cost the SDK seconds and show nothing new

# Numbers that are lengths, flags, enum values or discriminants somewhere, or just outside.
WORDS = (*range(24), 100, 1000, 1001, 2000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFD, 0xFFFF_FFFE, 0xFFFF_FFFF)

Value = tuple[str, bytes]

GENERATED = Path(__file__).parents[2] / "rust/src/xdr/generated.rs"
XDR_NAMES = {name.lower(): name for name in re.findall(r"^pub fn skip_(\w+)", GENERATED.read_text(), re.MULTILINE)}

# What the vectors' SDKs call otherwise than XDR does.
ALIASES = {
    "AllowTrustOperation": "AllowTrustOp",
    "AssetAlphaNum12": "AlphaNum12",
    "AssetAlphaNum4": "AlphaNum4",
    "ClaimClaimableBalanceOperation": "ClaimClaimableBalanceOp",
    "ClawbackClaimableBalanceOperation": "ClawbackClaimableBalanceOp",
    "SError": "Error",
    "SignedPayload": "SignerKeyEd25519SignedPayload",
}


def xdr_name(name: str) -> str:
    """Returns a type's name as XDR writes it."""
    return XDR_NAMES[ALIASES.get(name, name).lower()]


def corpus(shared_data: Path) -> Iterator[tuple[str, bytes, str]]:
    """Returns the SEP-51 vectors as XDR type, XDR and JSON text; two SDKs made them with the reference command line."""
    folder = shared_data / "public/xdr-json"
    ios = json.loads((folder / "soneso-ios-sep51-xdr-json-corpus.json").read_text())
    php = json.loads((folder / "soneso-php-sep51-xdr-json-corpus.json").read_text())
    vectors = [(v["type"], v["xdr"], v["json"]) for v in ios["entries"]]
    vectors += [(v["type"], v["base64"], v["spec_reference_json"]) for v in php["entries"]]
    for name, value, text in vectors:
        if name != "DataValue":  # these SDKs' type of this name is an optional DataValue
            yield xdr_name(name), base64.b64decode(value), text


def kind(record: bytes) -> tuple[bytes, bytes]:
    """Returns what tells shapes of bucket records apart: the record's type and the type of its entry or key."""
    entry_type = record[8:12] if record[:4] in {b"\0\0\0\0", b"\0\0\0\2"} else record[4:8]
    return record[:4], entry_type


def pool(shared_data: Path, rng: random.Random) -> list[list[Value]]:
    """Returns groups of real values by their shape: bucket records, what they contain, and history files."""
    groups: dict[object, list[Value]] = defaultdict(list)
    for name in ARCHIVES:
        archive = shared_data / name
        for bucket in inflated_files(archive, "bucket"):
            bucket_type = "HotArchiveBucketEntry" if is_hot(bucket) else "BucketEntry"
            for record in records(bucket):
                groups[bucket_type, kind(record)].append((bucket_type, record))
        for prefix, history_type in HISTORY_TYPES.items():
            for history in inflated_files(archive, prefix):
                groups[name, history_type].extend((history_type, record) for record in records(history))
    small = [[value for value in group if len(value[1]) <= LARGEST] for group in groups.values()]
    chosen = [rng.sample(group, min(PER_KIND, len(group))) for group in small if group]
    for group in list(chosen):
        entries = [("LedgerEntry", xdr[4:]) for of, xdr in group if of == "BucketEntry" and xdr[:4] == b"\0\0\0\0"]
        settings = [("ConfigSettingEntry", xdr[8:-4]) for _, xdr in entries if xdr[4:8] == b"\0\0\0\x08"]
        chosen += [part for part in (entries, settings) if part]
    return chosen


def damaged(value: bytes, rng: random.Random) -> bytes:
    """Returns the value with none to three of its bits, bytes, words or its length changed."""
    data = bytearray(value)
    for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 3))):
        if not data:
            break
        at = rng.randrange(len(data))
        word = at // 4 * 4
        match rng.randrange(9):
            case 0 | 1:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                data[at] = rng.randrange(256)
            case 3 | 4 | 5:
                data[word : word + 4] = rng.choice(WORDS).to_bytes(4, "big")
            case 6:
                del data[rng.choice((at, word)) :]
            case 7:
                del data[word : word + 4]
            case 8:
                data[word:word] = rng.choice(WORDS).to_bytes(4, "big")
    return bytes(data)
