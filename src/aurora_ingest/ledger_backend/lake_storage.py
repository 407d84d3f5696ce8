"""What a data lake needs of the place it lies in, how that place is asked again, and the lake on a local disk."""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from aurora_ingest.errors import BackendError, UsageError
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.history_archive.storage import (
    BusyError,
    NotThereError,
    RefusedError,
    StorageError,
    UnreachableError,
)

MAX_FILE_BYTES: Final = 1 << 30
"""Compressed bytes above which a file of a lake is refused; 64 busy ledgers of pubnet are about 20 MB."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class LakeStorage(Protocol):
    """The files of one lake; used by several threads at once.

    Attributes:
        url: the address for messages, without secrets.
        local: whether reading costs no network, so that nothing is won by fetching ahead.
    """

    url: str
    local: bool

    def get(self, path: str) -> bytes:
        """A whole file.

        Raises:
            StorageError: of the kind that fits; `NotThereError` if there is no such file.
        """
        ...

    def names(self, folder: str, first: str = "", last: str | None = None) -> Iterator[str]:
        """Names of the files in one folder, ascending, from ``first`` to ``last``, both included; none if no folder.

        Args:
            folder: relative to the lake with its slash at the end; empty for the lake's root.
            first: name to start at.
            last: name to end at; None for the last there is.

        Raises:
            StorageError: of the kind that fits.
        """
        ...

    def folders(self, parent: str = "") -> list[str]:
        """Names of the folders in the lake's root, ascending, without slashes.

        Args:
            parent: another folder to look into, with its slash at the end.

        Raises:
            StorageError: of the kind that fits.
        """
        ...

    def put_new(self, path: str, data: bytes, metadata: Mapping[str, str]) -> bool:
        """Writes a whole file if there is none of that name; of two writers one wins, and readers see it whole.

        Args:
            path: relative to the lake.
            data: content.
            metadata: kept beside the file where the storage has such a thing.

        Returns:
            False if there was one already, which stays as it is.

        Raises:
            StorageError: of the kind that fits.
        """
        ...


def patiently(policy: RetryPolicy, url: str, path: str, use: Callable[[], _T]) -> _T:
    """What ``use`` gives, asked again with backoff and jitter when the storage is busy or does not answer.

    Args:
        policy: the retry budget of one file.
        url: the storage, for messages.
        path: the file, for messages.
        use: asks once.

    Raises:
        NotThereError: the storage answers that there is no such file; that is for the caller to judge.
        BackendError: the storage refused, or did not answer within the budget.
    """
    waited, tries = 0.0, 0
    while True:
        try:
            return use()
        except NotThereError:
            raise
        except (BusyError, UnreachableError) as fault:
            tries += 1
            wait = policy.backoff(tries)
            if isinstance(fault, BusyError):
                wait = max(wait, fault.retry_after or 0.0)
            if tries >= policy.rounds or waited + wait > policy.total_wait:
                raise BackendError(f"{path} of {url}: {fault.reason}; given up after {tries} tries") from fault
            _log.warning("%s of %s: %s; trying again in %.1f s", path, url, fault.reason, wait)
            policy.sleep(wait)
            waited += wait
        except StorageError as fault:
            raise BackendError(f"{path} of {url}: {fault.reason}") from fault


def folder_of_url(url: str) -> Path:
    """The folder or file of this machine that an address names.

    Raises:
        UsageError: a ``file://`` address that names another host.
    """
    if "://" not in url:
        return Path(url)
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise UsageError(f"{url!r} names the host {parts.netloc!r}; a folder of this machine is file:///path")
    return Path(unquote(parts.path))


def open_lake_storage(url: str, policy: RetryPolicy) -> LakeStorage:
    """The storage that a lake's address asks for; nothing is contacted yet.

    Args:
        url: ``file://…``, a plain path, ``gs://bucket/prefix`` or ``s3://bucket/prefix``.
        policy: gives the timeouts.

    Raises:
        UsageError: an unknown scheme, or an address without what it needs.
    """
    scheme = urlsplit(url).scheme if "://" in url else ""
    if scheme in {"", "file"}:
        return LocalLakeStorage(url)
    # Imported here: each costs a second at start or is an extra that may not be installed.
    if scheme == "gs":
        from aurora_ingest.ledger_backend.lake_gs import GsLakeStorage

        return GsLakeStorage(url, policy)
    if scheme == "s3":
        from aurora_ingest.ledger_backend.lake_s3 import S3LakeStorage

        return S3LakeStorage(url, policy)
    raise UsageError(f"data lake {url!r}: unknown scheme {scheme!r}; expected file, gs, s3 or a path")


class LocalLakeStorage:
    """A lake in a folder of this machine."""

    local = True

    def __init__(self, url: str) -> None:
        """Takes an address; the folder need not exist yet.

        Raises:
            UsageError: a ``file://`` address that names another host.
        """
        self.url = url.rstrip("/") or "/"
        self._root = folder_of_url(url)

    def get(self, path: str) -> bytes:
        """A whole file; see `LakeStorage.get`."""
        place = self._root / path
        try:
            if place.stat().st_size > MAX_FILE_BYTES:
                raise RefusedError(f"larger than {MAX_FILE_BYTES} bytes")
            return place.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotThereError("no such file") from error
        except OSError as error:
            raise RefusedError(error.strerror or str(error)) from error

    def names(self, folder: str, first: str = "", last: str | None = None) -> Iterator[str]:
        """Names of the files in one folder; see `LakeStorage.names`."""
        yield from sorted(
            entry.name
            for entry in self._entries(folder)
            if entry.name >= first and (last is None or entry.name <= last) and entry.is_file()
        )

    def folders(self, parent: str = "") -> list[str]:
        """Names of the folders in the lake's root or another; see `LakeStorage.folders`."""
        return sorted(entry.name for entry in self._entries(parent) if entry.is_dir())

    def put_new(self, path: str, data: bytes, metadata: Mapping[str, str]) -> bool:
        """Writes a whole file if there is none of that name; see `LakeStorage.put_new`."""
        del metadata  # a file has no place for it, and Galexie writes none either
        place = self._root / path
        # Written whole under another name, then linked: a link is refused where the name is taken, and nobody ever sees
        # half a file, not even after a crash.
        beside = place.with_name(f".{place.name}.{uuid.uuid4().hex}.new")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RefusedError(error.strerror or str(error)) from error
        try:
            with beside.open("xb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            os.link(beside, place)
        except FileExistsError:
            return False
        except OSError as error:
            raise RefusedError(error.strerror or str(error)) from error
        finally:
            with contextlib.suppress(OSError):
                beside.unlink()
        return True

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._root / folder) as entries:
                return list(entries)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise RefusedError(error.strerror or str(error)) from error
