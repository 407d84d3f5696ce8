"""A data lake in Google Cloud Storage (``gs://bucket/prefix``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

from google.api_core import exceptions as google_errors
from google.auth import exceptions as auth_errors
from google.cloud import storage as gcs

from aurora_ingest.errors import UsageError
from aurora_ingest.history_archive.gs_storage import storage_fault
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.history_archive.storage import NotThereError, RefusedError
from aurora_ingest.ledger_backend.lake_storage import MAX_FILE_BYTES

_CONTENT_TYPE = "application/octet-stream"


class GsLakeStorage:
    """A lake in a bucket; with ``STORAGE_EMULATOR_HOST`` set, in that emulator.

    The account's default credentials are used; without any, the bucket is read as a public one.
    """

    local = False

    def __init__(self, url: str, policy: RetryPolicy) -> None:
        """Takes an address; nothing is contacted yet.

        Raises:
            UsageError: the address names no bucket.
        """
        parts = urlsplit(url)
        if not parts.netloc:
            raise UsageError(f"data lake {url!r} names no bucket")
        self.url = url.rstrip("/")
        self._bucket_name = parts.netloc
        self._prefix = f"{unquote(parts.path).strip('/')}/".lstrip("/")
        # Retries are ours: one budget and one log line for every kind of storage.
        self._call: dict[str, Any] = {"timeout": (policy.connect_timeout, policy.read_timeout), "retry": None}

    def get(self, path: str) -> bytes:
        """A whole object, checked by its CRC-32C; see `LakeStorage.get`."""
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

    def names(self, folder: str, first: str = "", last: str | None = None) -> Iterator[str]:
        """Names of the objects in one folder; see `LakeStorage.names`."""
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
        """Names of the folders in the lake's root or another; see `LakeStorage.folders`."""
        root = self._prefix + parent
        try:
            found = self._bucket.list_blobs(prefix=root or None, delimiter="/", **self._call)
            prefixes = {prefix for page in found.pages for prefix in page.prefixes}
        except google_errors.NotFound as error:
            raise RefusedError(f"no bucket {self._bucket_name}") from error
        except Exception as error:
            raise storage_fault(error) from error
        return sorted(prefix[len(root) :].rstrip("/") for prefix in prefixes)

    def put_new(self, path: str, data: bytes, metadata: Mapping[str, str]) -> bool:
        """Writes an object under the precondition that there is none; see `LakeStorage.put_new`."""
        blob = self._bucket.blob(self._prefix + path)
        blob.metadata = dict(metadata)
        try:
            blob.upload_from_string(
                data, content_type=_CONTENT_TYPE, checksum="crc32c", if_generation_match=0, **self._call
            )
        except google_errors.PreconditionFailed:
            return False
        except google_errors.NotFound as error:
            raise RefusedError(f"no bucket {self._bucket_name}") from error
        except Exception as error:
            raise storage_fault(error) from error
        return True

    @cached_property
    def _bucket(self) -> Any:
        try:
            client = gcs.Client()
        except auth_errors.DefaultCredentialsError:
            client = gcs.Client.create_anonymous_client()
        return client.bucket(self._bucket_name)
