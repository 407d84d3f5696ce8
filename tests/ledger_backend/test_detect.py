"""Which source an address asks for, detected or named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aurora_ingest.errors import AuroraError, BackendError, UsageError
from aurora_ingest.ledger.ledger_range import LedgerRange
from aurora_ingest.ledger_backend.archive_files import ArchiveFiles
from aurora_ingest.ledger_backend.backend import BackendOptions, LedgerBackend, holes, joined, missing
from aurora_ingest.ledger_backend.core_db import CoreDatabaseBackend
from aurora_ingest.ledger_backend.data_lake import DataLake
from aurora_ingest.ledger_backend.detect import open_backend
from aurora_ingest.ledger_backend.lake_layout import LakeLayout
from aurora_ingest.ledger_backend.meta_stream import MetaStream
from aurora_ingest.network import STANDALONE, TESTNET


def test_local_paths_are_looked_at(shared_data: Path, tmp_path: Path) -> None:
    lake = shared_data / "lakes" / "testnet-997-999"
    stream = shared_data / "standalone-p19" / "meta" / "ledger-close-meta.xdr.zst"
    archive = shared_data / "standalone-p19" / "archive"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    expected: list[tuple[Path, type[LedgerBackend]]] = [
        (lake, DataLake),
        (stream, MetaStream),
        (archive, ArchiveFiles),
        (pipe, MetaStream),
    ]
    for path, kind in expected:
        for url in (str(path), f"file://{path}"):
            assert type(open_backend(url, TESTNET)) is kind
    without_manifest = tmp_path / LakeLayout(1, 1).file_of(5).path
    without_manifest.write_bytes(b"")
    assert isinstance(open_backend(str(tmp_path), TESTNET), DataLake)


@pytest.mark.parametrize(
    "url, kind",
    [
        ("-", MetaStream),
        ("stream+file:///a/b", MetaStream),
        ("lake+file:///a/b", DataLake),
        ("lake+/a/b", DataLake),
        ("gs://bucket/prefix", DataLake),
        ("core-db+sqlite:///core.db", CoreDatabaseBackend),
        ("core-db+postgresql://user@host/core", CoreDatabaseBackend),
        ("archive+file:///a/b", ArchiveFiles),
        ("archive+https://history.example/x", ArchiveFiles),
        ("archive+gs://bucket/x", ArchiveFiles),
    ],
)
def test_addresses_name_their_kind(url: str, kind: type[LedgerBackend]) -> None:
    backend = open_backend(url, STANDALONE)
    assert type(backend) is kind
    assert backend.name
    assert url == "-" or url.rpartition("/")[2] in backend.describe()


def test_an_option_names_the_kind() -> None:
    assert isinstance(open_backend("/a/b", STANDALONE, options=BackendOptions(kind="archive")), ArchiveFiles)
    with pytest.raises(UsageError, match="names a source of kind lake, but archive was asked for"):
        open_backend("lake+/a/b", STANDALONE, options=BackendOptions(kind="archive"))
    with pytest.raises(UsageError, match="'rpc'; known are lake, stream, core-db, archive"):
        open_backend("/a/b", STANDALONE, options=BackendOptions(kind="rpc"))


@pytest.mark.parametrize(
    "url, told",
    [
        ("", "is empty"),
        ("sqlite:///core.db", r"write core-db\+sqlite"),
        ("postgresql+psycopg://host/core", r"write core-db\+postgresql"),
        ("https://history.example/x", r"write archive\+https"),
        ("ftp://host/x", "unknown scheme 'ftp'"),
        ("file://host/x", "names the host 'host'"),
        ("core-db+mysql://host/x", "is unknown"),
        ("lake+https://host/x", "unknown scheme 'https'"),
    ],
)
def test_addresses_that_are_refused(url: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        open_backend(url, STANDALONE)


def test_paths_with_nothing_known(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="there is no such file or folder"):
        open_backend(str(tmp_path / "nothing"), STANDALONE)
    with pytest.raises(BackendError, match=r"neither a data lake .* nor a history archive"):
        open_backend(str(tmp_path), STANDALONE)


def test_options_that_cannot_be() -> None:
    for name in ("workers", "buffer_bytes", "ledgers_per_file", "files_per_partition"):
        with pytest.raises(AuroraError, match=f"{name} of a ledger source is 0"):
            BackendOptions(**{name: 0})


def test_holes_and_their_words() -> None:
    ledgers = LedgerRange(5, 20)
    assert holes(ledgers, []) == [ledgers]
    assert holes(ledgers, range(1, 30)) == []
    assert holes(ledgers, [3, 5, 5, 6, 10, 20, 21]) == [LedgerRange(7, 9), LedgerRange(11, 19)]
    assert joined([LedgerRange(1, 2), LedgerRange(3, 4), LedgerRange(6, 6)]) == [LedgerRange(1, 4), LedgerRange(6, 6)]
    assert str(missing("lake", [LedgerRange(7, 7)])) == "lake: ledger 7 is not there"
    many = missing("lake", [LedgerRange(n, n + 1) for n in range(2, 100, 10)], "; sorry")
    assert str(many) == "lake: 20 ledgers are not there: 2-3, 12-13, 22-23, 32-33, 42-43 and 5 more holes; sorry"
    assert len(many.ranges) == 10
