"""Files below a folder of this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from aurora_ingest.history_archive.storage import NotThereError, RefusedError
from aurora_ingest.object_store.store import ABSENT, MAX_FILE_BYTES, folder_of_url


class LocalStore:
    """A folder. Whoever needs versions to hold keeps other writers out by a lock: looking and writing are two steps.

    Attributes:
        url: the address as given.
        local: always true.
        root: the folder.
    """

    local = True

    def __init__(self, url: str) -> None:
        """Takes an address; the folder need not exist yet.

        Raises:
            UsageError: a ``file://`` address that names another host.
        """
        self.url = url.rstrip("/") or "/"
        self.root = folder_of_url(url)

    def get(self, path: str) -> bytes:
        """A whole file; see `ObjectStore.get`."""
        place = self.root / path
        try:
            if place.stat().st_size > MAX_FILE_BYTES:
                raise RefusedError(f"larger than {MAX_FILE_BYTES} bytes")
            return place.read_bytes()
        except OSError as error:
            raise _fault(error) from error

    def get_version(self, path: str) -> tuple[bytes, str]:
        """A whole file and its version; see `ObjectStore.get_version`."""
        version = self.version(path)
        return (b"", ABSENT) if version == ABSENT else (self.get(path), version)

    def get_part(self, path: str, start: int, length: int | None) -> bytes:
        """Bytes of a file; see `ObjectStore.get_part`."""
        try:
            with (self.root / path).open("rb") as stream:
                stream.seek(start)
                return stream.read(-1 if length is None else length)
        except OSError as error:
            raise _fault(error) from error

    def size(self, path: str) -> int | None:
        """Bytes of a file; see `ObjectStore.size`."""
        found = self._stat(path)
        return None if found is None else found.st_size

    def version(self, path: str) -> str:
        """The version of a file; see `ObjectStore.version`."""
        found = self._stat(path)
        return ABSENT if found is None else f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"

    def names(self, folder: str, first: str = "", last: str | None = None) -> Iterator[str]:
        """Names of the files in one folder; see `ObjectStore.names`."""
        yield from sorted(
            entry.name
            for entry in self._entries(folder)
            if entry.name >= first and (last is None or entry.name <= last) and entry.is_file()
        )

    def folders(self, parent: str = "") -> list[str]:
        """Names of the folders in the root or another; see `ObjectStore.folders`."""
        return sorted(entry.name for entry in self._entries(parent) if entry.is_dir())

    def walk(self, folder: str) -> list[str]:
        """Paths of all files below a folder; see `ObjectStore.walk`."""
        return [str(each.relative_to(self.root)) for each in (self.root / folder).rglob("*") if each.is_file()]

    def put_new(self, path: str, data: bytes, metadata: Mapping[str, str]) -> bool:
        """Writes a whole file if there is none of that name; see `ObjectStore.put_new`."""
        del metadata  # a file has no place for it, and Galexie writes none either
        place = self.root / path
        # Written whole under another name, then linked: a link is refused where the name is taken, and nobody ever sees
        # half a file, not even after a crash.
        beside = self._written_beside(place, data)
        try:
            os.link(beside, place)
        except FileExistsError:
            return False
        except OSError as error:
            raise _fault(error) from error
        finally:
            with contextlib.suppress(OSError):
                beside.unlink()
        return True

    def put(self, path: str, data: bytes | memoryview | Path, version: str | None = None) -> bool:
        """Writes a whole file in one step; see `ObjectStore.put`."""
        if version is not None and version != self.version(path):
            return False
        place = self.root / path
        try:
            self._written_beside(place, data).replace(place)
        except OSError as error:
            raise _fault(error) from error
        return True

    def delete(self, path: str, version: str | None = None) -> None:
        """Removes a file; see `ObjectStore.delete`."""
        if version is not None and version != self.version(path):
            return
        try:
            (self.root / path).unlink(missing_ok=True)
        except OSError as error:
            raise _fault(error) from error

    def _written_beside(self, place: Path, data: bytes | memoryview | Path) -> Path:
        beside = place.with_name(f".{place.name}.{uuid.uuid4().hex}.new")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("xb") as handle:
                if isinstance(data, Path):
                    with data.open("rb") as source:
                        shutil.copyfileobj(source, handle)
                else:
                    handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise RefusedError(error.strerror or str(error)) from error
        return beside

    def _stat(self, path: str) -> os.stat_result | None:
        try:
            return (self.root / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _fault(error) from error

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as entries:
                return list(entries)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise RefusedError(error.strerror or str(error)) from error


def _fault(error: OSError) -> NotThereError | RefusedError:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return NotThereError("no such file")
    return RefusedError(error.strerror or str(error))
