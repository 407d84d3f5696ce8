"""HAS documents: what is read, what is refused, and the bucket list hash against the headers of real ledgers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from aurora_ingest import _kernel
from aurora_ingest.errors import ArchiveStateError
from aurora_ingest.history_archive.archive_state import parse_archive_state

_ACCELERATED = Path(__file__).parents[1] / "data" / "standalone-accel"


def _check_hashes(archive: Path) -> int:
    checked = 0
    for path in sorted((archive / "history").rglob("history-*.json")):
        state = parse_archive_state(path.read_bytes(), path.name)
        name = f"ledger-{state.current_ledger:08x}.xdr.gz"
        ledgers = next((archive / "ledger").rglob(name), None)
        if ledgers is None:  # written when core made the archive, before the first checkpoint
            assert not state.has_checkpoint
            continue
        plain = gzip.decompress(ledgers.read_bytes())
        headers = pa.record_batch(_kernel.read_ledger_headers(plain, compression="none"))
        last = {column: headers[column][-1].as_py() for column in ("bucket_list_hash", "protocol_version")}
        assert state.bucket_list_hash(last["protocol_version"]) == last["bucket_list_hash"].hex()
        checked += 1
    return checked


def test_the_list_hash_is_the_one_of_the_headers() -> None:
    assert _check_hashes(_ACCELERATED) == 12


@pytest.mark.shared_data
@pytest.mark.parametrize("network", ["standalone-p19", "standalone-p23"])
def test_the_list_hash_is_the_one_of_the_headers_with_and_without_hot_archive(shared_data: Path, network: str) -> None:
    assert _check_hashes(shared_data / network / "archive") >= 4


def _document() -> dict[str, Any]:
    path = _ACCELERATED / ".well-known/stellar-history.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def _parse(document: object) -> Any:
    return parse_archive_state(json.dumps(document).encode(), "history.json")


def test_unknown_fields_and_next_are_ignored() -> None:
    document = _document()
    plain = _parse(document)
    document["anything"] = {"new": [1]}
    document["currentBuckets"][3]["next"] = {"state": 1, "output": "ab" * 32}
    assert _parse(document) == plain
    assert plain.current_ledger == 95
    assert plain.has_checkpoint
    assert len(plain.live_buckets()) == 7


def test_an_initialised_archive_has_no_checkpoint() -> None:
    assert not _parse({**_document(), "currentLedger": 0}).has_checkpoint


@pytest.mark.parametrize(
    "change,message",
    [
        ({"version": 3}, "version 3; this build reads versions 1 and 2"),
        ({"currentLedger": -1}, "currentLedger"),
        ({"currentLedger": True}, "currentLedger"),
        ({"currentLedger": 2**32}, "currentLedger"),
        ({"networkPassphrase": 7}, "networkPassphrase is not text"),
        ({"currentBuckets": []}, "exactly 11 levels"),
        ({"currentBuckets": [{"curr": "zz", "snap": "00"}] * 11}, "64 hex digits"),
        ({"version": 2}, "hotArchiveBuckets"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(ArchiveStateError, match=message):
        _parse({**_document(), **change}).bucket_list_hash(23)


@pytest.mark.parametrize("data", [b"", b"[]", b"<html>", b"\xff\xfe", b'{"version": 1', b"[" * 100_000])
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveStateError, match=r"history\.json"):
        parse_archive_state(data, "history.json")
