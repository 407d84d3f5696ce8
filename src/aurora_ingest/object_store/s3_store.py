"""Objects of a bucket of S3 or of anything that speaks its protocol (``s3://bucket/prefix``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from aurora_ingest.errors import UsageError
from aurora_ingest.history_archive.retry import RetryPolicy
from aurora_ingest.history_archive.storage import (
    BusyError,
    NotThereError,
    RefusedError,
    StorageError,
    UnreachableError,
)
from aurora_ingest.object_store.store import ABSENT, MAX_FILE_BYTES

try:
    import obstore
    from obstore import exceptions as obstore_errors
    from obstore.store import S3Store as Client
except ModuleNotFoundError as error:
    raise UsageError(
        "s3:// needs the package obstore: pip install 'aurora-ingest[s3]' here and on the workers"
    ) from error

if TYPE_CHECKING:
    from obstore import ObjectMeta, PutMode
    from obstore.store import ClientConfig, S3Config

_ATTRIBUTES = {"Content-Type": "application/octet-stream"}
_PARAMETERS = {"endpoint_url", "region", "anonymous"}
_ROLE_SERVICE = "169.254.169.254"
"""Where a machine in AWS is asked for its role's credentials: the last resort when there are no others."""
_BUSY = ("429", "503", "SlowDown", "TooManyRequests")


class S3Store:
    """A prefix of a bucket; credentials, region and endpoint come from the ``AWS_…`` environment variables.

    The address may say where and how: ``?endpoint_url=http://host:9000``, ``?region=us-east-2``, ``?anonymous=1`` for a
    bucket that anyone may read.
    """

    local = False

    def __init__(self, url: str, policy: RetryPolicy, what: str = "data lake") -> None:
        """Takes an address; nothing is contacted yet.

        Raises:
            UsageError: the address names no bucket, or has a parameter that is not known.
        """
        parts = urlsplit(url)
        if not parts.netloc:
            raise UsageError(f"{what} {url!r} names no bucket")
        given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        unknown = sorted(set(given) - _PARAMETERS)
        if unknown:
            known = ", ".join(sorted(_PARAMETERS))
            raise UsageError(f"{what} {url!r}: unknown parameter {unknown[0]!r}; known are {known}")
        self.url = urlunsplit(parts._replace(query="")).rstrip("/")
        self._bucket_name = parts.netloc
        self._prefix = unquote(parts.path).strip("/")
        self._given = given
        self._policy = policy

    def get(self, path: str) -> bytes:
        """A whole object; see `ObjectStore.get`."""
        try:
            found = obstore.get(self._store, path)
            if found.meta["size"] > MAX_FILE_BYTES:
                raise RefusedError(f"larger than {MAX_FILE_BYTES} bytes")
            data = found.bytes().to_bytes()
        except (obstore_errors.BaseError, FileNotFoundError) as error:
            raise _storage_fault(error) from error
        if len(data) != found.meta["size"]:
            raise UnreachableError(f"object ended {found.meta['size'] - len(data)} bytes early")
        return data

    def get_version(self, path: str) -> tuple[bytes, str]:
        """A whole object and its ETag; see `ObjectStore.get_version`."""
        try:
            found = obstore.get(self._store, path)
            data, version = found.bytes().to_bytes(), found.meta["e_tag"]
        except FileNotFoundError as error:
            fault = _storage_fault(error)
            if isinstance(fault, NotThereError):
                return b"", ABSENT
            raise fault from error
        except obstore_errors.BaseError as error:
            raise _storage_fault(error) from error
        if len(data) != found.meta["size"] or version is None:
            raise UnreachableError(f"object ended {found.meta['size'] - len(data)} bytes early, or has no ETag")
        return data, version

    def get_part(self, path: str, start: int, length: int | None) -> bytes:
        """Bytes of an object; see `ObjectStore.get_part`."""
        if length is None:
            return self.get(path)[start:]
        if length == 0:
            return b""
        try:
            return obstore.get_range(self._store, path, start=start, length=length).to_bytes()
        except (obstore_errors.BaseError, FileNotFoundError) as error:
            raise _storage_fault(error) from error

    def size(self, path: str) -> int | None:
        """Bytes of an object; see `ObjectStore.size`."""
        found = self._look(path)
        return None if found is None else found["size"]

    def version(self, path: str) -> str:
        """The ETag of an object; see `ObjectStore.version`."""
        found = self._look(path)
        return ABSENT if found is None else found["e_tag"] or ABSENT

    def names(self, folder: str, first: str = "", last: str | None = None) -> Iterator[str]:
        """Names of the objects in one folder; see `ObjectStore.names`."""
        if not folder.rstrip("/").endswith(tuple("0123456789")):  # not a partition: it may hold folders too
            names = self._listed(folder)[1]
            yield from (name for name in names if name >= first and (last is None or name <= last))
            return
        # The listing starts after a name: one that is a little before the first wanted.
        offset = f"{folder}{first[:-1]}{chr(ord(first[-1]) - 1)}~" if first else None
        try:
            for page in obstore.list(self._store, folder.rstrip("/"), offset=offset, chunk_size=1000):
                for item in page:
                    name = item["path"][len(folder) :]
                    if last is not None and name > last:
                        return
                    if name >= first:
                        yield name
        except (obstore_errors.BaseError, FileNotFoundError) as error:
            raise _storage_fault(error) from error

    def folders(self, parent: str = "") -> list[str]:
        """Names of the folders in the root or another; see `ObjectStore.folders`."""
        return self._listed(parent)[0]

    def put_new(self, path: str, data: bytes, metadata: Mapping[str, str]) -> bool:
        """Writes an object under If-None-Match; see `ObjectStore.put_new`."""
        attributes = {**_ATTRIBUTES, **metadata}
        try:
            obstore.put(self._store, path, data, mode="create", attributes=attributes, use_multipart=False)
        except obstore_errors.AlreadyExistsError:
            return False
        except (obstore_errors.BaseError, FileNotFoundError) as error:
            raise _storage_fault(error) from error
        return True

    def put(self, path: str, data: bytes | memoryview | Path, version: str | None = None) -> bool:
        """Writes an object under If-None-Match or If-Match; see `ObjectStore.put`."""
        if isinstance(data, memoryview):
            data = data.cast("B")  # the client takes no signed bytes
        mode: PutMode = "overwrite" if version is None else "create" if version == ABSENT else {"e_tag": version}
        try:
            # In one request even if it is large: only so the condition holds of the whole (S3 takes 5 GB).
            obstore.put(self._store, path, data, mode=mode, attributes=_ATTRIBUTES, use_multipart=False)
        except (obstore_errors.AlreadyExistsError, obstore_errors.PreconditionError):
            return False
        except (obstore_errors.BaseError, FileNotFoundError) as error:
            if version not in {None, ABSENT} and isinstance(_storage_fault(error), NotThereError):
                return False  # what was to be replaced is gone
            raise _storage_fault(error) from error
        return True

    def delete(self, path: str, version: str | None = None) -> None:
        """Removes an object if it still has its ETag, looked up before: S3 deletes without condition."""
        if version is not None and version != self.version(path):
            return
        try:
            obstore.delete(self._store, path)
        except FileNotFoundError:
            return
        except obstore_errors.BaseError as error:
            raise _storage_fault(error) from error

    def walk(self, folder: str) -> list[str]:
        """Paths of all objects below a folder; see `ObjectStore.walk`."""
        try:
            pages = obstore.list(self._store, folder.rstrip("/") or None, chunk_size=1000)
            return [item["path"] for page in pages for item in page]
        except (obstore_errors.BaseError, FileNotFoundError) as error:
            raise _storage_fault(error) from error

    def _look(self, path: str) -> ObjectMeta | None:
        try:
            return obstore.head(self._store, path)
        except FileNotFoundError as error:
            fault = _storage_fault(error)
            if isinstance(fault, NotThereError):
                return None
            raise fault from error
        except obstore_errors.BaseError as error:
            raise _storage_fault(error) from error

    def _listed(self, folder: str) -> tuple[list[str], list[str]]:
        """Folders and objects of a folder, by their names."""
        try:
            found = obstore.list_with_delimiter(self._store, folder.rstrip("/") or None)
        except (obstore_errors.BaseError, FileNotFoundError) as error:
            raise _storage_fault(error) from error
        cut = len(folder)
        folders = sorted(prefix[cut:].rstrip("/") for prefix in found["common_prefixes"])
        return folders, sorted(item["path"][cut:] for item in found["objects"])

    @cached_property
    def _store(self) -> Client:
        policy = self._policy
        client: ClientConfig = {
            "connect_timeout": f"{policy.connect_timeout:g}s",
            "timeout": f"{max(policy.read_timeout, policy.slow_window):g}s",
            "allow_http": self._given.get("endpoint_url", "").startswith("http://"),
        }
        config: S3Config = {}
        if "endpoint_url" in self._given:
            config["endpoint"] = self._given["endpoint_url"]
        if "region" in self._given:
            config["region"] = self._given["region"]
        if self._given.get("anonymous", "").lower() in {"1", "true", "yes"}:
            config["skip_signature"] = True
        # Retries are ours: one budget and one log line for every kind of storage.
        return Client(
            self._bucket_name,
            prefix=self._prefix or None,
            config=config,
            client_options=client,
            retry_config={"max_retries": 0},
        )


def _storage_fault(error: Exception) -> StorageError:
    """The storage's kind of error for one of the client library's."""
    text = str(error).partition("\n")[0]
    if isinstance(error, FileNotFoundError):
        return RefusedError("no such bucket") if "NoSuchBucket" in str(error) else NotThereError("no such object")
    if isinstance(error, obstore_errors.GenericError):
        if _ROLE_SERVICE in text:
            return RefusedError(
                "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or add ?anonymous=1 for a bucket "
                f"that anyone may read ({text})"
            )
        return BusyError(text) if any(word in text for word in _BUSY) else UnreachableError(text)
    return RefusedError(text)
