"""Beam's flags for a job on Flink: on the local cluster, or on one that the user names by its job endpoint."""

from __future__ import annotations

import json
import logging
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions

from aurora_ingest.errors import UsageError
from aurora_ingest.runners.flink import cluster
from aurora_ingest.runners.flink.settings import default_flink_dir
from aurora_ingest.runners.wheel import packed_wheel

_STREAMING = (
    "--streaming",
    "--checkpointing_interval=2000",
    "--max_bundle_time_mills=100",
    # Else what a bundle has put out waits in the savepoint of a job that is stopped, and its last steps never see it.
    "--finish_bundle_before_checkpointing",
)
_BATCH = ("--environment_cache_millis=1000",)
"""A stage that follows soon after another one finds its Python workers; without it each stage starts new ones."""


class FlinkJobOptions(PipelineOptions):  # type: ignore[misc]  # Beam is untyped
    """Options of Beam's Flink runner that its Python side does not declare and would warn of."""

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        for name in ("checkpointing_interval", "max_bundle_time_mills", "max_bundle_size", "execution_retry_delay"):
            parser.add_argument(f"--{name}", type=int)
        parser.add_argument("--number_of_execution_retries", type=int)
        parser.add_argument("--savepoint_path")
        parser.add_argument("--finish_bundle_before_checkpointing", action="store_true", default=None)
        parser.add_argument("--execution_mode_for_batch")


class _OfOurOwn(logging.Filter):
    """Drops Beam's remark that a wheel has to fit the workers: the one that is staged here is made to."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("The .whl package")


def flink_flags(
    given: Sequence[str],
    *,
    flink_dir: Path | None = None,
    job_endpoint: str | None = None,
    parallelism: int | None = None,
    streaming: bool = False,
) -> tuple[str, ...]:
    """Returns Beam's flags for a job on Flink, with those that the user gave at the end, where they win.

    The wheel of this package goes with the job. On the local cluster Python workers are started by its task managers
    (environment PROCESS); for a cluster of the user's own the flags have to name an environment.

    Args:
        given: what stands after ``--`` on the command line.
        flink_dir: where the local cluster is, or None for the usual place.
        job_endpoint: address of the job server of another cluster, or None for the local one.
        parallelism: tasks per step; None for one per task manager, or what the other cluster says.
        streaming: the graph is unbounded.

    Raises:
        ClusterError: there is no local cluster.
        UsageError: no environment for a cluster of the user's own.
    """
    folder = flink_dir or default_flink_dir()
    flags = ["--runner=PortableRunner", *(_STREAMING if streaming else _BATCH)]
    # Beam would stage a list of everything that is installed here, which takes it a second.
    flags.append("--experiments=disable_logging_submission_environment")
    if job_endpoint is None:
        local = cluster.running(folder)
        managers = max(len(local.task_managers), 1)
        parallelism = parallelism or managers
        flags += [
            f"--job_endpoint={local.job_endpoint}",
            "--environment_type=PROCESS",
            f"--environment_config={json.dumps({'command': str(local.boot)})}",
            # Tasks of one task manager share its Python processes; each is to have one of its own.
            f"--sdk_worker_parallelism={-(-parallelism // managers)}",
        ]
    else:
        if not any(flag.startswith("--environment_type") for flag in given):
            raise UsageError(
                f"job endpoint {job_endpoint}: say after -- where the cluster's Python workers come from, for example "
                "--environment_type=EXTERNAL --environment_config=localhost:50000, or --environment_type=DOCKER"
            )
        flags.append(f"--job_endpoint={job_endpoint}")
    if parallelism is not None:
        flags.append(f"--parallelism={parallelism}")
    flags.append(f"--extra_package={packed_wheel(folder / 'wheels')}")
    stager = logging.getLogger("apache_beam.runners.portability.stager")
    if not any(isinstance(each, _OfOurOwn) for each in stager.filters):
        stager.addFilter(_OfOurOwn())
    return (*flags, *given)
