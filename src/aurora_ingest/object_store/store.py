"""What lakes, Parquet datasets and intermediate files need of the place they lie in, and how it is asked again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from aurora_ingest.errors import BackendError, UsageError
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.history_archive.storage import BusyError, NotThereError, StorageError, UnreachableError

MAX_FILE_BYTES: Final = 1 << 30
"""Compressed bytes above which a file of a lake is refused; 64 busy ledgers of pubnet are about 20 MB."""
ABSENT: Final = "0"
"""The version of a file that is not there; Google Cloud Storage calls it generation 0."""
REMOTE_SCHEMES: Final = frozenset({"gs", "s3"})

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class ObjectStore(Protocol):
    """The files below one address; used by several threads at once.

    A version names one content of one file: a generation of Google Cloud Storage, an ETag of S3, a file's number and
    time on a disk.

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

    def get_version(self, path: str) -> tuple[bytes, str]:
        """A whole file and its version; empty bytes and `ABSENT` if there is no such file.

        Raises:
            StorageError: of the kind that fits.
        """
        ...

    def get_part(self, path: str, start: int, length: int | None) -> bytes:
        """Bytes of a file from ``start`` on, at most ``length`` of them.

        Raises:
            StorageError: of the kind that fits; `NotThereError` if there is no such file.
        """
        ...

    def size(self, path: str) -> int | None:
        """Bytes of a file; None if there is no such file.

        Raises:
            StorageError: of the kind that fits.
        """
        ...

    def version(self, path: str) -> str:
        """The version of a file; `ABSENT` if there is no such file.

        Raises:
            StorageError: of the kind that fits.
        """
        ...

    def names(self, folder: str, first: str = "", last: str | None = None) -> Iterator[str]:
        """Names of the files in one folder, ascending, from ``first`` to ``last``, both included; none if no folder.

        Args:
            folder: relative to the address with its slash at the end; empty for the root.
            first: name to start at.
            last: name to end at; None for the last there is.

        Raises:
            StorageError: of the kind that fits.
        """
        ...

    def folders(self, parent: str = "") -> list[str]:
        """Names of the folders in the root, ascending, without slashes.

        Args:
            parent: another folder to look into, with its slash at the end.

        Raises:
            StorageError: of the kind that fits.
        """
        ...

    def walk(self, folder: str) -> list[str]:
        """Paths of all files below a folder, in any depth.

        Args:
            folder: relative to the address with its slash at the end.

        Raises:
            StorageError: of the kind that fits.
        """
        ...

    def put_new(self, path: str, data: bytes, metadata: Mapping[str, str]) -> bool:
        """Writes a whole file if there is none of that name; of two writers one wins, and readers see it whole.

        Args:
            path: relative to the address.
            data: content.
            metadata: kept beside the file where the storage has such a thing.

        Returns:
            False if there was one already, which stays as it is.

        Raises:
            StorageError: of the kind that fits.
        """
        ...

    def put(self, path: str, data: bytes | memoryview | Path, version: str | None = None) -> bool:
        """Writes a whole file in one step.

        Args:
            path: relative to the address.
            data: content, or a file of this machine that has it.
            version: only if the file is of this version (`ABSENT` for none); None for whatever is there.

        Returns:
            False if it is of another version and stays as it is.

        Raises:
            StorageError: of the kind that fits.
        """
        ...

    def delete(self, path: str, version: str | None = None) -> None:
        """Removes a file; one that is not there, or is of another version, is fine.

        Args:
            path: relative to the address.
            version: only if the file is of this version, where the storage can tell.

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


def is_remote(url: str) -> bool:
    """Tells whether an address lies in a bucket; contacts nothing."""
    return "://" in url and urlsplit(url).scheme in REMOTE_SCHEMES


def require_store(url: str | None, what: str) -> None:
    """Refuses an address that no storage reads, before any work; contacts nothing. None is fine.

    Args:
        url: as `open_store` takes it.
        what: what shall lie there, for the message.

    Raises:
        UsageError: an unknown scheme, or an address without what it needs.
    """
    if url is not None:
        open_store(url, RetryPolicy(), what)


def joined(url: str, *names: str) -> str:
    """The address of something below an address; a query (``?endpoint_url=…``) stays at the end."""
    base, question, query = url.partition("?") if "://" in url else (url, "", "")
    return "/".join([base.rstrip("/"), *names]) + question + query


def open_store(url: str, policy: RetryPolicy, what: str = "data lake") -> ObjectStore:
    """The storage that an address asks for; nothing is contacted yet.

    Args:
        url: ``file://…``, a plain path, ``gs://bucket/prefix`` or ``s3://bucket/prefix``.
        policy: gives the timeouts.
        what: what lies there, for messages.

    Raises:
        UsageError: an unknown scheme, or an address without what it needs.
    """
    scheme = urlsplit(url).scheme if "://" in url else ""
    if scheme in {"", "file"}:
        from aurora_ingest.object_store.local_store import LocalStore

        return LocalStore(url)
    # Imported here: each costs a second at start or is an extra that may not be installed.
    if scheme == "gs":
        from aurora_ingest.object_store.gs_store import GsStore

        return GsStore(url, policy, what)
    if scheme == "s3":
        from aurora_ingest.object_store.s3_store import S3Store

        return S3Store(url, policy, what)
    raise UsageError(f"{what} {url!r}: unknown scheme {scheme!r}; expected file, gs, s3 or a path")
