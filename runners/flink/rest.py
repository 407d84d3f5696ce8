"""What Flink tells over its REST interface: task managers, jobs, checkpoints, metrics."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from aurora_ingest.errors import ClusterError

_SECONDS = 10


@dataclass(frozen=True)
class FlinkRest:
    """The REST interface of a job manager.

    Attributes:
        url: its address.
    """

    url: str

    def get(self, path: str) -> Any:
        """Returns the JSON document at a path, such as ``/jobs/overview``.

        Raises:
            ClusterError: nobody answers, or the answer is no document.
        """
        return self._ask(urllib.request.Request(f"{self.url}{path}"))  # noqa: S310 - always http

    def post(self, path: str, document: Any, method: str = "POST") -> Any:
        """Sends a JSON document and returns the answer; raises as `get` does."""
        body = json.dumps(document).encode()
        headers = {"Content-Type": "application/json"}
        return self._ask(urllib.request.Request(f"{self.url}{path}", body, headers, method=method))  # noqa: S310

    def task_managers(self) -> int:
        """Returns how many task managers have announced themselves; none while nobody answers."""
        try:
            return int(self.get("/overview")["taskmanagers"])
        except ClusterError:
            return 0

    def jobs(self) -> list[dict[str, Any]]:
        """Returns all jobs that the job manager remembers: ``jid``, ``name``, ``state``, ``start-time``, ``tasks``."""
        found: list[dict[str, Any]] = self.get("/jobs/overview")["jobs"]
        return found

    def running_jobs(self) -> list[str]:
        """Returns the ids of the jobs that have not ended."""
        ended = {"FINISHED", "FAILED", "CANCELED"}
        return [job["jid"] for job in self.jobs() if job["state"] not in ended]

    def cancel(self, job: str) -> None:
        """Asks for the end of a job, without a savepoint."""
        self._ask(urllib.request.Request(f"{self.url}/jobs/{job}", method="PATCH"))  # noqa: S310 - always http

    def _ask(self, request: urllib.request.Request) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - always http
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                told = error.read().decode(errors="replace")[:500]
            raise ClusterError(f"{request.full_url}: Flink answered {error.code}: {told}") from error
        except OSError as error:
            raise ClusterError(f"{request.full_url}: no answer from Flink: {error}") from error
        try:
            return json.loads(text) if text else None
        except ValueError as error:
            raise ClusterError(f"{request.full_url}: the answer is no JSON: {text[:200]!r}") from error
