"""The local engine: Beam's FnApiRunner inside this process, always chosen by name."""

from __future__ import annotations

import logging

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

from aurora_ingest.errors import UsageError

FN_API_RUNNER = "FnApiRunner"

_ALIASES = frozenset({"DirectRunner", "SwitchingDirectRunner"})
_REFUSED = "BundleBasedDirectRunner"
_LOG = logging.getLogger(__name__)


def is_local(runner: str | None) -> bool:
    """Tells whether Beam's `runner` means this process: no name at all, FnApiRunner, or what is mapped to it."""
    return runner is None or runner in _ALIASES or runner in {FN_API_RUNNER, _REFUSED}


def local_options(options: PipelineOptions) -> PipelineOptions:
    """Names the FnApiRunner in `options` and returns them.

    DirectRunner lets Beam choose among three runners by the shape of the graph; it may try to download one of them, and
    another one can lose output while it reports success. So the name is mapped, with one line in the log.

    Raises:
        UsageError: the BundleBasedDirectRunner was asked for.
    """
    standard = options.view_as(StandardOptions)
    if standard.runner == _REFUSED:
        raise UsageError(f"--runner={_REFUSED}: this runner can lose output; use --runner={FN_API_RUNNER}")
    if standard.runner in _ALIASES:
        _LOG.info("%s runs as %s in this process", standard.runner, FN_API_RUNNER)
    standard.runner = FN_API_RUNNER
    return options


def has_one_process(options: PipelineOptions) -> bool:
    """Tells whether the workers share this process, its memory and its progress events."""
    return bool(options.view_as(DirectOptions).direct_running_mode != "multi_processing")


def one_tick(position: int) -> beam.PTransform:
    """The ticks of one round of a follower in this process: a single one (ADR 10).

    Args:
        position: ledger after which to go on.
    """
    return beam.Create([position])
