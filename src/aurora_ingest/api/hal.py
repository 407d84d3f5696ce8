"""Links of documents, and answers in ``application/hal+json``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse

Link = Callable[[str], dict[str, Any]]
"""What makes a link of a path: `link` with its request."""

_HOST: Final = re.compile(r"[A-Za-z0-9.\-_]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


class HalResponse(JSONResponse):
    """A document with links."""

    media_type = "application/hal+json"


def base_url(request: Request) -> str:
    """Returns how the client reached the service, without a slash at the end: ``http://host:port``."""
    public: str | None = request.app.state.service.options.public_url
    if public is not None:
        return public.rstrip("/")
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        name, port = request.scope.get("server") or ("localhost", None)
        host = name if port is None else f"{name}:{port}"
    return f"{request.scope.get('scheme', 'http')}://{host}"


def link(request: Request, path: str) -> dict[str, Any]:
    """Returns a link to a path of this service; one with ``{…}`` is marked as a template."""
    href = f"{base_url(request)}{path}"
    return {"href": href, "templated": True} if "{" in path else {"href": href}
