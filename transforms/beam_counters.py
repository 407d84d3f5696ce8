"""Events of a process's workers as Beam's metrics: how an engine's own pages and scrapes get to know them."""

from __future__ import annotations

import logging
import threading
from collections.abc import MutableMapping
from typing import Any, Final

from apache_beam.metrics import Metrics

from aurora_ingest.transforms import metrics

NAMESPACE: Final = "aurora_ingest"

_lock = threading.Lock()
_installed: list[object] = []


class _InWords(logging.LoggerAdapter[logging.Logger]):
    """Puts the fields of a line into its text: an engine's log shows nothing else."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        fields = " ".join(f"{name}={value}" for name, value in (kwargs.get("extra") or {}).items())
        return f"{msg} {fields}", kwargs


def count_in_beam() -> None:
    """Counts the events of this process in Beam's metrics, and logs its ledgers, from now on; once per process.

    Events are published by the step that is at work in the same thread, so each figure appears at its step.
    """
    with _lock:
        if _installed:
            return
        log = _InWords(logging.getLogger("aurora_ingest.ledger"), {})
        for listener in (count, metrics.LoggingLedgerReporter(log)):
            subscription = metrics.subscribe(listener)
            subscription.__enter__()
            _installed.append(subscription)


def count_look() -> None:
    """Counts one look for ledgers."""
    Metrics.counter(NAMESPACE, "looks").inc()


def count(event: metrics.ProgressEvent) -> None:
    """Adds one event to Beam's metrics."""
    if isinstance(event, metrics.LedgerReadFrom):
        Metrics.counter(NAMESPACE, "ledgers_read").inc()
        Metrics.gauge(NAMESPACE, "last_ledger_read").set(event.sequence)
    elif isinstance(event, metrics.LedgerCommitted):
        Metrics.counter(NAMESPACE, "ledgers_led" if event.leader else "ledgers_followed").inc()
        Metrics.gauge(NAMESPACE, "last_ledger_committed").set(event.sequence)
        if event.transactions is not None:
            Metrics.counter(NAMESPACE, "transactions").inc(event.transactions)
    elif isinstance(event, metrics.CursorHeld):
        Metrics.counter(NAMESPACE, "commits").inc()
        Metrics.counter(NAMESPACE, "lock_microseconds").inc(round(event.seconds * 1e6))
        Metrics.counter(NAMESPACE, "ended_holders").inc(event.ended_holders)
        Metrics.counter(NAMESPACE, "quarantined").inc(event.quarantined)
