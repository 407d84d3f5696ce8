"""The figures of a streaming job, asked of Flink at every scrape, as Prometheus reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aurora_ingest.errors import ClusterError

if TYPE_CHECKING:
    from aurora_ingest.runners.flink.streaming import StreamingJob

_NO_NAME = re.compile(r"[^a-zA-Z0-9_]")


class FlinkFigures(Collector):
    """Collects the figures of the job that a node watches; ``aurora_ingest_flink_up`` is 0 without one."""

    def __init__(self, job: Callable[[], StreamingJob | None]) -> None:
        """Keeps how to get the job.

        Args:
            job: gives it, None while there is none.
        """
        self._job = job

    def describe(self) -> list[Metric]:
        """Names nothing in advance: a registration is to ask nobody."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Asks Flink."""
        job = self._job()
        health = None if job is None else job.health()
        is_well = health is not None and health.is_well
        yield GaugeMetricFamily("aurora_ingest_flink_up", "1 if the job completes checkpoints.", value=float(is_well))
        if job is None or health is None:
            return
        prefix = "aurora_ingest_flink_checkpoint"
        yield CounterMetricFamily(f"{prefix}s", "Completed checkpoints of this job.", value=health.completed)
        yield CounterMetricFamily(f"{prefix}s_failed", "Failed checkpoints of this job.", value=health.failed)
        yield GaugeMetricFamily(f"{prefix}_bytes", "Size of the last one.", value=health.checkpoint_bytes)
        yield GaugeMetricFamily(f"{prefix}_duration_seconds", "Of the last one.", value=health.duration_ms / 1000)
        if health.seconds_since is not None:
            yield GaugeMetricFamily(f"{prefix}_age_seconds", "Time since the last one.", value=health.seconds_since)
        try:
            figures = job.figures()
        except ClusterError:
            return  # the job manager is away; what is known of the job has been told
        for name, value in sorted(figures.items()):
            told = "Figure of the job's steps, from its last restart on."
            yield GaugeMetricFamily(f"aurora_ingest_job_{_NO_NAME.sub('_', name)}", told, value=value)
