"""The flags of `follow` that concern a streaming job on Flink, and the node that they make."""

from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from aurora_ingest.cli.flink_options import flink_rest_option, rest_of
from aurora_ingest.cli.options import setting
from aurora_ingest.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from aurora_ingest.runners.launch import EngineChoice
    from aurora_ingest.streaming_node import StreamingNode
    from aurora_ingest.system import System, SystemOptions

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class JobFlags:
    """What the flags say about the job.

    Attributes:
        savepoint: where its state comes from.
        savepoint_dir: where its end leaves a savepoint.
        detach: leave it to itself.
        rest_url: REST address of a cluster of the user's own.
    """

    savepoint: str | None = None
    savepoint_dir: str | None = None
    detach: bool = False
    rest_url: str | None = None

    def require_flink(self, choice: EngineChoice) -> None:
        """Refuses them on another engine.

        Raises:
            UsageError: one of them is given without ``--engine flink``.
        """
        from aurora_ingest.runners.launch import FLINK

        if choice.name != FLINK and self != JobFlags():
            raise UsageError("--from-savepoint, --savepoint-dir, --detach and --flink-rest are for --engine flink")


def job_options(function: _Function) -> _Function:
    """Adds the flags; the command gets one `JobFlags` as ``job``."""

    @functools.wraps(function)
    def with_flags(
        *args: Any,
        from_savepoint: str | None,
        savepoint_dir: str | None,
        detach: bool,
        rest_url: str | None,
        **rest: Any,
    ) -> Any:
        return function(*args, job=JobFlags(from_savepoint, savepoint_dir, detach, rest_url), **rest)

    command: Any = flink_rest_option(with_flags)
    for option in (
        setting(
            "--detach",
            is_flag=True,
            help="With --engine flink: return as soon as the job runs; aurora-ingest stop ends it.",
        ),
        setting(
            "--savepoint-dir",
            metavar="URL",
            help="With --engine flink: where the job leaves a savepoint at its end, as Flink's machines see it.",
        ),
        setting(
            "--from-savepoint",
            metavar="URL",
            help="With --engine flink: savepoint or retained checkpoint that the job goes on from.",
        ),
    ):
        command = option(command)
    return cast("_Function", command)


def default_node() -> str:
    """The name of a node on Flink if none is given: the same in the next run, so that it finds its job again."""
    return f"{socket.gethostname()}:flink"


def flink_node(
    options: SystemOptions,
    flags: tuple[str, ...],
    choice: EngineChoice,
    job: JobFlags,
    stop: threading.Event,
) -> StreamingNode:
    """Makes the node.

    Args:
        options: what it does.
        flags: Beam's flags.
        choice: the engine.
        job: how its job runs.
        stop: asks it to end.

    Raises:
        UsageError: the flags do not go together.
        ClusterError: there is no cluster.
    """
    from aurora_ingest.runners import launch
    from aurora_ingest.runners.flink import cluster
    from aurora_ingest.runners.flink.settings import default_flink_dir
    from aurora_ingest.streaming_node import StreamingNode, StreamingOptions

    choice.check(options.follow.db_url)
    if (job.rest_url is None) != (choice.job_endpoint is None):
        raise UsageError("a cluster of your own needs both, --job-endpoint and --flink-rest")
    if choice.parallelism not in {None, 1}:
        raise UsageError(
            f"--parallelism {choice.parallelism}: ledgers are followed one after the other; leave it out, and use "
            "reingest-range for what lies far back"
        )
    local = None if job.rest_url is not None else cluster.find(choice.flink_dir or default_flink_dir())
    one = launch.EngineChoice(choice.name, 1, choice.job_endpoint, choice.flink_dir)

    def engine(more: tuple[str, ...]) -> launch.Engine:
        return launch.choose_engine((*flags, *more), one, db_url=options.follow.db_url, streaming=True)

    how = StreamingOptions(
        rest_of(job.rest_url, choice.flink_dir),
        engine,
        answers=local is None or not local.settings.embedded,
        savepoint=job.savepoint,
        savepoint_dir=job.savepoint_dir,
        detach=job.detach,
    )
    return StreamingNode(options, launch.choose_engine([]), how, stop)


def tell_job(system: System) -> bool:
    """Says what became of the job, on standard output; tells whether that is all there is to say."""
    from aurora_ingest.streaming_node import StreamingNode

    if not isinstance(system, StreamingNode):
        return False
    if system.is_detached and system.job is not None:
        click.echo(system.job.job_id)
        return True
    if system.left_savepoint is not None:
        click.echo(f"savepoint {system.left_savepoint}", err=True)
    return False


def collect_job(registry: CollectorRegistry, system: System) -> None:
    """Adds the figures of the node's job on Flink, if it has one, to those that are served."""
    from aurora_ingest.api.flink_figures import FlinkFigures
    from aurora_ingest.streaming_node import StreamingNode

    if isinstance(system, StreamingNode):
        registry.register(FlinkFigures(lambda: system.job))
