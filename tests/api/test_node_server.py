from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from aurora_ingest.api.node_metrics import NodeMetrics
from aurora_ingest.api.node_server import serving
from aurora_ingest.errors import UsageError
from aurora_ingest.transforms import metrics, order_book_metrics


def _get(url: str) -> tuple[int, str]:
    answer = requests.get(url, timeout=10)
    return answer.status_code, answer.text


def _samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_node_tells_its_figures() -> None:
    time = 1000.0
    figures = NodeMetrics(28, lambda: 107, now=lambda: time)
    for event in (
        metrics.NodeTransition("start", "resume"),
        metrics.LedgerReadFrom(104),
        metrics.CursorHeld(0.03),
        metrics.LedgerCommitted(104, leader=True, close_time=990, transactions=7),
        metrics.LedgerCommitted(105, leader=False, close_time=995, transactions=2),
        metrics.CursorHeld(0.0, 1),
        metrics.NodeTransition("resume", "start", failed=True),
    ):
        figures(event)
    with serving(0, figures.registry, lambda: (True, {"state": "resume"})) as port:
        status, text = _get(f"http://127.0.0.1:{port}/metrics")
        assert status == 200
        found = _samples(text)
        assert found["horizon_ingest_local_latest_ledger",] == 105
        assert found["horizon_ingest_max_supported_protocol_version",] == 28
        assert found["horizon_ingest_ledger_stats_total", "transactions"] == 9
        assert found["horizon_ingest_ledger_ingestion_duration_seconds_count",] == 1
        assert found["horizon_ingest_errors_total", "resume", "start"] == 1
        assert found["aurora_ingest_leader",] == 0
        assert found["aurora_ingest_led_ledgers_total",] == 1
        assert found["aurora_ingest_lag_ledgers",] == 2
        assert found["aurora_ingest_lag_seconds",] == 5
        assert found["aurora_ingest_lock_hold_seconds_count",] == 1
        assert found["aurora_ingest_ended_holders_total",] == 1
        assert found["aurora_ingest_transitions_total", "resume"] == 1


def test_a_node_tells_what_it_keeps_of_order_books() -> None:
    figures = NodeMetrics(28, lambda: None)
    pair, other = ("AAAAAA==", "usd"), ("AAAAAA==", "eur")
    for event in (
        order_book_metrics.OrderBooksMoved({pair: 100, other: 40}),
        order_book_metrics.OrderBooksMoved({pair: 60}),
        order_book_metrics.OrderBooksWritten(107, 2),
        order_book_metrics.OrderBooksWritten(108, 1, is_lost=True),
    ):
        figures(event)
    with serving(0, figures.registry, lambda: (True, {})) as port:
        found = _samples(_get(f"http://127.0.0.1:{port}/metrics")[1])
    names = ("order_books", "order_books_state_bytes", "order_books_largest_state_bytes", "order_books_latest_ledger")
    assert [found[f"aurora_ingest_{name}",] for name in names] == [2, 100, 60, 107]
    assert found["aurora_ingest_order_books_lost_ledgers_total",] == 1


@pytest.mark.parametrize("is_well,status", [(True, 200), (False, 503)])
def test_health_says_whether_a_node_is_well(is_well: bool, status: int) -> None:
    facts: dict[str, Any] = {"state": "resume", "position": 5}
    with serving(0, NodeMetrics(28, lambda: None).registry, lambda: (is_well, facts)) as port:
        found, text = _get(f"http://127.0.0.1:{port}/health")
        assert (found, json.loads(text)) == (status, facts)
        assert _get(f"http://127.0.0.1:{port}/else")[0] == 404


def test_a_port_that_is_taken_is_told() -> None:
    registry = NodeMetrics(28, lambda: None).registry
    with (
        serving(0, registry, lambda: (True, {})) as port,
        pytest.raises(UsageError, match=f"--metrics-port {port}: cannot listen"),
        serving(port, registry, lambda: (True, {})),
    ):
        pass
