"""The service in a thread of the test's own process, on a port that is free, for any HTTP client."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aurora_ingest.api.http_server import listening, make_server
from aurora_ingest.api.serve_options import ServeOptions
from following.nodes import until


@contextmanager
def served(url: str, **settings: Any) -> Iterator[str]:
    """Serves a database for the time of a block.

    Args:
        url: of the database.
        settings: of ServeOptions.

    Yields:
        The service's address, ``http://127.0.0.1:port``.
    """
    listener = listening("127.0.0.1", 0)
    server = make_server(ServeOptions(db_url=url, **settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="served")
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), "the service has started")
        assert server.started, "the service ended at its start; its log says why"
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
