"""Objects of a bucket of Google Cloud Storage (``gs://bucket/prefix``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from google.api_core import exceptions as google_errors
from google.auth import exceptions as auth_errors
from google.cloud import storage as gcs

from aurora_ingest.errors import UsageError
from aurora_ingest.history_archive.gs_storage import storage_fault
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.history_archive.storage import NotThereError, RefusedError
from aurora_ingest.object_store.store import ABSENT, MAX_FILE_BYTES

_CONTENT_TYPE = "application/octet-stream"


class GsStore:
    """A prefix of a bucket; with ``STORAGE_EMULATOR_HOST`` set, in that emulator.

    The account's default credentials are used; without any, the bucket is read as a public one.
    """

    local = False

    def __init__(self, url: str, policy: RetryPolicy, what: str = "data lake") -> None:
        """Takes an address; nothing is contacted yet.

        Raises:
            UsageError: the address names no bucket.
        """
        parts = urlsplit(url)
        if not parts.netloc:
            raise UsageError(f"{what} {url!r} names no bucket")
        self.url = url.rstrip("/")
        self._bucket_name = parts.netloc
        self._prefix = f"{unquote(parts.path).strip('/')}/".lstrip("/")
        # Retries are ours: one budget and one log line for every kind of storage.
        self._call: dict[str, Any] = {"timeout": (policy.connect_timeout, policy.read_timeout), "retry": None}

    def get(self, path: str) -> bytes:
        """A whole object, checked by its CRC-32C; see `ObjectStore.get`."""
        blob = self._bucket.blob(self._prefix + path)
        try:
            # Raw: an object may carry a Content-Encoding, and its bytes are what we want.
            data: bytes = blob.download_as_bytes(raw_download=True, **self._call)
        except google_errors.NotFound as error:
            raise NotThereError("no such object or bucket") from error
        except Exception as error:
            raise storage_fault(error) from error
        if len(data) > MAX_FILE_BYTES:
            raise RefusedError(f"larger than {MAX_FILE_BYTES} bytes")
        return data

    def get_version(self, path: str) -> tuple[bytes, str]:
        """A whole object and its generation; see `ObjectStore.get_version`."""
        while (blob := self._look(path)) is not None:
            try:
                data: bytes = blob.download_as_bytes(
                    raw_download=True, if_generation_match=blob.generation, **self._call
                )
            except (google_errors.NotFound, google_errors.PreconditionFailed):
                continue  # replaced or removed between looking and reading
            except Exception as error:
                raise storage_fault(error) from error
            return data, str(blob.generation)
        return b"", ABSENT

    def get_part(self, path: str, start: int, length: int | None) -> bytes:
        """Bytes of an object; see `ObjectStore.get_part`."""
        if length == 0:
            return b""
        end = None if length is None else start + length - 1
        try:
            data: bytes = self._bucket.blob(self._prefix + path).download_as_bytes(
                start=start, end=end, raw_download=True, checksum=None, **self._call
            )
        except google_errors.NotFound as error:
            raise NotThereError("no such object or bucket") from error
        except Exception as error:
            raise storage_fault(error) from error
        return data

    def size(self, path: str) -> int | None:
        """Bytes of an object; see `ObjectStore.size`."""
        blob = self._look(path)
        return None if blob is None else int(blob.size)

    def version(self, path: str) -> str:
        """The generation of an object; see `ObjectStore.version`."""
        blob = self._look(path)
        return ABSENT if blob is None else str(blob.generation)

    def names(self, folder: str, first: str = "", last: str | None = None) -> Iterator[str]:
        """Names of the objects in one folder; see `ObjectStore.names`."""
        prefix = self._prefix + folder
        # end_offset is exclusive.
        end = None if last is None else f"{prefix}{last}\x01"
        try:
            found = self._bucket.list_blobs(
                prefix=prefix or None,
                delimiter="/",
                start_offset=prefix + first if first else None,
                end_offset=end,
                fields="items(name),prefixes,nextPageToken",
                **self._call,
            )
            for blob in found:
                name: str = blob.name[len(prefix) :]
                # Asked of the server, and looked at again: an emulator may not know these two limits.
                if name and name >= first and (last is None or name <= last):
                    yield name
        except google_errors.NotFound as error:
            raise RefusedError(f"no bucket {self._bucket_name}") from error
        except Exception as error:
            raise storage_fault(error) from error

    def folders(self, parent: str = "") -> list[str]:
        """Names of the folders in the root or another; see `ObjectStore.folders`."""
        root = self._prefix + parent
        try:
            found = self._bucket.list_blobs(prefix=root or None, delimiter="/", **self._call)
            prefixes = {prefix for page in found.pages for prefix in page.prefixes}
        except google_errors.NotFound as error:
            raise RefusedError(f"no bucket {self._bucket_name}") from error
        except Exception as error:
            raise storage_fault(error) from error
        return sorted(prefix[len(root) :].rstrip("/") for prefix in prefixes)

    def walk(self, folder: str) -> list[str]:
        """Paths of all objects below a folder; see `ObjectStore.walk`."""
        try:
            found = self._bucket.list_blobs(
                prefix=(self._prefix + folder) or None, fields="items(name),nextPageToken", **self._call
            )
            return [blob.name[len(self._prefix) :] for blob in found]
        except google_errors.NotFound as error:
            raise RefusedError(f"no bucket {self._bucket_name}") from error
        except Exception as error:
            raise storage_fault(error) from error

    def put_new(self, path: str, data: bytes, metadata: Mapping[str, str]) -> bool:
        """Writes an object under the precondition that there is none; see `ObjectStore.put_new`."""
        return self._upload(path, data, metadata, 0)

    def put(self, path: str, data: bytes | memoryview | Path, version: str | None = None) -> bool:
        """Writes an object under the precondition of its generation; see `ObjectStore.put`."""
        return self._upload(path, data, {}, None if version is None else int(version))

    def delete(self, path: str, version: str | None = None) -> None:
        """Removes an object under the precondition of its generation; see `ObjectStore.delete`."""
        # Looked up, and asked of the server as well: an emulator may not know conditions of a removal.
        if version is not None and version != self.version(path):
            return
        generation = None if version is None else int(version)
        try:
            self._bucket.blob(self._prefix + path).delete(if_generation_match=generation, **self._call)
        except (google_errors.NotFound, google_errors.PreconditionFailed):
            return
        except Exception as error:
            raise storage_fault(error) from error

    def _upload(
        self, path: str, data: bytes | memoryview | Path, metadata: Mapping[str, str], generation: int | None
    ) -> bool:
        blob = self._bucket.blob(self._prefix + path)
        if metadata:
            blob.metadata = dict(metadata)
        how = {"content_type": _CONTENT_TYPE, "checksum": "crc32c", "if_generation_match": generation, **self._call}
        try:
            if isinstance(data, Path):
                blob.upload_from_filename(str(data), **how)
            else:
                blob.upload_from_string(bytes(data), **how)
        except google_errors.PreconditionFailed:
            return False
        except google_errors.NotFound as error:
            raise RefusedError(f"no bucket {self._bucket_name}") from error
        except Exception as error:
            raise storage_fault(error) from error
        return True

    def _look(self, path: str) -> Any:
        try:
            return self._bucket.get_blob(self._prefix + path, **self._call)
        except google_errors.NotFound:
            return None
        except Exception as error:
            raise storage_fault(error) from error

    @cached_property
    def _bucket(self) -> Any:
        try:
            client = gcs.Client()
        except auth_errors.DefaultCredentialsError:
            client = gcs.Client.create_anonymous_client()
        return client.bucket(self._bucket_name)
