"""Ticks that make a graph of following run for ever: one source of them for each engine."""

from __future__ import annotations

import apache_beam as beam
from apache_beam.io.flink.flink_streaming_impulse_source import FlinkStreamingImpulseSource
from apache_beam.transforms.periodicsequence import PeriodicImpulse

_ANY_PLACE = -1
"""The tick that leaves it to the reader where to go on."""


class FlinkTicks(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Ticks from Flink's own source: unbounded, no watermark; each says where a reader without a place begins.

    A source of Beam's, as PeriodicImpulse, is a splittable DoFn that keeps a little more state at every poll of Flink's
    (6 to 10 kB), for ever; Flink's own source keeps none. Each parallel instance of it ticks, so a job of following has
    parallelism 1.
    """

    def __init__(self, seconds: float, first: int = _ANY_PLACE) -> None:
        """Keep the pace.

        Args:
            seconds: time between two ticks, at least a millisecond.
            first: ledger after which a reader begins that has no place yet; the cursor if not given.
        """
        super().__init__()
        self._milliseconds = max(round(seconds * 1000), 1)
        self._first = first

    def expand(self, start: beam.pvalue.PBegin) -> beam.PCollection[int]:
        """Wire the source."""
        source = FlinkStreamingImpulseSource()
        source.config = {"interval_ms": self._milliseconds}  # its setter writes into a dict that all instances share
        return start | "Source" >> source | "Tick" >> beam.Map(_tick, self._first).with_output_types(int)


class PeriodicTicks(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    """Ticks from Beam's PeriodicImpulse, for Prism and Dataflow: unbounded, each -1."""

    def __init__(self, seconds: float) -> None:
        """Keep the pace.

        Args:
            seconds: time between two ticks.
        """
        super().__init__()
        self._seconds = seconds

    def expand(self, start: beam.pvalue.PBegin) -> beam.PCollection[int]:
        """Wire the source."""
        source = PeriodicImpulse(fire_interval=self._seconds, apply_windowing=False)
        return start | "Source" >> source | "Tick" >> beam.Map(_tick, _ANY_PLACE).with_output_types(int)


def _tick(_: object, value: int) -> int:
    return value
