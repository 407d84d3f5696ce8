"""PostgreSQL servers for tests, which promise nothing after a power failure and are quick for that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from postgres_server import Server, private_server

_SETTINGS = "-c listen_addresses=127.0.0.1 -c fsync=off -c shared_buffers=64MB -c max_connections=60"


@contextmanager
def quick_server() -> Iterator[Server]:
    """A new server, removed with the block; the test is skipped where the programs are missing, but not in CI."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(private_server(_SETTINGS, ("-N", "--locale=C")))
        except FileNotFoundError as error:
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield server
