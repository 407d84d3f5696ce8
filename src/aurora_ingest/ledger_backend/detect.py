"""Which source of ledgers an address asks for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from aurora_ingest.errors import BackendError, UsageError
from aurora_ingest.ledger_backend.backend import BackendOptions, LedgerBackend
from aurora_ingest.ledger_backend.lake_layout import MANIFEST, is_ledger_file, is_partition
from aurora_ingest.ledger_backend.stream_taps import STDIN
from aurora_ingest.network import DIAMNET_ROOT_PATH, STELLAR_ROOT_PATH, Network
from aurora_ingest.object_store.store import folder_of_url

LAKE: Final = "lake"
STREAM: Final = "stream"
CORE_DB: Final = "core-db"
ARCHIVE: Final = "archive"
KINDS: Final = (LAKE, STREAM, CORE_DB, ARCHIVE)
"""The kinds of source; an address may start with one and a plus sign, as ``core-db+sqlite:///core.db``."""

_NAMED = re.compile(r"(lake|stream|core-db|archive)\+(.+)", re.DOTALL)
_DATABASES = ("sqlite", "postgresql", "postgres")


def open_backend(url: str, network: Network, *, options: BackendOptions | None = None) -> LedgerBackend:
    """The source of ledgers at an address; nothing but a local path is looked at yet.

    Args:
        url: ``file://…`` or a path of a data lake, a stream file or a named pipe; ``-`` for a stream on standard input;
            ``gs://…``, ``s3://…`` of a data lake; ``core-db+sqlite:///…``, ``core-db+postgresql://…``;
            ``archive+file://…``, ``archive+https://…``, ``archive+gs://…``.
        network: the network that it must be of.
        options: how to read; ``options.kind`` names the kind where the address does not.

    Raises:
        UsageError: an address or a kind that is not known.
        BackendError: nothing is there, or nothing that is known.
    """
    options = options or BackendOptions()
    named = _NAMED.fullmatch(url)
    kind, address = (named[1], named[2]) if named else (options.kind, url)
    if named and options.kind not in {None, kind}:
        raise UsageError(f"{url!r} names a source of kind {kind}, but {options.kind} was asked for")
    if not address.strip():
        raise UsageError("the address of a ledger source is empty; give --ledgers")
    if kind is None:
        kind = _detect(address)
    if kind not in KINDS:
        raise UsageError(f"unknown kind of ledger source {kind!r}; known are {', '.join(KINDS)}")
    return _OPENERS[kind](address, network, options)


def _detect(url: str) -> str:
    scheme = urlsplit(url).scheme.partition("+")[0] if "://" in url else ""
    if url == STDIN:
        return STREAM
    if scheme in {"gs", "s3"}:
        return LAKE
    if scheme in {"", "file"}:
        return _detect_local(url)
    if scheme in _DATABASES:
        raise UsageError(f"a database as a source of ledgers is stellar-core's: write core-db+{scheme}://…")
    if scheme in {"http", "https"}:
        raise UsageError(f"{url!r}: ledgers over {scheme} come from a history archive: write archive+{scheme}://…")
    raise UsageError(
        f"ledger source {url!r}: unknown scheme {scheme!r}; expected file, gs, s3, a path or -, or one of "
        f"{', '.join(f'{kind}+…' for kind in KINDS)}"
    )


def _detect_local(url: str) -> str:
    """What lies at a path: a folder by its names; anything else is a stream.

    Raises:
        BackendError: nothing is there, or a folder of another kind.
    """
    path = folder_of_url(url)
    if not path.is_dir():
        if not path.exists():
            raise BackendError(f"{path}: there is no such file or folder")
        return STREAM
    if any((path / root).is_file() for root in (STELLAR_ROOT_PATH, DIAMNET_ROOT_PATH)):
        return ARCHIVE
    if (path / MANIFEST).is_file():
        return LAKE
    if any(is_ledger_file(entry.name) or is_partition(entry.name) for entry in path.iterdir()):
        return LAKE
    raise BackendError(
        f"{path}: neither a data lake ({MANIFEST}, or files of ledgers) nor a history archive ({STELLAR_ROOT_PATH}); "
        f"name the kind: {', '.join(f'{kind}+file://…' for kind in KINDS)}"
    )


def _open_lake(url: str, network: Network, options: BackendOptions) -> LedgerBackend:
    from aurora_ingest.ledger_backend.data_lake import DataLake

    return DataLake(url, network, options)


def _open_stream(url: str, network: Network, options: BackendOptions) -> LedgerBackend:
    from aurora_ingest.ledger_backend.meta_stream import MetaStream

    return MetaStream(url, network, options)


def _open_core_db(url: str, network: Network, options: BackendOptions) -> LedgerBackend:
    from aurora_ingest.ledger_backend.core_db import CoreDatabaseBackend

    return CoreDatabaseBackend(url, network, options)


def _open_archive(url: str, network: Network, options: BackendOptions) -> LedgerBackend:
    from aurora_ingest.ledger_backend.archive_files import ArchiveFiles

    return ArchiveFiles([url], network, options)


_OPENERS: Final[dict[str, Callable[[str, Network, BackendOptions], LedgerBackend]]] = {
    LAKE: _open_lake,
    STREAM: _open_stream,
    CORE_DB: _open_core_db,
    ARCHIVE: _open_archive,
}
