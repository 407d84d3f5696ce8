"""The service as a process, and a browser before it that notes whatever a page must not do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE = 120_000
"""Milliseconds within which anything happens in a browser, on a machine with much else to do."""
_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)


def launched(playwright: Playwright) -> Browser:
    """Starts Debian's Chromium; `make chromium` installs it."""
    if not CHROMIUM.exists():
        message = "Chromium is not installed; `make chromium` says how"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    environment: dict[str, str | float | bool] = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }
    return playwright.chromium.launch(executable_path=str(CHROMIUM), args=_FLAGS.split(), env=environment)


@dataclass
class Service:
    """A process of ``aurora-ingest serve`` that can be killed and started again at the same address."""

    url: str
    log: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if self.port == 0:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        flags = ["--db-url", self.url, "--port", str(self.port), "--poll-interval", "0.05"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "aurora_ingest", "serve", *flags],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        end = time.monotonic() + PATIENCE / 1000
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.address}/ui/", timeout=5).status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def serving(url: str, folder: Path) -> Iterator[Service]:
    """Runs the service for the time of a block."""
    service = Service(url, folder / "serve.log")
    try:
        service.start()
        yield service
    finally:
        service.kill()


@dataclass
class Visit:
    """A page in a browser window of its own, with what it said and asked for."""

    page: Page
    service: Service
    complaints: list[str] = field(default_factory=list)
    abroad: list[str] = field(default_factory=list)
    may_fail: bool = False
    """Whether answers with an error are part of the test: browsers write them to the console."""

    def open(self, place: str = "") -> Page:
        """Goes to a place of the page, ``#/paths`` for example, as a new visitor."""
        self.page.goto(f"{self.service.address}/ui/{place}")
        return self.page

    def check(self) -> None:
        """Fails if the page complained or asked anybody else."""
        assert self.abroad == []
        assert self.complaints == []


@contextmanager
def visiting(
    browser: Browser, service: Service, *, width: int = 1280, height: int = 800, **settings: Any
) -> Iterator[Visit]:
    """Opens a window; when the block ends well, the page must have kept the rules."""
    context = browser.new_context(viewport={"width": width, "height": height}, **settings)
    context.set_default_timeout(PATIENCE)
    visit = Visit(context.new_page(), service)

    def said(message: ConsoleMessage) -> None:
        failed = visit.may_fail and "Failed to load resource" in message.text
        if message.type in ("error", "warning") and not failed:
            visit.complaints.append(message.text)

    def asked(request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(service.address).netloc:
            visit.abroad.append(request.url)

    visit.page.on("console", said)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("request", asked)
    try:
        yield visit
        visit.check()
    finally:
        context.close()
