"""What every kind of archive storage can do, how it says that it could not, and which kind an address asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aurora_ingest.history_archive.retry import RetryPolicy


class StorageError(Exception):
    """A storage could not give a file; `reason` says why. Never leaves this room: `mirrors` turns it into words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotThereError(StorageError):
    """The storage answers that it has no such file."""


class RefusedError(StorageError):
    """The storage will not give the file, now or later: forbidden, not a file, bad request."""


class BadFileError(StorageError):
    """The storage gave something that is not the file: an HTML page, a broken gzip, other content."""


class WrongHashError(BadFileError):
    """The storage gave a whole file whose content has another hash than its name says.

    Attributes:
        expected: the hash in the file's name, lower-case hex.
        computed: the hash of the content, lower-case hex.
        file: path of the file in the archive.
    """

    def __init__(self, expected: str, computed: str, file: str) -> None:
        super().__init__(f"SHA-256 of the uncompressed bytes is {computed}, expected {expected}")
        self.expected = expected
        self.computed = computed
        self.file = file


class UnreachableError(StorageError):
    """No answer, or one cut short: worth another try."""


class BusyError(StorageError):
    """The storage asks to come back later.

    Attributes:
        retry_after: seconds it asked to wait, or None if it named no time.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class ByteSource(Protocol):
    """Bytes of one open file, in order."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes and at least one; ``b""`` at the end.

        Raises:
            StorageError: the rest does not come; `UnreachableError` if the file ended before its announced length.
        """
        ...

    def close(self) -> None:
        """Gives the connection or file handle back; may be called twice."""
        ...


@dataclass(frozen=True)
class OpenFile:
    """A file that a storage opened.

    Attributes:
        source: its bytes from ``start`` on.
        start: where reading begins: the place asked for, or 0 if the storage could not or would not resume there.
        size: bytes of the whole file, if the storage said so.
        validator: what names this version of the file (an ETag, a generation); None if the storage has no such thing.
    """

    source: ByteSource
    start: int = 0
    size: int | None = None
    validator: str | None = None


class Storage(Protocol):
    """One address that history archive files can be read from.

    Attributes:
        url: the address as the user gave it, without a trailing slash and without credentials.
        local: whether reading costs no network, so that no copy need be kept.
    """

    url: str
    local: bool

    def open(self, path: str, *, start: int = 0, validator: str | None = None) -> OpenFile:
        """Opens a file for reading.

        Args:
            path: relative to the address, with slashes.
            start: byte to resume at, if the file is still the version that ``validator`` names.
            validator: `OpenFile.validator` of an earlier opening of the same file.

        Raises:
            StorageError: of the kind that fits.
        """
        ...

    def size(self, path: str) -> int | None:
        """Bytes of a file if that is cheap to learn, else None; never fails."""
        ...


def open_storage(url: str, policy: RetryPolicy) -> Storage:
    """The storage that an address asks for; nothing is contacted yet.

    Args:
        url: ``file://…``, ``http://…``, ``https://…``, ``gs://bucket/prefix`` or a plain path.
        policy: gives the timeouts.

    Raises:
        UsageError: an empty address, an unknown scheme, or a scheme without what it needs.
    """
    # Imported here: google.cloud.storage alone costs about a second at start, and most archives need only one kind.
    scheme = urlsplit(url).scheme if "://" in url else ""
    if not url.strip():
        raise UsageError("a history archive address is empty; expected file://, http(s)://, gs:// or a path")
    opener = _OPENERS.get(scheme.lower())
    if opener is None:
        raise UsageError(f"history archive {url!r}: unknown scheme {scheme!r}; expected file, http(s), gs or a path")
    return opener(url, policy)


def _open_files(url: str, policy: RetryPolicy) -> Storage:
    from aurora_ingest.history_archive.file_storage import FileStorage

    del policy  # local files have no timeouts
    return FileStorage(url)


def _open_http(url: str, policy: RetryPolicy) -> Storage:
    from aurora_ingest.history_archive.http_storage import HttpStorage

    return HttpStorage(url, policy)


def _open_gs(url: str, policy: RetryPolicy) -> Storage:
    from aurora_ingest.history_archive.gs_storage import GsStorage

    return GsStorage(url, policy)


_OPENERS: dict[str, Callable[[str, RetryPolicy], Storage]] = {
    "": _open_files,
    "file": _open_files,
    "http": _open_http,
    "https": _open_http,
    "gs": _open_gs,
}
