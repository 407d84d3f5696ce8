"""A data lake in S3 or in anything that speaks its protocol (``s3://bucket/prefix``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
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
from aurora_ingest.ledger_backend.lake_storage import MAX_FILE_BYTES

try:
    import obstore
    from obstore import exceptions as obstore_errors
    from obstore.store import S3Store
except ModuleNotFoundError as error:
    raise UsageError(
        "s3:// needs the package obstore: pip install 'aurora-ingest[s3]' here and on the workers"
    ) from error

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

_PARAMETERS = {"endpoint_url", "region", "anonymous"}
_ROLE_SERVICE = "169.254.169.254"
"""Where a machine in AWS is asked for its role's credentials: the last resort when there are no others."""
_BUSY = ("429", "503", "SlowDown", "TooManyRequests")


class S3LakeStorage:
    """A lake in a bucket; credentials, region and endpoint come from the ``AWS_…`` environment variables.

    The address may say where and how: ``?endpoint_url=http://host:9000``, ``?region=us-east-2``, ``?anonymous=1`` for a
    bucket that anyone may read.
    """

    local = False

    def __init__(self, url: str, policy: RetryPolicy) -> None:
        """Takes an address; nothing is contacted yet.

        Raises:
            UsageError: the address names no bucket, or has a parameter that is not known.
        """
        parts = urlsplit(url)
        if not parts.netloc:
            raise UsageError(f"data lake {url!r} names no bucket")
        given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        unknown = sorted(set(given) - _PARAMETERS)
        if unknown:
            known = ", ".join(sorted(_PARAMETERS))
            raise UsageError(f"data lake {url!r}: unknown parameter {unknown[0]!r}; known are {known}")
        self.url = urlunsplit(parts._replace(query="")).rstrip("/")
        self._bucket_name = parts.netloc
        self._prefix = unquote(parts.path).strip("/")
        self._given = given
        self._policy = policy

    def get(self, path: str) -> bytes:
        """A whole object; see `LakeStorage.get`."""
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

    def names(self, folder: str, first: str = "", last: str | None = None) -> Iterator[str]:
        """Names of the objects in one folder; see `LakeStorage.names`."""
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
        """Names of the folders in the lake's root or another; see `LakeStorage.folders`."""
        return self._listed(parent)[0]

    def put_new(self, path: str, data: bytes, metadata: Mapping[str, str]) -> bool:
        """Writes an object under If-None-Match; see `LakeStorage.put_new`."""
        attributes = {"Content-Type": "application/octet-stream", **metadata}
        try:
            obstore.put(self._store, path, data, mode="create", attributes=attributes, use_multipart=False)
        except obstore_errors.AlreadyExistsError:
            return False
        except (obstore_errors.BaseError, FileNotFoundError) as error:
            raise _storage_fault(error) from error
        return True

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
    def _store(self) -> S3Store:
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
        return S3Store(
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
