"""What can be set about the service."""

from __future__ import annotations

from dataclasses import dataclass

from aurora_ingest.errors import UsageError
from aurora_ingest.orderbook.path_search import MAX_HOPS


@dataclass(frozen=True)
class ServeOptions:
    """Settings of the read-only service.

    Attributes:
        db_url: the database; its user needs no more than SELECT.
        cors_origins: origins that browsers may call from; ``*`` is any.
        public_url: how clients reach the service, for links; None takes what the request was sent to.
        connections: most database sessions at once.
        statement_seconds: longest time of one statement.
        search_seconds: longest time of one search for paths.
        searches: most searches at once; sixteen times as many may wait.
        max_path_length: most exchanges on a path, 1 to 5.
        poll_seconds: how often the database is asked for a new ledger.
        heartbeat_seconds: a stream that has nothing to tell says so this often.
        streams: most streams at once.
        stream_seconds: a stream is ended after this time; clients come back where they were.
        verify_seconds: how often the order book is compared with the tables; 0 is never.
    """

    db_url: str
    cors_origins: tuple[str, ...] = ("*",)
    public_url: str | None = None
    connections: int = 20
    statement_seconds: float = 5.0
    search_seconds: float = 2.0
    searches: int = 2
    max_path_length: int = MAX_HOPS
    poll_seconds: float = 0.5
    heartbeat_seconds: float = 15.0
    streams: int = 1000
    stream_seconds: float = 600.0
    verify_seconds: float = 300.0

    def __post_init__(self) -> None:
        """Refuses what cannot be.

        Raises:
            UsageError: naming the setting.
        """
        for name in ("connections", "searches", "streams"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} {getattr(self, name)}: expected at least 1")
        for name in ("statement_seconds", "search_seconds", "poll_seconds", "heartbeat_seconds", "stream_seconds"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} {getattr(self, name)}: expected more than 0")
        if self.verify_seconds < 0:
            raise UsageError(f"verify_seconds {self.verify_seconds}: expected 0 or more")
        if not 1 <= self.max_path_length <= MAX_HOPS:
            raise UsageError(f"max_path_length {self.max_path_length}: expected 1 to {MAX_HOPS}")
        if self.public_url is not None and not self.public_url.startswith(("http://", "https://")):
            raise UsageError(f"public_url {self.public_url!r}: expected http://… or https://…")
