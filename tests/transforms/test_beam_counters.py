from __future__ import annotations

import logging

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions

from aurora_ingest.transforms import beam_counters, metrics


class _TellFn(beam.DoFn):
    """A step that tells what it is given."""

    def process(self, event: metrics.ProgressEvent) -> None:
        beam_counters.count(event)


def test_events_become_figures_of_their_step() -> None:
    events: list[metrics.ProgressEvent] = [
        metrics.LedgerReadFrom(64),
        metrics.LedgerReadFrom(65),
        metrics.LedgerCommitted(64, leader=True, close_time=1, transactions=7),
        metrics.LedgerCommitted(65, leader=False, close_time=2, transactions=None),
        metrics.CursorHeld(0.25, ended_holders=1),
    ]
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    _ = pipeline | beam.Create(events, reshuffle=False) | "Tell" >> beam.ParDo(_TellFn())
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace(beam_counters.NAMESPACE))
    counts = {each.key.metric.name: each.committed for each in found["counters"]}
    expected = {
        "ledgers_read": 2,
        "ledgers_led": 1,
        "ledgers_followed": 1,
        "transactions": 7,
        "commits": 1,
        "lock_microseconds": 250_000,
        "ended_holders": 1,
    }
    assert {name: counts.get(name) for name in expected} == expected


def test_fields_of_a_line_are_in_its_text(caplog: pytest.LogCaptureFixture) -> None:
    log = beam_counters._InWords(logging.getLogger("aurora_ingest.ledger"), {})
    with caplog.at_level(logging.INFO, "aurora_ingest"):
        metrics.LoggingLedgerReporter(log, clock=lambda: 0.0).on_new_ledger(64)
    assert caplog.messages == ["Reading new ledger sequence=64"]
