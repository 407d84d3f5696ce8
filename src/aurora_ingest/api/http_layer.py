"""What holds for every request, before and after the resource itself: judging it, counting it, what its answer says."""

from __future__ import annotations

import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aurora_ingest.api.problems import BadRequest, MethodNotAllowed, NotAcceptable, Problem, ProblemResponse

_ACCEPTED: Final = frozenset(
    {"*/*", "application/*", "application/json", "application/hal+json", "application/problem+json"}
)
_STREAM: Final = frozenset({"text/*", "text/event-stream"})
_OTHER_KINDS: Final = ("/ui", "/metrics", "/openapi.json")
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST_QUERY: Final = 16_384
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RequestMetrics:
    """Counts and times requests by route, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._durations = Histogram(
            "aurora_serve_request_duration_seconds",
            "From the request to the last byte of its answer.",
            ["route", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.refused = Counter(
            "aurora_serve_refused_requests",
            "Requests that were refused before any work.",
            ["status"],
            registry=self.registry,
        )

    def took(self, route: str, status: int, seconds: float) -> None:
        """Counts a request in."""
        self._durations.labels(route, str(status)).observe(seconds)


class HttpLayer:
    """The outermost part of the service, plain ASGI: it costs a request some microseconds."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judges the request, and passes it on with its answer's headers completed."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = _judged(scope)
        if problem is not None:
            self._metrics.refused.labels(str(problem.status)).inc()
            await ProblemResponse(problem)(scope, receive, send)
            return
        started, status = time.monotonic(), 500

        async def completed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                if "Cache-Control" not in headers:
                    headers["Cache-Control"] = "no-cache, no-store, max-age=0"
            await send(message)

        try:
            await self._app(scope, receive, completed)
        finally:
            route = scope.get("route")
            name = getattr(route, "path", "other")
            self._metrics.took(name, status, time.monotonic() - started)


def _judged(scope: Scope) -> Problem | None:
    """Refuses what no resource could answer; nothing has been done for the request yet."""
    if scope["method"] not in _METHODS:
        return MethodNotAllowed(headers={"Allow": "GET, HEAD, OPTIONS"})
    query: bytes = scope["query_string"]
    if len(query) > _LONGEST_QUERY:
        return BadRequest(f"The query string is longer than {_LONGEST_QUERY} bytes.")
    if b"%00" in query or b"\0" in query or "\0" in scope["path"]:
        return BadRequest("The request holds a NUL character, which no name and no number does.")
    if not scope["path"].startswith(_OTHER_KINDS) and scope["method"] != "OPTIONS" and not _acceptable(scope):
        return NotAcceptable()
    return None


def _acceptable(scope: Scope) -> bool:
    accept = Headers(scope=scope).get("accept", "")
    kinds = {each.partition(";")[0].strip().lower() for each in accept.split(",")} - {""}
    return not kinds or bool(kinds & _ACCEPTED) or bool(kinds & _STREAM)
