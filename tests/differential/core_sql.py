"""stellar-core's own SQL tables, dumped while it stood at a checkpoint, as ledger entries of stellar-sdk."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from pathlib import Path

from stellar_sdk import StrKey, xdr

from differential.exact_csv import Value, parse_csv

Fields = dict[str, Value]
_NOTHING = bytes(4)


def core_entries(folder: Path) -> Iterator[xdr.LedgerEntry]:
    """Yields every entry of the six entry tables of one checkpoint."""
    for name, entry_of in _TABLES.items():
        text = gzip.decompress((folder / f"{name}.csv.gz").read_bytes()).decode()
        header, rows = parse_csv(text.replace("\r\n", "\n"))
        for row in rows:
            yield xdr.LedgerEntry.from_xdr_bytes(entry_of(dict(zip(header, row, strict=True))))


def _number(value: Value, width: int) -> bytes:
    return int(value or 0).to_bytes(width, "big", signed=width == 8)


def _base64(value: Value) -> bytes:
    return base64.b64decode(value) if value else _NOTHING


def _opaque(value: Value) -> bytes:
    raw = base64.b64decode(value or "")
    return _number(str(len(raw)), 4) + raw + bytes(-len(raw) % 4)


def _account(value: Value) -> bytes:
    return _NOTHING + StrKey.decode_ed25519_public_key(value or "")


def _head(row: Fields, kind: int) -> bytes:
    return _number(row["lastmodified"], 4) + _number(str(kind), 4)


def _whole_entry(row: Fields) -> bytes:
    return _base64(row["ledgerentry"])


def _account_entry(row: Fields) -> bytes:
    """Liabilities stand in the extension; the columns of that name are a relic and empty."""
    assert not row["buyingliabilities"]
    assert not row["sellingliabilities"]
    inflation = row["inflationdest"]
    return b"".join(
        [
            _head(row, 0),
            _account(row["accountid"]),
            _number(row["balance"], 8),
            _number(row["seqnum"], 8),
            _number(row["numsubentries"], 4),
            b"\0\0\0\1" + _account(inflation) if inflation else _NOTHING,
            _number(row["flags"], 4),
            _opaque(row["homedomain"]),
            _base64(row["thresholds"]),
            _base64(row["signers"]),
            _base64(row["extension"]),
            _base64(row["ledgerext"]),
        ]
    )


def _data_entry(row: Fields) -> bytes:
    ends = _base64(row["extension"]), _base64(row["ledgerext"])
    return b"".join(
        [_head(row, 3), _account(row["accountid"]), _opaque(row["dataname"]), _opaque(row["datavalue"]), *ends]
    )


def _offer_entry(row: Fields) -> bytes:
    return b"".join(
        [
            _head(row, 2),
            _account(row["sellerid"]),
            _number(row["offerid"], 8),
            _base64(row["sellingasset"]),
            _base64(row["buyingasset"]),
            _number(row["amount"], 8),
            _number(row["pricen"], 4),
            _number(row["priced"], 4),
            _number(row["flags"], 4),
            _base64(row["extension"]),
            _base64(row["ledgerext"]),
        ]
    )


_TABLES = {
    "accounts": _account_entry,
    "accountdata": _data_entry,
    "offers": _offer_entry,
    "trustlines": _whole_entry,
    "claimablebalance": _whole_entry,
    "liquiditypool": _whole_entry,
}
