"""A history archive in a folder of this machine (``file://`` or a plain path)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from aurora_ingest.errors import UsageError
from aurora_ingest.history_archive.storage import (
    NotThereError,
    OpenFile,
    RefusedError,
    UnreachableError,
)

if TYPE_CHECKING:
    from typing import BinaryIO


class FileStorage:
    """Reads an archive from a folder.

    Attributes:
        url: the address as given.
        local: always true.
    """

    local = True

    def __init__(self, url: str) -> None:
        """Takes an address; the folder need not exist yet.

        Raises:
            UsageError: a ``file://`` address that names another host.
        """
        self.url = url.rstrip("/") or "/"
        if "://" in url:
            parts = urlsplit(url)
            if parts.netloc not in {"", "localhost"}:
                raise UsageError(
                    f"history archive {url!r} names the host {parts.netloc!r}; a folder of this machine is file:///path"
                )
            self._root = Path(unquote(parts.path))
        else:
            self._root = Path(url)

    def open(self, path: str, *, start: int = 0, validator: str | None = None) -> OpenFile:
        """Opens a file of the archive; see `Storage.open`."""
        place = self._root / path
        try:
            handle = place.open("rb")
            stat = place.stat()
        except FileNotFoundError as error:
            reason = "no such file" if self._root.is_dir() else f"folder {self._root} does not exist"
            raise NotThereError(reason) from error
        except NotADirectoryError as error:
            raise NotThereError("no such file") from error
        except OSError as error:
            raise RefusedError(error.strerror or str(error)) from error
        version = f"{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}"
        if start and version == validator:
            handle.seek(start)
        else:
            start = 0
        return OpenFile(_LocalSource(handle), start, stat.st_size, version)

    def size(self, path: str) -> int | None:
        """Bytes of a file, or None if it is not there."""
        try:
            return (self._root / path).stat().st_size
        except OSError:
            return None


class _LocalSource:
    """An open file whose read errors are told in the storage's words."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle

    def read(self, size: int, /) -> bytes:
        try:
            return self._handle.read(size)
        except OSError as error:
            raise UnreachableError(error.strerror or str(error)) from error

    def close(self) -> None:
        self._handle.close()
