"""A history archive behind HTTP or HTTPS."""

from __future__ import annotations

import threading
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

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

_NOT_THERE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY}


class HttpStorage:
    """Reads an archive over HTTP with one connection pool per thread; redirects are followed.

    Attributes:
        url: the address as given, without credentials.
        local: always false.
    """

    local = False

    def __init__(self, url: str, policy: RetryPolicy) -> None:
        """Takes an address; nothing is contacted yet.

        Raises:
            UsageError: the address names no host.
        """
        parts = urlsplit(url)
        if not parts.hostname:
            raise UsageError(f"history archive {url!r} names no host")
        self._base = urlunsplit(parts._replace(path=parts.path.rstrip("/"), query="", fragment=""))
        self._query = parts.query
        host = parts.netloc.rpartition("@")[2]
        self.url = urlunsplit(parts._replace(netloc=host, path=parts.path.rstrip("/"), query="", fragment=""))
        self._policy = policy
        self._threads = threading.local()

    def open(self, path: str, *, start: int = 0, validator: str | None = None) -> OpenFile:
        """Asks for a file; see `Storage.open`."""
        headers = {}
        if start and validator:
            headers = {"Range": f"bytes={start}-", "If-Range": validator}
        response = self._ask("GET", path, headers)
        try:
            _require_success(response, self._policy)
            return _opened(response, start)
        except StorageError:
            response.close()
            raise

    def size(self, path: str) -> int | None:
        """Content-Length of a file, or None if the server does not say."""
        try:
            with self._ask("HEAD", path, {}) as response:
                return _length(response) if response.status_code == HTTPStatus.OK else None
        except StorageError:
            return None

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> requests.Response:
        url = f"{self._base}/{quote(path)}" + (f"?{self._query}" if self._query else "")
        timeout = (self._policy.connect_timeout, self._policy.read_timeout)
        try:
            return self._session().request(
                method, url, headers=headers, timeout=timeout, stream=True, allow_redirects=True
            )
        except requests.Timeout as error:
            raise UnreachableError(f"no answer: {_short(error)}") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise UnreachableError(f"no connection: {_short(error)}") from error
        except requests.RequestException as error:
            raise RefusedError(_short(error)) from error

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._threads, "session", None)
        if session is None:
            session = requests.Session()
            # Retries are ours: they know about mirrors.
            adapter = HTTPAdapter(pool_connections=4, pool_maxsize=32, max_retries=0)
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            # identity: files are compressed already, and a decoding layer would hide what the server really holds.
            session.headers.update({"User-Agent": _user_agent(), "Accept-Encoding": "identity"})
            self._threads.session = session
        return session


class _HttpSource:
    """The body of a response, raw as the server holds it, checked against the announced length."""

    def __init__(self, response: requests.Response, expected: int | None) -> None:
        self._response = response
        self._left = expected
        self._got = 0

    def read(self, size: int, /) -> bytes:
        try:
            # read1 gives what has arrived; read would wait until all of size is there.
            data: bytes = self._response.raw.read1(size, decode_content=False)
        except HTTPError as error:
            raise UnreachableError(f"body cut after {self._got} bytes: {_short(error)}") from error
        except OSError as error:
            raise UnreachableError(f"body cut after {self._got} bytes: {error}") from error
        self._got += len(data)
        if self._left is not None:
            self._left -= len(data)
            if not data and self._left > 0:
                raise UnreachableError(f"body cut after {self._got} of {self._got + self._left} bytes")
        return data

    def close(self) -> None:
        self._response.close()


def _require_success(response: requests.Response, policy: RetryPolicy) -> None:
    status = response.status_code
    if status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        return
    reason = f"HTTP {status} {response.reason or ''}".rstrip()
    if status in _NOT_THERE:
        raise NotThereError(reason)
    if status in _BUSY:
        seconds = policy.seconds_until(response.headers.get("Retry-After"))
        raise BusyError(reason if seconds is None else f"{reason}, retry after {seconds:.0f} s", seconds)
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise UnreachableError(reason)
    raise RefusedError(reason)


def _opened(response: requests.Response, start: int) -> OpenFile:
    length = _length(response)
    if response.status_code == HTTPStatus.OK:
        start = 0
    elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        raise RefusedError(f"answered a range from {start} with {response.headers.get('Content-Range')!r}")
    etag = response.headers.get("ETag")
    # If-Range needs a strong ETag or a date.
    validator = response.headers.get("Last-Modified") if etag is None or etag.startswith("W/") else etag
    return OpenFile(
        _HttpSource(response, length), start, None if length is None else start + length, validator=validator
    )


def _length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _short(error: BaseException) -> str:
    """The innermost cause in words: the outer layers only repeat the address."""
    inner = getattr(error, "reason", None) or next(iter(error.args), None)
    if isinstance(inner, BaseException):
        return _short(inner)
    return str(error) or type(error).__name__


def _user_agent() -> str:
    try:
        return f"aurora-ingest/{version('aurora-ingest')}"
    except PackageNotFoundError:
        return "aurora-ingest"
