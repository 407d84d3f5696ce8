"""The service as a process of its own, to be killed and started again on the same port."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from following.nodes import until


class ServiceProcess:
    """`aurora-ingest serve` on one port.

    Attributes:
        address: of the service.
        log: file with what it said.
    """

    def __init__(self, url: str, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._url = url
        self.log = log
        self.address = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str) -> None:
        """Starts it; it answers a little later."""
        command = [sys.executable, "-m", "aurora_ingest", "serve", "--db-url", self._url, "--port", str(self._port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*command, *flags], stdout=log, stderr=log)

    def wait(self) -> None:
        """Waits until it is well."""
        until(self._is_well, f"the service is well\n{self.log.read_text()[-2000:]}")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Ends it with a signal and returns its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(60)

    def end(self) -> None:
        """Ends it if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(60)

    def _is_well(self) -> bool:
        try:
            return requests.get(f"{self.address}/health", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False


@contextmanager
def service_process(url: str, log: Path) -> Iterator[ServiceProcess]:
    """A service that is ended with the block."""
    service = ServiceProcess(url, log)
    try:
        yield service
    finally:
        service.end()
