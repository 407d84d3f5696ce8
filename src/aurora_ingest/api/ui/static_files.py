"""The files of the page: read once, sent with a policy that lets a browser load nothing from anywhere else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from aurora_ingest.api.problems import NotFound

router = APIRouter()

_KINDS: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    # Text never becomes HTML, whatever a script tries.
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # browsers keep the files and ask whether they are still the same
}


@dataclass(frozen=True)
class _File:
    body: bytes
    kind: str
    etag: str


@cache
def _files() -> dict[str, _File]:
    found = {}
    for each in resources.files("aurora_ingest.api.ui").joinpath("static").iterdir():
        kind = _KINDS.get(each.name.rpartition(".")[2])
        if kind is not None:
            body = each.read_bytes()
            found[each.name] = _File(body, kind, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return found


@router.get("/ui")
async def without_slash() -> Response:
    """Leads to the page; its own addresses are relative, so that it works behind a proxy's prefix."""
    return RedirectResponse("ui/", status_code=307)


@router.get("/ui/")
async def page(request: Request) -> Response:
    """The page."""
    return await file("index.html", request)


@router.get("/ui/{name}")
async def file(name: str, request: Request) -> Response:
    """A file of the page; 304 if the browser has it already."""
    found = _files().get(name)
    if found is None:
        raise NotFound
    headers = {**_HEADERS, "ETag": found.etag}
    if found.etag in (each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type=found.kind, headers=headers)
