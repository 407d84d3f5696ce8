"""A history archive in Google Cloud Storage (``gs://bucket/prefix``)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import requests
from google.api_core import exceptions as google_errors
from google.auth import exceptions as auth_errors
from google.cloud import storage as gcs

from aurora_ingest.errors import UsageError
from aurora_ingest.history_archive.storage import (
    BusyError,
    NotThereError,
    OpenFile,
    RefusedError,
    StorageError,
    UnreachableError,
)

if TYPE_CHECKING:
    from aurora_ingest.history_archive.retry import RetryPolicy

_CHUNK = 8 << 20


class GsStorage:
    """Reads an archive from a bucket; with ``STORAGE_EMULATOR_HOST`` set, from that emulator.

    The account's default credentials are used; without any, the bucket is read as a public one.

    Attributes:
        url: the address as given.
        local: always false.
    """

    local = False

    def __init__(self, url: str, policy: RetryPolicy) -> None:
        """Takes an address; nothing is contacted yet.

        Raises:
            UsageError: the address names no bucket.
        """
        parts = urlsplit(url)
        if not parts.netloc:
            raise UsageError(f"history archive {url!r} names no bucket")
        self.url = url.rstrip("/")
        self._bucket_name = parts.netloc
        self._prefix = unquote(parts.path).strip("/")
        self._timeout = (policy.connect_timeout, policy.read_timeout)

    def open(self, path: str, *, start: int = 0, validator: str | None = None) -> OpenFile:
        """Looks a file up and opens that generation of it; see `Storage.open`."""
        blob = self._blob(path)
        if start and str(blob.generation) != validator:
            start = 0
        # Retries are ours: they know about mirrors. Raw: a .gz object may carry Content-Encoding gzip.
        reader = blob.open(
            "rb",
            chunk_size=_CHUNK,
            retry=None,
            timeout=self._timeout,
            raw_download=True,
            if_generation_match=blob.generation,
        )
        reader.seek(start)
        return OpenFile(_GsSource(reader, blob.size - start), start, blob.size, str(blob.generation))

    def size(self, path: str) -> int | None:
        """Bytes of a file, or None if it is not there or the bucket does not answer."""
        try:
            size: int | None = self._blob(path).size
        except StorageError:
            return None
        return size

    def _blob(self, path: str) -> Any:
        name = f"{self._prefix}/{path}" if self._prefix else path
        try:
            blob = self._bucket.get_blob(name, retry=None, timeout=self._timeout)
        except Exception as error:
            raise storage_fault(error) from error
        if blob is None:
            raise NotThereError("no such object")
        return blob

    @cached_property
    def _bucket(self) -> Any:
        try:
            client = gcs.Client()
        except auth_errors.DefaultCredentialsError:
            client = gcs.Client.create_anonymous_client()
        return client.bucket(self._bucket_name)


class _GsSource:
    """An object's bytes, checked against the size that its metadata announced."""

    def __init__(self, reader: Any, size: int) -> None:
        self._reader = reader
        self._left = size

    def read(self, size: int, /) -> bytes:
        if self._left == 0:
            return b""
        try:
            data: bytes = self._reader.read(min(size, self._left))
        except Exception as error:
            raise storage_fault(error) from error
        if not data:
            raise UnreachableError(f"object ended {self._left} bytes early")
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._reader.close()


def storage_fault(error: Exception) -> StorageError:
    """The storage's kind of error for one of the client library's; what is neither is a defect and passes on."""
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    if isinstance(error, google_errors.NotFound):
        return NotThereError("no such object or bucket")
    if isinstance(error, (google_errors.TooManyRequests, google_errors.ServiceUnavailable)):
        return BusyError(f"HTTP {error.code} {text}")
    if isinstance(error, (google_errors.ServerError, requests.RequestException, auth_errors.TransportError, OSError)):
        return UnreachableError(text)
    if isinstance(error, (google_errors.GoogleAPICallError, auth_errors.GoogleAuthError)):
        return RefusedError(text)
    raise error
